//! Everything that can be wrong with a request: its answer is the specification's, it is no 5xx, and nothing is written.

use crate::calls::{Call, HttpAnswer, JSON_V2, Scripted, app};

const BINARY: &str = "application/vnd.kafka.binary.v2+json";
const TEXT: &str = "application/vnd.kafka.text.v2+json";

struct Case {
    name: &'static str,
    call: Call,
    status: u16,
    error_code: u64,
    /// A part of `detail`.
    says: &'static str,
}

fn case(name: &'static str, call: Call, (status, error_code): (u16, u64), says: &'static str) -> Case {
    Case { name, call, status, error_code, says }
}

const MALFORMED: (u16, u64) = (400, 400);
const NO_TOPIC: (u16, u64) = (404, 40401);
const NO_PARTITION: (u16, u64) = (404, 40402);
const TOO_LARGE: (u16, u64) = (413, 413);
const MEDIA: (u16, u64) = (415, 415);
const INVALID: (u16, u64) = (422, 42206);
const COUNT: (u16, u64) = (422, 42208);

fn records(body: &str) -> Call {
    Call::records(body)
}

/// A body of `count` records.
fn many(count: usize) -> String {
    format!(r#"{{"records":[{}]}}"#, vec![r#"{"value":1}"#; count].join(","))
}

/// One record whose JSON value is a string of `bytes` bytes with its quotes.
fn sized(bytes: usize) -> String {
    format!(r#"{{"records":[{{"value":"{}"}}]}}"#, "x".repeat(bytes - 2))
}

/// A body of `bytes` bytes.
fn padded(bytes: usize) -> String {
    let body = r#"{"records":[{"value":1}]}"#;
    format!("{body}{}", " ".repeat(bytes - body.len()))
}

fn what_does_not_decode() -> Vec<Case> {
    let nested = |depth: usize| format!(r#"{{"records":[{{"value":{}{}}}]}}"#, "[".repeat(depth), "]".repeat(depth));
    let mut cases = vec![
        case("empty body", records(""), MALFORMED, "malformed JSON: the text ends"),
        case("white space only", records(" \n"), MALFORMED, "the text ends where a value is expected at byte 2"),
        case("truncated JSON", records(r#"{"records":[{"value":1}"#), MALFORMED, "at byte 23"),
        case(
            "something behind",
            records(r#"{"records":[{"value":1}]} x"#),
            MALFORMED,
            "unexpected text after the value",
        ),
        case("single quotes", records("{'records':[]}"), MALFORMED, "expected a string"),
        case("duplicate member", records(r#"{"records":[],"records":[]}"#), MALFORMED, "appears twice"),
        case("duplicate in a record", records(r#"{"records":[{"value":1,"value":2}]}"#), MALFORMED, "appears twice"),
        case("duplicate in a value", records(r#"{"records":[{"value":{"a":1,"\u0061":2}}]}"#), MALFORMED, "twice"),
        case("10,000 levels of nesting", records(&nested(10_000)), MALFORMED, "nesting deeper than 128"),
        case("126 levels below the body's three", records(&nested(126)), MALFORMED, "nesting deeper than 128"),
        case("half a surrogate pair", records(r#"{"records":[{"value":"\ud800"}]}"#), MALFORMED, "surrogate"),
        case("1e400", records(r#"{"records":[{"value":1e400}]}"#), MALFORMED, "a number is out of range"),
        case("1e400 in a value", records(r#"{"records":[{"value":{"a":[-1e999]}}]}"#), MALFORMED, "out of range"),
        case("1e400 as a key", records(r#"{"records":[{"key":1e400,"value":1}]}"#), MALFORMED, "out of range"),
        case("UTF-16 with its mark", Call::records(b"\xff\xfe{\0}\0"), MALFORMED, "the body is UTF-16; send UTF-8"),
        case("no UTF-8", Call::records(b"{\"records\":[{\"value\":\"\xff\"}]}"), MALFORMED, "not UTF-8"),
        case("bad escape", records(r#"{"records":[{"value":"\x"}]}"#), MALFORMED, "unknown escape"),
    ];
    let binary = |body: &str| Call::post("/topics/orders", BINARY, body);
    for value in ["no base64!", "YQ=Q", "Y", "YQ\\n==", "_-8="] {
        let call = binary(&format!(r#"{{"records":[{{"value":"{value}"}}]}}"#));
        cases.push(case("bad base64", call, MALFORMED, "/records/0/value: not valid base64"));
    }
    let key = r#"{"records":[{"key":"?","value":null}]}"#;
    cases.push(case("bad base64 in a key", binary(key), MALFORMED, "/records/0/key: not valid base64"));
    let header = r#"{"records":[{"value":1,"headers":[{"key":"h","value":"?"}]}]}"#;
    cases.push(case("bad base64 in a header", records(header), MALFORMED, "/records/0/headers/0/value: not valid"));
    let own = r#"{"records":[{"value":"?","value_format":"binary"}]}"#;
    cases.push(case("bad base64 by its own format", records(own), MALFORMED, "not valid base64"));
    let key = records(&many(1)).header("idempotency-key", "");
    cases.push(case("empty Idempotency-Key", key, MALFORMED, "Idempotency-Key: has 0 bytes"));
    cases
}

fn what_has_the_wrong_shape() -> Vec<Case> {
    let record = |members: &str| records(&format!(r#"{{"records":[{{{members}}}]}}"#));
    let text = |members: &str| Call::post("/topics/orders", TEXT, format!(r#"{{"records":[{{{members}}}]}}"#));
    vec![
        case("no records member", records("{}"), INVALID, "/records: missing"),
        case("records is null", records(r#"{"records":null}"#), INVALID, "must be an array, not null"),
        case("records is an object", records(r#"{"records":{}}"#), INVALID, "must be an array, not an object"),
        case("an array", records("[]"), INVALID, "the body must be an object with `records`, not an array"),
        case("a number", records("7"), INVALID, "not a number"),
        case("null", records("null"), INVALID, "not null"),
        case("a record that is a string", records(r#"{"records":["x"]}"#), INVALID, "/records/0: a record must be"),
        case("a record that is null", records(r#"{"records":[null]}"#), INVALID, "not null"),
        case("no value", record(r#""key":"k""#), INVALID, "/records/0: `value` is missing; null writes a tombstone"),
        case("unknown field of a record", record(r#""value":1,"vale":2"#), INVALID, "/records/0/vale: unknown field"),
        case("unknown field of the body", records(r#"{"records":[{"value":1}],"x":1}"#), INVALID, "/x: unknown field"),
        case("a schema", records(r#"{"records":[{"value":1}],"value_schema_id":7}"#), INVALID, "/value_schema_id"),
        case("partition as text", record(r#""value":1,"partition":"0""#), INVALID, "from 0, not a string"),
        case("negative partition", record(r#""value":1,"partition":-1"#), INVALID, "from 0 to 2147483647"),
        case("fractional partition", record(r#""value":1,"partition":1.0"#), INVALID, "/records/0/partition"),
        case("huge partition", record(r#""value":1,"partition":2147483648"#), INVALID, "/records/0/partition"),
        case("timestamp 0", record(r#""value":1,"timestamp":0"#), INVALID, "at least 1"),
        case("negative timestamp", record(r#""value":1,"timestamp":-1"#), INVALID, "at least 1"),
        case("timestamp beyond 64 bits", record(r#""value":1,"timestamp":9223372036854775808"#), INVALID, "timestamp"),
        case("timestamp without zone", record(r#""value":1,"timestamp":"2025-01-01T00:00:00""#), INVALID, "RFC 3339"),
        case("timestamp as a list", record(r#""value":1,"timestamp":[]"#), INVALID, "/records/0/timestamp"),
        case("unknown format", record(r#""value":1,"value_format":"avro""#), INVALID, "`json`, `binary` or `string`"),
        case("format as number", record(r#""value":1,"key_format":1"#), INVALID, "/records/0/key_format"),
        case("number as string value", record(r#""value":1,"value_format":"string""#), INVALID, "not a number"),
        case("number as string key", record(r#""key":1,"value":1,"key_format":"string""#), INVALID, "/records/0/key"),
        case("object in text format", text(r#""value":{}"#), INVALID, "must be a string or null, not an object"),
        case("boolean key in text format", text(r#""key":true,"value":"v""#), INVALID, "/records/0/key"),
        case("headers as object", record(r#""value":1,"headers":{}"#), INVALID, "an array of headers"),
        case("a header as string", record(r#""value":1,"headers":["h"]"#), INVALID, "/records/0/headers/0"),
        case("a header without name", record(r#""value":1,"headers":[{"value":null}]"#), INVALID, "`key` is missing"),
        case("a header without value", record(r#""value":1,"headers":[{"key":"h"}]"#), INVALID, "null is allowed"),
        case(
            "a header's name twice",
            record(r#""value":1,"headers":[{"key":"h","name":"h","value":null}]"#),
            INVALID,
            "mean the same",
        ),
        case(
            "a header's value twice",
            record(r#""value":1,"headers":[{"key":"h","value":null,"value_utf8":"x"}]"#),
            INVALID,
            "exclude each other",
        ),
        case(
            "a header's name as number",
            record(r#""value":1,"headers":[{"key":1,"value":null}]"#),
            INVALID,
            "not a number",
        ),
        case(
            "unknown field of a header",
            record(r#""value":1,"headers":[{"key":"h","value":null,"x":1}]"#),
            INVALID,
            "/records/0/headers/0/x",
        ),
        case(
            "NUL in a header's name",
            record(r#""value":1,"headers":[{"key":"a\u0000","value":null}]"#),
            INVALID,
            "NUL",
        ),
        case(
            "reserved header",
            record(r#""value":1,"headers":[{"key":"X-Principal","value":null}]"#),
            INVALID,
            "reserved",
        ),
        case(
            "reserved dead letter header",
            record(r#""value":1,"headers":[{"name":"x-dlq-topic","value":null}]"#),
            INVALID,
            "reserved",
        ),
        case("no record", records(r#"{"records":[]}"#), COUNT, "`records` is empty"),
        case("501 records", records(&many(501)), COUNT, "501 records; the limit is 500 (MAX_RECORDS)"),
    ]
}

fn what_does_not_fit() -> Vec<Case> {
    let strict = |body: &str| Call::post("/topics/strict.topic", "application/json", body);
    let long = format!(r#"{{"records":[{{"key":"k","value":"{}"}}]}}"#, "x".repeat(64));
    let three = r#"{"records":[{"value":1,"partition":3},{"value":1,"partition":4}]}"#;
    let to = |partition: &str| Call::post(format!("/topics/orders/partitions/{partition}"), JSON_V2, many(1));
    let contradiction =
        Call::post("/topics/orders/partitions/1", JSON_V2, r#"{"records":[{"value":1,"partition":2}]}"#);
    vec![
        case(
            "oversize request",
            Call::records(padded(4_194_305)),
            TOO_LARGE,
            "4194305 bytes; the limit is 4194304 bytes (MAX_REQUEST_BYTES)",
        ),
        case(
            "oversize record",
            records(&sized(1_000_001)),
            TOO_LARGE,
            "/records/0: the record has 1000001 bytes; the limit is 1000000 bytes (MAX_RECORD_BYTES)",
        ),
        case(
            "over the topic's own limit",
            strict(&long),
            TOO_LARGE,
            "the limit is 64 bytes (the topic's max_record_bytes)",
        ),
        case("key required", strict(&many(1)), INVALID, "need a key"),
        case(
            "format not accepted",
            strict(r#"{"records":[{"key":1,"value":"YQ==","value_format":"binary"}]}"#),
            INVALID,
            "does not accept the format binary; it accepts: json",
        ),
        case(
            "partition beyond",
            records(three),
            NO_PARTITION,
            "/records/1/partition: does not exist; the topic has partitions 0 to 3",
        ),
        case("partition of the path beyond", to("4"), NO_PARTITION, "partitions 0 to 3"),
        case("partition of the path as text", to("first"), NO_PARTITION, "does not name a partition"),
        case("partition of the path negative", to("-1"), NO_PARTITION, "does not name a partition"),
        case("partition of the path signed", to("+1"), NO_PARTITION, "does not name a partition"),
        case("partition of the path huge", to("99999999999"), NO_PARTITION, "does not name a partition"),
        case("partitions contradict", contradiction, INVALID, "contradicts the partition in the path"),
    ]
}

fn what_is_not_there() -> Vec<Case> {
    let to = |topic: &str| Call::post(format!("/topics/{topic}"), JSON_V2, many(1));
    vec![
        case("unknown topic", to("payments"), NO_TOPIC, "cannot be written here"),
        case("other case", to("Orders"), NO_TOPIC, ""),
        case("topic with NUL", to("a%00b"), NO_TOPIC, ""),
        case("topic of 250 characters", to(&"t".repeat(250)), NO_TOPIC, ""),
        case("topic with a slash", to("a%2Fb"), NO_TOPIC, ""),
        case("topic with a question mark", to("orders%3Fx"), NO_TOPIC, ""),
        case("topic that is no UTF-8", to("%FF"), NO_TOPIC, ""),
        case("topic `..`", to("%2E%2E"), NO_TOPIC, ""),
        case("topic in Korean", to("%ED%86%A0"), NO_TOPIC, ""),
        case("topic of a partition", Call::post("/topics/x/partitions/0", JSON_V2, many(1)), NO_TOPIC, ""),
        case("topic of a partition, no UTF-8", Call::post("/topics/%FF/partitions/0", JSON_V2, many(1)), NO_TOPIC, ""),
        case("details of an unknown topic", Call::get("/topics/x"), NO_TOPIC, ""),
        case("unknown path", Call::get("/"), (404, 404), "no such route"),
        case("trailing slash", Call::get("/topics/"), (404, 404), ""),
        case("path below", Call::get("/topics/orders/x"), (404, 404), ""),
        case("wrong method", Call::new("PUT", "/topics/orders"), (405, 405), "GET, HEAD, POST, OPTIONS"),
        case("wrong method for reading", Call::new("POST", "/healthz"), (405, 405), "GET, HEAD, OPTIONS"),
        case("reading what is written", Call::get("/messages"), (405, 405), "POST, OPTIONS"),
        case("an invented method", Call::new("BREW", "/topics"), (405, 405), ""),
    ]
}

fn what_is_of_the_wrong_type() -> Vec<Case> {
    let of_type = |media: &str| Call::post("/topics/orders", media, many(1));
    let plain = |body: &str| Call::post("/topics/orders", "application/json", body);
    let without_type = |body: &str| Call::new("POST", "/topics/orders").body(body);
    vec![
        case("form", of_type("application/x-www-form-urlencoded"), MEDIA, "Accept-Post"),
        case("avro", of_type("application/vnd.kafka.avro.v2+json"), MEDIA, ""),
        case("CloudEvents in Avro", of_type("application/cloudevents+avro"), MEDIA, ""),
        case("nonsense", of_type("json"), MEDIA, ""),
        case("UTF-16", of_type("application/json; charset=utf-16"), MEDIA, "UTF-8"),
        case("no type, no JSON", without_type("x"), MEDIA, "the Content-Type is missing"),
        case("no type, no records", without_type("{}"), MEDIA, "the Content-Type is missing"),
        case("no type, no body", without_type(""), MEDIA, "the Content-Type is missing"),
        case("plain JSON without records", plain(r#"{"id":1}"#), INVALID, "/messages"),
        case("plain JSON that is a list", plain("[1]"), INVALID, "/messages"),
        case("plain JSON with records of another kind", plain(r#"{"records":7}"#), INVALID, "/messages"),
    ]
}

fn what_is_wrong_with_a_message() -> Vec<Case> {
    let message = |target: &str| Call::post(target, "application/json", "1");
    let with = |name: &str, value: &str| message("/messages").header(name, value);
    vec![
        case("message: empty body", message("/messages").body(""), MALFORMED, "malformed JSON"),
        case("message: truncated", message("/messages").body("{"), MALFORMED, "malformed JSON"),
        case("message: unknown topic", message("/messages?topic=x"), NO_TOPIC, ""),
        case("message: impossible topic", message("/messages?topic=%00"), NO_TOPIC, ""),
        case("message: empty topic", message("/messages?topic="), NO_TOPIC, ""),
        case("message: unknown parameter", message("/messages?kye=1"), INVALID, "`topic`, `key`"),
        case("message: another unknown parameter", message("/messages?user_id=a"), INVALID, "unknown parameter"),
        case("message: key twice", message("/messages?key=1&key=2"), INVALID, "more than once"),
        case("message: key no UTF-8", message("/messages?key=%FF"), MALFORMED, "UTF-8"),
        case("message: keys contradict", message("/messages?key=1").header("kafka-key", "2"), INVALID, "contradicts"),
        case("message: partition", with("kafka-partition", "x"), MALFORMED, "whole number"),
        case("message: partition beyond", with("kafka-partition", "9"), NO_PARTITION, ""),
        case("message: timestamp", with("kafka-timestamp", "0"), MALFORMED, "at least 1"),
        case("message: reserved header", with("kafka-header-x-dlq-topic", "t"), INVALID, "reserved"),
        case("message: v2 envelope type", Call::post("/messages", JSON_V2, many(1)), MEDIA, "application/json"),
        case("message: no type, no JSON", Call::new("POST", "/messages").body("x"), MEDIA, "application/json"),
        case("message: text", Call::post("/messages", "text/plain", "1"), MEDIA, ""),
        case(
            "message: oversize",
            message("/messages").body(format!("\"{}\"", "x".repeat(999_999))),
            TOO_LARGE,
            "1000001",
        ),
    ]
}

/// A parameter that no path knows is refused on every path.
fn what_is_wrong_with_a_query() -> Vec<Case> {
    let records = |target: &str| Call::post(target, JSON_V2, many(1));
    vec![
        case("records: unknown parameter", records("/topics/orders?async=true"), INVALID, "query: unknown parameter"),
        case("records: another path's", records("/topics/orders?key=1"), INVALID, "this path knows `validate_only`"),
        case("records: without a value", records("/topics/orders?x"), INVALID, "unknown parameter"),
        case("partition: unknown", records("/topics/orders/partitions/1?x=1"), INVALID, "unknown parameter"),
        case("records: query no UTF-8", records("/topics/orders?x=%FF"), MALFORMED, "UTF-8"),
    ]
}

fn all() -> Vec<Case> {
    [
        what_does_not_decode(),
        what_has_the_wrong_shape(),
        what_does_not_fit(),
        what_is_not_there(),
        what_is_of_the_wrong_type(),
        what_is_wrong_with_a_message(),
        what_is_wrong_with_a_query(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn check(case: &Case, way: &str, answer: &HttpAnswer) {
    let name = case.name;
    let body = answer.json();
    assert_eq!(answer.problem(), (case.status, case.error_code), "{name}, {way}: {body}");
    assert!(body["detail"].as_str().unwrap().contains(case.says), "{name}, {way}: {body}");
    assert_eq!(body["persisted"], "no", "{name}, {way}");
    assert_eq!(body["retriable"], false, "{name}, {way}");
    match case.status {
        405 => assert!(answer.header("allow").is_some(), "{name}, {way}: {answer:?}"),
        413 => assert!(body["actual_bytes"].as_u64() > body["limit_bytes"].as_u64(), "{name}, {way}: {body}"),
        415 => assert!(
            answer.header("accept-post").is_some()
                || answer.header("accept-encoding") == Some("gzip, zstd, br, deflate"),
            "{name}, {way}: {answer:?}"
        ),
        _ => {}
    }
}

#[tokio::test]
async fn each_bad_request_gets_the_specified_answer_by_every_way_and_writes_nothing() {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    let cases = all();
    for case in &cases {
        check(case, "plain HTTP", &case.call.send(&router).await);
        check(case, "base64 event", &case.call.invoke(&router, true).await);
        // Bytes that are no UTF-8 cannot be a text event.
        if std::str::from_utf8(&case.call.body).is_ok() {
            check(case, "text event", &case.call.invoke(&router, false).await);
        }
    }
    assert_eq!(publisher.records(), [], "a 4xx means that nothing was written");
    println!("{} bad requests, each by plain HTTP and as an event", cases.len());
}

#[tokio::test]
async fn what_just_fits_is_accepted() {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    let fits = [
        Call::records(padded(4_194_304)),
        records(&sized(1_000_000)),
        records(&many(500)),
        records(&format!(r#"{{"records":[{{"value":{}{}}}]}}"#, "[".repeat(125), "]".repeat(125))),
        records(r#"{"records":[{"value":1,"partition":3}]}"#),
        records(r#"{"records":[{"value":1,"timestamp":1}]}"#),
        Call::post("/messages", "application/json", format!("\"{}\"", "x".repeat(999_998))),
    ];
    for call in fits {
        let answer = call.send(&router).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }
}

#[tokio::test]
async fn one_answer_names_every_fault_up_to_twenty() {
    let router = app(Scripted::default());
    let answer = records(r#"{"records":[{},{"value":1,"partition":-1},{"value":1,"a/b~":1}]}"#).send(&router).await;
    let body = answer.json();
    let pointers: Vec<_> = body["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/records/0", "/records/1/partition", "/records/2/a~1b~0"]);
    assert_eq!(body["validation_errors"].as_array().unwrap().len(), 3);
    let all_wrong = format!(r#"{{"records":[{}]}}"#, vec!["{}"; 500].join(","));
    let body = records(&all_wrong).send(&router).await.json();
    assert_eq!(body["errors"].as_array().unwrap().len(), 20);
    assert!(body["detail"].as_str().unwrap().ends_with("(and 499 more; the first 20 are listed)"), "{body}");
}
