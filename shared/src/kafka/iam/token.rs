//! MSK IAM tokens: a presigned `kafka-cluster:Connect` URL, signed from the environment's credentials or the container
//! credentials endpoint's. Format and rules: AWS's own signers (github.com/aws/aws-msk-iam-sasl-signer-python), with which the
//! test bed compares.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SignatureLocation, SigningSettings};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::aws::{self, CredentialsError, CredentialsSource};
use crate::env::EnvReader;

/// A new token is signed once less than this share of its lifetime is left. librdkafka asks at 20 %.
const REFRESH_BELOW: f64 = 0.5;
/// Attempts of one refresh, so that an occasional failure of the source has no effect.
const TRIES: u32 = 3;
/// The longest that MSK allows.
const LIFETIME: Duration = Duration::from_secs(900);
const USER_AGENT: &str = concat!("msk-ha-cluster/", env!("CARGO_PKG_VERSION"));
/// Wait between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// A token for one connection attempt or re-authentication.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use msk_shared::kafka::TokenSource;
///
/// let token = TokenSource::with_credentials("eu-west-1", "AKIDEXAMPLE", "secret", None).token()?;
/// assert!(token.expires_at() > SystemTime::now() + Duration::from_secs(800));
/// assert!(!format!("{token:?}").contains(token.expose()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MskToken {
    token: String,
    signed_at: SystemTime,
    expires_at: SystemTime,
}

impl MskToken {
    /// The token's text, for the broker only.
    pub fn expose(&self) -> &str {
        &self.token
    }

    /// When it ends by the wall clock: 900 s after signing, or when the credentials end, whichever is first.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// [`Self::expires_at`] as librdkafka wants it.
    pub fn expires_at_ms(&self) -> i64 {
        self.expires_at.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }

    fn left(&self, now: SystemTime) -> Duration {
        self.expires_at.duration_since(now).unwrap_or_default()
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        let life = self.expires_at.duration_since(self.signed_at).unwrap_or_default();
        // A clock that went backwards makes a token look younger than new: sign again.
        now >= self.signed_at && self.left(now) > life.mul_f64(REFRESH_BELOW)
    }
}

impl fmt::Debug for MskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MskToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Why there is no token. Never includes a credential.
///
/// ```
/// use msk_shared::aws::CredentialsError;
/// use msk_shared::kafka::TokenError;
///
/// let error = TokenError::from(CredentialsError::Status(503));
/// assert_eq!(error.to_string(), "the container credentials endpoint answered with status 503");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The credentials could not be obtained.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The credentials have ended and the source gave no newer ones.
    #[error("the AWS credentials have expired")]
    Expired,
    /// The signer failed.
    #[error("signing failed: {0}")]
    Signing(String),
}

/// Signs tokens and keeps the last one. Cheap to clone; clones share the token.
///
/// ```
/// use msk_shared::kafka::TokenSource;
///
/// let source = TokenSource::with_credentials("eu-west-1", "AKIDEXAMPLE", "secret", None);
/// assert_eq!(source.token()?.expose(), source.token()?.expose(), "kept while it is fresh");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    region: String,
    credentials: CredentialsSource,
    /// Never held while a source is asked, so that async threads may take it.
    last: Mutex<Option<MskToken>>,
    /// Held while a source is asked, so that it is asked once; when and how the last request failed.
    asking: Mutex<Option<(Instant, TokenError)>>,
    refreshes: AtomicU64,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("region", &self.0.region).finish_non_exhaustive()
    }
}

impl TokenSource {
    /// Reads the region and the source of credentials. `None` if something is missing, which the reader has noted.
    pub fn from_env(env: &mut EnvReader) -> Option<Self> {
        let region = aws::region(env, &REGION_VARIABLES, NO_REGION);
        let credentials = CredentialsSource::from_env(env, "MSK IAM tokens are signed");
        Some(Self::new(region?, credentials?))
    }

    fn new(region: String, credentials: CredentialsSource) -> Self {
        let (last, asking) = (Mutex::new(None), Mutex::new(None));
        Self(Arc::new(Inner { region, credentials, last, asking, refreshes: AtomicU64::new(0) }))
    }

    /// A source with fixed credentials, for tests and tools.
    pub fn with_credentials(region: &str, access_key: &str, secret_key: &str, session_token: Option<String>) -> Self {
        let credentials = Credentials::new(access_key, secret_key, session_token, None, "fixed");
        Self::new(region.to_owned(), CredentialsSource::Fixed(credentials))
    }

