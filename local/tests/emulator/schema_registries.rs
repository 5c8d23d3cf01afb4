//! Mappings with a `SchemaRegistryConfig`.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/services-consume-kafka-events.html>.

use std::time::{Duration, Instant};

use msk_local::esm::error::MappingError;
use msk_local::esm::event_reader::read_events;
use msk_local::esm::running_mapping::{DrainLimits, End};
use msk_shared::event::{MskEvent, Record};
use serde_json::{Value, json};

use super::function::{Function, ReceivedEvent, Reply};
use super::harness::{Harness, TIMEOUT};
use super::registry::{Failure, Registry, framed};

const DEAD: &str = "orders.dead";
const ORDER: &str = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": ["null", "string"]}]}"#;
/// `{"id": 7, "note": "x"}` of it, and `{"id": 8, "note": null}`.
const SEVEN: &[u8] = &[14, 2, 2, b'x'];
const EIGHT: &[u8] = &[16, 0];
const JSON_ORDER: &str = r#"{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}"#;

/// A mapping's members for this registry.
fn members(registry: &Registry, format: &str, attributes: &[&str], more: Value) -> Value {
    let attributes: Vec<_> = attributes.iter().map(|name| json!({"Attribute": name})).collect();
    let config = json!({
        "SchemaRegistryURI": registry.url,
        "EventRecordFormat": format,
        "SchemaValidationConfigs": attributes,
    });
    let mut members = json!({"AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": config}});
    members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    members
}

/// What a record became: key, value, and what the event says of their schemas.
type Delivered = (Option<Vec<u8>>, Option<Vec<u8>>, [Option<(String, String)>; 2]);

fn delivered(received: &[ReceivedEvent]) -> Vec<Delivered> {
    let part = |part: Option<std::borrow::Cow<'_, [u8]>>| part.map(|bytes| bytes.to_vec());
    let one = |record: &Record| {
        let schemas = [record.key_schema(), record.value_schema()]
            .map(|schema| schema.map(|schema| (schema.data_format.clone(), schema.schema_id.clone())));
        (part(record.key().unwrap()), part(record.value().unwrap()), schemas)
    };
    received.iter().flat_map(|received| received.event.records().map(one).collect::<Vec<_>>()).collect()
}

fn schema(format: &str, id: u32) -> Option<(String, String)> {
    Some((format.to_owned(), id.to_string()))
}

