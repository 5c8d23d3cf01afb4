//! Invokes the function through any Invoke endpoint, and understands each endpoint's way of reporting what happened.
//!
//! The client is asynchronous (reqwest), so that a timeout or a stop drops the request and closes its connection; a
//! blocking client would keep a thread until the endpoint answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use serde::Deserialize;

use super::mapping::LocalSettings;

/// Largest response of a synchronous invocation in bytes (AWS Lambda quotas: 6 MB).
const MAX_ANSWER_BYTES: usize = 6_291_556;
/// Longest part of a function's own error text that is reported.
const EXCERPT_CHARACTERS: usize = 300;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The observed result of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Observation {
    /// The function returned this.
    Returned(Vec<u8>),
    /// The function failed: it returned an error, panicked, exited or did not start.
    FunctionError(String),
    /// The function did not answer in time.
    Timeout(String),
    /// The endpoint has no free instance. This is not a function error: only the record age ends the retries.
    Throttled,
    /// The function was not reached. This does not count as an attempt.
    Unreachable(String),
}

/// Posts events to one function.
pub(super) struct Invoker {
    client: reqwest::Client,
    url: String,
    timeout: Duration,
    startup_grace: Duration,
    started: Instant,
    answered: AtomicBool,
    refused: AtomicBool,
}

/// The Invoke endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for {url} cannot be created: {source}")]
pub struct InvokerError {
    url: String,
    source: reqwest::Error,
}

impl Invoker {
    pub(super) fn new(settings: &LocalSettings) -> Result<Self, InvokerError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|source| InvokerError { url: settings.invoke_url.clone(), source })?;
        Ok(Self {
            client,
            url: settings.invoke_url.clone(),
            timeout: settings.function_timeout,
            startup_grace: settings.startup_grace,
            started: Instant::now(),
            answered: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        })
    }

    /// Whether the endpoint was called, has never answered, and has used up its time to start.
    pub(super) fn never_came_up(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
            && !self.answered.load(Ordering::Relaxed)
            && self.started.elapsed() >= self.startup_grace
    }

    /// Invokes once, within a time limit: an endpoint whose function died may keep the request open forever.
    pub(super) async fn invoke(&self, event: Vec<u8>) -> Observation {
        // The first response of `cargo lambda watch` may have to wait for a build.
        let limit =
            if self.answered.load(Ordering::Relaxed) { self.timeout } else { self.timeout.max(self.startup_grace) };
        let observation = match tokio::time::timeout(limit, self.post(event)).await {
            Ok(Ok(observation)) => observation,
            Ok(Err(error)) => Observation::Unreachable(describe(&error)),
            Err(_) => Observation::Timeout(format!("no answer within {} s", limit.as_secs_f64())),
        };
        let flag = if matches!(observation, Observation::Unreachable(_)) { &self.refused } else { &self.answered };
        flag.store(true, Ordering::Relaxed);
        observation
    }

    async fn post(&self, event: Vec<u8>) -> Result<Observation, reqwest::Error> {
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("x-amz-invocation-type", "RequestResponse")
            .body(event);
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let marked = response.headers().contains_key("x-amz-function-error");
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return Ok(Observation::FunctionError(format!(
                    "Function.ResponseSizeTooLarge: the response is larger than {MAX_ANSWER_BYTES} bytes"
                )));
            }
        }
        Ok(classify(status, marked, body))
    }
}

/// The members by which every Lambda endpoint describes an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody {
    error_type: Option<String>,
    error_message: Option<String>,
    batch_item_failures: Option<serde::de::IgnoredAny>,
}

