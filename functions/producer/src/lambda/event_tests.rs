//! Events of every front door: how they are recognised, what of them is a 400, and which request the others become.

use axum::Router;
use http::{HeaderMap, Request};
use lambda_runtime::Context;
use serde_json::{Value, json};

use super::event::{FrontDoor, Received, read};
use crate::request::faults::FaultKind;

const LOAD_BALANCER: FrontDoor = FrontDoor::LoadBalancer { multi_value: false };
const MULTI_VALUE: FrontDoor = FrontDoor::LoadBalancer { multi_value: true };
const ALL: [FrontDoor; 4] = [FrontDoor::HttpApi, FrontDoor::RestApi, LOAD_BALANCER, MULTI_VALUE];

fn event(front_door: FrontDoor) -> Value {
    let elb = json!({"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/t/1"}});
    match front_door {
        FrontDoor::HttpApi => json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/topics/orders", "rawQueryString": "",
            "headers": {"host": "abc.execute-api.eu-west-1.amazonaws.com", "content-type": "application/json"},
            "requestContext": {"stage": "$default", "http": {"method": "POST", "path": "/topics/orders"}},
            "body": "{}", "isBase64Encoded": false,
        }),
        FrontDoor::RestApi => json!({
            "resource": "/{proxy+}", "path": "/topics/orders", "httpMethod": "POST",
            "headers": {"Host": "abc.execute-api.eu-west-1.amazonaws.com", "Content-Type": "application/json"},
            "multiValueHeaders":
                {"Host": ["abc.execute-api.eu-west-1.amazonaws.com"], "Content-Type": ["application/json"]},
            "queryStringParameters": null, "multiValueQueryStringParameters": null,
            "pathParameters": {"proxy": "topics/orders"}, "stageVariables": null,
            "requestContext": {"stage": "prod", "httpMethod": "POST", "path": "/prod/topics/orders", "identity": {}},
            "body": "{}", "isBase64Encoded": false,
        }),
        FrontDoor::LoadBalancer { multi_value: false } => json!({
            "requestContext": elb, "httpMethod": "POST", "path": "/topics/orders", "queryStringParameters": {},
            "headers": {"host": "lb-1.eu-west-1.elb.amazonaws.com", "content-type": "application/json"},
            "body": "{}", "isBase64Encoded": false,
        }),
        FrontDoor::LoadBalancer { multi_value: true } => json!({
            "requestContext": elb, "httpMethod": "POST", "path": "/topics/orders",
            "multiValueQueryStringParameters": {},
            "multiValueHeaders":
                {"host": ["lb-1.eu-west-1.elb.amazonaws.com"], "content-type": ["application/json"]},
            "body": "{}", "isBase64Encoded": false,
        }),
    }
}

/// An event with some members replaced, or added.
fn changed(front_door: FrontDoor, changes: &[(&str, Value)]) -> String {
    let mut event = event(front_door);
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value.clone());
    }
    event.to_string()
}

/// Where a front door has its path, its method, and the headers that count.
fn places(front_door: FrontDoor) -> (&'static str, &'static str, &'static str) {
    match front_door {
        FrontDoor::HttpApi => ("/rawPath", "/requestContext/http/method", "/headers"),
        LOAD_BALANCER => ("/path", "/httpMethod", "/headers"),
        _ => ("/path", "/httpMethod", "/multiValueHeaders"),
    }
}

fn request(payload: &str) -> Request<bytes::Bytes> {
    read(payload.as_bytes()).unwrap().request.unwrap()
}

fn verdict(payload: &str) -> (Option<FrontDoor>, &'static str) {
    match read(payload.as_bytes()) {
        Ok(Received { front_door, request: Ok(_), .. }) => (Some(front_door), "passed"),
        Ok(Received { front_door, request: Err(faults), .. }) if faults.kind == FaultKind::Malformed => {
            (Some(front_door), "400")
        }
        Ok(Received { front_door, request: Err(_), .. }) => (Some(front_door), "another status"),
        Err(_) => (None, "not an HTTP event"),
    }
}

#[test]
fn each_front_door_is_recognised_and_its_event_becomes_the_same_request() {
    for front_door in ALL {
        let received = read(event(front_door).to_string().as_bytes()).unwrap();
        assert_eq!(received.front_door, front_door);
        let request = received.request.unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", "/topics/orders"));
        assert_eq!(request.headers()["content-type"], "application/json", "{front_door:?}");
        assert_eq!((request.headers().len(), request.body().as_ref()), (2, &b"{}"[..]), "{front_door:?}");
    }
}

