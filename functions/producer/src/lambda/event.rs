//! From an event to a request. Each front door has its own shape of event, and is recognised by it.
//!
//! What a caller can get wrong is a 400, answered in the front door's own shape. Only a payload that is no HTTP event fails
//! the invocation: nobody waits for an HTTP response.
//!
//! Sources: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>,
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>

use std::borrow::Cow;

use base64::Engine;
use bytes::Bytes;
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::address::{encoded_query, is_host, raw_query, uri, without_base_path, without_stage};
use super::caller::CallerContext;
use super::pairs::{Pairs, Text};
use crate::principal::Principal;
use crate::request::faults::{FaultKind, Faults};

/// What stands between the callers and the function. It decides how an event is read and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrontDoor {
    /// API Gateway's HTTP APIs and function URLs: payload format 2.0.
    HttpApi,
    /// API Gateway's REST APIs, and HTTP APIs that are set to payload format 1.0.
    RestApi,
    /// Application Load Balancers. Their target groups either have multi-value headers or not, in both directions.
    LoadBalancer { multi_value: bool },
}

/// An HTTP event.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) front_door: FrontDoor,
    /// Who calls, if the front door has verified it.
    pub(super) caller: Option<Principal>,
    /// The request, or what is wrong with it.
    pub(super) request: Result<Request<Bytes>, Faults>,
}

/// The payload is not an HTTP event: nobody waits for an HTTP answer, so the invocation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the payload is not an HTTP event; invoke this function through an API Gateway HTTP API or REST API, a function URL \
     or an Application Load Balancer"
)]
pub struct NotHttp;

impl From<NotHttp> for Diagnostic {
    fn from(error: NotHttp) -> Self {
        Self { error_type: "NotAnHttpEvent".to_owned(), error_message: error.to_string() }
    }
}

/// The events of all front doors. What is raw is read only where a front door needs it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "B: Deserialize<'de> + Default"))]
struct Event<'a, B> {
    #[serde(borrow)]
    request_context: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(default)]
    body: B,
    #[serde(borrow)]
    is_base64_encoded: Option<&'a RawValue>,
    // Payload format 2.0.
    #[serde(borrow)]
    raw_path: Option<&'a RawValue>,
    #[serde(borrow)]
    raw_query_string: Option<&'a RawValue>,
    #[serde(borrow)]
    cookies: Option<&'a RawValue>,
    // Payload format 1.0 and load balancers.
    #[serde(borrow)]
    http_method: Option<&'a RawValue>,
    #[serde(borrow)]
    path: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_value_headers: Option<&'a RawValue>,
    #[serde(borrow)]
    query_string_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_value_query_string_parameters: Option<&'a RawValue>,
    // Payload format 1.0.
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    path_parameters: Option<&'a RawValue>,
}

/// What a front door says of itself and of the request.
#[derive(Deserialize)]
struct RequestContext<'a> {
    #[serde(borrow)]
    http: Option<&'a RawValue>,
    elb: Option<IgnoredAny>,
    #[serde(borrow)]
    stage: Option<&'a RawValue>,
    #[serde(borrow)]
    authorizer: Option<&'a RawValue>,
    #[serde(borrow)]
    identity: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct HttpContext<'a> {
    #[serde(borrow)]
    method: Option<&'a RawValue>,
}

/// An event with what is needed to read the rest of it.
struct Recognised<'a> {
    front_door: FrontDoor,
    method: &'a RawValue,
    stage: Option<&'a RawValue>,
    caller: CallerContext<'a>,
}

/// Reads an event.
///
/// # Errors
/// [`NotHttp`]
pub(super) fn read(payload: &[u8]) -> Result<Received, NotHttp> {
    if let Ok(event) = serde_json::from_slice::<Event<'_, Option<Text<'_>>>>(payload) {
        let recognised = event.recognised().ok_or(NotHttp)?;
        let caller = match recognised.front_door {
            FrontDoor::HttpApi => recognised.caller.in_format_2(),
            FrontDoor::RestApi => recognised.caller.in_format_1(),
            FrontDoor::LoadBalancer { .. } => None,
        };
        return Ok(Received { front_door: recognised.front_door, caller, request: event.into_request(&recognised) });
    }
    let event: Event<'_, IgnoredAny> = serde_json::from_slice(payload).map_err(|_| NotHttp)?;
    let front_door = event.recognised().ok_or(NotHttp)?.front_door;
    Ok(Received { front_door, caller: None, request: Err(malformed("the body of the event is not text")) })
}

fn malformed(detail: &str) -> Faults {
    Faults::new(FaultKind::Malformed, detail)
}