    /// A valid token: the last one while it is fresh, otherwise a new one; if the source fails, the last one until it expires.
    /// Blocks for a credentials endpoint's answers, each bounded: never call it on an async thread.
    ///
    /// # Errors
    /// [`TokenError`] when there is no valid token.
    pub fn token(&self) -> Result<MskToken, TokenError> {
        let called = Instant::now();
        let mut asking = self.0.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.last();
        if let Some(token) = last.as_ref().filter(|token| token.is_fresh(SystemTime::now())) {
            return Ok(token.clone());
        }
        // A caller that waited while a request failed takes its error: a source that hangs must not build up a queue.
        let failed = asking.as_ref().filter(|(ended, _)| *ended >= called).map(|(_, error)| error.clone());
        let signed = failed.map_or_else(|| self.sign_with_retries(), Err);
        *asking = signed.as_ref().err().map(|error| (Instant::now(), error.clone()));
        match signed {
            Ok(token) => {
                self.0.refreshes.fetch_add(1, Ordering::Relaxed);
                *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                let left = last.as_ref().map_or(Duration::ZERO, |token| token.left(SystemTime::now()));
                let Some(token) = last.filter(|_| left > Duration::from_secs(1)) else { return Err(error) };
                let left_ms = left.as_millis() as u64;
                tracing::warn!(error = %error, left_ms, "token refresh failed; the last token is still valid");
                Ok(token)
            }
        }
    }

    fn last(&self) -> Option<MskToken> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is no token, or it has ended: no connection can be made with it. Never blocks.
    pub fn has_expired(&self) -> bool {
        self.last().is_none_or(|token| token.left(SystemTime::now()).is_zero())
    }

    /// Tokens signed so far.
    pub fn refreshes(&self) -> u64 {
        self.0.refreshes.load(Ordering::Relaxed)
    }

    fn sign_with_retries(&self) -> Result<MskToken, TokenError> {
        let mut result = self.sign();
        for _ in 1..TRIES {
            if result.is_ok() || !self.0.credentials.may_recover() {
                break;
            }
            std::thread::sleep(BETWEEN_TRIES);
            result = self.sign();
        }
        result
    }

    fn sign(&self) -> Result<MskToken, TokenError> {
        let credentials = self.0.credentials.fetch()?;
        let credentials_end = credentials.expiry();
        let signed_at = SystemTime::now();
        let token = signed(&self.0.region, credentials, signed_at)?;
        // The broker reckons from the whole second that the token names.
        let since_epoch = signed_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let token_end = UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs()) + LIFETIME;
        let expires_at = credentials_end.map_or(token_end, |end| end.min(token_end));
        if expires_at <= signed_at {
            return Err(TokenError::Expired);
        }
        Ok(MskToken { token, signed_at, expires_at })
    }
}

/// The text of a token: the presigned URL in base64, as MSK's brokers expect it.
fn signed(region: &str, credentials: Credentials, at: SystemTime) -> Result<String, TokenError> {
    let failed = |error: &dyn fmt::Display| TokenError::Signing(error.to_string());
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let identity = credentials.into();
    let params = SigningParams::builder().identity(&identity).region(region).name("kafka-cluster").time(at);
    let params = params.settings(settings).build().map_err(|error| failed(&error))?;

    let url = format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
    let signable = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]));
    let signable = signable.map_err(|error| failed(&error))?;
    let (signature, _) = http_request::sign(signable, &params.into()).map_err(|error| failed(&error))?.into_parts();
    let mut request = http::Request::get(&url).body(()).map_err(|error| failed(&error))?;
    signature.apply_to_request_http1x(&mut request);
    // Added after signing, and for CloudTrail only.
    Ok(URL_SAFE_NO_PAD.encode(format!("{}&User-Agent={USER_AGENT}", request.uri())))
}

/// The region that tokens are signed for, from the first of these variables that is set. Lambda sets `AWS_REGION` to the
/// function's own; a broker takes a token for its own region only.
const REGION_VARIABLES: [&str; 3] = ["MSK_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"];
const NO_REGION: &str =
    "AWS_REGION is missing: MSK IAM tokens are signed for a region (MSK_REGION, when the cluster's is another)";

#[cfg(test)]
mod tests {
    use super::*;