#[test]
fn what_breaks_the_rules_of_http_is_a_400_of_its_front_door() {
    for front_door in ALL {
        let (path, method, headers) = places(front_door);
        let header = |name: &str, value: Value| vec![(format!("{headers}/{name}"), value)];
        let cases = [
            ("bad base64", vec![("/body".into(), json!("no base64!")), ("/isBase64Encoded".into(), json!(true))]),
            ("bad base64 flag", vec![("/isBase64Encoded".into(), json!("yes"))]),
            ("body that is not text", vec![("/body".into(), json!(1))]),
            ("host with a space", header("host", json!("a b"))),
            ("host with a bad port", header("host", json!("a:99999"))),
            ("host with brackets", header("host", json!("[::1"))),
            ("host with a user", header("host", json!("user@host"))),
            ("empty host", header("host", json!(""))),
            ("path over 64 KB", vec![(path.into(), json!(format!("/{}", "a".repeat(65_536))))]),
            ("path without a slash", vec![(path.into(), json!("topics/orders"))]),
            ("path that is not text", vec![(path.into(), json!(["/"]))]),
            ("line break in a header", header("x", json!("a\r\nSet-Cookie: b"))),
            ("NUL in a header", header("x", json!("a\0b"))),
            ("space in a header's name", header("a b", json!("c"))),
            ("header that is an object", header("x", json!({}))),
            ("headers that are a list", vec![(headers.into(), json!([1]))]),
            ("method with a space", vec![(method.into(), json!("GE T"))]),
            ("empty method", vec![(method.into(), json!(""))]),
        ];
        for (name, changes) in cases {
            let changes: Vec<_> = changes.iter().map(|(pointer, value)| (pointer.as_str(), value.clone())).collect();
            assert_eq!(verdict(&changed(front_door, &changes)), (Some(front_door), "400"), "{name}");
        }
    }
}

#[test]
fn a_query_that_is_malformed_is_a_400() {
    for value in ["a b", "\"a\"", "a#b", "\0", "ü", &"a".repeat(65_536)] {
        let payload = changed(FrontDoor::HttpApi, &[("/rawQueryString", json!(format!("key={value}")))]);
        assert_eq!(verdict(&payload), (Some(FrontDoor::HttpApi), "400"), "{value:.20}");
        // A load balancer passes parameters on as they were sent.
        let payload = changed(LOAD_BALANCER, &[("/queryStringParameters", json!({ "key": value }))]);
        assert_eq!(verdict(&payload), (Some(LOAD_BALANCER), "400"), "{value:.20}");
    }
    for (front_door, name) in [
        (FrontDoor::RestApi, "/queryStringParameters"),
        (FrontDoor::RestApi, "/multiValueQueryStringParameters"),
        (LOAD_BALANCER, "/queryStringParameters"),
        (MULTI_VALUE, "/multiValueQueryStringParameters"),
    ] {
        for value in [json!("key=a"), json!(["key"]), json!({"key": 1}), json!({"key": {}}), json!({"key": [null]})] {
            let payload = changed(front_door, &[(name, value.clone())]);
            assert_eq!(verdict(&payload), (Some(front_door), "400"), "{name} {value}");
        }
        let long = changed(front_door, &[(name, json!({"key": "a".repeat(65_536)}))]);
        assert_eq!(verdict(&long), (Some(front_door), "400"), "{name}: long");
    }
}