/// Reads an HTTP response; `marked` says whether it has the header `X-Amz-Function-Error`.
///
/// | Endpoint | Function error | Init error | Timeout |
/// |---|---|---|---|
/// | AWS, LocalStack | 200 and the header | 200 and the header | 200 and the header |
/// | `cargo lambda watch` | 500 | 200 with an error body | 408 |
/// | AWS runtime interface emulator | 200 with an error body | 502 | 200 with plain text |
fn classify(status: u16, marked: bool, body: Vec<u8>) -> Observation {
    let error = described_error(&body);
    match status {
        200..=299 if marked => {
            failure(error.unwrap_or_else(|| "the endpoint marked the invocation as failed".to_owned()))
        }
        200..=299 => match error {
            Some(error) => failure(error),
            None if body.starts_with(b"Task timed out after ") => Observation::Timeout(excerpt(&body)),
            None => Observation::Returned(body),
        },
        408 | 504 => Observation::Timeout(format!("the endpoint answered {status}")),
        429 => Observation::Throttled,
        500 | 502 => match error {
            Some(error) => failure(error),
            None => Observation::Unreachable(format!("the endpoint answered {status} without a function error")),
        },
        404 => Observation::Unreachable(
            "the endpoint answered 404: it has no function with this name (yet); check FunctionName and Local.invokeUrl"
                .to_owned(),
        ),
        _ => Observation::Unreachable(format!("the endpoint answered {status}; check Local.invokeUrl")),
    }
}

/// The error that a body describes: it has `errorType` and `errorMessage`, but no batch response with them.
fn described_error(body: &[u8]) -> Option<String> {
    let parsed: ErrorBody = serde_json::from_slice(body).ok()?;
    match (parsed.error_type, parsed.error_message, parsed.batch_item_failures) {
        (Some(name), Some(message), None) => Some(excerpt(format!("{name}: {message}").as_bytes())),
        _ => None,
    }
}

fn failure(error: String) -> Observation {
    if error.starts_with("Sandbox.Timedout") { Observation::Timeout(error) } else { Observation::FunctionError(error) }
}

fn excerpt(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(EXCERPT_CHARACTERS).collect()
}

/// The innermost cause tells what happened; the outer ones only repeat the address.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!("the endpoint cannot be reached: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_body() -> Vec<u8> {
        br#"{"errorType":"Runtime.Exit","errorMessage":"exit status 1"}"#.to_vec()
    }

    fn name(status: u16, marked: bool, body: &[u8]) -> &'static str {
        match classify(status, marked, body.to_vec()) {
            Observation::Returned(_) => "answer",
            Observation::FunctionError(_) => "function error",
            Observation::Timeout(_) => "timeout",
            Observation::Throttled => "throttled",
            Observation::Unreachable(_) => "unreachable",
        }
    }

    #[test]
    fn each_endpoints_way_of_reporting_is_read() {
        let error = error_body();
        let cases: &[(u16, bool, &[u8], &str)] = &[
            (200, false, b"", "answer"),
            (200, false, b"null", "answer"),
            (200, false, br#"{"batchItemFailures":[]}"#, "answer"),
            (200, false, br#"{"errorType":"of an order"}"#, "answer"),
            (200, false, br#"{"errorMessage":"of an order"}"#, "answer"),
            (200, false, br#"{"errorType":"a","errorMessage":"b","batchItemFailures":[]}"#, "answer"),
            (200, false, b"not json", "answer"),
            (202, false, b"", "answer"),
            (200, true, b"", "function error"),
            (200, true, &error, "function error"),
            (200, false, &error, "function error"),
            (200, true, br#"{"errorType":"Sandbox.Timedout","errorMessage":"timed out"}"#, "timeout"),
            (200, false, b"Task timed out after 3.00 seconds", "timeout"),
            (408, false, b"", "timeout"),
            (504, false, b"", "timeout"),
            (429, false, br#"{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded"}"#, "throttled"),
            (500, false, &error, "function error"),
            (502, false, &error, "function error"),
            (500, false, b"internal", "unreachable"),
            (502, false, b"", "unreachable"),
            (503, false, b"", "unreachable"),
            (404, false, br#"{"title":"not found","detail":"no function"}"#, "unreachable"),
            (400, false, b"", "unreachable"),
            (301, false, b"", "unreachable"),
        ];
        for (status, marked, body, expected) in cases {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(name(*status, *marked, body), *expected, "{status} marked={marked} {shown}");
        }
    }

    #[test]
    fn a_long_error_is_shortened() {
        let body = format!(r#"{{"errorType":"E","errorMessage":"{}"}}"#, "ü".repeat(5000));
        let Observation::FunctionError(text) = classify(500, false, body.into_bytes()) else { panic!("not an error") };
        assert_eq!(text.chars().count(), EXCERPT_CHARACTERS);
    }
}
