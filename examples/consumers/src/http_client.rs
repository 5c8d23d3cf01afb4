//! Requests to an HTTP endpoint from an async handler.

use std::time::Duration;

use msk_consumer::Outcome;
use msk_shared::env::EnvReader;
use ureq::http::{Request, Response, Uri};
use ureq::{Agent, Body};

/// How long one request may take, the answer included. Ten of them in a row fit into the default timeout of the function, 60 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads `APP_URL`. HTTPS is refused: these examples are for addresses within the VPC, and bring no TLS.
pub(crate) fn endpoint(env: &mut EnvReader) -> Option<Uri> {
    let url =
        env.required("APP_URL", "set it to the address of the endpoint, such as http://intake.internal/orders")?;
    match url.parse::<Uri>() {
        Ok(endpoint) if endpoint.scheme_str() == Some("http") && endpoint.host().is_some() => Some(endpoint),
        _ => {
            env.problem("APP_URL must be an address that begins with http://: this example has no TLS of its own");
            None
        }
    }
}

/// A client that keeps connections and gives every status as an answer.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .timeout_global(Some(REQUEST_TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .build()
        .into()
}

/// Sends a request.
///
/// # Errors
/// [`Outcome::Retry`], with a text that has neither the address nor the record in it.
pub(crate) async fn send(agent: &Agent, request: Request<Vec<u8>>) -> Result<Response<Body>, Outcome> {
    let agent = agent.clone();
    // The client blocks its thread, and the consumer may have just this one.
    let answer = tokio::task::spawn_blocking(move || agent.run(request)).await;
    let error = match answer {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(ureq::Error::Timeout(_))) => "it did not answer in time".to_owned(),
        Ok(Err(ureq::Error::Io(error))) => error.kind().to_string(),
        Ok(Err(_)) => "it does not speak HTTP, or has no address".to_owned(),
        Err(_) => "the request ended early".to_owned(),
    };
    Err(Outcome::Retry(format!("the endpoint cannot be reached: {error}").into()))
}

/// Text as one part of a path.
pub(crate) fn percent_encoded(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
