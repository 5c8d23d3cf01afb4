//! Requests over HTTP and HTTPS from an async handler.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use msk_consumer::Outcome;
use msk_shared::env::EnvReader;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// A request.
pub type Request = http::Request<Bytes>;
/// An answer. Its body is empty if it is too large to be read, or not there in time.
pub type Response = http::Response<Bytes>;

/// How long one request may take, the answer included. Ten of them in a row fit into the default timeout of the function, 60 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting may take: all addresses of a host share it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest body that is read. DynamoDB answers with an item of up to 400 KB, which is up to nine times that in its JSON.
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// Connections are given up after this much time without a request, by the wall clock: Lambda may have frozen the environment, and
/// the other side of a connection has gone then without this side's knowledge.
const LONGEST_SILENCE: Duration = Duration::from_secs(20);
/// Trusted roots: of Lambda's image (Amazon Linux) and of Debian.
const ROOTS: [&str; 2] = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];

type Connections = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that keeps connections and gives every status as an answer. It follows no redirects.
#[derive(Debug)]
pub struct HttpClient {
    connector: HttpsConnector<HttpConnector>,
    connections: Mutex<(Connections, SystemTime)>,
}

impl HttpClient {
    /// A client for `endpoint`, which trusts the roots in the PEM file that `APP_CA_FILE` names, or the system's. Notes in `env` if
    /// there are none and the endpoint needs them.
    pub fn from_env(env: &mut EnvReader, endpoint: &http::Uri) -> Option<Self> {
        let file = env.optional("APP_CA_FILE").map(PathBuf::from);
        if endpoint.scheme_str() != Some("https") {
            return Some(Self::new(RootCertStore::empty()));
        }
        let is_given = file.is_some();
        let file = file.or_else(|| ROOTS.into_iter().map(PathBuf::from).find(|path| path.is_file()));
        let roots = file.and_then(|file| {
            let mut roots = RootCertStore::empty();
            let certificates = CertificateDer::pem_file_iter(file).ok()?.flatten();
            let (added, _unreadable) = roots.add_parsable_certificates(certificates);
            (added > 0).then_some(roots)
        });
        if roots.is_none() {
            env.problem(if is_given {
                "APP_CA_FILE must name a PEM file with the certificates of trusted authorities; this one cannot be read, or has none"
            } else {
                "APP_CA_FILE must name a PEM file with the certificates of trusted authorities; there is none in the system's places"
            });
        }
        roots.map(Self::new)
    }

    /// A client for addresses that begin with `http://`.
    pub fn without_tls() -> Self {
        Self::new(RootCertStore::empty())
    }

    fn new(roots: RootCertStore) -> Self {
        // Named provider: other crates of a workspace build may switch on a second one.
        let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS);
        #[expect(clippy::expect_used, reason = "the provider has a cipher suite for each of the versions")]
        let tls = tls.expect("TLS 1.2 and 1.3").with_root_certificates(roots).with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let connections = Mutex::new((connections(&connector), SystemTime::now()));
        Self { connector, connections }
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// [`Outcome::Retry`] if there is none, with a text that has neither the address nor the record in it.
    pub async fn send(&self, request: Request) -> Result<Response, Outcome> {
        let until = Instant::now() + REQUEST_TIMEOUT;
        let answer = timeout_at(until, self.connections().request(request.map(Full::new))).await;
        let answer = match answer {
            Ok(answer) => answer.map_err(|error| describe(&error)),
            Err(_) => Err("it did not answer in time".to_owned()),
        };
        let answer =
            answer.map_err(|error| Outcome::Retry(format!("the endpoint cannot be reached: {error}").into()))?;
        let (head, body) = answer.into_parts();
        // The status says what has happened, whatever becomes of the body.
        let body = timeout_at(until, Limited::new(body, LARGEST_BODY).collect()).await;
        let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
        Ok(Response::from_parts(head, body))
    }

    /// Those that are there, unless they have been silent for so long that they may be dead.
    fn connections(&self) -> Connections {
        let mut kept = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        // A clock that was set back makes no connection older.
        if now.duration_since(kept.1).is_ok_and(|silence| silence > LONGEST_SILENCE) {
            kept.0 = connections(&self.connector);
        }
        kept.1 = now;
        kept.0.clone()
    }
}

fn connections(connector: &HttpsConnector<HttpConnector>) -> Connections {
    Client::builder(TokioExecutor::new()).build(connector.clone())
}

/// The kind of failure, without address.
fn describe(error: &(dyn Error + 'static)) -> String {
    let (mut cause, mut kind) = (Some(error), None);
    while let Some(error) = cause {
        // hyper-util says no more of it, and what stands below has no kind.
        if error.to_string() == "dns error" {
            return "its name has no address".to_owned();
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return describe_tls(error).to_owned();
        }
        // An `io::Error` is no source of what it holds.
        cause = match error.downcast_ref::<std::io::Error>() {
            Some(error) => {
                kind = Some(error.kind());
                error.get_ref().map(|error| error as &(dyn Error + 'static))
            }
            None => error.source(),
        };
    }
    kind.map_or_else(|| "it closed the connection, or does not speak HTTP".to_owned(), |kind| kind.to_string())
}

/// What is wrong with a certificate is not said: the text could name the host.
fn describe_tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            "its certificate has ended, is for another name, or is of an authority that is not trusted"
        }
        _ => "the TLS handshake failed",
    }
}

/// Reads a variable that holds an address.
pub(crate) fn endpoint(env: &mut EnvReader, name: &'static str, text: &str) -> Option<http::Uri> {
    match text.trim().parse::<http::Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => Some(uri),
        _ => {
            env.problem(format!("{name} must be an address that begins with https:// or http://"));
            None
        }
    }
}

/// Reads `APP_URL` and makes a client for it.
pub(crate) fn from_app_url(env: &mut EnvReader) -> Option<(http::Uri, HttpClient)> {
    let why = "set it to the address of the endpoint, such as https://intake.internal/orders";
    let text = env.required("APP_URL", why)?;
    let endpoint = endpoint(env, "APP_URL", &text)?;
    let client = HttpClient::from_env(env, &endpoint)?;
    Some((endpoint, client))
}

/// Text as one part of a path.
pub(crate) fn percent_encoded(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
