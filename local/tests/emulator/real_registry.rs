//! Mappings with Apicurio's schema registry: stage `schema-registry` fetches it and runs these tests.

use std::time::{Duration, Instant};

use msk_local::esm::running_mapping::{DrainLimits, End};
use msk_test_kit::process::Signal;
use serde_json::{Value, json};

use super::apicurio::{Apicurio, encode};
use super::function::{Function, Reply};
use super::harness::{Harness, TIMEOUT};
use super::registry::framed;

const DEAD: &str = "orders.dead";
const JSON_ORDER: &str = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "required": ["id"],
    "properties": {"id": {"type": "integer"}}}"#;

/// Schemas, values in Avro's own JSON, and what the function gets of them.
const VALUES: &[(&str, &str, &str)] = &[
    (r#""long""#, "-9223372036854775808", "-9223372036854775808"),
    (r#""double""#, "0.1", "0.1"),
    (r#""string""#, r#""grüße \u0000\" 日本""#, r#""grüße \u0000\" 日本""#),
    (r#"["null", "string", "long"]"#, r#"{"string": "x"}"#, r#""x""#),
    (r#"["null", "string", "long"]"#, "null", "null"),
    (
        r#"{"type": "record", "name": "shop.Order", "fields": [
            {"name": "z", "type": "long"},
            {"name": "note", "type": ["null", "string"], "default": null},
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["NEW", "OLD"]}},
            {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "int"}}},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "sum", "type": {"type": "fixed", "name": "Sum", "size": 2}},
            {"name": "parent", "type": ["null", "Order"]}]}"#,
        r#"{"z": 1, "note": {"string": "a"}, "kind": "OLD", "tags": {"t": [1, -2]}, "price": "\u0004\u00d2", "at": 1700000000000000,
            "sum": "\u0000\u00ff", "parent": {"shop.Order": {"z": 2, "note": null, "kind": "NEW", "tags": {}, "price": "", "at": -1,
            "sum": "ab", "parent": null}}}"#,
        concat!(
            r#"{"z":1,"note":"a","kind":"OLD","tags":{"t":[1,-2]},"price":"\u0004Ò","at":1700000000000000,"sum":"\u0000ÿ","#,
            r#""parent":{"z":2,"note":null,"kind":"NEW","tags":{},"price":"","at":-1,"sum":"ab","parent":null}}"#
        ),
    ),
];

fn members(registry: &Apicurio, more: Value) -> Value {
    let config = json!({
        "SchemaRegistryURI": registry.url, "EventRecordFormat": "JSON", "SchemaValidationConfigs": [{"Attribute": "VALUE"}],
    });
    let mut members = json!({"AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": config}});
    members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    members
}

