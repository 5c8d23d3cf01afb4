//! The JSON of requests and answers.

use serde_json::{Map, Value, json};

use crate::format::{Format, ValueFormat};
use crate::request::record_fields::header_name_fault;
use crate::request::v3_body::{MAX_ID_CHARACTERS, type_of};

/// An object of these members and no other; those of `optional` may be left out.
fn object(members: Value, optional: &[&str]) -> Value {
    let required: Vec<&String> =
        members.as_object().into_iter().flat_map(Map::keys).filter(|name| !optional.contains(&name.as_str())).collect();
    json!({"type": "object", "properties": members, "required": required, "additionalProperties": false})
}

fn list(schema: &str) -> Value {
    json!({"type": "array", "items": reference(schema)})
}

pub(super) fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

pub(super) fn schemas() -> Value {
    let mut all = requests();
    all.extend(answers());
    all.extend(states());
    all.into()
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

fn requests() -> Map<String, Value> {
    let format = json!({"type": ["string", "null"], "enum": ["json", "binary", "string", "text", null]});
    let words = format["enum"].as_array().unwrap();
    assert!(words.iter().filter_map(Value::as_str).all(|word| Format::parse(word).is_some()));
    let partition = json!({"type": ["integer", "null"], "minimum": 0, "maximum": i32::MAX,
        "description": "Otherwise the key decides, or chance"});
    let timestamp = json!({"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "format": "date-time"},
        {"type": "null"}], "description": "Milliseconds since 1970, or RFC 3339; otherwise now"});
    let headers = json!({"type": ["array", "null"], "items": reference("RecordHeader")});
    let record = json!({
        "key": {"description": "Null or absent: no key"},
        "value": {"description": "Null: a tombstone. Any JSON; base64 or text in the formats `binary` and `string`"},
        "key_format": format, "value_format": format, "partition": partition, "timestamp": timestamp,
        "headers": headers,
    });
    let v3_record = json!({
        "key": reference("TypedData"), "value": reference("TypedData"), "partition_id": partition,
        "timestamp": timestamp, "headers": headers,
    });
    let mut v3_entry = v3_record.clone();
    v3_entry["id"] = json!({"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARACTERS});
    let nullable = json!({"type": "null"});
    members(json!({
        "Records": object(json!({
            "records": {"type": "array", "items": reference("Record"), "minItems": 1},
            "key_schema": nullable, "key_schema_id": nullable, "value_schema": nullable, "value_schema_id": nullable,
        }), &["key_schema", "key_schema_id", "value_schema", "value_schema_id"]),
        "Record": object(record, &["key", "key_format", "value_format", "partition", "timestamp", "headers"]),
        "RecordHeader": record_header(),
        "CloudEvent": {"type": "object", "required": ["id", "source", "specversion", "type"], "properties": {
            "id": {"type": "string", "minLength": 1}, "source": {"type": "string", "minLength": 1},
            "specversion": {"const": "1.0"}, "type": {"type": "string", "minLength": 1},
            "partitionkey": {"type": "string", "description": "The record's key"}}},
        "CloudEvents": {"type": "array", "items": reference("CloudEvent"), "minItems": 1},
        "TypedData": {"type": ["object", "null"], "required": ["type", "data"], "additionalProperties": false,
            "properties": {"type": {"enum": Format::ALL.map(type_of)},
                "data": {"description": "Any JSON, base64 or text, by the type"}}},
        "V3Record": object(v3_record, &["key", "partition_id", "timestamp", "headers"]),
        "V3Entry": object(v3_entry, &["key", "partition_id", "timestamp", "headers"]),
        "V3Batch": object(json!({"entries": {"type": "array", "items": reference("V3Entry"), "minItems": 1}}), &[]),
    }))
}

fn record_header() -> Value {
    const RESERVED: &str = "^[xX]-([pP][rR][iI][nN][cC][iI][pP][aA][lL]$|[dD][lL][qQ]-)|\\u0000";
    for name in ["x-principal", "X-DLQ-topic", "a\0"] {
        assert!(header_name_fault(name).is_some(), "{name:?}");
    }
    let name = json!({"type": "string", "not": {"pattern": RESERVED}});
    json!({
        "type": "object",
        "properties": {
            "key": name, "name": name,
            "value": {"type": ["string", "null"], "contentEncoding": "base64"},
            "value_utf8": {"type": ["string", "null"]},
        },
        "additionalProperties": false,
        "allOf": [
            {"oneOf": [{"required": ["key"]}, {"required": ["name"]}]},
            {"oneOf": [{"required": ["value"]}, {"required": ["value_utf8"]}]},
        ],
    })
}

fn answers() -> Map<String, Value> {
    let (nothing, text) = (json!({"type": "null"}), json!({"type": "string"}));
    let number = json!({"type": ["integer", "null"], "minimum": 0});
    let persisted = json!({"enum": ["no", "unknown"], "description": "Whether it may have been written"});
    let sizes = ["limit_bytes", "actual_bytes"];
    let typed = object(json!({"type": {"enum": Format::ALL.map(type_of)}, "size": count()}), &[]);
    members(json!({
        "RecordsAnswer": object(json!({
            "topic": text, "request_id": text, "offsets": list("RecordResult"), "key_schema_id": nothing,
            "value_schema_id": nothing,
        }), &[]),
        "RecordResult": {"oneOf": [reference("RecordWritten"), reference("RecordFailed")],
            "description": "At the place of its record in the request"},
        "RecordWritten": object(json!({
            "partition": number, "offset": number, "timestamp": number, "error_code": nothing, "error": nothing,
        }), &[]),
        "RecordFailed": object(json!({
            "partition": nothing, "offset": nothing, "error_code": count(), "error": text, "message": text,
            "retriable": {"type": "boolean"}, "persisted": persisted, "limit_bytes": count(), "actual_bytes": count(),
        }), &sizes),
        "MessageAnswer": object(json!({
            "topic": text, "partition": number, "offset": number, "timestamp": number, "request_id": text,
        }), &[]),
        "V3Written": object(json!({
            "id": text, "error_code": {"const": 200}, "cluster_id": text, "topic_name": text, "partition_id": number,
            "offset": number, "timestamp": {"type": ["string", "null"], "format": "date-time"}, "key": typed,
            "value": typed,
        }), &["id", "key", "value"]),
        "V3Failed": object(json!({
            "id": text, "error_code": {"type": "integer", "minimum": 400}, "message": text,
            "retriable": {"type": "boolean"}, "persisted": persisted, "limit_bytes": count(), "actual_bytes": count(),
        }), &["id", "limit_bytes", "actual_bytes"]),
        "V3Result": {"oneOf": [reference("V3Written"), reference("V3Failed")]},
        "V3BatchAnswer": object(json!({"successes": list("V3Written"), "failures": list("V3Failed")}), &[]),
        "Problem": object(json!({
            "type": {"type": "string", "format": "uri"}, "title": text,
            "status": {"type": "integer", "minimum": 400, "maximum": 599}, "detail": text, "instance": text,
            "error_code": {"type": "integer", "minimum": 400}, "message": text,
            "errors": {"type": "array", "items": object(json!({"pointer": text, "detail": text}), &[])},
            "validation_errors": {"type": "array", "items": text}, "retriable": {"type": "boolean"},
            "persisted": persisted, "request_id": text, "trace_id": {"type": ["string", "null"]},
            "limit_bytes": count(), "actual_bytes": count(), "index": count(), "offsets": list("RecordResult"),
        }), &["limit_bytes", "actual_bytes", "index", "offsets"]),
    }))
}

/// What the routes answer that write nothing.
fn states() -> Map<String, Value> {
    let text = json!({"type": "string"});
    let limits =
        object(json!({"max_request_bytes": count(), "max_records": count(), "max_record_bytes": count()}), &[]);
    let milestone = json!({"type": ["integer", "null"], "minimum": 0});
    let warm_up = object(
        json!({
            "ready": {"type": "boolean"}, "duration_ms": count(), "created_ms": milestone, "token_ms": milestone,
            "first_answer_ms": milestone, "producer_id_ms": milestone, "cause": {"type": ["string", "null"]},
            "missing_topics": {"type": "array", "items": text},
        }),
        &[],
    );
    let checks = object(json!({"brokers": text, "producer_id": text, "token": text}), &[]);
    members(json!({
        "TopicNames": {"type": "array", "items": text},
        "Topic": object(json!({
            "name": text, "configs": {"type": "object", "maxProperties": 0}, "partitions": list("Partition"),
            "key": {"enum": ["required", "optional"]},
            "formats": {"type": "array", "items": {"enum": ValueFormat::ALL.map(ValueFormat::name)}},
            "schema": {"type": ["string", "null"], "description": "The name of the JSON Schema that values must satisfy"},
            "limits": limits,
        }), &[]),
        "Partitions": list("Partition"),
        "Partition": object(json!({
            "partition": count(), "leader": {"type": "integer", "minimum": -1, "description": "-1: none now"},
            "replicas": {"type": "array", "items": object(json!({
                "broker": count(), "leader": {"type": "boolean"}, "in_sync": {"type": "boolean"}}), &[])},
        }), &[]),
        "Healthy": object(json!({"status": {"const": "ok"}}), &[]),
        "Ready": object(json!({"ready": {"type": "boolean"}, "checks": checks, "warm_up": warm_up}), &["warm_up"]),
        "Version": object(json!({"name": text, "version": text, "revision": text, "librdkafka": text}), &[]),
    }))
}
