//! Between AWS Lambda and a function: report that it cannot start, or take an invocation, handle it, post its answer, and
//! again.
//!
//! `lambda_runtime`'s own loop puts each invocation's trace id into the environment. glibc's `setenv` never frees a value
//! that it replaces, so memory would grow by about 160 bytes with every invocation; and librdkafka's threads may read the
//! environment at any time. This loop leaves the environment alone (no X-Ray SDK that would read it is linked) and passes
//! payloads on as they were received: nothing parses or quotes them on the way. It does not support SnapStart: connections to
//! brokers do not survive a snapshot.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

mod api_connection;

use std::convert::Infallible;
use std::fmt::Display;
use std::num::NonZeroU16;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::select_all;
use http::{HeaderMap, HeaderValue, StatusCode};
use lambda_runtime::{Context, Diagnostic};
use serde::Serialize;

use api_connection::{ApiConnection, ApiRequest, RuntimeAnswer};

/// Where the Runtime API listens.
const ADDRESS: &str = "AWS_LAMBDA_RUNTIME_API";
/// How many invocations a Lambda Managed Instance sends to one process at a time; elsewhere it is not set.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-runtimes.html>
const MAX_CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const DEADLINE: &str = "lambda-runtime-deadline-ms";
/// If this header comes with an invocation, it is sent back with the response.
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
/// What keeps a function from starting is its configuration. AWS asks for the form `category.reason`.
const START_FAULT: &str = "Runtime.ConfigInvalid";
/// The Runtime API is on the same host; a process that waits longer for it would only end later.
const START_REPORT: Duration = Duration::from_secs(2);

/// Why no more invocations can be received. The process should end; Lambda starts a new one.
///
/// ```
/// use bytes::Bytes;
/// use lambda_runtime::{Context, Diagnostic};
/// use msk_shared::runtime::{RuntimeError, serve};
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// // Outside of Lambda no variable names the Runtime API.
/// let echo = |payload: Bytes, _: Context| async move { Ok::<_, Diagnostic>(payload.len()) };
/// assert!(matches!(serve(echo).await, Err(RuntimeError::Address)));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The address of the Runtime API is missing or invalid.
    #[error("{ADDRESS} must be host:port or an http URL with a host")]
    Address,
    /// The number of invocations at a time is none.
    #[error("{MAX_CONCURRENCY} must be a number from 1 to 65535")]
    Concurrency,
    /// The Runtime API cannot be reached.
    #[error("the Lambda Runtime API failed: {0}")]
    Api(std::io::Error),
    /// The Runtime API answered the request for the next invocation with an error.
    #[error("the Lambda Runtime API answered {0} to the request for the next invocation")]
    NoNext(StatusCode),
    /// An invocation has no request id or no deadline, or a malformed header.
    #[error("the Lambda Runtime API sent an invocation without {0}, or with a malformed header")]
    Header(&'static str),
}

/// An invocation as received.
struct NextInvocation {
    payload: Bytes,
    context: Context,
    id: Option<HeaderValue>,
}

/// Answers invocations with `handle` until the Runtime API fails: one after the other, or as many at a time as Lambda says. An
/// error returned by `handle`, or a panic in it, fails only that invocation.
///
/// ```no_run
/// use bytes::Bytes;
/// use lambda_runtime::{Context, Diagnostic};
///
/// # async fn run() -> Result<(), msk_shared::runtime::RuntimeError> {
/// let echo = |payload: Bytes, _: Context| async move { Ok::<_, Diagnostic>(payload.len()) };
/// match msk_shared::runtime::serve(echo).await? {}
/// # }
/// ```
///
/// # Errors
/// [`RuntimeError`]
pub async fn serve<A, Handled>(handle: impl Fn(Bytes, Context) -> Handled) -> Result<Infallible, RuntimeError>
where
    A: Serialize,
    Handled: Future<Output = Result<A, Diagnostic>>,
{
    let concurrency = concurrency(std::env::var(MAX_CONCURRENCY).ok().as_deref())?;
    // Each takes, handles and answers on a connection of its own.
    let loops = (0..concurrency.get()).map(|_| Box::pin(one_after_the_other(&handle)));
    select_all(loops).await.0
}

fn concurrency(text: Option<&str>) -> Result<NonZeroU16, RuntimeError> {
    text.map_or(Ok(NonZeroU16::MIN), |text| text.parse().map_err(|_| RuntimeError::Concurrency))
}

async fn one_after_the_other<A, Handled>(
    handle: &impl Fn(Bytes, Context) -> Handled,
) -> Result<Infallible, RuntimeError>
where
    A: Serialize,
    Handled: Future<Output = Result<A, Diagnostic>>,
{
    let mut api = runtime_api()?;
    loop {
        let Some(NextInvocation { payload, context, id }) = next(&mut api).await? else { continue };
        let request_id = context.request_id.clone();
        let handled = AssertUnwindSafe(async { handle(payload, context).await }).catch_unwind().await;
        let (kind, body) = match handled {
            Ok(Ok(answer)) => match serde_json::to_vec(&answer) {
                Ok(body) => ("response", body),
                Err(_) => ("error", failure("Unserializable", "the response cannot be serialised as JSON")),
            },
            Ok(Err(diagnostic)) => ("error", failure(&diagnostic.error_type, &diagnostic.error_message)),
            Err(_) => ("error", failure("Panic", "the function panicked; its log has a line that says where")),
        };
        post(&mut api, &request_id, id.as_ref(), kind, &body).await?;
    }
}