/// The values that the function got, with the formats of their schemas.
fn values(function: &Function) -> Vec<(String, String)> {
    let events: Vec<_> = function.invocations().into_iter().map(|received| received.event).collect();
    let records = events.iter().flat_map(|event| event.records());
    records
        .map(|record| {
            let value = record.value().unwrap().unwrap().to_vec();
            (String::from_utf8(value).unwrap(), record.value_schema().unwrap().data_format.clone())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "stage `schema-registry` runs it: it needs Apicurio's registry"]
async fn values_of_registered_schemas_become_json() {
    let (harness, registry) = (Harness::start(1), Apicurio::start());
    let encoded = encode(&VALUES.iter().map(|(schema, value, _)| (*schema, *value)).collect::<Vec<_>>());
    for (number, ((schema, ..), data)) in VALUES.iter().zip(&encoded).enumerate() {
        let id = registry.register(&format!("value-{number}"), "AVRO", schema, &json!([]));
        harness.send(0, None, Some(&framed(id, data)), &[]).await;
    }
    let json = registry.register("order-json", "JSON", JSON_ORDER, &json!([]));
    harness.send(0, None, Some(&framed(json, br#"{"id": 7}"#)), &[]).await;
    let customer = r#"{"type": "record", "name": "shop.Customer", "fields": [{"name": "id", "type": "long"}]}"#;
    registry.register("customer", "AVRO", customer, &json!([]));
    let order = r#"{"type": "record", "name": "shop.By", "fields": [{"name": "by", "type": "shop.Customer"}]}"#;
    let references = json!([{"name": "shop.Customer", "subject": "customer", "version": 1}]);
    let referring = registry.register("by", "AVRO", order, &references);
    harness.send(0, None, Some(&framed(referring, &[14])), &[]).await;

    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &members(&registry, json!({})))).await, End::Drained);
    let mut expected: Vec<_> = VALUES.iter().map(|(.., json)| ((*json).to_owned(), "AVRO".to_owned())).collect();
    expected.push((r#"{"id": 7}"#.to_owned(), "JSON".to_owned()));
    expected.push((r#"{"by":{"id":7}}"#.to_owned(), "AVRO".to_owned()));
    assert_eq!(values(&function), expected);
    assert_eq!(harness.counts().schema_registry_error_count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "stage `schema-registry` runs it: it needs Apicurio's registry"]
async fn what_the_registry_does_not_know_or_its_schema_does_not_allow_goes_to_the_destination() {
    let (harness, registry) = (Harness::start(1), Apicurio::start());
    harness.brokers.create_topic(&format!("{DEAD}:1").parse().unwrap()).unwrap();
    let id = registry.register("order-json", "JSON", JSON_ORDER, &json!([]));
    let records = [(id + 1_000, r#"{"id": 1}"#), (id, r#"{"id": "1"}"#), (id, r#"{"id": 2}"#)];
    for (id, value) in records {
        harness.send(0, None, Some(&framed(id, value.as_bytes())), &[]).await;
    }
    let destination = json!({"DestinationConfig": {"OnFailure": {"Destination": format!("kafka://{DEAD}")}}});
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &members(&registry, destination))).await, End::Drained);
    let documents = harness.read(DEAD, 2).await;
    let conditions: Vec<_> = documents.iter().map(|(_, document)| &document["requestContext"]["condition"]).collect();
    assert_eq!(conditions, ["SCHEMA_NOT_FOUND", "DESERIALIZATION_ERROR"]);
    assert_eq!(values(&function), [(r#"{"id": 2}"#.to_owned(), "JSON".to_owned())]);
}

/// The path without its end is none of the API's: its 404 is not that of a schema. And a registry that hangs is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "stage `schema-registry` runs it: it needs Apicurio's registry"]
async fn a_wrong_path_and_a_registry_that_hangs_lose_nothing() {
    let (harness, registry) = (Harness::start(1), Apicurio::start());
    let id = registry.register("text", "AVRO", r#""string""#, &json!([]));
    harness.send(0, None, Some(&framed(id, b"\x04hi")), &[]).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let wrong = json!({"Local": {"schemaRegistryUrl": registry.url.trim_end_matches("/apis/ccompat/v7")}});
    for (members, hangs) in [(members(&registry, wrong), false), (members(&registry, json!({})), true)] {
        if hangs {
            registry.signal(Signal::SIGSTOP);
        }
        let before = harness.counts().schema_registry_error_count;
        let mut running = harness.run(harness.mapping(&function, &members)).await;
        let started = Instant::now();
        while harness.counts().schema_registry_error_count == before {
            assert!(started.elapsed() < TIMEOUT, "{:?}", harness.counts());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((function.invocations().len(), harness.committed(1).await), (0, vec![-1]), "{members}");
        if hangs {
            registry.signal(Signal::SIGCONT);
            let limits = DrainLimits { deadline: Some(TIMEOUT), records: None };
            assert_eq!(running.drain(limits, std::future::pending()).await.unwrap(), End::Drained);
        }
        running.stop().await;
    }
    assert_eq!(values(&function), [(r#""hi""#.to_owned(), "AVRO".to_owned())]);
    assert_eq!((harness.counts().dropped_event_count, harness.committed(1).await), (0, vec![1]));
}
