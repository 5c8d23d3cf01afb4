//! Topics that are limited to callers: who writes and sees which, through every front door, and what records tell of it.

use std::sync::Arc;
use std::time::Duration;

use msk_producer::api::router::router;
use msk_producer::api::state::AppState;
use msk_shared::kafka::{Milestones, WarmUp};
use msk_shared::names::TopicName;
use serde_json::{Value, json};

use crate::calls::{Call, HttpAnswer, JSON_V2, Scripted, app_with, config, invoke, try_invoke};
use crate::front_doors::{ALL, FrontDoor};

const TOPICS: &str = r#"{
    "open": {},
    "by-user": {"principals": ["arn:aws:iam::123456789012:user/kim"]},
    "by-role": {"principals": ["arn:aws:iam::123456789012:role/shop"]},
    "by-path": {"principals": ["arn:aws:iam::123456789012:role/team/eu/shop"]},
    "by-prefix": {"principals": ["arn:aws:iam::123456789012:role/sh*"]},
    "by-subject": {"principals": ["sub:user-7"]},
    "by-scope": {"principals": ["scope:orders:write"]},
    "by-client": {"principals": ["client_id:job"]},
    "by-any": {"principals": ["client_id:other", "sub:user-7", "arn:aws:iam::123456789012:user/kim"]}
}"#;

const ALL_TOPICS: [&str; 9] =
    ["open", "by-user", "by-role", "by-path", "by-prefix", "by-subject", "by-scope", "by-client", "by-any"];

