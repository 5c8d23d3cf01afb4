//! One request through each front door: the same record, the same answer, each in its own shape. And damaged events of each:
//! nothing panics, nothing is a 5xx.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::arbitrary::{content_type, damage, damaged, envelope, json_text, judge, like, router, run};
use crate::calls::{Call, HttpAnswer, JSON_V2, Scripted, app, respond, try_invoke};

const LEFT: Duration = Duration::from_secs(30);

/// What can stand before the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrontDoor {
    HttpApi,
    /// An HTTP API that is set to payload format 1.0, with a named stage.
    HttpApiFormat1,
    FunctionUrl,
    RestApi,
    /// A REST API behind a custom domain with a base path.
    RestApiCustomDomain,
    LoadBalancer,
    LoadBalancerMultiValue,
}

use FrontDoor::{
    FunctionUrl, HttpApi, HttpApiFormat1, LoadBalancer, LoadBalancerMultiValue, RestApi, RestApiCustomDomain,
};

pub(crate) const ALL: [FrontDoor; 7] =
    [HttpApi, HttpApiFormat1, FunctionUrl, RestApi, RestApiCustomDomain, LoadBalancer, LoadBalancerMultiValue];

impl FrontDoor {
    /// The event that it makes of a call: its body as base64 or as text, its path encoded as it is.
    pub(crate) fn event(self, call: &Call, base64: bool) -> Value {
        let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
        let mut event = match self {
            HttpApi | FunctionUrl => self.format_2(call, path, query),
            HttpApiFormat1 | RestApi | RestApiCustomDomain => self.format_1(call, path, query),
            LoadBalancer | LoadBalancerMultiValue => self.load_balancer(call, path, query),
        };
        event["body"] = match base64 {
            true => STANDARD.encode(&call.body).into(),
            false => String::from_utf8_lossy(&call.body).into(),
        };
        event["isBase64Encoded"] = base64.into();
        event
    }

    fn host(self) -> &'static str {
        match self {
            HttpApi | HttpApiFormat1 | RestApi => "abc.execute-api.eu-west-1.amazonaws.com",
            FunctionUrl => "abc.lambda-url.eu-west-1.on.aws",
            RestApiCustomDomain => "api.example.com",
            LoadBalancer | LoadBalancerMultiValue => "lb-1.eu-west-1.elb.amazonaws.com",
        }
    }

    /// Names and values; API Gateway's HTTP APIs and load balancers write names in lower case, REST APIs as they were sent.
    fn headers(self, call: &Call) -> Vec<(String, String)> {
        let host = ("Host".to_owned(), self.host().to_owned());
        let headers = call.headers.iter().cloned().chain([host]);
        let as_sent = matches!(self, RestApi | RestApiCustomDomain);
        headers.map(|(name, value)| (if as_sent { name } else { name.to_lowercase() }, value)).collect()
    }

    fn format_2(self, call: &Call, path: &str, query: &str) -> Value {
        let mut headers = Map::new();
        for (name, value) in self.headers(call) {
            let before = headers.get(&name).and_then(Value::as_str).map(|before| format!("{before},{value}"));
            headers.insert(name, before.unwrap_or(value).into());
        }
        let iam = json!({"iam": {"userArn": "arn:aws:sts::123456789012:assumed-role/shop/shop"}});
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers,
            "requestContext": {
                "accountId": "123456789012", "apiId": "abc", "domainName": self.host(),
                "authorizer": if self == FunctionUrl { iam } else { Value::Null },
                "http": {"method": call.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
                "requestId": "gateway-1", "routeKey": "$default", "stage": "$default",
                "timeEpoch": 1_760_000_000_000_u64,
            },
        })
    }

    fn format_1(self, call: &Call, path: &str, query: &str) -> Value {
        let headers = self.headers(call);
        let parameters = parameters(query, |text| percent_decode_str(text).decode_utf8_lossy().into_owned());
        let (resource, proxy, prefix) = match self {
            HttpApiFormat1 => ("$default", Value::Null, "/live"),
            RestApi => ("/{proxy+}", json!({"proxy": path.trim_start_matches('/')}), ""),
            _ => ("/{proxy+}", json!({"proxy": path.trim_start_matches('/')}), "/kafka/v1"),
        };
        json!({
            "version": "1.0", "resource": resource, "path": format!("{prefix}{path}"), "httpMethod": call.method,
            "headers": last(&headers), "multiValueHeaders": listed(&headers),
            "queryStringParameters": last(&parameters), "multiValueQueryStringParameters": listed(&parameters),
            "pathParameters": proxy, "stageVariables": null,
            "requestContext": {
                "accountId": "123456789012", "apiId": "abc", "domainName": self.host(), "httpMethod": call.method,
                "identity": {"sourceIp": "192.0.2.1", "userArn": null}, "path": format!("/live{path}"),
                "requestId": "gateway-1", "resourcePath": resource, "stage": "live",
            },
        })
    }

    fn load_balancer(self, call: &Call, path: &str, query: &str) -> Value {
        let (headers, parameters) = (self.headers(call), parameters(query, str::to_owned));
        let arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/producer/6d0ecf831eec9f09";
        let mut event =
            json!({"requestContext": {"elb": {"targetGroupArn": arn}}, "httpMethod": call.method, "path": path});
        if self == LoadBalancer {
            event["headers"] = last(&headers);
            event["queryStringParameters"] = last(&parameters);
        } else {
            event["multiValueHeaders"] = listed(&headers);
            event["multiValueQueryStringParameters"] = listed(&parameters);
        }
        event
    }

    /// The members of its responses.
    fn response_members(self) -> BTreeSet<&'static str> {
        let own: &[&str] = match self {
            HttpApi | FunctionUrl => &["headers", "cookies"],
            HttpApiFormat1 | RestApi | RestApiCustomDomain => &["multiValueHeaders"],
            LoadBalancer => &["statusDescription", "headers"],
            LoadBalancerMultiValue => &["statusDescription", "multiValueHeaders"],
        };
        own.iter().chain(&["statusCode", "body", "isBase64Encoded"]).copied().collect()
    }
}