fn text(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_named_attributes_are_validated_and_become_json() {
    let (harness, registry) = (Harness::start(1), Registry::start().await);
    registry.add(300, None, ORDER, &json!([]));
    registry.add(301, Some("JSON"), JSON_ORDER, &json!([]));
    let key = framed(300, EIGHT);
    harness.send(0, Some(&key), Some(&framed(300, SEVEN)), &[]).await;
    harness.send(0, Some(b"key"), Some(&framed(301, br#"{ "id": 9 }"#)), &[]).await;
    harness.send(0, Some(&key), None, &[]).await;
    harness.send(0, None, Some(&framed(300, EIGHT)), &[]).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let mapping = harness.mapping(&function, &members(&registry, "JSON", &["VALUE"], json!({})));
    assert_eq!(harness.drain(mapping).await, End::Drained);
    let expected = [
        (Some(key.clone()), text(r#"{"id":7,"note":"x"}"#), [None, schema("AVRO", 300)]),
        (text("key"), text(r#"{ "id": 9 }"#), [None, schema("JSON", 301)]),
        (Some(key.clone()), None, [None, None]),
        (None, text(r#"{"id":8,"note":null}"#), [None, schema("AVRO", 300)]),
    ];
    assert_eq!(delivered(&function.invocations()), expected);
    assert_eq!(registry.requests(), ["/schemas/ids/300", "/schemas/ids/301"], "each schema is asked for once");
    let body: Value = serde_json::from_slice(&function.invocations()[0].body).unwrap();
    let record = &body["records"]["orders-0"][0];
    assert_eq!(record["valueSchemaMetadata"], json!({"dataFormat": "AVRO", "schemaId": "300"}));
    assert_eq!(record["value"], "eyJpZCI6Nywibm90ZSI6IngifQ==");
    assert!(record.get("keySchemaMetadata").is_none());
    assert_eq!(harness.committed(1).await, [4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_source_format_the_bytes_lose_their_frame_and_filters_see_the_json() {
    let (harness, registry) = (Harness::start(1), Registry::start().await);
    registry.add(1, None, ORDER, &json!([]));
    for (key, value) in [(EIGHT, SEVEN), (SEVEN, EIGHT)] {
        harness.send(0, Some(&framed(1, key)), Some(&framed(1, value)), &[]).await;
    }
    let filter = json!({"FilterCriteria": {"Filters": [{"Pattern": r#"{"value": {"note": ["x"]}}"#}]}});
    let function = Function::start(|_, _| Reply::ok()).await;
    let mapping = harness.mapping(&function, &members(&registry, "SOURCE", &["KEY", "VALUE"], filter.clone()));
    assert_eq!(harness.drain(mapping).await, End::Drained);
    let both = [schema("AVRO", 1), schema("AVRO", 1)];
    assert_eq!(delivered(&function.invocations()), [(Some(EIGHT.to_vec()), Some(SEVEN.to_vec()), both)]);
    let counts = harness.counts();
    assert_eq!((counts.polled_event_count, counts.filtered_out_event_count), (2, 1));
    assert_eq!(harness.committed(1).await, [2]);

    let other = json!({"ConsumerGroupId": "again"});
    let mut again = members(&registry, "JSON", &["VALUE"], filter);
    again["AmazonManagedKafkaEventSourceConfig"].as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &again)).await, End::Drained);
    assert_eq!(delivered(&function.invocations())[0].1, text(r#"{"id":7,"note":"x"}"#));
    assert_eq!(function.batches(), [[(0, 0)]]);
}

/// Records that can never be delivered, with AWS's reason codes.
fn refused() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (framed(99, SEVEN), "SCHEMA_NOT_FOUND"),
        (framed(1, &SEVEN[..3]), "DESERIALIZATION_ERROR"),
        (framed(1, b""), "DESERIALIZATION_ERROR"),
        (framed(1, &[SEVEN, b"more"].concat()), "DESERIALIZATION_ERROR"),
        (framed(2, br#"{"id": "7"}"#), "DESERIALIZATION_ERROR"),
        (framed(2, b"no JSON"), "DESERIALIZATION_ERROR"),
        (framed(3, SEVEN), "DESERIALIZATION_ERROR"),
        (br#"{"id": 7}"#.to_vec(), "DESERIALIZATION_ERROR"),
        (b"".to_vec(), "DESERIALIZATION_ERROR"),
        ([&[3, 0], &[7; 16][..], SEVEN].concat(), "DESERIALIZATION_ERROR"),
        (framed(4, &[&[0xfe; 4], &[0x7f, 0][..]].concat()), "MaximumPayloadSizeExceeded"),
    ]
}

async fn with_refused_records(registry: &Registry) -> Harness {
    let harness = Harness::start(1);
    harness.brokers.create_topic(&format!("{DEAD}:1").parse().unwrap()).unwrap();
    registry.add(1, None, ORDER, &json!([]));
    registry.add(2, Some("JSON"), JSON_ORDER, &json!([]));
    registry.add(3, None, "\"no type\"", &json!([]));
    registry.add(4, None, r#"{"type": "array", "items": "null"}"#, &json!([]));
    for (value, _) in refused() {
        harness.send(0, Some(b"key"), Some(&framed(1, SEVEN)), &[]).await;
        harness.send(0, Some(b"key"), Some(&value), &[]).await;
    }
    harness
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_schema_does_not_let_pass_goes_to_the_destination_as_it_was() {
    let registry = Registry::start().await;
    let harness = with_refused_records(&registry).await;
    let destination = json!({"DestinationConfig": {"OnFailure": {"Destination": format!("kafka://{DEAD}")}}});
    let function = Function::start(|_, _| Reply::ok()).await;
    let mapping = harness.mapping(&function, &members(&registry, "JSON", &["VALUE"], destination));
    assert_eq!(harness.drain(mapping).await, End::Drained);
    let refused = refused();
    let documents = harness.read(DEAD, refused.len()).await;
    for (number, ((value, reason), (key, document))) in refused.iter().zip(documents).enumerate() {
        assert_eq!(key.as_deref(), Some(b"key".as_slice()));
        assert_eq!(document["requestContext"]["condition"], *reason, "record {number}");
        assert_eq!(document["requestContext"]["approximateInvokeCount"], 0);
        assert_eq!(document["responseContext"], Value::Null);
        assert_eq!(document["KafkaBatchInfo"]["recordInfo"]["offset"], (2 * number + 1).to_string());
        let event = MskEvent::parse(document["payload"].to_string()).unwrap();
        assert_eq!(event.records().next().unwrap().value().unwrap().as_deref(), Some(value.as_slice()));
    }
    let sent: Vec<_> = function.batches().concat();
    let good: Vec<_> = (0..refused.len()).map(|number| (0, 2 * number as i64)).collect();
    assert_eq!(sent, good, "the others arrive in their order");
    let counts = harness.counts();
    assert_eq!(counts.on_failure_destination_delivered_event_count, refused.len() as u64);
    assert_eq!(counts.schema_registry_error_count, refused.len() as u64 - 1, "one is only too large");
    assert_eq!(harness.committed(1).await, [2 * refused.len() as i64]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_destination_it_is_dropped() {
    let registry = Registry::start().await;
    let harness = with_refused_records(&registry).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(
        harness.drain(harness.mapping(&function, &members(&registry, "JSON", &["VALUE"], json!({})))).await,
        End::Drained
    );
    let counts = harness.counts();
    assert_eq!(
        (counts.dropped_event_count, counts.invoked_event_count),
        (refused().len() as u64, refused().len() as u64)
    );
    assert_eq!(harness.committed(1).await, [2 * refused().len() as i64]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_registry_fails_records_wait_and_those_of_other_partitions_do_not() {
    let (harness, registry) = (Harness::start(2), Registry::start().await);
    registry.add(1, None, ORDER, &json!([]));
    registry.add(2, None, ORDER, &json!([]));
    let missing = json!({"error_code": 404, "message": "HTTP 404 Not Found"});
    for failure in [
        Failure::Status(500, json!({"error_code": 50001})),
        Failure::Status(401, json!({"error_code": 401})),
        // A path that is none of the API's.
        Failure::Status(404, missing),
        Failure::Status(200, json!({"no": "schema"})),
        Failure::Silence,
    ] {
        registry.fail_next(failure);
    }
    harness.send(0, None, Some(&framed(1, SEVEN)), &[]).await;
    harness.send(0, None, Some(&framed(2, EIGHT)), &[]).await;
    harness.send(1, None, None, &[]).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let mapping = harness.mapping(&function, &members(&registry, "JSON", &["VALUE"], json!({})));
    assert_eq!(harness.drain(mapping).await, End::Drained);
    let batches = function.batches();
    assert_eq!(batches[0], [(1, 0)], "a tombstone needs no registry");
    assert_eq!(batches[1..].concat(), [(0, 0), (0, 1)]);
    let counts = harness.counts();
    assert_eq!((counts.schema_registry_error_count, counts.dropped_event_count), (5, 0));
    assert_eq!(harness.committed(2).await, [2, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_not_there_holds_records_until_it_is() {
    let harness = Harness::start(1);
    harness.send(0, None, Some(&framed(1, SEVEN)), &[]).await;
    let registry = Registry::start().await;
    let url = registry.url.clone();
    drop(registry);
    let function = Function::start(|_, _| Reply::ok()).await;
    let config = json!({
        "SchemaRegistryURI": url, "EventRecordFormat": "JSON", "SchemaValidationConfigs": [{"Attribute": "VALUE"}],
    });
    let members = json!({"AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": config}});
    let mut running = harness.run(harness.mapping(&function, &members)).await;
    let started = Instant::now();
    while harness.counts().schema_registry_error_count < 2 {
        assert!(started.elapsed() < TIMEOUT, "{:?}", harness.counts());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let limits = DrainLimits { deadline: Some(Duration::from_millis(1)), records: None };
    assert_eq!(running.drain(limits, std::future::pending()).await.unwrap(), End::Deadline);
    running.stop().await;
    assert_eq!((function.invocations().len(), harness.committed(1).await), (0, vec![-1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_come_with_those_they_refer_to() {
    let (harness, registry) = (Harness::start(1), Registry::start().await);
    let reference = |name: &str, subject: &str| json!({"name": name, "subject": subject, "version": 1});
    let newer = |name: &str, subject: &str| json!({"name": name, "subject": subject, "version": 2});
    let id = r#"{"type": "fixed", "name": "shop.Id", "size": 1}"#;
    let customer = r#"{"type": "record", "name": "shop.Customer", "fields": [{"name": "id", "type": "Id"}]}"#;
    let order = r#"{"type": "record", "name": "Order", "fields": [{"name": "by", "type": "shop.Customer"}, {"name": "to", "type": "shop.Id"}]}"#;
    registry.add_version("a/id", 1, id, &json!([]));
    // Another version of one name: the first that is met counts.
    registry.add_version("a/id", 2, r#"{"type": "fixed", "name": "shop.Id", "size": 9}"#, &json!([]));
    registry.add_version("customer", 1, customer, &json!([newer("shop.Id", "a/id")]));
    registry.add(1, None, order, &json!([reference("shop.Id", "a/id"), reference("shop.Customer", "customer")]));
    registry.add_version("id.json", 1, r#"{"type": "integer"}"#, &json!([]));
    let properties = r#"{"properties": {"id": {"$ref": "id.json"}}}"#;
    registry.add(2, Some("JSON"), properties, &json!([reference("id.json", "id.json")]));
    registry.add(3, None, order, &json!([reference("shop.Id", "nowhere")]));
    for value in [framed(1, b"ab"), framed(2, br#"{"id": 1}"#), framed(2, br#"{"id": "1"}"#), framed(3, b"ab")] {
        harness.send(0, None, Some(&value), &[]).await;
    }
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(
        harness.drain(harness.mapping(&function, &members(&registry, "JSON", &["VALUE"], json!({})))).await,
        End::Drained
    );
    let values: Vec<_> = delivered(&function.invocations()).into_iter().map(|(_, value, _)| value).collect();
    assert_eq!(values, [text(r#"{"by":{"id":"a"},"to":"b"}"#), text(r#"{"id": 1}"#)]);
    assert_eq!(harness.counts().dropped_event_count, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protobuf_is_delivered_as_it_is_and_refused_by_name_where_it_should_become_json() {
    let (harness, registry) = (Harness::start(1), Registry::start().await);
    registry.add(5, Some("PROTOBUF"), "syntax = \"proto3\"; message M { int32 a = 1; }", &json!([]));
    // One message index, as Confluent's serialisers write it, stays.
    harness.send(0, None, Some(&framed(5, &[0, 8, 1])), &[]).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let mapping = harness.mapping(&function, &members(&registry, "JSON", &["VALUE"], json!({})));
    let mut running = harness.run(mapping).await;
    let limits = DrainLimits { deadline: Some(TIMEOUT), records: None };
    let ended = running.drain(limits, std::future::pending()).await.unwrap_err();
    assert!(matches!(ended, MappingError::Registry(_)) && ended.to_string().contains("PROTOBUF"), "{ended}");
    running.stop().await;
    assert_eq!(harness.committed(1).await, [-1], "nothing is lost");
    let mapping = harness.mapping(&function, &members(&registry, "SOURCE", &["VALUE"], json!({})));
    assert_eq!(harness.drain(mapping).await, End::Drained);
    assert_eq!(delivered(&function.invocations()), [(None, Some(vec![0, 8, 1]), [None, schema("PROTOBUF", 5)])]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_is_asked_with_the_user_of_its_secret() {
    let (harness, registry) = (Harness::start(1), Registry::start().await);
    registry.add(1, None, ORDER, &json!([]));
    registry.ask_for("Basic bWU6c2VjcmV0");
    harness.send(0, None, Some(&framed(1, SEVEN)), &[]).await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), r#"{"username": "me", "password": "secret"}"#).unwrap();
    let mut members = members(&registry, "JSON", &["VALUE"], json!({}));
    let access = json!([{"Type": "BASIC_AUTH", "URI": "arn:aws:secretsmanager:x"}]);
    members["AmazonManagedKafkaEventSourceConfig"]["SchemaRegistryConfig"]["AccessConfigs"] = access;
    members["Local"] = json!({"secrets": {"arn:aws:secretsmanager:x": secret.path()}});
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!((function.invocations().len(), harness.counts().schema_registry_error_count), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rendered_events_are_what_the_function_would_get() {
    let (harness, registry) = (Harness::start(1), Registry::start().await);
    registry.add(1, None, ORDER, &json!([]));
    for value in [framed(1, SEVEN), framed(1, b""), framed(1, EIGHT)] {
        harness.send(0, None, Some(&value), &[]).await;
    }
    let mapping = harness.mapping_to("http://127.0.0.1:1/x", &members(&registry, "JSON", &["VALUE"], json!({})));
    let read = move || {
        let mut events = Vec::new();
        let result = read_events(&mapping, None, |event| {
            events.push(event.json);
            Ok::<(), MappingError>(())
        });
        result.map(|_| events)
    };
    let events = tokio::task::spawn_blocking(read.clone()).await.unwrap().unwrap();
    let event = MskEvent::parse(events[0].clone()).unwrap();
    let values: Vec<_> = event.records().map(|record| record.value().unwrap().unwrap().to_vec()).collect();
    assert_eq!(values, [br#"{"id":7,"note":"x"}"#.to_vec(), br#"{"id":8,"note":null}"#.to_vec()]);
    registry.fail_next(Failure::Status(503, json!({})));
    let problem = tokio::task::spawn_blocking(read).await.unwrap().unwrap_err().to_string();
    assert!(problem.contains("answers 503"), "{problem}");
}
