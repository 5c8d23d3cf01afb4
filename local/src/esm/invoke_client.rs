//! The HTTP client of an Invoke endpoint, with TLS for `https://`. It follows no redirects and asks no proxy.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio_rustls::rustls::RootCertStore;
use tower::Service;
use tower::util::MapFuture;

use super::endpoint_url;
use super::http_failure::{cause, not_answered};
use super::mapping::LocalSettings;
use super::setting_flags::setting;
use super::trusted_roots::{self, ROOTS_VARIABLE};

/// Largest response of a synchronous invocation in bytes (AWS Lambda quotas: 6 MB).
const MAX_ANSWER_BYTES: usize = 6_291_556;
/// How long connecting may take, with the handshake of TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may wait for the next request. Node's servers close theirs after five seconds: one that is closed while
/// a request is sent looks like a function that was killed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Posts to one endpoint. Cheap to clone; clones share connections.
#[derive(Clone)]
pub(super) struct InvokeClient {
    uri: Uri,
    /// From a user and a password in the URL.
    authorization: Option<HeaderValue>,
    http: Client<Connector, Full<Bytes>>,
}

/// Makes connections, each within its time.
type Connector = MapFuture<HttpsConnector<HttpConnector>, fn(Connecting) -> Connecting>;

/// A connection that is being made.
type Connecting = <HttpsConnector<HttpConnector> as Service<Uri>>::Future;

/// What an endpoint answered.
pub(super) struct InvokeAnswer {
    pub(super) status: u16,
    /// Whether it has the header `X-Amz-Function-Error`.
    pub(super) marked: bool,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer, with what happened.
pub(super) enum InvokeFault {
    /// There was no connection.
    NotConnected(String),
    /// The other side reset the connection.
    Reset(String),
    /// The connection ended before the answer did.
    CutOff(String),
    /// The answer is larger than so many bytes.
    TooLarge(usize),
}

/// The Invoke endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvokerError {
    /// It is no address.
    #[error("{member}: {0}", member = setting("Local.invokeUrl"))]
    Url(String),
    /// The file of authorities cannot be used.
    #[error("{member}: {file} must be a file with the certificates of authorities, as PEM text: {reason}", member = setting("Local.caFile"))]
    Authorities {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nobody to trust.
    #[error(
        "no authorities are known for an endpoint with https://: name a file with them by {member} or {ROOTS_VARIABLE}",
        member = setting("Local.caFile")
    )]
    NoAuthorities,
}

impl InvokeClient {
    /// Reads the files that the endpoint needs. Blocks.
    pub(super) fn new(settings: &LocalSettings) -> Result<Self, InvokerError> {
        let uri = endpoint_url::parse(&settings.invoke_url).map_err(InvokerError::Url)?;
        let tls = trusted_roots::client_builder(roots(settings, &uri)?).with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .build(MapFuture::new(connector, within_time as fn(Connecting) -> Connecting));
        Ok(Self { authorization: authorization(&uri), uri, http })
    }

    /// Sends an event, and reads the answer.
    pub(super) async fn post(&self, event: Vec<u8>) -> Result<InvokeAnswer, InvokeFault> {
        let mut request = Request::new(Full::new(Bytes::from(event)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-amz-invocation-type", HeaderValue::from_static("RequestResponse"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let answer = self.http.request(request).await.map_err(|error| {
            if error.is_connect() { InvokeFault::NotConnected(not_answered(&error, &trust())) } else { broken(&error) }
        })?;
        let (status, marked) = (answer.status().as_u16(), answer.headers().contains_key("x-amz-function-error"));
        let (mut incoming, mut body) = (answer.into_body(), Vec::new());
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if body.len() > MAX_ANSWER_BYTES {
                return Err(InvokeFault::TooLarge(MAX_ANSWER_BYTES));
            }
        }
        Ok(InvokeAnswer { status, marked, body })
    }
}

fn within_time(connecting: Connecting) -> Connecting {
    Box::pin(async move {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        connected.unwrap_or_else(|_| Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()).into()))
    })
}

fn roots(settings: &LocalSettings, uri: &Uri) -> Result<RootCertStore, InvokerError> {
    match (&settings.ca_file, uri.scheme_str()) {
        (Some(file), _) => {
            let wrong = |reason| InvokerError::Authorities { file: file.clone(), reason };
            let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
            trusted_roots::from_pem(&text).map_err(wrong)
        }
        (None, Some("https")) => trusted_roots::from_system().ok_or(InvokerError::NoAuthorities),
        (None, _) => Ok(RootCertStore::empty()),
    }
}

/// Basic authentication with the user and the password before the host.
fn authorization(uri: &Uri) -> Option<HeaderValue> {
    let (user, _) = uri.authority()?.as_str().rsplit_once('@')?;
    let user: Vec<u8> = percent_decode_str(user).collect();
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(user))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What to do about a certificate of an unknown authority.
fn trust() -> String {
    format!("{} names a file with the authorities to trust", setting("Local.caFile"))
}

fn broken(error: &(dyn Error + 'static)) -> InvokeFault {
    let mut inner = Some(error);
    while let Some(error) = inner {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        // The other one is what writing finds, when the reset came before the request was written.
        if matches!(kind, Some(std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe)) {
            return InvokeFault::Reset(error.to_string());
        }
        inner = error.source();
    }
    InvokeFault::CutOff(cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_in_the_address_signs_in() {
        let signed_in =
            |url| authorization(&endpoint_url::parse(url).unwrap()).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(
            signed_in("https://user:p%40ss@host/"),
            Some(format!("Basic {}", BASE64_STANDARD.encode("user:p@ss")))
        );
        assert_eq!(signed_in("https://host/@"), None);
    }
}
