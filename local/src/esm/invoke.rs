//! Invokes the function through any Invoke endpoint, and understands each endpoint's way of reporting what happened.
//!
//! The client is asynchronous, so that a timeout or a stop drops the request and closes its connection; a blocking client would
//! keep a thread until the endpoint answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::environments::{EndpointEnvironments, Environment, Environments};
use super::invoke_client::{InvokeClient, InvokeFault, InvokerError};
use super::mapping::LocalSettings;
use super::setting_flags::setting;
use super::validate::aws_limits::FUNCTION_TIMEOUT_SECONDS;

/// Longest part of a function's own error text that is reported.
const EXCERPT_CHARACTERS: usize = 300;
/// How long a request that timed out here may still use its environment: the longest timeout of a function with a Kafka mapping.
const LONGEST_ABANDONED: Duration = Duration::from_secs(FUNCTION_TIMEOUT_SECONDS as u64);

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
    client: InvokeClient,
    environments: EndpointEnvironments,
    timeout: Duration,
    first_timeout: Duration,
    startup_grace: Duration,
    started: Instant,
    answered: AtomicBool,
    refused: AtomicBool,
    abandoned: AtomicBool,
}

impl Invoker {
    pub(super) fn new(settings: &LocalSettings, environments: &Environments) -> Result<Self, InvokerError> {
        Ok(Self {
            client: InvokeClient::new(settings)?,
            environments: environments.endpoint(&settings.invoke_url, settings.max_concurrency),
            timeout: settings.function_timeout,
            first_timeout: settings.first_invocation_timeout,
            startup_grace: settings.startup_grace,
            started: Instant::now(),
            answered: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        })
    }

    /// Whether the endpoint was called and has never answered.
    pub(super) fn never_answered(&self) -> bool {
        self.refused.load(Ordering::Relaxed) && !self.answered.load(Ordering::Relaxed)
    }

    /// Whether the endpoint has answered an invocation.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether it has, besides, used up its time to start.
    pub(super) fn never_came_up(&self) -> bool {
        self.never_answered() && self.started.elapsed() >= self.startup_grace
    }

    /// Waits until the endpoint may be sent one more request.
    pub(super) async fn environment(&self) -> Environment {
        self.environments.take().await
    }

    /// Invokes once, within a time limit: an endpoint whose function died may keep the request open forever.
    pub(super) async fn invoke(&self, event: Vec<u8>, environment: Environment) -> Observation {
        let limit = if self.answered.load(Ordering::Relaxed) { self.timeout } else { self.first_timeout };
        let request = post(self.client.clone(), event, self.answered.load(Ordering::Relaxed));
        let observation = match environment.0 {
            None => tokio::time::timeout(limit, request).await,
            Some(_) => self.invoke_in(environment, limit, request).await,
        };
        let observation = observation.unwrap_or_else(|_| {
            let setting = setting("Local.functionTimeoutSeconds");
            Observation::Timeout(format!("no answer within {} s; {setting} is the longest", limit.as_secs_f64()))
        });
        let flag = if matches!(observation, Observation::Unreachable(_)) { &self.refused } else { &self.answered };
        flag.store(true, Ordering::Relaxed);
        observation
    }

    /// The environment is free only when the request has ended, even if nobody waits for it any more: the function still runs.
    async fn invoke_in(
        &self,
        environment: Environment,
        limit: Duration,
        request: impl Future<Output = Observation> + Send + 'static,
    ) -> Result<Observation, tokio::time::error::Elapsed> {
        let mut running = tokio::spawn(async move {
            let ended = tokio::time::timeout(limit + LONGEST_ABANDONED, request).await;
            drop(environment);
            ended
        });
        match tokio::time::timeout(limit, &mut running).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(ended)) => Ok(Observation::Unreachable(format!("the request ended early: {ended}"))),
            Err(elapsed) => {
                if !self.abandoned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "an invocation timed out and still runs: its environment counts as taken ({}) until it ends",
                        setting("Local.maxConcurrency")
                    );
                }
                Err(elapsed)
            }
        }
    }
}

