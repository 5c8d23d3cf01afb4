//! Each method of each path: its parameters, its bodies, its answers.

use serde_json::{Map, Value, json};

use super::responses::Responses;
use super::schemas::reference;
use crate::api::answer::{JSON, KAFKA_REST_JSON};
use crate::api::problem::ProblemKind::{self, *};
use crate::config::Config;
use crate::request::content_encoding::ACCEPTED_CODINGS;
use crate::request::content_type::{MESSAGE_TYPES, RECORDS_TYPES};
use crate::request::propagation::MAX_IDEMPOTENCY_KEY_BYTES;

/// What any request may get: the front door's event is broken, or the service is.
const ALWAYS: [ProblemKind; 2] = [Malformed, Internal];

/// What a question about a topic may get besides.
const ABOUT_A_TOPIC: [ProblemKind; 5] = [Malformed, TopicForbidden, TopicNotFound, Internal, Unavailable];
const ABOUT_A_PARTITION: [ProblemKind; 6] =
    [Malformed, TopicForbidden, TopicNotFound, PartitionNotFound, Internal, Unavailable];

/// What a request that writes may get.
const ON_WRITING: [ProblemKind; 13] = [
    Malformed,
    TooSlow,
    TopicForbidden,
    TopicNotFound,
    PartitionNotFound,
    TooLarge,
    UnsupportedMediaType,
    Invalid,
    RecordCount,
    Busy,
    Internal,
    Unavailable,
    Unacknowledged,
];

/// An operation of the router.
pub(super) fn operation(method: &str, path: &str, responses: &mut Responses) -> Value {
    let read = |responses: &mut Responses, id: &str, summary: &str, media_type: &str, schema: &str, kinds: &[_]| {
        let answer = answered("The answer", media_type, schema);
        operation_of(id, summary, &[("200", answer)], responses.problems(kinds))
    };
    let health = |responses: &mut Responses, id: &str| {
        read(responses, id, "Whether the process is up", JSON, "Healthy", &ALWAYS)
    };
    let ready = |responses: &mut Responses, id: &str| {
        let [yes, no] = ["A record can be written now", "A check fails"].map(|it| answered(it, JSON, "Ready"));
        let problems = responses.problems(&ALWAYS);
        operation_of(id, "Whether a record could be written now", &[("200", yes), ("503", no)], problems)
    };
    let document = |responses: &mut Responses, id: &str| {
        let answer = json!({"description": "An OpenAPI document", "content": {JSON: {"schema": {"type": "object"}}}});
        operation_of(id, "This document", &[("200", answer)], responses.problems(&ALWAYS))
    };
    match (method, path) {
        ("GET", "/topics") => read(
            responses,
            "listTopics",
            "The topics that the caller may write",
            KAFKA_REST_JSON,
            "TopicNames",
            &ALWAYS,
        ),
        ("GET", "/topics/{topic}") => {
            read(responses, "getTopic", "A topic and its limits", KAFKA_REST_JSON, "Topic", &ABOUT_A_TOPIC)
        }
        ("GET", "/topics/{topic}/partitions") => {
            let summary = "A topic's partitions";
            read(responses, "listPartitions", summary, KAFKA_REST_JSON, "Partitions", &ABOUT_A_TOPIC)
        }
        ("GET", "/topics/{topic}/partitions/{partition}") => {
            read(responses, "getPartition", "A partition", KAFKA_REST_JSON, "Partition", &ABOUT_A_PARTITION)
        }
        ("POST", "/topics/{topic}") => publish_records("publishRecords", "Writes one or many records", responses),
        ("POST", "/topics/{topic}/partitions/{partition}") => {
            publish_records("publishToPartition", "Writes records to one partition", responses)
        }
        ("POST", "/messages") => publish_message(responses),
        ("POST", "/v3/clusters/{cluster}/topics/{topic}/records") => publish_v3(
            "publishRecordsV3",
            "Writes a record, or several objects one after the other; the answer has one for each, a line each",
            ("V3Record", "V3Result"),
            responses,
        ),
        ("POST", "/v3/clusters/{cluster}/topics/{topic}/records:batch") => {
            publish_v3("publishBatchV3", "Writes records with ids", ("V3Batch", "V3BatchAnswer"), responses)
        }
        ("GET", "/healthz") => health(responses, "healthz"),
        ("GET", "/healthy") => health(responses, "healthy"),
        ("GET", "/_health") => health(responses, "health"),
        ("GET", "/readyz") => ready(responses, "readyz"),
        ("GET", "/ready") => ready(responses, "ready"),
        ("GET", "/openapi.json") => document(responses, "openapiJson"),
        ("GET", "/openapi") => document(responses, "openapi"),
        ("GET", "/version") => read(responses, "version", "The running version", JSON, "Version", &ALWAYS),
        _ => panic!("{method} {path} is not described here"),
    }
}

