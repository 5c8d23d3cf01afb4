//! API Gateway HTTP API events, payload format 2.0, and the responses of a function.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, macros::format_description};

/// A request as API Gateway passes it to a function.
#[derive(Clone, Debug)]
pub struct HttpEvent {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    base64: bool,
}

impl HttpEvent {
    /// A request without a body.
    pub fn new(method: &str, path: &str) -> Self {
        let headers = vec![
            ("host".to_owned(), "abcdefghij.execute-api.eu-central-1.amazonaws.com".to_owned()),
            ("user-agent".to_owned(), "msk-e2e".to_owned()),
            ("x-forwarded-for".to_owned(), "203.0.113.10".to_owned()),
            ("x-forwarded-port".to_owned(), "443".to_owned()),
            ("x-forwarded-proto".to_owned(), "https".to_owned()),
        ];
        Self { method: method.into(), path: path.into(), query: String::new(), headers, body: None, base64: false }
    }

    /// Records in the JSON format of Kafka REST v2 to `topic`.
    pub fn post_records(topic: &str, body: &Value) -> Self {
        Self::new("POST", &format!("/topics/{topic}"))
            .header("content-type", "application/vnd.kafka.json.v2+json")
            .text(&body.to_string())
    }

    /// Adds a header; names arrive in lower case.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The query string as it is in the URL.
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    /// A body that API Gateway treats as text.
    #[must_use]
    pub fn text(mut self, body: &str) -> Self {
        (self.body, self.base64) = (Some(body.into()), false);
        self
    }

    /// A body that API Gateway treats as binary.
    #[must_use]
    pub fn binary(mut self, body: &[u8]) -> Self {
        (self.body, self.base64) = (Some(STANDARD.encode(body).into()), true);
        self
    }

    /// The event's JSON.
    pub fn build(&self) -> Value {
        let now = OffsetDateTime::now_utc();
        let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
        let mut headers: Map<String, Value> = Map::new();
        for (name, value) in &self.headers {
            // API Gateway joins repeated headers with commas.
            let joined = match headers.get(name).and_then(Value::as_str) {
                Some(before) => format!("{before},{value}"),
                None => value.clone(),
            };
            headers.insert(name.clone(), joined.into());
        }
        let mut event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": headers,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "abcdefghij",
                "authorizer": {"iam": {
                    "accessKey": "ASIAEXAMPLEEXAMPLE00",
                    "accountId": "123456789012",
                    "callerId": "AROAEXAMPLEEXAMPLE00:caller",
                    "cognitoIdentity": null,
                    "principalOrgId": "o-example",
                    "userArn": "arn:aws:sts::123456789012:assumed-role/caller/caller",
                    "userId": "AROAEXAMPLEEXAMPLE00:caller",
                }},
                "domainName": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
                "domainPrefix": "abcdefghij",
                "http": {
                    "method": self.method,
                    "path": self.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "203.0.113.10",
                    "userAgent": "msk-e2e",
                },
                "requestId": format!("E2E{:013x}=", rand::random::<u64>() >> 12),
                "routeKey": "$default",
                "stage": "$default",
                "time": now.format(&format).unwrap_or_default(),
                "timeEpoch": now.unix_timestamp() * 1_000 + i64::from(now.millisecond()),
            },
            "isBase64Encoded": self.base64,
        });
        if let (Some(body), Some(event)) = (&self.body, event.as_object_mut()) {
            event.insert("body".to_owned(), body.clone());
        }
        event
    }
}

/// A function's response to API Gateway.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case.
    pub headers: Map<String, Value>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// Payload format 2.0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    status_code: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl HttpAnswer {
    /// Reads a handler's payload; `None` if API Gateway could not have made an HTTP response from it.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(payload).ok()?;
        let text = wire.body.unwrap_or_default();
        let body = if wire.is_base64_encoded { STANDARD.decode(text).ok()? } else { text.into_bytes() };
        let headers = wire.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Some(Self { status: wire.status_code, headers, body })
    }

    /// The body as JSON; null when it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_what_api_gateway_sends() {
        let event =
            HttpEvent::new("POST", "/topics/orders").header("X-Two", "a").header("x-two", "b").text("{}").build();
        assert_eq!(event["version"], "2.0");
        assert_eq!(event["headers"]["x-two"], "a,b");
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{}"), &json!(false)));
        assert_eq!(event["requestContext"]["http"]["method"], "POST");
        assert!(event["requestContext"]["timeEpoch"].as_i64().unwrap() > 1_700_000_000_000);
        let binary = HttpEvent::new("POST", "/").binary(&[0xff]).build();
        assert_eq!((&binary["body"], &binary["isBase64Encoded"]), (&json!("/w=="), &json!(true)));
        assert!(HttpEvent::new("GET", "/").build().get("body").is_none());
    }

    #[test]
    fn answers_are_read_in_both_encodings() {
        let text = HttpAnswer::parse(br#"{"statusCode":200,"headers":{"X-A":"b"},"body":"{\"a\":1}"}"#).unwrap();
        assert_eq!((text.status, &text.headers["x-a"], &text.json()["a"]), (200, &json!("b"), &json!(1)));
        let binary = HttpAnswer::parse(br#"{"statusCode":503,"body":"/w==","isBase64Encoded":true}"#).unwrap();
        assert_eq!((binary.status, binary.body), (503, vec![0xff]));
        assert!(HttpAnswer::parse(b"{}").is_none());
    }
}