#[test]
fn a_payload_that_is_not_an_http_event_fails_the_invocation() {
    let kafka = json!({"eventSource": "aws:kafka", "records": {}});
    let web_socket = json!({"requestContext": {"routeKey": "$default", "eventType": "MESSAGE", "connectionId": "c",
        "stage": "prod"}, "body": "{}", "isBase64Encoded": false});
    let lattice = json!({"version": "2.0", "path": "/topics", "method": "GET", "headers": {},
        "requestContext": {"serviceArn": "arn:aws:vpc-lattice:eu-west-1:123456789012:service/svc-1"}});
    let mut cases: Vec<String> = ["null", "{}", "[]", "7", "\"{}\"", "{", "", "\u{feff}{}"].map(str::to_owned).into();
    cases.extend([kafka, web_socket, lattice].map(|event| event.to_string()));
    for front_door in ALL {
        cases.push(changed(front_door, &[("/requestContext", json!(null))]));
        cases.push(changed(front_door, &[("/requestContext", json!("x"))]));
        cases.push(changed(front_door, &[(places(front_door).1, json!(7))]));
        cases.push(changed(front_door, &[(places(front_door).1, json!(null))]));
    }
    for payload in cases {
        assert_eq!(verdict(&payload), (None, "not an HTTP event"), "{payload}");
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
    for front_door in ALL {
        for (raw, expected) in cases {
            let request = request(&changed(front_door, &[(places(front_door).0, json!(raw))]));
            assert_eq!(request.uri().to_string(), expected, "{front_door:?} {raw:?}");
        }
    }
}

#[test]
fn text_and_base64_give_the_same_body() {
    for front_door in ALL {
        let text = request(&changed(front_door, &[("/body", json!("{\"ä\":1}"))]));
        let base64 = [("/body", json!("eyLDpCI6MX0=")), ("/isBase64Encoded", json!(true))];
        assert_eq!(text.body(), request(&changed(front_door, &base64)).body());
        assert_eq!(request(&changed(front_door, &[("/body", json!(null))])).body(), "");
    }
}

#[test]
fn hosts_that_callers_can_mean_pass() {
    for host in
        ["localhost", "127.0.0.1:9000", "[::1]:9000", "[::1]", "abc.execute-api.eu-west-1.amazonaws.com", "a_b:80"]
    {
        assert_eq!(verdict(&changed(FrontDoor::HttpApi, &[("/headers/host", json!(host))])).1, "passed", "{host}");
    }
}

#[test]
fn the_parameters_of_a_load_balancer_are_encoded_and_those_of_a_rest_api_decoded() {
    let sent = "key=a%2Bb%26c%3Dd&topic=orders&flag=";
    let encoded = json!({"key": "a%2Bb%26c%3Dd", "topic": "orders", "flag": ""});
    let listed = json!({"key": ["a%2Bb%26c%3Dd"], "topic": ["orders"], "flag": [""]});
    let decoded = json!({"key": ["a+b&c=d"], "topic": ["orders"], "flag": [""]});
    for (front_door, name, parameters) in [
        (LOAD_BALANCER, "/queryStringParameters", encoded),
        (MULTI_VALUE, "/multiValueQueryStringParameters", listed),
        (FrontDoor::RestApi, "/multiValueQueryStringParameters", decoded),
    ] {
        let request = request(&changed(front_door, &[(name, parameters)]));
        // An event's members have no order.
        let mut pairs: Vec<_> = request.uri().query().unwrap().split('&').collect();
        let mut expected: Vec<_> = sent.split('&').collect();
        pairs.sort_unstable();
        expected.sort_unstable();
        assert_eq!(pairs, expected, "{front_door:?}");
    }
    let repeated = json!({"key": ["a", "b"]});
    let single = json!({"key": "b"});
    let both = [("/multiValueQueryStringParameters", repeated), ("/queryStringParameters", single)];
    assert_eq!(request(&changed(FrontDoor::RestApi, &both)).uri().query(), Some("key=a&key=b"));
    assert_eq!(request(&changed(FrontDoor::RestApi, &both[1..])).uri().query(), Some("key=b"));
}

#[test]
fn repeated_headers_and_cookies_are_kept() {
    let repeated = [("/multiValueHeaders/baggage", json!(["a=1", "b=2"])), ("/headers/baggage", json!("b=2"))];
    for (front_door, changes) in [(FrontDoor::RestApi, &repeated[..]), (MULTI_VALUE, &repeated[..1])] {
        let request = request(&changed(front_door, changes));
        let values: Vec<_> = request.headers().get_all("baggage").iter().collect();
        assert_eq!(values, ["a=1", "b=2"], "{front_door:?}");
    }
    let cookies = request(&changed(FrontDoor::HttpApi, &[("/cookies", json!(["a=1", "b=2"]))]));
    assert_eq!(cookies.headers()["cookie"], "a=1; b=2");
    // The console's test sends no headers at all.
    let none = [("/multiValueHeaders", json!(null)), ("/headers", json!(null))];
    assert!(request(&changed(FrontDoor::RestApi, &none)).headers().is_empty());
}

#[test]
fn a_named_stage_is_no_part_of_the_path() {
    for (path, expected) in [("/prod/topics/orders", "/topics/orders"), ("/production", "/production"), ("/prod", "/")]
    {
        let changes = [("/requestContext/stage", json!("prod")), ("/rawPath", json!(path))];
        assert_eq!(request(&changed(FrontDoor::HttpApi, &changes)).uri(), expected);
        let changes = [("/resource", json!("$default")), ("/pathParameters", json!(null)), ("/path", json!(path))];
        assert_eq!(request(&changed(FrontDoor::RestApi, &changes)).uri(), expected);
    }
}

/// With a custom domain, `path` begins with its base path, the stage, or both; the resource tells where it ends.
#[test]
fn a_base_path_is_no_part_of_the_path() {
    let proxy = |value: &str| json!({ "proxy": value });
    let cases = [
        ("/topics/orders", "/{proxy+}", proxy("topics/orders"), "/topics/orders"),
        ("/kafka/topics/orders", "/{proxy+}", proxy("topics/orders"), "/topics/orders"),
        ("/kafka/v1/prod/topics/orders", "/{proxy+}", proxy("topics/orders"), "/topics/orders"),
        ("/prod/topics/orders", "/topics/{topic}", json!({"topic": "orders"}), "/topics/orders"),
        ("/kafka/healthz", "/healthz", json!(null), "/healthz"),
        // A stage of the same name as a route: the path of an API's own address has no stage.
        ("/topics/orders", "/{proxy+}", proxy("topics/orders"), "/topics/orders"),
        // Parameters decoded or as they were sent.
        ("/kafk%C3%A9/topics/a%20b", "/{proxy+}", proxy("topics/a b"), "/topics/a%20b"),
        ("/kafka/topics/a%20b", "/{proxy+}", proxy("topics/a%20b"), "/topics/a%20b"),
        ("/kafé/topics/%ED%86%A0", "/{proxy+}", proxy("topics/토"), "/topics/%ED%86%A0"),
        // What does not fit stays.
        ("/kafka/topics/orders/", "/{proxy+}", proxy("topics/orders"), "/kafka/topics/orders/"),
        ("/kafka/topics/orders", "/{proxy+}", json!(null), "/kafka/topics/orders"),
        ("/kafka%2Ftopics/orders", "/{proxy+}", proxy("topics/orders"), "/kafka%2Ftopics/orders"),
        ("/a", "/{proxy+}", proxy("topics/orders"), "/a"),
    ];
    for (path, resource, parameters, expected) in cases {
        let changes = [("/path", json!(path)), ("/resource", json!(resource)), ("/pathParameters", parameters)];
        assert_eq!(request(&changed(FrontDoor::RestApi, &changes)).uri(), expected, "{path} {resource}");
    }
}

#[tokio::test]
async fn the_invocations_own_trace_comes_before_the_front_doors() {
    let echo =
        Router::new().fallback(async |headers: HeaderMap| headers["x-amzn-trace-id"].clone().as_bytes().to_vec());
    for (trace, expected) in
        [(None, "Root=1-door"), (Some("Root=1-runtime"), "Root=1-runtime"), (Some("\n"), "Root=1-door")]
    {
        let mut context = Context::default();
        context.xray_trace_id = trace.map(str::to_owned);
        let payload = changed(FrontDoor::HttpApi, &[("/headers/x-amzn-trace-id", json!("Root=1-door"))]);
        let response = super::handle(echo.clone(), payload.into(), context).await.unwrap();
        assert_eq!(serde_json::to_value(response).unwrap()["body"], expected);
    }
}

/// The sample events whose request is in order, and their names.
fn samples() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    let of_front_doors = |name: &str| ["apigw-", "rest-", "url-", "alb-"].iter().any(|door| name.starts_with(door));
    named
        .filter(|(name, _)| of_front_doors(name) && !name.contains("-error-") && !name.contains("-not-"))
        .map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// `lambda_http` reads events for most functions in Rust. It panics on what breaks the rules of HTTP, which is why events are read
/// here; where nothing is broken, both make the same request of an event.
#[test]
fn what_is_in_order_becomes_the_request_that_lambda_http_makes_of_it() {
    fn sorted(pairs: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort();
        pairs
    }
    fn headers(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
        sorted(map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())))
    }
    fn parameters(uri: &http::Uri) -> Vec<(String, Vec<u8>)> {
        let decoded = |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
        let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        sorted(pairs.map(|(name, value)| (name.to_owned(), decoded(value))))
    }
    let mut compared = 0;
    for (name, payload) in samples() {
        let ours = request(&payload);
        let theirs = lambda_http::request::from_str(&payload).unwrap();
        assert_eq!(ours.method(), theirs.method(), "{name}");
        assert_eq!(headers(ours.headers()), headers(theirs.headers()), "{name}");
        // It decodes a load balancer's parameters twice.
        if !name.starts_with("alb-") {
            assert_eq!(parameters(ours.uri()), parameters(theirs.uri()), "{name}");
        }
        assert_eq!(ours.body().as_ref(), theirs.body().as_ref(), "{name}");
        // Theirs keeps the stage and a custom domain's base path, and encodes what is not encoded in other places.
        let decoded = |uri: &http::Uri| percent_encoding::percent_decode_str(uri.path()).collect::<Vec<u8>>();
        assert!(decoded(theirs.uri()).ends_with(&decoded(ours.uri())), "{name}: {} {}", theirs.uri(), ours.uri());
        compared += 1;
    }
    assert!(compared >= 20, "{compared} samples");
}