/// Who calls.
#[derive(Debug, Clone, Copy)]
enum Caller {
    Nobody,
    Signed(&'static str),
    /// With a token of these claims, in the text that API Gateway makes of each.
    Token(&'static [(&'static str, &'static str)]),
}

use Caller::{Nobody, Signed, Token};

const KIM: Caller = Signed("arn:aws:iam::123456789012:user/kim");
const SHOP: Caller = Signed("arn:aws:sts::123456789012:assumed-role/shop/i-0123456789abcdef0");
const USER_7: Caller = Token(&[("sub", "user-7"), ("iss", "https://issuer.example")]);

/// Callers, and the topics besides `open` that each may write.
const CALLERS: [(Caller, &[&str]); 14] = [
    (Nobody, &[]),
    (KIM, &["by-user", "by-any"]),
    (SHOP, &["by-role", "by-path", "by-prefix"]),
    (Signed("arn:aws:sts::123456789012:assumed-role/s-hop/s"), &[]),
    (Signed("arn:aws:sts::123456789012:assumed-role/shed/s"), &["by-prefix"]),
    (Signed("arn:aws:sts::210987654321:assumed-role/shop/s"), &[]),
    (Signed("arn:aws:iam::123456789012:user/team/kim"), &[]),
    (Signed("not an ARN"), &[]),
    (USER_7, &["by-subject", "by-any"]),
    (Token(&[("sub", "user-8"), ("scope", "openid orders:write")]), &["by-scope"]),
    (Token(&[("sub", "user-8"), ("scp", "[openid orders:write]")]), &["by-scope"]),
    (Token(&[("sub", "user-8"), ("scope", "orders:writer")]), &[]),
    (Token(&[("sub", "job"), ("client_id", "job")]), &["by-client"]),
    (Token(&[("aud", "user-7"), ("username", "user-7")]), &[]),
];

/// The event of a call by a caller, with the request context that the front door writes; `None` if no such caller comes
/// through it.
fn event(front_door: FrontDoor, caller: Caller, call: &Call) -> Option<Value> {
    let mut event = front_door.event(call, false);
    let context = event["requestContext"].as_object_mut()?;
    let claims = |claims: &[(&str, &str)]| claims.iter().map(|(name, value)| (*name, *value)).collect::<Value>();
    let (iam, authorizer) = match (front_door, caller) {
        (FrontDoor::LoadBalancer | FrontDoor::LoadBalancerMultiValue, Nobody) => return Some(event),
        (FrontDoor::LoadBalancer | FrontDoor::LoadBalancerMultiValue, _) => return None,
        (FrontDoor::FunctionUrl, Token(_)) => return None,
        (_, Nobody) => (Value::Null, Value::Null),
        (FrontDoor::HttpApi | FrontDoor::FunctionUrl, Signed(arn)) => {
            let iam = json!({"accessKey": "AKIDEXAMPLE", "accountId": "123456789012", "callerId": "AROAEXAMPLE:s",
                "cognitoIdentity": null, "principalOrgId": "o-example", "userArn": arn, "userId": "AROAEXAMPLE:s"});
            (Value::Null, json!({ "iam": iam }))
        }
        (FrontDoor::HttpApi, Token(own)) => (Value::Null, json!({"jwt": {"claims": claims(own), "scopes": null}})),
        (_, Signed(arn)) => (json!(arn), Value::Null),
        (_, Token(own)) => (Value::Null, json!({"claims": claims(own), "scopes": null})),
    };
    context.insert("authorizer".to_owned(), authorizer);
    if let Some(identity) = context.get_mut("identity") {
        identity["userArn"] = iam;
    }
    Some(event)
}

async fn send(router: &axum::Router, front_door: FrontDoor, caller: Caller, call: &Call) -> Option<HttpAnswer> {
    let event = event(front_door, caller, call)?;
    Some(invoke(router, event.to_string()).await)
}

fn write(topic: &str) -> Call {
    Call::post(format!("/topics/{topic}"), JSON_V2, r#"{"records":[{"value":1}]}"#)
}

#[tokio::test]
async fn each_caller_writes_and_sees_its_topics_and_no_other() {
    let publisher = Scripted::default();
    let router = app_with(&[("TOPICS", TOPICS)], publisher.clone());
    let mut calls = 0;
    for ((caller, own), front_door) in CALLERS.into_iter().flat_map(|row| ALL.map(|door| (row, door))) {
        let Some(listed) = send(&router, front_door, caller, &Call::get("/topics")).await else { continue };
        let may = |topic: &&str| *topic == "open" || own.contains(topic);
        assert_eq!(listed.json(), json!(ALL_TOPICS.iter().filter(|it| may(it)).collect::<Vec<_>>()), "{caller:?}");
        for topic in ALL_TOPICS {
            publisher.clear();
            let answer = send(&router, front_door, caller, &write(topic)).await.unwrap();
            let seen = send(&router, front_door, caller, &Call::get(format!("/topics/{topic}"))).await.unwrap();
            let expected = if may(&topic) { (200, 200, 1) } else { (403, 403, 0) };
            assert_eq!(
                (answer.status, seen.status, publisher.records().len()),
                expected,
                "{front_door:?} {caller:?} {topic}"
            );
            calls += 1;
        }
    }
    assert!(calls > 500, "{calls}");
}

/// What is wrong with the rest of a request is for those who may write the topic.
#[tokio::test]
async fn every_route_refuses_a_caller_before_it_reads_more_and_tells_nothing_else() {
    let router =
        app_with(&[("TOPICS", TOPICS), ("DEFAULT_TOPIC", "by-user")], Scripted::default().without_partitions());
    let v3 = "/v3/clusters/any/topics/by-user";
    let calls = [
        Call::post("/topics/by-user", "text/html", "<p>"),
        Call::post("/topics/by-user?validate_only=true", JSON_V2, r#"{"records":[{"value":1}]}"#),
        Call::post("/topics/by-user?unknown=1", JSON_V2, "{"),
        Call::post("/topics/by-user/partitions/x", JSON_V2, "{"),
        Call::post("/messages", "application/json", "{").header("Idempotency-Key", ""),
        Call::post("/messages?topic=by-user", "text/html", "{"),
        Call::post(format!("{v3}/records"), "application/json", "{"),
        Call::post(format!("{v3}/records:batch"), "application/json", "{"),
        Call::get("/topics/by-user"),
        Call::get("/topics/by-user/partitions"),
        Call::get("/topics/by-user/partitions/0"),
        Call::get("/topics/by-user/partitions/x"),
    ];
    for call in calls {
        // The plain HTTP server knows no callers, whatever a request says of itself.
        let claimed = call.clone().header("x-principal", "arn:aws:iam::123456789012:user/kim");
        let plain = claimed.send(&router).await;
        for answer in [plain, send(&router, FrontDoor::HttpApi, SHOP, &call).await.unwrap()] {
            let body = answer.json();
            assert_eq!(answer.problem(), (403, 40301), "{call:?}");
            assert_eq!((&body["persisted"], &body["retriable"]), (&json!("no"), &json!(false)));
            assert!(!body.to_string().contains("arn:") && !body.to_string().contains("kim"), "{body}");
        }
    }
    let head = send(&router, FrontDoor::HttpApi, SHOP, &Call::new("HEAD", "/topics/by-user")).await.unwrap();
    assert_eq!((head.status, head.body.len()), (403, 0));
    // A name that is not listed is a 404 for everybody, in the compatible mode too.
    let confluent = app_with(&[("TOPICS", TOPICS), ("COMPATIBILITY", "confluent")], Scripted::default());
    for router in [&router, &confluent] {
        let unlisted = send(router, FrontDoor::HttpApi, SHOP, &write("by-nobody")).await.unwrap();
        assert_eq!(unlisted.problem(), (404, 40401));
        assert_eq!(send(router, FrontDoor::HttpApi, SHOP, &write("by-user")).await.unwrap().problem(), (403, 40301));
    }
}

#[tokio::test]
async fn a_context_that_only_looks_like_a_verified_caller_is_none() {
    let router = app_with(&[("TOPICS", TOPICS)], Scripted::default());
    let kim = "arn:aws:iam::123456789012:user/kim";
    let cases = [
        // What a Lambda authorizer returns stands in places of its own.
        (FrontDoor::HttpApi, json!({"lambda": {"iam": {"userArn": kim}}}), json!(null)),
        (FrontDoor::HttpApi, json!({"claims": {"sub": "user-7"}}), json!(null)),
        (FrontDoor::HttpApi, json!(null), json!({"userArn": kim})),
        (FrontDoor::HttpApi, json!({"iam": {"userArn": [kim]}}), json!(null)),
        (FrontDoor::HttpApi, json!({"iam": {"userArn": format!("{kim} ")}}), json!(null)),
        (FrontDoor::HttpApi, json!({"jwt": {"claims": {"sub": ["user-7"]}}}), json!(null)),
        (FrontDoor::HttpApi, json!(kim), json!(null)),
        (FrontDoor::RestApi, json!({"iam": {"userArn": kim}}), json!({"userArn": null})),
        (FrontDoor::RestApi, json!({"principalId": kim, "claims": "sub:user-7"}), json!({"userArn": ""})),
        (FrontDoor::RestApi, json!({"jwt": {"claims": {"sub": "user-7"}}}), json!(null)),
        (
            FrontDoor::LoadBalancer,
            json!({"iam": {"userArn": kim}, "claims": {"sub": "user-7"}}),
            json!({"userArn": kim}),
        ),
    ];
    for (front_door, authorizer, identity) in cases {
        let mut event = front_door.event(&Call::get("/topics"), false);
        event["requestContext"]["authorizer"] = authorizer;
        event["requestContext"]["identity"] = identity;
        assert_eq!(invoke(&router, event.to_string()).await.json(), json!(["open"]), "{event}");
    }
}

const STAMPED: &str = r#"{"stamped": {"stamp_principal": true}, "plain": {}}"#;

/// The headers `x-principal` of each record that a call writes.
async fn stamps(caller: Caller, call: &Call) -> Vec<Vec<String>> {
    let publisher = Scripted::default();
    let router = app_with(&[("TOPICS", STAMPED)], publisher.clone());
    let payload = event(FrontDoor::HttpApi, caller, call).unwrap();
    let answer = try_invoke(&router, payload.to_string(), Duration::from_secs(30)).await.unwrap();
    assert!(matches!(answer.status, 200 | 207), "{answer:?}");
    let text = |value: &Option<bytes::Bytes>| String::from_utf8(value.clone().unwrap().to_vec()).unwrap();
    let of_record = |record: &msk_shared::kafka::OutboundRecord| {
        record.headers.iter().filter(|it| it.name == "x-principal").map(|it| text(&it.value)).collect()
    };
    publisher.records().iter().map(of_record).collect()
}

#[tokio::test]
async fn every_record_of_a_stamped_topic_tells_its_caller() {
    let v3 = "/v3/clusters/any/topics/stamped";
    let calls = [
        (Call::post("/topics/stamped", JSON_V2, r#"{"records":[{"value":1},{"value":2}]}"#), 2),
        (Call::post("/topics/stamped/partitions/1", JSON_V2, r#"{"records":[{"value":1}]}"#), 1),
        (Call::post("/topics/stamped", "application/x-ndjson", "1\n2\n3\n"), 3),
        (Call::post("/topics/stamped", "text/plain", "text"), 1),
        (Call::post("/messages?topic=stamped", "application/json", "1"), 1),
        (Call::post(format!("{v3}/records"), "application/json", r#"{"value":{"type":"JSON","data":1}}"#), 1),
        (
            Call::post(
                format!("{v3}/records:batch"),
                "application/json",
                r#"{"entries":[{"id":"a","value":{"type":"JSON","data":1}}]}"#,
            ),
            1,
        ),
    ];
    for (call, count) in &calls {
        for (caller, stamp) in [
            (KIM, Some("arn:aws:iam::123456789012:user/kim")),
            (SHOP, Some("arn:aws:iam::123456789012:role/shop")),
            (USER_7, Some("sub:user-7")),
            (Token(&[("client_id", "job")]), None),
            (Nobody, None),
        ] {
            let expected: Vec<Vec<String>> = vec![stamp.map(str::to_owned).into_iter().collect(); *count];
            assert_eq!(stamps(caller, call).await, expected, "{caller:?} {call:?}");
        }
    }
    assert_eq!(stamps(KIM, &write("plain")).await, [Vec::<String>::new()]);
}

#[tokio::test]
async fn nobody_sets_the_header_of_the_caller_or_of_a_dead_letter() {
    let router = app_with(&[("TOPICS", STAMPED)], Scripted::default());
    for name in ["x-principal", "X-Principal", "x-dlq-topic"] {
        let records = |topic: &str, body: String| Call::post(format!("/topics/{topic}"), JSON_V2, body);
        let in_body = format!(r#"{{"records":[{{"value":1,"headers":[{{"key":"{name}","value_utf8":"a"}}]}}]}}"#);
        let in_v3 = format!(r#"{{"value":{{"type":"JSON","data":1}},"headers":[{{"name":"{name}","value":"YQ=="}}]}}"#);
        let as_header = format!("Kafka-Header-{name}");
        for topic in ["stamped", "plain"] {
            let calls = [
                records(topic, in_body.clone()),
                Call::post(format!("/topics/{topic}"), "text/plain", "a").header(&as_header, "a"),
                Call::post(format!("/messages?topic={topic}"), "application/json", "1").header(&as_header, "a"),
                Call::post(format!("/v3/clusters/any/topics/{topic}/records"), "application/json", in_v3.clone()),
            ];
            for call in calls {
                let answer = send(&router, FrontDoor::HttpApi, KIM, &call).await.unwrap();
                assert_eq!(answer.problem(), (422, 42206), "{call:?}");
            }
        }
    }
}

#[tokio::test]
async fn readiness_names_no_missing_topic_of_others() {
    let missing_topics = ["open", "by-user", "by-role"].map(|name| TopicName::parse(name).unwrap()).into();
    let warm_up = WarmUp {
        result: Ok(()),
        duration: Duration::from_millis(7),
        milestones: Milestones::default(),
        missing_topics,
    };
    let config = config(&[("TOPICS", TOPICS)]);
    let router = router(Arc::new(AppState::new(config, Scripted::default(), Duration::ZERO, Some(warm_up))));
    for (caller, shown) in
        [(Nobody, json!(["open"])), (KIM, json!(["open", "by-user"])), (SHOP, json!(["open", "by-role"]))]
    {
        let ready = send(&router, FrontDoor::HttpApi, caller, &Call::get("/readyz")).await.unwrap();
        assert_eq!(ready.json()["warm_up"]["missing_topics"], shown, "{caller:?}");
    }
}
