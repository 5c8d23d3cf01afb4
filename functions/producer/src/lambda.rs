//! The producer as a Lambda function: event in, answer out.

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Service};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde::Serialize;
use tower::ServiceExt;

use crate::context::Invocation;
use crate::event_guard::{self, Checked, Refusal};

/// The payload is no HTTP event: nobody waits for an HTTP answer, so the invocation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload is no API Gateway HTTP event (payload format 2.0); invoke this function through its HTTP API")]
pub struct NotHttp;

impl From<NotHttp> for Diagnostic {
    fn from(error: NotHttp) -> Self {
        Self { error_type: "NotAnHttpEvent".to_owned(), error_message: error.to_string() }
    }
}

/// Handles one invocation with the router.
///
/// # Errors
/// [`NotHttp`]; every HTTP event gets an HTTP answer.
pub async fn handle(router: Router, payload: Bytes, context: Context) -> Result<impl Serialize, NotHttp> {
    let invocation = Invocation::new(&context.request_id, context.deadline());
    let checked = match event_guard::check(&payload) {
        Ok(checked) => checked,
        Err(Refusal::BadRequest(problem)) => Checked::refused(problem),
        Err(Refusal::NotHttp) => {
            tracing::error!(request_id = invocation.request_id, "the payload is no HTTP event");
            return Err(NotHttp);
        }
    };
    drop(payload);
    let Checked { event, uri, body, refused } = checked;
    let service = lambda_http::service_fn(move |mut request: lambda_http::Request| {
        // `lambda_http` has made headers, method and request context of the event; address and body are the guard's.
        *request.uri_mut() = uri.clone();
        request.extensions_mut().insert(invocation.clone());
        request.extensions_mut().extend(refused.clone());
        router.clone().oneshot(request.map(|_| Body::from(body.clone())))
    });
    let event = LambdaEvent::new(LambdaRequest::ApiGatewayV2(event), context);
    match Adapter::from(service).call(event).await {
        Ok(answer) => Ok(answer),
        Err(never) => match never {},
    }
}
