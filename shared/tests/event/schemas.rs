//! The JSON Schemas of the sample messages and their Rust types say the same.

use msk_shared::event::MskEvent;
use msk_shared::messages::{AuditEntry, OrderPlaced, PaymentChanged};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::sample;

struct Schema {
    json: Value,
    validator: jsonschema::Validator,
}

impl Schema {
    fn read(name: &str) -> Self {
        let json: Value = serde_json::from_slice(&sample(&format!("schemas/{name}.json"))).unwrap();
        assert_eq!(json["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert_eq!(json["$id"], format!("urn:msk-ha-cluster:schema:{name}"));
        jsonschema::meta::validate(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let validator = jsonschema::options().should_validate_formats(true).build(&json).unwrap();
        Self { json, validator }
    }

    fn example(&self) -> Value {
        self.json["examples"][0].clone()
    }
}

/// The examples satisfy schema and type, and come back from the type unchanged; each damage is refused by both.
fn agree<T: DeserializeOwned + Serialize>(name: &str, damages: &[(&str, Value)]) {
    let schema = Schema::read(name);
    let examples = schema.json["examples"].as_array().unwrap();
    assert!(examples.len() >= 2, "{name}");
    for example in examples {
        assert!(schema.validator.is_valid(example), "{name}: {example}");
        let typed: T = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(serde_json::to_value(&typed).unwrap(), *example, "{name}");
    }
    for member in schema.json["required"].as_array().unwrap() {
        let mut damaged = schema.example();
        damaged.as_object_mut().unwrap().remove(member.as_str().unwrap());
        assert!(!schema.validator.is_valid(&damaged), "{name} without {member}");
        assert!(serde_json::from_value::<T>(damaged).is_err(), "{name} without {member}");
    }
    for (pointer, value) in damages {
        let mut damaged = schema.example();
        *damaged.pointer_mut(pointer).unwrap() = value.clone();
        assert!(!schema.validator.is_valid(&damaged), "{name}: {pointer} = {value}");
        assert!(serde_json::from_value::<T>(damaged).is_err(), "{name}: {pointer} = {value}");
    }
    let mut grown = schema.example();
    grown["added_later"] = json!([1]);
    assert!(schema.validator.is_valid(&grown) && serde_json::from_value::<T>(grown).is_ok(), "{name}");
}

#[test]
fn orders_v1() {
    let damages = [
        ("/total", json!(-1)),
        ("/total", json!("30000")),
        ("/placed_at", json!("yesterday")),
        ("/items/0/quantity", json!(1.5)),
        ("/items/0", json!({})),
        ("/items", json!("sku-1")),
    ];
    agree::<OrderPlaced>("orders.v1", &damages);
}

#[test]
fn payments_v1() {
    let damages =
        [("/method", json!("cash")), ("/status", json!("AUTHORIZED")), ("/amount", json!(null)), ("/at", json!(0))];
    agree::<PaymentChanged>("payments.v1", &damages);
}

#[test]
fn audit_v1() {
    agree::<AuditEntry>("audit.v1", &[("/details", json!("text")), ("/actor", json!(9)), ("/at", json!(""))]);
}

#[test]
fn the_sample_events_carry_messages_that_satisfy_their_schema() {
    for (name, schema) in [
        ("msk-several-partitions.json", "orders.v1"),
        ("msk-self-managed.json", "payments.v1"),
        ("msk-redelivered.json", "audit.v1"),
    ] {
        let schema = Schema::read(schema);
        let event = MskEvent::parse(sample(name)).unwrap();
        assert!(!event.is_empty());
        for record in event.records() {
            assert!(schema.validator.is_valid(&record.json().unwrap()), "{name}: {}", record.id());
        }
    }
}