/// A part of an event; the type's default when it is missing or null.
fn part<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> Result<T, Faults> {
    raw.map_or_else(|| Ok(T::default()), |raw| serde_json::from_str(raw.get())).map_err(|_| {
        malformed("a header, parameter or other part of the request is malformed, for example because of a line break")
    })
}

fn text(raw: Option<&RawValue>) -> Result<Cow<'_, str>, Faults> {
    part::<Text<'_>>(raw).map(|Text(text)| text)
}

impl<'a, B> Event<'a, B> {
    /// Tells the front door by what only its events have.
    fn recognised(&self) -> Option<Recognised<'a>> {
        let context: RequestContext<'a> = serde_json::from_str(self.request_context?.get()).ok()?;
        let RequestContext { http, elb, stage, authorizer, identity } = context;
        let caller = CallerContext { authorizer, identity };
        let http: Option<HttpContext<'a>> = http.and_then(|http| serde_json::from_str(http.get()).ok());
        let is_text = |method: &&RawValue| method.get().starts_with('"');
        if let Some(method) = http.and_then(|http| http.method).filter(is_text) {
            return Some(Recognised { front_door: FrontDoor::HttpApi, method, stage, caller });
        }
        let method = self.http_method.filter(is_text)?;
        let front_door = match elb {
            Some(_) => FrontDoor::LoadBalancer { multi_value: self.multi_value_headers.is_some() },
            None => FrontDoor::RestApi,
        };
        Some(Recognised { front_door, method, stage, caller })
    }

    fn headers(&self, front_door: FrontDoor) -> Result<HeaderMap, Faults> {
        let pairs = match front_door {
            FrontDoor::HttpApi => part(self.headers)?,
            _ => first_with_any(self.multi_value_headers, self.headers)?,
        };
        let mut headers = pairs
            .to_headers()
            .ok_or_else(|| malformed("a header is malformed, for example because of a line break"))?;
        if !headers.get_all(HOST).iter().all(|host| host.to_str().is_ok_and(is_host)) {
            return Err(malformed("the header `Host` is malformed"));
        }
        if let (FrontDoor::HttpApi, Some(_)) = (front_door, self.cookies) {
            let cookies: Vec<Text<'_>> = part(self.cookies)?;
            let cookies: Vec<&str> = cookies.iter().map(|Text(cookie)| cookie.as_ref()).collect();
            let header = HeaderValue::from_str(&cookies.join("; ")).map_err(|_| malformed("a cookie is malformed"))?;
            headers.insert(COOKIE, header);
        }
        Ok(headers)
    }

    fn uri(&self, recognised: &Recognised<'a>) -> Result<Uri, Faults> {
        let parameters = || first_with_any(self.multi_value_query_string_parameters, self.query_string_parameters);
        let uri = match recognised.front_door {
            FrontDoor::HttpApi => {
                let (path, stage) = (text(self.raw_path)?, text(recognised.stage)?);
                uri(without_stage(&path, &stage), &text(self.raw_query_string)?)
            }
            FrontDoor::RestApi => {
                let (path, resource) = (text(self.path)?, text(self.resource)?);
                let path = match resource.starts_with('/') {
                    true => without_base_path(&path, &resource, &part(self.path_parameters)?),
                    // The route `$default` of an HTTP API.
                    false => without_stage(&path, &text(recognised.stage)?),
                };
                uri(path, &encoded_query(&parameters()?))
            }
            FrontDoor::LoadBalancer { .. } => uri(&text(self.path)?, &raw_query(&parameters()?)),
        };
        uri.map_err(malformed)
    }
}

/// The multi-value form if it has any, otherwise the single one, which lacks what is repeated.
fn first_with_any<'a>(multi: Option<&'a RawValue>, single: Option<&'a RawValue>) -> Result<Pairs<'a>, Faults> {
    let pairs: Pairs<'a> = part(multi)?;
    if pairs.0.is_empty() { part(single) } else { Ok(pairs) }
}

impl<'a> Event<'a, Option<Text<'a>>> {
    fn into_request(self, recognised: &Recognised<'a>) -> Result<Request<Bytes>, Faults> {
        let method = text(Some(recognised.method))?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| malformed("the method is malformed"))?;
        let uri = self.uri(recognised)?;
        let headers = self.headers(recognised.front_door)?;
        let is_base64 = part::<bool>(self.is_base64_encoded)?;
        let Text(body) = self.body.unwrap_or_default();
        let body = match is_base64 {
            true => base64::engine::general_purpose::STANDARD
                .decode(body.as_bytes())
                .map_err(|_| malformed("the body is not valid base64, although isBase64Encoded is true"))?,
            false => body.into_owned().into_bytes(),
        };
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}