/// Passes on how a function's start went. A fault is posted to Lambda first, whose own report would only say that the process
/// has ended. The process should end then.
///
/// ```
/// use msk_shared::env::EnvReader;
/// use msk_shared::runtime::report_start;
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let mut env = EnvReader::new([("APP_LIMIT", "5")]);
/// let url = env.required("APP_URL", "set it to the address of the endpoint");
/// // On Lambda the error shows this text; elsewhere it is only passed on.
/// let error = report_start(env.finish(url)).await.unwrap_err();
/// assert!(error.to_string().contains("APP_URL is missing"));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// That of `started`, whose text must hold no secret.
pub async fn report_start<T, E: Display>(started: Result<T, E>) -> Result<T, E> {
    if let Err(fault) = &started {
        let posted = tokio::time::timeout(START_REPORT, post_start_fault(&fault.to_string())).await;
        // The fault itself is logged at the boundary.
        match posted {
            Ok(Ok(status)) if status.is_success() => {}
            Ok(Ok(status)) => tracing::debug!(status = status.as_u16(), "Lambda did not take the report of the start"),
            Ok(Err(error)) => tracing::debug!(%error, "the start could not be reported to Lambda"),
            Err(_) => tracing::debug!("Lambda did not answer the report of the start"),
        }
    }
    started
}

async fn post_start_fault(message: &str) -> Result<StatusCode, RuntimeError> {
    let document =
        serde_json::json!({ "errorType": START_FAULT, "errorMessage": message, "stackTrace": [] }).to_string();
    let request = ApiRequest {
        method: "POST",
        path: "/2018-06-01/runtime/init/error",
        headers: &[(ERROR_TYPE, START_FAULT.as_bytes())],
        body: document.as_bytes(),
    };
    Ok(runtime_api()?.call(request).await.map_err(RuntimeError::Api)?.status)
}

fn runtime_api() -> Result<ApiConnection, RuntimeError> {
    std::env::var(ADDRESS).ok().and_then(|address| ApiConnection::new(&address)).ok_or(RuntimeError::Address)
}

/// Lambda's JSON for a failed invocation.
fn failure(error_type: &str, error_message: &str) -> Vec<u8> {
    serde_json::json!({ "errorType": error_type, "errorMessage": error_message }).to_string().into_bytes()
}

/// Waits for the next invocation, however long that takes: Lambda freezes the process meanwhile. `None` when there is none
/// yet, as `cargo lambda watch` says from time to time.
async fn next(api: &mut ApiConnection) -> Result<Option<NextInvocation>, RuntimeError> {
    let request = ApiRequest { method: "GET", path: "/2018-06-01/runtime/invocation/next", headers: &[], body: b"" };
    let RuntimeAnswer { status, headers, body } = api.call(request).await.map_err(RuntimeError::Api)?;
    match status {
        StatusCode::NO_CONTENT => return Ok(None),
        status if !status.is_success() => return Err(RuntimeError::NoNext(status)),
        _ => {}
    }
    let context = context(&headers)?;
    Ok(Some(NextInvocation { payload: body, context, id: headers.get(INVOCATION_ID).cloned() }))
}

fn context(headers: &HeaderMap) -> Result<Context, RuntimeError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(RuntimeError::Header(name));
    let request_id = text(REQUEST_ID)?;
    // `Context::new` panics without it.
    text(DEADLINE)?;
    // The function's name and memory size are not needed: they are in the environment too.
    Context::new(request_id, Arc::default(), headers).map_err(|_| RuntimeError::Header(DEADLINE))
}

async fn post(
    api: &mut ApiConnection,
    request_id: &str,
    id: Option<&HeaderValue>,
    kind: &str,
    body: &[u8],
) -> Result<(), RuntimeError> {
    let path = format!("/2018-06-01/runtime/invocation/{request_id}/{kind}");
    let error_type = (kind == "error").then_some((ERROR_TYPE, b"unhandled".as_slice()));
    let id = id.map(|id| (INVOCATION_ID, id.as_bytes()));
    let headers: Vec<_> = error_type.into_iter().chain(id).collect();
    let request = ApiRequest { method: "POST", path: &path, headers: &headers, body };
    let status = api.call(request).await.map_err(RuntimeError::Api)?.status;
    if !status.is_success() {
        // Too late or too large: Lambda itself has failed the invocation.
        tracing::error!(request_id, status = status.as_u16(), "Lambda did not accept the response");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn lambda_says_how_many_invocations_come_at_a_time() {
        assert_eq!(concurrency(None).unwrap().get(), 1);
        assert_eq!(concurrency(Some("16")).unwrap().get(), 16);
        for text in ["", "0", "-1", "1.5", "many", "65536"] {
            let error = concurrency(Some(text)).unwrap_err().to_string();
            assert!(error.starts_with("AWS_LAMBDA_MAX_CONCURRENCY must be"), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_invocation_has_an_id_and_a_deadline() {
        let whole = context(&headers(&[(REQUEST_ID, "request-7"), (DEADLINE, "1500")])).unwrap();
        assert_eq!((whole.request_id.as_str(), whole.deadline), ("request-7", 1500));
        for (headers_of, name) in [
            (headers(&[(DEADLINE, "1500")]), REQUEST_ID),
            (headers(&[(REQUEST_ID, "request-7")]), DEADLINE),
            (headers(&[(REQUEST_ID, "request-7"), (DEADLINE, "soon")]), DEADLINE),
        ] {
            let error = context(&headers_of).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