    fn expiring(left: Duration) -> TokenSource {
        let end = SystemTime::now() + left;
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, Some(end), "test");
        TokenSource::new("eu-west-1".to_owned(), CredentialsSource::Fixed(credentials))
    }

    #[test]
    fn a_token_lives_900_seconds_or_as_long_as_the_credentials() {
        let long = TokenSource::with_credentials("eu-west-1", "AKIDEXAMPLE", "secret", Some("session".into()));
        let left = long.token().unwrap().left(SystemTime::now()).as_secs();
        assert!((890..=900).contains(&left), "{left}");
        let short = expiring(Duration::from_secs(60)).token().unwrap().left(SystemTime::now()).as_secs();
        assert!((58..=60).contains(&short), "{short}");
    }

    #[test]
    fn credentials_that_have_ended_give_no_token() {
        let source = expiring(Duration::ZERO);
        assert_eq!(source.token().unwrap_err(), TokenError::Expired);
        assert!(source.has_expired());
    }

    #[test]
    fn a_fresh_token_is_kept() {
        let source = TokenSource::with_credentials("eu-west-1", "AKIDEXAMPLE", "secret", None);
        let first = source.token().unwrap();
        assert_eq!(first.expose(), source.token().unwrap().expose());
        assert_eq!(source.refreshes(), 1);
        assert!(!source.has_expired());
    }

    #[test]
    fn a_source_that_hangs_is_asked_once_for_all_who_wait() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/credentials", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let variables = [("AWS_REGION", "eu-west-1".to_owned()), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)];
        let source = TokenSource::from_env(&mut EnvReader::new(variables)).unwrap();
        let started = Instant::now();
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let source = source.clone();
                std::thread::spawn(move || source.token().is_err())
            })
            .collect();
        assert!(callers.into_iter().all(|caller| caller.join().unwrap()));
        // One request of three tries, a second each; a caller that came late may have caused one more.
        assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
        let asked = std::iter::from_fn(|| listener.accept().ok()).count();
        assert!((3..=6).contains(&asked), "{asked} requests for 20 callers");
    }

    fn source_of(regions: &[(&str, &str)]) -> Result<TokenSource, Vec<String>> {
        let credentials = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let mut env = EnvReader::new(credentials.iter().chain(regions).copied());
        let source = TokenSource::from_env(&mut env);
        env.finish(source).map_err(|error| error.problems)
    }

    /// The presigned URL that a token is.
    fn url_of(source: &TokenSource) -> String {
        use base64::Engine;
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(source.token().unwrap().expose()).unwrap();
        String::from_utf8(url).unwrap()
    }

    #[test]
    fn tokens_are_signed_for_the_clusters_region() {
        for (regions, expected) in [
            (&[("MSK_REGION", "ap-northeast-2"), ("AWS_REGION", "eu-west-1")][..], "ap-northeast-2"),
            (&[("MSK_REGION", " us-gov-west-1 "), ("AWS_REGION", "nonsense")], "us-gov-west-1"),
            (&[("MSK_REGION", " "), ("AWS_REGION", "eu-west-1")], "eu-west-1"),
            (&[("MSK_REGION", "eusc-de-east-1")], "eusc-de-east-1"),
            (&[("AWS_DEFAULT_REGION", "mx-central-1")], "mx-central-1"),
        ] {
            let url = url_of(&source_of(regions).unwrap());
            assert!(url.starts_with(&format!("https://kafka.{expected}.amazonaws.com/")), "{regions:?}: {url}");
            assert!(url.contains(&format!("%2F{expected}%2Fkafka-cluster%2Faws4_request")), "{regions:?}: {url}");
        }
    }

    #[test]
    fn what_is_no_region_is_refused_by_its_variables_name() {
        for wrong in ["eu-west-1a", "euw1", "EU-WEST-1", "eu west 1", "eu-west-", "-west-1", "west-1", "eu--1", "1"] {
            for (name, others) in [("MSK_REGION", &[("AWS_REGION", "eu-west-1")][..]), ("AWS_REGION", &[])] {
                let problems = source_of(&[&[(name, wrong)][..], others].concat()).unwrap_err();
                assert_eq!(problems, [format!("{name} must be a region's name, such as eu-west-1")], "{wrong}");
            }
        }
        assert!(source_of(&[]).unwrap_err()[0].contains("MSK_REGION"));
    }

    #[test]
    fn nothing_secret_shows_in_debug_output() {
        let source =
            TokenSource::with_credentials("eu-west-1", "AKIDCANARY", "secret-canary", Some("session-canary".into()));
        let token = source.token().unwrap();
        let text = format!("{source:?} {token:?}");
        assert!(!text.contains("canary") && !text.contains("AKID") && !text.contains(token.expose()), "{text}");
    }
}
