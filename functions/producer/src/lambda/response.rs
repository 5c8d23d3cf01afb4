//! From a response to what its front door makes an HTTP response of.

use std::borrow::Cow;

use axum::body::Body;
use base64::Engine;
use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::event::FrontDoor;

/// A response in the shape of its front door. Serialising writes it in one pass: the body as text if it is UTF-8, which all
/// bodies of the API are, otherwise as base64. No member is null: load balancers answer 502 to one.
#[derive(Debug)]
pub(super) struct FrontDoorResponse {
    front_door: FrontDoor,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl FrontDoorResponse {
    pub(super) async fn from_response(front_door: FrontDoor, response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let (status, body) = match body.collect().await {
            Ok(body) => (parts.status, body.to_bytes()),
            Err(error) => {
                tracing::error!(%error, "the response's body broke off");
                (StatusCode::INTERNAL_SERVER_ERROR, Bytes::new())
            }
        };
        Self { front_door, status, headers: parts.headers, body }
    }
}

impl Serialize for FrontDoorResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The number of members is a hint that JSON does not need.
        let mut object = serializer.serialize_struct("Response", 6)?;
        object.serialize_field("statusCode", &self.status.as_u16())?;
        match self.front_door {
            // `cargo lambda watch` asks for the cookies even when there are none.
            FrontDoor::HttpApi => {
                object.serialize_field("headers", &Joined { headers: &self.headers, without: Some(SET_COOKIE) })?;
                object.serialize_field("cookies", &Values { headers: &self.headers, name: &SET_COOKIE })?;
            }
            FrontDoor::RestApi => object.serialize_field("multiValueHeaders", &Listed(&self.headers))?,
            FrontDoor::LoadBalancer { multi_value } => {
                object.serialize_field("statusDescription", &Description(self.status))?;
                match multi_value {
                    true => object.serialize_field("multiValueHeaders", &Listed(&self.headers))?,
                    false => object.serialize_field("headers", &Joined { headers: &self.headers, without: None })?,
                }
            }
        }
        match std::str::from_utf8(&self.body) {
            Ok(text) => {
                object.serialize_field("body", text)?;
                object.serialize_field("isBase64Encoded", &false)?;
            }
            Err(_) => {
                object.serialize_field("body", &base64::engine::general_purpose::STANDARD.encode(&self.body))?;
                object.serialize_field("isBase64Encoded", &true)?;
            }
        }
        object.end()
    }
}

/// Code and reason, separated by a space.
struct Description(StatusCode);

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// One value for each name: repeats form a list (RFC 9110, 5.3).
struct Joined<'a> {
    headers: &'a HeaderMap,
    without: Option<HeaderName>,
}

impl Serialize for Joined<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = self.headers.keys().filter(|name| Some(*name) != self.without.as_ref());
        serializer.collect_map(names.map(|name| {
            let mut values = self.headers.get_all(name).iter().map(shown);
            let first = values.next().unwrap_or_default();
            (name.as_str(), values.fold(first, |list, value| Cow::Owned(format!("{list}, {value}"))))
        }))
    }
}

/// A list of values for each name.
struct Listed<'a>(&'a HeaderMap);

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.keys().map(|name| (name.as_str(), Values { headers: self.0, name })))
    }
}

struct Values<'a> {
    headers: &'a HeaderMap,
    name: &'a HeaderName,
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.headers.get_all(self.name).iter().map(shown))
    }
}

fn shown(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn written(front_door: FrontDoor, body: &'static [u8], headers: &[(&'static str, &'static str)]) -> Value {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::MULTI_STATUS;
        for (name, value) in headers {
            response.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        serde_json::to_value(FrontDoorResponse::from_response(front_door, response).await).unwrap()
    }

    #[tokio::test]
    async fn each_front_door_gets_its_own_members_and_no_other() {
        let headers = [("a", "1"), ("a", "2"), ("b", "3"), ("set-cookie", "c=4"), ("set-cookie", "d=5")];
        let listed = json!({"a": ["1", "2"], "b": ["3"], "set-cookie": ["c=4", "d=5"]});
        let cases = [
            (FrontDoor::HttpApi, json!({"headers": {"a": "1, 2", "b": "3"}, "cookies": ["c=4", "d=5"]})),
            (FrontDoor::RestApi, json!({"multiValueHeaders": listed})),
            (
                FrontDoor::LoadBalancer { multi_value: true },
                json!({"statusDescription": "207 Multi-Status", "multiValueHeaders": listed}),
            ),
            (
                FrontDoor::LoadBalancer { multi_value: false },
                json!({"statusDescription": "207 Multi-Status",
                    "headers": {"a": "1, 2", "b": "3", "set-cookie": "c=4, d=5"}}),
            ),
        ];
        for (front_door, mut expected) in cases {
            for (name, value) in [("statusCode", json!(207)), ("body", json!("ä")), ("isBase64Encoded", json!(false))]
            {
                expected[name] = value;
            }
            assert_eq!(written(front_door, "ä".as_bytes(), &headers).await, expected, "{front_door:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_text_becomes_base64_and_no_body_is_an_empty_text() {
        for front_door in [FrontDoor::HttpApi, FrontDoor::RestApi, FrontDoor::LoadBalancer { multi_value: false }] {
            let bytes = written(front_door, &[0xff, 0x00], &[]).await;
            assert_eq!((&bytes["body"], &bytes["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
            let empty = written(front_door, b"", &[]).await;
            assert_eq!((&empty["body"], &empty["isBase64Encoded"]), (&json!(""), &json!(false)));
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_500() {
        let broken = futures_util::stream::iter([Ok(Bytes::from("{")), Err(std::io::Error::other("broken"))]);
        let response =
            FrontDoorResponse::from_response(FrontDoor::HttpApi, Response::new(Body::from_stream(broken))).await;
        assert_eq!((response.status, response.body), (StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()));
    }
}
