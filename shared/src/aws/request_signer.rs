//! Requests to AWS's services, signed with Signature Version 4.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4::SigningParams;
use http::Request;

use super::credentials::{CredentialsError, CredentialsSource};
use super::region::region;
use crate::env::EnvReader;

/// Credentials that end within this time are replaced: a request may be under way for some of it.
const BEFORE_THE_END: Duration = Duration::from_secs(60);
/// How long credentials without an end serve before they are asked for again, as AWS's SDKs have it for a source that names none.
const WITHOUT_AN_END: Duration = Duration::from_secs(15 * 60);

/// Why a request was not signed. Never includes a credential.
///
/// ```
/// use msk_shared::aws::{RequestSigner, SigningError};
/// use msk_shared::env::EnvReader;
///
/// let variables = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret")];
/// let signer = RequestSigner::from_env(&mut EnvReader::new(variables), "dynamodb").unwrap();
/// let no_text = http::HeaderValue::from_bytes(b"\xff")?;
/// let request = http::Request::post("https://dynamodb.eu-west-1.amazonaws.com/").header("x-note", no_text).body("{}")?;
/// assert_eq!(signer.sign(request).unwrap_err(), SigningError::Request);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The credentials could not be obtained.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The request has a header that is no text, or no address.
    #[error("the request cannot be signed")]
    Request,
}

/// Signs requests to one service with the credentials of the environment: a function's role on Lambda.
///
/// ```
/// use msk_shared::aws::RequestSigner;
/// use msk_shared::env::EnvReader;
///
/// // As Lambda sets them.
/// let variables = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret")];
/// let signer = RequestSigner::from_env(&mut EnvReader::new(variables), "dynamodb").unwrap();
/// let request = http::Request::post("https://dynamodb.eu-west-1.amazonaws.com/").body("{}")?;
/// let signed = signer.sign(request)?;
/// assert!(signed.headers()["authorization"].to_str()?.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RequestSigner {
    service: &'static str,
    region: String,
    credentials: CredentialsSource,
    last: Mutex<Last>,
}

/// What the source of credentials gave last.
#[derive(Default)]
struct Last {
    /// With the time until which they serve by the wall clock, which goes on while the environment is frozen.
    credentials: Option<(Credentials, SystemTime)>,
    /// A failure after them, and when it ended.
    failure: Option<(Instant, CredentialsError)>,
}

