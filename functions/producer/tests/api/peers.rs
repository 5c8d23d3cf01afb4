//! The examples that other gateways document, in the compatible mode: each answer has what its documentation shows.
//!
//! | Gateway | Documentation |
//! |---|---|
//! | Confluent, API v1 and v2 | `docs/api.rst` and `README.md` of <https://github.com/confluentinc/kafka-rest>; <https://docs.confluent.io/platform/current/kafka-rest/api.html#api-v2> |
//! | Confluent, API v3 | `api/v3/openapi.yaml` of <https://github.com/confluentinc/kafka-rest> |
//! | Strimzi | `src/main/resources/openapi.json` of <https://github.com/strimzi/strimzi-kafka-bridge> |
//! | Karapace | `README.rst` of <https://github.com/Aiven-Open/karapace>: reads, and a record in Avro. Its JSON has Confluent's form |

use msk_shared::kafka::Delivery;
use serde_json::{Value, json};

use crate::calls::{Call, Scripted, app_with};

const V2: &str = "application/vnd.kafka.v2+json";
const JSON_V2: &str = "application/vnd.kafka.json.v2+json";
const BINARY_V2: &str = "application/vnd.kafka.binary.v2+json";
const TEXT_V2: &str = "application/vnd.kafka.text.v2+json";
const TOPICS: &str = "topic-1,test,topic,my_topic,jsontest";

/// Karapace's record, which needs a schema registry.
const AVRO: &str = r#"{"value_schema": "{\"namespace\": \"example.avro\", \"type\": \"record\", \"name\": \"simple\", \"fields\":
    [{\"name\": \"name\", \"type\": \"string\"}]}", "records": [{"value": {"name": "name0"}}]}"#;

/// A documented request, where the documentation says that its records went, and the documented answer.
struct Example {
    call: Call,
    written: &'static [(i32, i64)],
    media_type: &'static str,
    answer: Value,
}

fn example(call: Call, written: &'static [(i32, i64)], answer: Value) -> Example {
    Example { call: call.header("accept", V2), written, media_type: V2, answer }
}

fn offsets(written: &[(i32, i64)]) -> Value {
    written.iter().map(|(partition, offset)| json!({"partition": partition, "offset": offset})).collect()
}

/// Whether a document has everything that another one has; lists must be as long.
fn has(document: &Value, documented: &Value) -> bool {
    match (document, documented) {
        (Value::Object(all), Value::Object(some)) => {
            some.iter().all(|(name, value)| all.get(name).is_some_and(|own| has(own, value)))
        }
        (Value::Array(all), Value::Array(some)) => {
            all.len() == some.len() && all.iter().zip(some).all(|(own, value)| has(own, value))
        }
        (own, value) => own == value,
    }
}

fn confluent_v2() -> Vec<Example> {
    const THREE: &[(i32, i64)] = &[(2, 100), (1, 101), (2, 102)];
    const TWO: &[(i32, i64)] = &[(1, 100), (1, 101)];
    let answer = |written| json!({"key_schema_id": null, "value_schema_id": null, "offsets": offsets(written)});
    let binary = r#"{"records":[{"key":"a2V5","value":"Y29uZmx1ZW50"},{"value":"a2Fma2E=","partition":1},{"value":"bG9ncw=="}]}"#;
    let json =
        r#"{"records":[{"key":"somekey","value":{"foo":"bar"}},{"value":["foo","bar"],"partition":1},{"value":53.5}]}"#;
    let partition = r#"{"records":[{"key":"a2V5","value":"Y29uZmx1ZW50"},{"value":"a2Fma2E="}]}"#;
    let user = r#"{"records":[{"value":{"name": "testUser"}}]}"#;
    let user_written = json!({"offsets": [{"partition": 0, "offset": 3, "error_code": null, "error": null}],
        "key_schema_id": null, "value_schema_id": null});
    vec![
        example(Call::post("/topics/jsontest", JSON_V2, user), &[(0, 3)], user_written),
        example(Call::post("/topics/test", BINARY_V2, binary), THREE, answer(THREE)),
        example(Call::post("/topics/test", JSON_V2, json), THREE, answer(THREE)),
        example(Call::post("/topics/test/partitions/1", BINARY_V2, partition), TWO, answer(TWO)),
    ]
}

fn confluent_v1() -> Vec<Example> {
    const V1: &str = "application/vnd.kafka.v1+json";
    const THREE: &[(i32, i64)] = &[(2, 100), (1, 101), (2, 102)];
    let binary = r#"{"records":[{"key":"a2V5","value":"Y29uZmx1ZW50"},{"value":"a2Fma2E=","partition":1},{"value":"bG9ncw=="}]}"#;
    let call = Call::post("/topics/test", "application/vnd.kafka.binary.v1+json", binary);
    let call = call.header("accept", "application/vnd.kafka.v1+json, application/vnd.kafka+json, application/json");
    let answer = json!({"key_schema_id": null, "value_schema_id": null, "offsets": offsets(THREE)});
    vec![Example { call, written: THREE, media_type: V1, answer }]
}

fn strimzi() -> Vec<Example> {
    const THREE: &[(i32, i64)] = &[(2, 0), (1, 1), (2, 2)];
    const TWO: &[(i32, i64)] = &[(2, 0), (2, 1)];
    let topic = r#"{"records":[{"key":"key1","value":"value1"},{"value":"value2","partition":1},{"value":"value3"}]}"#;
    let partition = r#"{"records":[{"key":"key1","value":"value1"},{"value":"value2"}]}"#;
    let headers = r#"{"records":[{"key":"key1","value":"value1","timestamp":1577836800000,"headers":[{"key":"key1","value":"dmFsdWUx"}]},
        {"value":"value2"}]}"#;
    vec![
        example(Call::post("/topics/topic", JSON_V2, topic), THREE, json!({"offsets": offsets(THREE)})),
        example(Call::post("/topics/topic", TEXT_V2, topic), THREE, json!({"offsets": offsets(THREE)})),
        example(Call::post("/topics/topic/partitions/2", JSON_V2, partition), TWO, json!({"offsets": offsets(TWO)})),
        example(Call::post("/topics/topic?async=false", JSON_V2, headers), TWO, json!({"offsets": offsets(TWO)})),
    ]
}