/// An operation with these answers besides its problems; a status that both have is the answer's.
fn operation_of(id: &str, summary: &str, answers: &[(&str, Value)], mut responses: Map<String, Value>) -> Value {
    responses.extend(answers.iter().map(|(status, answer)| ((*status).to_owned(), answer.clone())));
    json!({"operationId": id, "summary": summary, "responses": responses})
}

fn answered(description: &str, media_type: &str, schema: &str) -> Value {
    json!({
        "description": description,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
        "content": {media_type: {"schema": reference(schema)}},
    })
}

/// The answers of an operation that writes; `some` is the schema's when records differ in what became of them.
fn written(media_type: &str, all: &str, some: Option<&str>) -> Vec<(&'static str, Value)> {
    let minimal = json!({"description": "All records are written, and `Prefer: return=minimal` was sent"});
    let mut answers = vec![
        ("200", answered("All records are written, or with `validate_only` checked", media_type, all)),
        ("204", minimal),
    ];
    answers.extend(some.map(|schema| ("207", answered("Each record's result", media_type, schema))));
    answers
}

fn publish_records(id: &str, summary: &str, responses: &mut Responses) -> Value {
    let content: Map<String, Value> = media_types(RECORDS_TYPES).map(|it| (it.to_owned(), records_body(it))).collect();
    let answers = written(KAFKA_REST_JSON, "RecordsAnswer", Some("RecordsAnswer"));
    let parameters = [&WRITING[..], &IN_HEADERS].concat();
    posting(operation_of(id, summary, &answers, responses.problems(&ON_WRITING)), content, &parameters)
}

fn publish_message(responses: &mut Responses) -> Value {
    let example = json!({"id": "o-1", "total": 1990});
    let content = media_types(MESSAGE_TYPES)
        .map(|it| (it.to_owned(), json!({"schema": {"description": "Any JSON: the value"}, "example": example})));
    let answers = written(JSON, "MessageAnswer", None);
    let parameters = [&WRITING[..], &IN_HEADERS, &["topic-of-message", "key"]].concat();
    let summary = "Writes the JSON body as one message";
    let on_one: Vec<_> = ON_WRITING.into_iter().filter(|kind| *kind != RecordCount).collect();
    let operation = operation_of("publishMessage", summary, &answers, responses.problems(&on_one));
    posting(operation, content.collect(), &parameters)
}

fn publish_v3(id: &str, summary: &str, (body, answer): (&str, &str), responses: &mut Responses) -> Value {
    let record = json!({"key": {"type": "STRING", "data": "c-17"}, "value": {"type": "JSON", "data": {"id": "o-1"}}});
    let mut example = record.clone();
    if body == "V3Batch" {
        example["id"] = "1".into();
        example = json!({"entries": [example]});
    }
    let content =
        media_types(MESSAGE_TYPES).map(|it| (it.to_owned(), json!({"schema": reference(body), "example": example})));
    let operation = operation_of(id, summary, &written(JSON, answer, Some(answer)), responses.problems(&ON_WRITING));
    posting(operation, content.collect(), &WRITING)
}

fn posting(mut operation: Value, content: Map<String, Value>, parameters: &[&str]) -> Value {
    operation["requestBody"] = json!({"required": true, "content": content});
    operation["parameters"] =
        parameters.iter().map(|name| json!({"$ref": format!("#/components/parameters/{name}")})).collect();
    operation
}