/// Sends the request and reads its answer. Without a connection the function was not reached; after that, whatever happens is an
/// invocation, as on AWS (`Runtime.ExitError`). Only a container's port that is published before anything listens behind it
/// (Docker's proxy) resets connections without having `answered` before.
async fn post(client: InvokeClient, event: Vec<u8>, answered: bool) -> Observation {
    match client.post(event).await {
        Ok(answer) => classify(answer.status, answer.marked, answer.body),
        Err(InvokeFault::NotConnected(cause)) => {
            Observation::Unreachable(format!("the endpoint cannot be reached: {cause}"))
        }
        Err(InvokeFault::Reset(cause)) if !answered => {
            Observation::Unreachable(format!("the endpoint cannot be reached: {cause}"))
        }
        Err(InvokeFault::Reset(cause) | InvokeFault::CutOff(cause)) => Observation::FunctionError(format!(
            "Runtime.ExitError: the endpoint closed the connection without an answer ({cause}); was the function killed, for \
             example for its memory?"
        )),
        Err(InvokeFault::TooLarge(limit)) => Observation::FunctionError(format!(
            "Function.ResponseSizeTooLarge: the response is larger than {limit} bytes"
        )),
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
    let error = described_error(&body, marked);
    match status {
        200..=299 if marked => error
            .unwrap_or_else(|| Observation::FunctionError("the endpoint marked the invocation as failed".to_owned())),
        200..=299 => match error {
            Some(error) => error,
            None if body.starts_with(TIMED_OUT.as_bytes()) => Observation::Timeout(excerpt(&body)),
            None => Observation::Returned(body),
        },
        408 | 504 => Observation::Timeout(format!("the endpoint answered {status}")),
        429 => Observation::Throttled,
        500 | 502 => error.unwrap_or_else(|| {
            Observation::Unreachable(format!("the endpoint answered {status} without a function error"))
        }),
        400 => Observation::Unreachable(format!(
            "the endpoint answered 400: either it does not take invocations (check {}), or it is busy with another one and takes \
             no second (set {})",
            setting("Local.invokeUrl"),
            setting("Local.maxConcurrency")
        )),
        404 => Observation::Unreachable(format!(
            "the endpoint answered 404: it has no function with this name (yet); check {} and {}",
            setting("FunctionName"),
            setting("Local.invokeUrl")
        )),
        _ => Observation::Unreachable(format!("the endpoint answered {status}; check {}", setting("Local.invokeUrl"))),
    }
}

/// How AWS's texts of a timeout begin.
const TIMED_OUT: &str = "Task timed out after ";

/// Whether a function's response is how endpoints report an error; returned by a handler on AWS, it would be a success.
pub(super) fn is_error_report(response: &[u8]) -> bool {
    described_error(response, false).is_some()
}

/// The error that a body describes: it has `errorType` and `errorMessage`, but no batch response with them. In a response that
/// is `marked` as failed, one of the two is enough.
fn described_error(body: &[u8], marked: bool) -> Option<Observation> {
    let parsed: ErrorBody = serde_json::from_slice(body).ok()?;
    if parsed.batch_item_failures.is_some() && !marked {
        return None;
    }
    match (parsed.error_type, parsed.error_message) {
        (Some(name), Some(message)) => {
            let text = excerpt(format!("{name}: {message}").as_bytes());
            Some(if name == "Sandbox.Timedout" { Observation::Timeout(text) } else { Observation::FunctionError(text) })
        }
        // AWS names no type for a timeout in older texts: "2026-01-31T09:00:00Z ID Task timed out after 3.00 seconds".
        (None, Some(message)) if marked && message.contains(TIMED_OUT) => {
            Some(Observation::Timeout(excerpt(message.as_bytes())))
        }
        (Some(text), None) | (None, Some(text)) if marked => Some(Observation::FunctionError(excerpt(text.as_bytes()))),
        _ => None,
    }
}

/// The beginning of a text, in one line.
fn excerpt(text: &[u8]) -> String {
    let words = String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(EXCERPT_CHARACTERS).collect()
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
            (200, true, br#"{"errorType":"E"}"#, "function error"),
            (200, true, br#"{"errorMessage":5}"#, "function error"),
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
    fn a_timeout_is_told_with_its_text_whether_or_not_it_has_a_type() {
        let message = "2026-01-31T09:00:00Z 7b2a Task timed out after 3.00 seconds";
        let typed = format!(r#"{{"errorType":"Sandbox.Timedout","errorMessage":"{message}"}}"#);
        let untyped = format!(r#"{{"errorMessage":"{message}"}}"#);
        for body in [typed, untyped] {
            let Observation::Timeout(text) = classify(200, true, body.into_bytes()) else { panic!("no timeout") };
            assert!(text.ends_with("Task timed out after 3.00 seconds"), "{text}");
        }
        let of_a_handler = r#"{"errorType":"TimeoutError","errorMessage":"Task timed out after 1 s"}"#;
        assert_eq!(name(200, true, of_a_handler.as_bytes()), "function error");
        let Observation::FunctionError(text) = classify(200, true, br#"{"errorMessage":"no\n type"}"#.to_vec()) else {
            panic!("no error")
        };
        assert_eq!(text, "no type", "in one line");
    }

    #[test]
    fn a_long_error_is_shortened() {
        let body = format!(r#"{{"errorType":"E","errorMessage":"{}"}}"#, "ü".repeat(5000));
        let Observation::FunctionError(text) = classify(500, false, body.into_bytes()) else { panic!("not an error") };
        assert_eq!(text.chars().count(), EXCERPT_CHARACTERS);
    }
}