fn confluent_v3() -> Vec<Example> {
    const ONE: &[(i32, i64)] = &[(1, 0)];
    let record = r#""partition_id":1,"headers":[{"name":"Header-1","value":"SGVhZGVyLTE="},{"name":"Header-2","value":"SGVhZGVyLTI="}],
        "key":{"type":"BINARY","data":"Zm9vYmFy"},"value":{"type":"JSON","data":{"foo":"bar"}},"timestamp":"2021-02-05T19:14:42Z""#;
    let answer = json!({"error_code": 200, "cluster_id": "cluster-1", "topic_name": "topic-1", "partition_id": 1,
        "offset": 0, "timestamp": "2021-02-05T19:14:42Z", "key": {"type": "BINARY"}, "value": {"type": "JSON"}});
    let mut entry = answer.clone();
    entry["id"] = json!("1");
    let path = "/v3/clusters/cluster-1/topics/topic-1/records";
    let call = |path: &str, body: String| Call::post(path, "application/json", body);
    let json = |call, answer| Example { media_type: "application/json", ..example(call, ONE, answer) };
    vec![
        json(call(path, format!("{{{record}}}")), answer),
        json(
            call(&format!("{path}:batch"), format!(r#"{{"entries":[{{"id":"1",{record}}}]}}"#)),
            json!({"successes": [entry], "failures": []}),
        ),
    ]
}

#[tokio::test]
async fn documented_requests_have_their_documented_answers() {
    for Example { call, written, media_type, answer: documented } in
        [confluent_v1(), confluent_v2(), strimzi(), confluent_v3()].into_iter().flatten()
    {
        let publisher = Scripted::new(move |record, index| {
            let (partition, offset) = written[index];
            Ok(Delivery { partition, offset, timestamp_ms: record.timestamp_ms.or(Some(1_612_552_482_000)) })
        });
        let router = app_with(&[("COMPATIBILITY", "confluent"), ("TOPICS", TOPICS)], publisher.clone());
        let answer = call.send(&router).await;
        let expected = if call.target.ends_with(":batch") { 207 } else { 200 };
        assert_eq!((answer.status, answer.header("content-type")), (expected, Some(media_type)), "{call:?}");
        assert!(has(&answer.json(), &documented), "{}: {:?} lacks something of {documented}", call.target, answer.body);
        assert_eq!(publisher.records().len(), written.len());
    }
}

/// Leader, replicas and `configs` are where the documentation of all three has them.
#[tokio::test]
async fn topics_and_partitions_have_their_documented_form() {
    let router = app_with(&[("COMPATIBILITY", "confluent"), ("TOPICS", TOPICS)], Scripted::default());
    let get = async |target: &str| Call::get(target).header("accept", V2).send(&router).await.json();
    assert_eq!(get("/topics").await, json!(["topic-1", "test", "topic", "my_topic", "jsontest"]));
    let partition = json!({"partition": 1, "leader": 2, "replicas": [
        {"broker": 1, "leader": false, "in_sync": true},
        {"broker": 2, "leader": true, "in_sync": true},
        {"broker": 3, "leader": false, "in_sync": false},
    ]});
    assert_eq!(get("/topics/test/partitions/1").await, partition);
    assert_eq!(get("/topics/test/partitions").await[1], partition);
    assert_eq!(get("/topics/my_topic").await["name"], "my_topic");
    let topic = get("/topics/test").await;
    assert_eq!((&topic["name"], &topic["configs"], &topic["partitions"][1]), (&json!("test"), &json!({}), &partition));
}

/// Clients tell errors by the status, and by `error_code` and `message` in Kafka REST v2's media type.
#[tokio::test]
async fn errors_have_their_documented_form() {
    let router = app_with(&[("COMPATIBILITY", "confluent"), ("TOPICS", TOPICS)], Scripted::default());
    let good = r#"{"records":[{"value":"a2Fma2E="}]}"#;
    for (call, status, error_code) in [
        (Call::post("/topics/unknown", BINARY_V2, good), 404, 40401),
        (Call::get("/topics/unknown"), 404, 40401),
        (Call::post("/topics/test/partitions/7", BINARY_V2, good), 404, 40402),
        (Call::get("/topics/test/partitions/7"), 404, 40402),
        (Call::post("/topics/my_topic", "application/vnd.kafka.avro.v2+json", AVRO), 415, 415),
        (Call::post("/topics/test", BINARY_V2, r#"{"records":[]}"#), 422, 42208),
        (Call::post("/topics/test", BINARY_V2, "{"), 400, 400),
    ] {
        let answer = call.header("accept", V2).send(&router).await;
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["error_code"], answer.header("content-type")),
            (status, &json!(error_code), Some(V2))
        );
        assert!(body["message"].is_string() && body["validation_errors"].is_array(), "{body}");
    }
}