fn media_types(accepted: &'static str) -> impl Iterator<Item = &'static str> {
    accepted.split(',').map(str::trim)
}

/// What a body of this media type is.
fn records_body(media_type: &str) -> Value {
    let event = json!({"id": "e-1", "source": "/shop", "specversion": "1.0", "type": "order", "data": {"id": "o-1"}});
    let (schema, example) = match media_type {
        "application/cloudevents+json" => (reference("CloudEvent"), event),
        "application/cloudevents-batch+json" => (reference("CloudEvents"), json!([event])),
        "application/x-ndjson" => {
            (json!({"type": "string", "description": "A JSON value a line"}), json!("{\"id\":\"o-1\"}\nnull\n"))
        }
        "application/octet-stream" => (json!({"description": "Any bytes: the value"}), json!("bytes")),
        "text/plain" => (json!({"type": "string", "description": "The value"}), json!("text")),
        "application/vnd.kafka.binary.v2+json" => (reference("Records"), json!({"records": [{"value": "/w=="}]})),
        "application/vnd.kafka.text.v2+json" => (reference("Records"), json!({"records": [{"value": "text"}]})),
        "application/vnd.kafka.json.v2+json" | "application/vnd.kafka.v2+json" | "application/json" => {
            (reference("Records"), json!({"records": [{"key": "c-17", "value": {"id": "o-1"}}]}))
        }
        other => panic!("{other} is not described here"),
    };
    json!({"schema": schema, "example": example})
}

const WRITING: [&str; 4] = ["validate_only", "Idempotency-Key", "Prefer", "Content-Encoding"];
/// For bodies that are values themselves.
const IN_HEADERS: [&str; 3] = ["Kafka-Key", "Kafka-Partition", "Kafka-Timestamp"];

/// The parameters of a path.
pub(super) fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    names.map(|name| json!({"$ref": format!("#/components/parameters/{name}")})).collect()
}

/// All parameters, by the names under which operations refer to them.
pub(super) fn parameters() -> Value {
    let topic = json!({"type": "string", "pattern": "^[a-zA-Z0-9._-]{1,249}$"});
    let whole = json!({"type": "integer", "minimum": 0, "maximum": i32::MAX});
    let text = json!({"type": "string"});
    let codings: Vec<&str> = ACCEPTED_CODINGS.split(", ").chain(["identity", ""]).collect();
    let parameter = |place: &str, name: &str, schema: &Value, description: &str| json!({"in": place, "name": name, "required": place == "path", "schema": schema, "description": description});
    json!({
        "topic": parameter("path", "topic", &topic, "A topic that the caller may write"),
        "partition": parameter("path", "partition", &whole, "A partition of the topic"),
        "cluster": parameter("path", "cluster", &text, "Any name: there is one cluster"),
        "topic-of-message": parameter("query", "topic", &topic, "The topic, if it is not `DEFAULT_TOPIC`"),
        "key": parameter("query", "key", &text, "The record's key"),
        "validate_only": parameter("query", "validate_only", &json!({"type": "boolean", "default": false}),
            "Checks the request and writes nothing"),
        "Idempotency-Key": parameter("header", "Idempotency-Key",
            &json!({"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_BYTES + 2}),
            "Becomes a header of each record, by which consumers can drop duplicates; quoted or not"),
        "Prefer": parameter("header", "Prefer", &text, "`return=minimal`: a 204 when every record is written"),
        "Content-Encoding": parameter("header", "Content-Encoding", &json!({"enum": codings}), "How the body is coded"),
        "Kafka-Key": parameter("header", "Kafka-Key", &text, "The record's key, where the body is the value"),
        "Kafka-Partition": parameter("header", "Kafka-Partition", &whole, "Likewise its partition"),
        "Kafka-Timestamp": parameter("header", "Kafka-Timestamp", &text,
            "Likewise its timestamp: milliseconds since 1970, or RFC 3339. `Kafka-Header-<name>` sets a record header"),
    })
}

/// The limits of a deployment without settings of its own, in words.
pub(super) fn limits() -> String {
    let required = [("KAFKA_BOOTSTRAP_SERVERS", "b:1"), ("KAFKA_AUTH", "none"), ("TOPICS", "t")];
    let limits = Config::from_env(msk_shared::env::EnvReader::new(required)).unwrap().limits;
    let (request, records, record) = (limits.request_bytes, limits.records, limits.record_bytes);
    format!(
        "Unless the service is configured otherwise, a request has at most {request} bytes, decoded, and {records} records \
         of {record} bytes each: key, value and headers. `GET /topics/{{topic}}` says what holds."
    )
}
