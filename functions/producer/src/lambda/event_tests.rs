//! The events that panic or fail `lambda_http`, and both forms of a path.

use super::event::{EventError, check};
use crate::request::faults::FaultKind;
use serde_json::{Value, json};

fn event() -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/topics/orders",
        "rawQueryString": "",
        "headers": {"host": "abc.execute-api.eu-west-1.amazonaws.com", "content-type": "application/json"},
        "requestContext": {"stage": "$default", "http": {"method": "POST", "path": "/topics/orders"}},
        "body": "{}",
        "isBase64Encoded": false,
    })
}

fn changed(pointer: &str, value: Value) -> String {
    let mut event = event();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
    event.to_string()
}

fn verdict(payload: &str) -> &'static str {
    match check(payload.as_bytes()) {
        Ok(_) => "passed",
        Err(EventError::Refused(faults)) if faults.kind == FaultKind::Malformed => "400",
        Err(EventError::Refused(_)) => "another status",
        Err(EventError::NotHttp) => "not an HTTP event",
    }
}

#[test]
fn what_panics_or_fails_lambda_http_is_a_400() {
    let mut bad_base64: Value = serde_json::from_str(&changed("/body", json!("no base64!"))).unwrap();
    bad_base64["isBase64Encoded"] = json!(true);
    let cases = [
        ("bad base64", bad_base64.to_string()),
        ("space in the query", changed("/rawQueryString", json!("key=a b"))),
        ("quote in the query", changed("/rawQueryString", json!("key=\"a\""))),
        ("fragment in the query", changed("/rawQueryString", json!("key=a#b"))),
        ("NUL in the query", changed("/rawQueryString", json!("key=\0"))),
        ("umlaut in the query", changed("/rawQueryString", json!("key=ü"))),
        ("host with a space", changed("/headers/host", json!("a b"))),
        ("host with a bad port", changed("/headers/host", json!("a:99999"))),
        ("host with brackets", changed("/headers/host", json!("[::1"))),
        ("host with a user", changed("/headers/host", json!("user@host"))),
        ("empty host", changed("/headers/host", json!(""))),
        ("path over 64 KB", changed("/rawPath", json!(format!("/{}", "a".repeat(65_536))))),
        ("query over 64 KB", changed("/rawQueryString", json!("a".repeat(65_536)))),
        ("path without a slash", changed("/rawPath", json!("topics/orders"))),
        ("line break in a header", changed("/headers/x", json!("a\r\nSet-Cookie: b"))),
        ("NUL in a header", changed("/headers/x", json!("a\0b"))),
        ("space in a header's name", changed("/headers/a b", json!("c"))),
        ("header that is an object", changed("/headers/x", json!({}))),
        ("method with a space", changed("/requestContext/http/method", json!("GE T"))),
        ("body that is not text", changed("/body", json!(1))),
    ];
    for (name, payload) in cases {
        assert_eq!(verdict(&payload), "400", "{name}");
    }
}

#[test]
fn a_payload_that_is_not_an_http_event_fails_the_invocation() {
    let rest_api =
        json!({"resource": "/", "path": "/", "httpMethod": "GET", "headers": {}, "requestContext": {"stage": "p"}});
    let kafka = json!({"eventSource": "aws:kafka", "records": {}});
    let cases = [
        "null".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "7".to_owned(),
        rest_api.to_string(),
        kafka.to_string(),
        changed("/requestContext", json!(null)),
        changed("/requestContext/http", json!({})),
        changed("/requestContext/http/method", json!(7)),
    ];
    for payload in cases {
        assert_eq!(verdict(&payload), "not an HTTP event", "{payload}");
    }
}

#[test]
fn both_forms_of_a_path_give_the_same_address() {
    let cases = [
        ("/topics/a b", "/topics/a%20b"),
        ("/topics/a%20b", "/topics/a%20b"),
        ("/topics/토픽", "/topics/%ED%86%A0%ED%94%BD"),
        ("/topics/%ED%86%A0%ED%94%BD", "/topics/%ED%86%A0%ED%94%BD"),
        ("/topics/a?b#c", "/topics/a%3Fb%23c"),
        ("/topics/a\0b", "/topics/a%00b"),
        ("/topics/100%", "/topics/100%25"),
        ("/topics/a\\..\\b", "/topics/a%5C..%5Cb"),
        ("/topics/..", "/topics/.."),
        ("", "/"),
    ];
    for (raw, expected) in cases {
        assert_eq!(check(changed("/rawPath", json!(raw)).as_bytes()).unwrap().uri.to_string(), expected, "{raw:?}");
    }
}

#[test]
fn text_and_base64_give_the_same_body() {
    let text = check(changed("/body", json!("{\"ä\":1}")).as_bytes()).unwrap();
    let mut event: Value = serde_json::from_str(&changed("/body", json!("eyLDpCI6MX0="))).unwrap();
    event["isBase64Encoded"] = json!(true);
    assert_eq!(text.body, check(event.to_string().as_bytes()).unwrap().body);
    assert_eq!(check(changed("/body", json!(null)).as_bytes()).unwrap().body, "");
}

#[test]
fn hosts_that_callers_can_mean_pass() {
    for host in
        ["localhost", "127.0.0.1:9000", "[::1]:9000", "[::1]", "abc.execute-api.eu-west-1.amazonaws.com", "a_b:80"]
    {
        assert_eq!(verdict(&changed("/headers/host", json!(host))), "passed", "{host}");
    }
}

#[test]
fn a_named_stage_is_no_part_of_the_path() {
    let mut event: Value = serde_json::from_str(&changed("/rawPath", json!("/prod/topics/orders"))).unwrap();
    event["requestContext"]["stage"] = json!("prod");
    assert_eq!(check(event.to_string().as_bytes()).unwrap().uri, "/topics/orders");
    event["rawPath"] = json!("/production");
    assert_eq!(check(event.to_string().as_bytes()).unwrap().uri, "/production");
    event["rawPath"] = json!("/prod");
    assert_eq!(check(event.to_string().as_bytes()).unwrap().uri, "/");
}