impl fmt::Debug for RequestSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSigner")
            .field("service", &self.service)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl RequestSigner {
    /// Reads the region and the source of credentials. `service` is the name that AWS signs for, such as `dynamodb`. `None` if
    /// something is missing, which the reader has noted.
    pub fn from_env(env: &mut EnvReader, service: &'static str) -> Option<Self> {
        let missing = format!("AWS_REGION is missing: requests to {service} are signed for a region");
        let region = region(env, &["AWS_REGION", "AWS_DEFAULT_REGION"], &missing);
        let credentials = CredentialsSource::from_env(env, &format!("requests to {service} are signed"));
        Some(Self { service, region: region?, credentials: credentials?, last: Mutex::default() })
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The request with `Authorization`, `X-Amz-Date` and, for a role's credentials, `X-Amz-Security-Token`. Blocks for a
    /// credentials endpoint's answer, bounded: never call it on an async thread.
    ///
    /// # Errors
    /// [`SigningError`]
    pub fn sign<B: AsRef<[u8]>>(&self, request: Request<B>) -> Result<Request<B>, SigningError> {
        self.sign_with(self.current()?, SystemTime::now(), request)
    }

    fn sign_with<B: AsRef<[u8]>>(
        &self,
        credentials: Credentials,
        at: SystemTime,
        mut request: Request<B>,
    ) -> Result<Request<B>, SigningError> {
        let failed = |_| SigningError::Request;
        let identity = credentials.into();
        let params = SigningParams::builder().identity(&identity).region(&self.region).name(self.service).time(at);
        let params = params.settings(SigningSettings::default()).build().map_err(|_| SigningError::Request)?;
        let headers = request.headers().iter().map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers: Vec<_> = headers.collect::<Option<_>>().ok_or(SigningError::Request)?;
        let (method, uri) = (request.method().as_str(), request.uri().to_string());
        let body = SignableBody::Bytes(request.body().as_ref());
        let signable = SignableRequest::new(method, uri, headers.into_iter(), body).map_err(failed)?;
        let (signature, _) = http_request::sign(signable, &params.into()).map_err(failed)?.into_parts();
        signature.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    /// Credentials that serve for a while yet.
    fn current(&self) -> Result<Credentials, CredentialsError> {
        let called = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((credentials, until)) = &last.credentials
            && SystemTime::now() < *until
        {
            return Ok(credentials.clone());
        }
        // A caller that waited while the source failed takes its error: one that hangs must not build up a queue.
        let failed = last.failure.as_ref().filter(|(ended, _)| *ended >= called).map(|(_, error)| error.clone());
        let fetched = failed.map_or_else(|| self.credentials.fetch(), Err);
        match fetched {
            Ok(credentials) => {
                let until = serves_until(&credentials);
                *last = Last { credentials: Some((credentials.clone(), until)), failure: None };
                Ok(credentials)
            }
            Err(error) => {
                last.failure = Some((Instant::now(), error.clone()));
                // What was to be replaced early serves until its end.
                let kept = last.credentials.as_ref().map(|(credentials, _)| credentials);
                kept.filter(|kept| kept.expiry().is_none_or(|end| SystemTime::now() < end)).cloned().ok_or(error)
            }
        }
    }
}

fn serves_until(credentials: &Credentials) -> SystemTime {
    credentials.expiry().map_or_else(|| SystemTime::now() + WITHOUT_AN_END, |end| end - BEFORE_THE_END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    const KEY: [(&str, &str); 3] = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    ];

    fn request() -> Request<&'static [u8]> {
        let request = Request::post("https://dynamodb.eu-west-1.amazonaws.com/")
            .header("Content-Type", "application/x-amz-json-1.0")
            .header("X-Amz-Target", "DynamoDB_20120810.PutItem");
        request.body(br#"{"TableName": "orders"}"#.as_slice()).unwrap()
    }

    /// The signatures are those of botocore 1.43.11 for the same request at the same time.
    #[test]
    fn signatures_are_those_of_awss_own_client() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_953_600);
        let cases = [
            (None, "93223c70de6c5df856b009e170b34a4a2602bc5f311559a5393c7c48120b4be9"),
            (Some("SESSION//TOKEN=="), "4033fd04df2109da5b25404794112ff05416407f8a858539f88fb1b86d778da1"),
        ];
        for (token, expected) in cases {
            let variables = KEY.into_iter().chain(token.map(|token| ("AWS_SESSION_TOKEN", token)));
            let signer = RequestSigner::from_env(&mut EnvReader::new(variables), "dynamodb").unwrap();
            let signed = signer.sign_with(signer.current().unwrap(), at, request()).unwrap();
            let text = |name: &str| signed.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let authorization = text("authorization").unwrap();
            assert!(authorization.ends_with(&format!("Signature={expected}")), "{authorization}");
            assert!(authorization.contains("20261129/eu-west-1/dynamodb/aws4_request"), "{authorization}");
            assert_eq!(text("x-amz-security-token").as_deref(), token);
            assert_eq!(text("content-type").as_deref(), Some("application/x-amz-json-1.0"));
        }
    }

    #[test]
    fn what_is_missing_is_reported_together() {
        let mut env = EnvReader::new([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")]);
        let signer = RequestSigner::from_env(&mut env, "dynamodb");
        let problems = env.finish(signer.map(drop)).unwrap_err().problems;
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("requests to dynamodb are signed for a region"), "{problems:?}");
    }

    #[test]
    fn an_endpoints_credentials_are_kept_until_a_minute_before_their_end() {
        for (seconds_left, expected) in [(3600, 1), (30, 3)] {
            let (uri, asked) = endpoint(seconds_left, usize::MAX);
            let variables = [("AWS_REGION", "eu-west-1".to_owned()), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)];
            let signer = RequestSigner::from_env(&mut EnvReader::new(variables), "dynamodb").unwrap();
            for _ in 0..3 {
                let signed = signer.sign(request()).unwrap();
                assert_eq!(signed.headers()["x-amz-security-token"], "T");
            }
            assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), expected, "{seconds_left} s left");
        }
    }

    #[test]
    fn credentials_serve_until_their_end_while_the_endpoint_fails() {
        for (seconds_left, serves) in [(30, true), (-1, false)] {
            let (uri, asked) = endpoint(seconds_left, 1);
            let variables = [("AWS_REGION", "eu-west-1".to_owned()), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)];
            let signer = RequestSigner::from_env(&mut EnvReader::new(variables), "dynamodb").unwrap();
            signer.sign(request()).unwrap();
            let signed = signer.sign(request());
            assert_eq!(signed.is_ok(), serves, "{seconds_left} s left");
            assert!(serves || signed.unwrap_err() == SigningError::Credentials(CredentialsError::Status(500)));
            assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 2);
        }
    }

    /// Gives credentials with this much time left, so many times, and then fails; counts how often it was asked.
    fn endpoint(seconds_left: i64, answers: usize) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/credentials", listener.local_addr().unwrap());
        let asked = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
        let counted = std::sync::Arc::clone(&asked);
        let end = time::OffsetDateTime::now_utc() + time::Duration::seconds(seconds_left);
        let end = end.format(&time::format_description::well_known::Rfc3339).unwrap();
        let body = format!(r#"{{"AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"{end}"}}"#);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { return };
                let mut request = [0; 4096];
                let _ = connection.read(&mut request);
                let earlier = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let status = if earlier < answers { "200 OK" } else { "500 Internal Server Error" };
                let _ = write!(connection, "HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}");
            }
        });
        (uri, asked)
    }
}
