//! Keys and values that a mapping has converted with Apicurio's schema registry, read by Powertools' consumers for Kafka.

use msk_local::brokers::EmbeddedBrokers;
use msk_test_kit::InvokeEndpoint;
use serde_json::{Value, json};

use super::apicurio::{Apicurio, encode};
use super::runtimes::{Language, TIME_LIMIT};
use super::support::{Written, drain, finished, invocations, write};

const TEXT: &str = r#""string""#;
const ORDER: &str = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"},
    {"name": "note", "type": ["null", "string"]}]}"#;
const JSON_TEXT: &str = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"}"#;
const JSON_ORDER: &str = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "required": ["id"],
    "properties": {"id": {"type": "integer"}}}"#;

/// A format of schemas, with records in the frame of Confluent's.
struct Registered {
    format: &'static str,
    key_schema: u32,
    value_schema: u32,
    key: Vec<u8>,
    values: [Vec<u8>; 2],
}

impl Registered {
    fn register(registry: &Apicurio, format: &'static str, schemas: [&str; 2], data: [Vec<u8>; 3]) -> Self {
        let [key_schema, value_schema] = [("key", schemas[0]), ("value", schemas[1])]
            .map(|(part, schema)| registry.register(&format!("{format}-{part}"), format, schema, &json!([])));
        let [key, first, second] = data;
        let values = [first, second].map(|value| framed(value_schema, &value));
        Self { format, key_schema, value_schema, key: framed(key_schema, &key), values }
    }

    /// What a function keeps of them.
    fn expected(&self) -> [Value; 2] {
        [json!({"id": 7, "note": "커피"}), json!({"id": 8, "note": null})].map(|value| {
            json!({
                "offset": value["id"].as_u64().unwrap() - 7, "key": "customer-42", "value": value,
                "keySchema": [self.format, self.key_schema.to_string()],
                "valueSchema": [self.format, self.value_schema.to_string()],
            })
        })
    }
}

fn framed(id: u32, data: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], data].concat()
}

/// Delivers the records to a handler: the lines it has kept, and those of its invocations.
fn delivered(
    registry: &Apicurio,
    registered: &Registered,
    language: Language,
    handler: &'static str,
) -> (Vec<Value>, Vec<Value>) {
    let brokers = EmbeddedBrokers::start(&[]).unwrap();
    let records = registered.values.each_ref().map(|value| Written {
        key: Some(&registered.key),
        value: Some(value),
        headers: &[],
    });
    write(&brokers, "orders", &records);
    let received = tempfile::NamedTempFile::new().unwrap();
    let path = received.path().to_owned();
    let function = InvokeEndpoint::start(TIME_LIMIT, move || {
        let mut function = language.function(handler);
        function.env("RECEIVED", &path);
        function
    });
    let config = json!({"SchemaRegistryConfig": {
        "SchemaRegistryURI": registry.url, "EventRecordFormat": "JSON",
        "SchemaValidationConfigs": [{"Attribute": "KEY"}, {"Attribute": "VALUE"}],
    }});
    let config = config.to_string();
    let flags = ["--maximum-retry-attempts", "0", "--amazon-managed-kafka-event-source-config", &config];
    let (lines, _) = finished("msk-local", &mut drain(&brokers, &function.url, "orders", &flags));
    let kept = std::fs::read_to_string(received.path()).unwrap();
    (kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), invocations(&lines))
}

#[test]
#[ignore = "needs Apicurio's registry, Java and Powertools; stage `peers` runs it"]
fn converted_keys_and_values_are_read_by_powertools() {
    let registry = Apicurio::start();
    let orders = [r#"{"id": 7, "note": {"string": "커피"}}"#, r#"{"id": 8, "note": null}"#];
    let encoded = encode(&[(TEXT, r#""customer-42""#), (ORDER, orders[0]), (ORDER, orders[1])]);
    let avro = Registered::register(&registry, "AVRO", [TEXT, ORDER], encoded.try_into().unwrap());
    let plain = [r#""customer-42""#, r#"{"id": 7, "note": "커피"}"#, r#"{"id": 8, "note": null}"#];
    let plain = plain.map(|text| text.as_bytes().to_vec());
    let described = Registered::register(&registry, "JSON", [JSON_TEXT, JSON_ORDER], plain);
    for (language, handler, registered) in [
        (Language::Python, "converted.handler", &described),
        (Language::Python, "converted.undeclared", &described),
        (Language::Python, "converted.undeclared", &avro),
        (Language::Node, "converted.handler", &described),
        (Language::Node, "converted.handler", &avro),
    ] {
        let (kept, told) = delivered(&registry, registered, language, handler);
        assert_eq!(kept, registered.expected(), "{language:?}, {handler}, {}: {told:?}", registered.format);
    }
    // Powertools for Python (3.37.0) takes the format of the schema for that of the value, which is JSON by now.
    let (kept, told) = delivered(&registry, &avro, Language::Python, "converted.handler");
    let [line] = told.try_into().unwrap();
    assert_eq!((&line["outcome"], kept.len()), (&json!("function_error"), 0), "{line}");
    assert!(line["detail"].as_str().unwrap().contains("Expected data is JSON but you sent AVRO"), "{line}");
}