fn parameters(query: &str, written: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (written(name), written(value))).collect()
}

/// The last value of each name.
fn last(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>().into()
}

fn listed(pairs: &[(String, String)]) -> Value {
    let mut lists = Map::new();
    for (name, value) in pairs {
        if let Value::Array(list) = lists.entry(name.clone()).or_insert_with(|| json!([])) {
            list.push(value.clone().into());
        }
    }
    lists.into()
}

/// Fails unless the response is as the front door wants it: all its members, no other, none null.
fn check_shape(front_door: FrontDoor, response: &Value) {
    let members = response.as_object().unwrap();
    assert_eq!(members.keys().map(String::as_str).collect::<BTreeSet<_>>(), front_door.response_members());
    assert!(members.values().all(|value| !value.is_null()), "{response}");
    if let Some(description) = members.get("statusDescription") {
        let status = response["statusCode"].as_u64().unwrap() as u16;
        let reason = http::StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
        assert_eq!(description, &format!("{status} {reason}"));
    }
}

#[tokio::test]
async fn a_request_gives_the_same_records_and_answer_through_every_front_door() {
    let binary = "application/vnd.kafka.binary.v2+json";
    let calls = [
        Call::records(r#"{"records":[{"key":"ä","value":{"n":1.50}},{"value":null}]}"#).header("Baggage", "a=1"),
        Call::post("/topics/orders", binary, r#"{"records":[{"key":"","value":"/w=="}]}"#),
        Call::post("/messages?topic=orders&key=a%2Bb%26%20%3D%25%ED%86%A0", "application/json", "\"안녕\"")
            .header("Kafka-Header-Source", "web"),
        Call::post("/topics/%6Frders/partitions/1?validate=x", JSON_V2, r#"{"records":[{"value":1}]}"#),
        Call::records(r#"{"records":[{"vlaue":1}]}"#),
        Call::post("/topics/orders", "text/html", "<p>"),
        Call::get("/topics"),
        Call::get("/topics/or%3Fders%23"),
        Call::new("HEAD", "/healthz"),
        Call::new("OPTIONS", "/messages"),
        Call::new("PUT", "/messages"),
    ];
    for call in calls {
        let mut first: Option<(HttpAnswer, Vec<_>)> = None;
        for (front_door, base64) in ALL.into_iter().flat_map(|front_door| [(front_door, false), (front_door, true)]) {
            let publisher = Scripted::default();
            let payload = front_door.event(&call, base64).to_string();
            let response = respond(&app(publisher.clone()), payload, LEFT).await.unwrap();
            check_shape(front_door, &response);
            let seen = (HttpAnswer::from_function(&response), publisher.records());
            assert_eq!(&seen, first.get_or_insert_with(|| seen.clone()), "{front_door:?} {base64} {call:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_event_is_answered_in_the_shape_of_its_front_door() {
    for front_door in ALL {
        let mut event = front_door.event(&Call::records("{}"), true);
        event["body"] = json!("no base64!");
        let (_, router) = router();
        let response = respond(&router, event.to_string(), LEFT).await.unwrap();
        check_shape(front_door, &response);
        assert_eq!(HttpAnswer::from_function(&response).problem(), (400, 400), "{front_door:?}");
    }
}

/// The parts of all front doors' events that are read, and some that are not.
const MEMBERS: [&str; 29] = [
    "/rawPath",
    "/rawQueryString",
    "/path",
    "/httpMethod",
    "/resource",
    "/pathParameters",
    "/pathParameters/proxy",
    "/headers",
    "/headers/host",
    "/headers/content-type",
    "/headers/idempotency-key",
    "/multiValueHeaders",
    "/multiValueHeaders/host",
    "/multiValueHeaders/content-type",
    "/queryStringParameters",
    "/queryStringParameters/key",
    "/multiValueQueryStringParameters",
    "/multiValueQueryStringParameters/key",
    "/body",
    "/isBase64Encoded",
    "/requestContext",
    "/requestContext/http",
    "/requestContext/http/method",
    "/requestContext/stage",
    "/requestContext/authorizer",
    "/requestContext/authorizer/iam",
    "/requestContext/identity",
    "/cookies",
    "/version",
];

/// A valid event of any front door with some members replaced by arbitrary JSON.
fn event() -> impl Strategy<Value = (FrontDoor, Value)> {
    let target = select(vec!["/topics/orders", "/messages?key=1", "/topics", "/topics/%61udit"]);
    let method = select(vec!["POST", "POST", "GET"]);
    let odd = [
        "a b",
        "\"",
        "a\r\nb: c",
        "[::1",
        "a:99999",
        "%",
        "%FF",
        "é",
        "\u{0}",
        "",
        "/topics/orders?x",
        "prod",
        "/{proxy+}",
        "gzip",
    ];
    let value = prop_oneof![
        2 => select(odd.to_vec()).prop_map(Value::from),
        1 => select(odd.to_vec()).prop_map(|text| json!([text, text])),
        1 => like("\\PC{0,20}").prop_map(Value::from),
        1 => json_text().prop_map(|text| serde_json::from_str(&text).unwrap()),
    ];
    let changes = prop::collection::vec((select(MEMBERS.to_vec()), value), 0..3);
    (select(ALL.to_vec()), target, method, content_type(), envelope(), any::<bool>(), changes).prop_map(
        |(front_door, target, method, media, body, base64, changes)| {
            let call = Call::new(method, target).header("content-type", media).body(body);
            let mut event = front_door.event(&call, base64);
            for (pointer, value) in changes {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                if let Some(parent) = event.pointer_mut(parent).and_then(Value::as_object_mut) {
                    parent.insert(name.to_owned(), value);
                }
            }
            (front_door, event)
        },
    )
}

#[test]
fn damaged_events() {
    let (_, router) = router();
    run("damaged events", 12_000, event(), |runtime, (front_door, event), shares| {
        let answer = runtime.block_on(try_invoke(&router, event.to_string(), LEFT));
        shares.note(answer.as_ref());
        let method = match front_door {
            HttpApi | FunctionUrl => "/requestContext/http/method",
            _ => "/httpMethod",
        };
        if event["requestContext"].is_object() && event.pointer(method).is_some_and(Value::is_string) {
            prop_assert!(answer.is_some(), "an HTTP event has an HTTP answer");
        }
        answer.map_or(Ok(()), |answer| judge(&answer))
    });
}

#[test]
fn events_damaged_as_text() {
    let (_, router) = router();
    run("events damaged as text", 12_000, (event(), damage()), |runtime, ((_, event), damage), shares| {
        let text = damaged(event.to_string().into_bytes(), &damage);
        let answer = runtime.block_on(try_invoke(&router, text, LEFT));
        shares.note(answer.as_ref());
        answer.map_or(Ok(()), |answer| judge(&answer))
    });
}
