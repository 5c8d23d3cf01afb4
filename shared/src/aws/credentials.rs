//! Where AWS credentials come from: the environment's variables, or the container credentials endpoint that `SnapStart`,
//! managed instances, ECS and EKS pod identity set (AWS SDK reference, "Container credential provider").

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::env::{EnvReader, Secret};

/// Bound of one answer of the endpoint, which is on the same host.
const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(1);
/// Largest answer read: a real one has about 1 KiB.
const ENDPOINT_MAX_BYTES: u64 = 64 * 1024;
/// The only addresses besides loopback that may receive the authorization token (ECS, EKS).
const ENDPOINT_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// Why there are no credentials. Never includes any.
///
/// ```
/// use msk_shared::aws::{CredentialsError, RequestSigner, SigningError};
/// use msk_shared::env::EnvReader;
///
/// // An endpoint as ECS and EKS have one, but nothing listens there.
/// let variables =
///     [("AWS_REGION", "eu-west-1"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/credentials")];
/// let signer = RequestSigner::from_env(&mut EnvReader::new(variables), "dynamodb").unwrap();
/// let request = http::Request::post("https://dynamodb.eu-west-1.amazonaws.com/").body("{}")?;
/// let error = signer.sign(request).unwrap_err();
/// assert!(matches!(error, SigningError::Credentials(CredentialsError::Unreachable(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The endpoint did not answer.
    #[error("the container credentials endpoint did not answer: {0}")]
    Unreachable(String),
    /// The endpoint answered with an error status.
    #[error("the container credentials endpoint answered with status {0}")]
    Status(u16),
    /// The endpoint's answer is not what AWS documents.
    #[error("the answer of the container credentials endpoint has no usable credentials")]
    Malformed,
    /// The file with the endpoint's authorization token cannot be read.
    #[error("the file named by AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read")]
    TokenFile,
}

pub(crate) enum CredentialsSource {
    /// The same as long as the process lives: Lambda's environment variables.
    Fixed(Credentials),
    /// Asked anew each time.
    Endpoint { uri: String, authorization: Authorization },
}

/// The value of the `Authorization` header that the endpoint demands.
pub(crate) enum Authorization {
    None,
    Text(Secret),
    File(String),
}

impl CredentialsSource {
    /// Reads where credentials come from. `needs` says what needs them, such as "MSK IAM tokens are signed".
    pub(crate) fn from_env(env: &mut EnvReader, needs: &str) -> Option<Self> {
        let access_key = env.optional("AWS_ACCESS_KEY_ID");
        let secret_key = env.optional("AWS_SECRET_ACCESS_KEY");
        let session_token = env.optional("AWS_SESSION_TOKEN");
        let full = env.optional("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let relative = env.optional("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let text = env.optional("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        let file = env.optional("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        match (access_key, secret_key) {
            (Some(access_key), Some(secret_key)) => {
                return Some(Self::Fixed(Credentials::new(access_key, secret_key, session_token, None, "environment")));
            }
            (None, None) => {}
            _ => {
                env.problem("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both");
                return None;
            }
        }
        let uri = full.or_else(|| relative.map(|path| format!("http://169.254.170.2{path}")));
        let Some(uri) = uri else {
            env.problem(format!(
                "AWS_ACCESS_KEY_ID is missing: {needs} with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
                 AWS_SESSION_TOKEN, or with the credentials from AWS_CONTAINER_CREDENTIALS_FULL_URI"
            ));
            return None;
        };
        if !may_be_asked(&uri) {
            env.problem(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI must be an http:// URL with a loopback address or the credentials address of ECS or EKS",
            );
            return None;
        }
        let authorization = match (file, text) {
            (Some(path), _) => Authorization::File(path),
            (None, Some(text)) => Authorization::Text(Secret::new(text)),
            (None, None) => Authorization::None,
        };
        Some(Self::Endpoint { uri, authorization })
    }

    /// Whether asking again may help.
    #[cfg(feature = "kafka")]
    pub(crate) fn may_recover(&self) -> bool {
        matches!(self, Self::Endpoint { .. })
    }

    /// The credentials now. Blocks for the endpoint, bounded.
    pub(crate) fn fetch(&self) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Fixed(credentials) => Ok(credentials.clone()),
            Self::Endpoint { uri, authorization } => ask(uri, authorization),
        }
    }
}

/// The token in `Authorization` may only go to this host and to link-local addresses that AWS names.
fn may_be_asked(uri: &str) -> bool {
    let Ok(uri) = uri.parse::<ureq::http::Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("http") && (loopback || ENDPOINT_HOSTS.contains(&host))
}

fn ask(uri: &str, authorization: &Authorization) -> Result<Credentials, CredentialsError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ENDPOINT_TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into();
    let mut request = agent.get(uri);
    let text = match authorization {
        Authorization::None => None,
        Authorization::Text(text) => Some(text.expose().to_owned()),
        // Read each time: EKS rotates it.
        Authorization::File(path) => Some(std::fs::read_to_string(path).map_err(|_| CredentialsError::TokenFile)?),
    };
    if let Some(text) = text {
        request = request.header("Authorization", text.trim());
    }
    let mut response = request.call().map_err(|error| CredentialsError::Unreachable(describe(&error)))?;
    if response.status() != 200 {
        return Err(CredentialsError::Status(response.status().as_u16()));
    }
    let body = response.body_mut().with_config().limit(ENDPOINT_MAX_BYTES).read_to_vec();
    let body = body.map_err(|error| CredentialsError::Unreachable(describe(&error)))?;
    parse(&body)
}

/// The kind of failure, without address.
fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::Timeout(_) => format!("no answer within {} ms", ENDPOINT_TIMEOUT.as_millis()),
        _ => "protocol error".to_owned(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointCredentials {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

fn parse(body: &[u8]) -> Result<Credentials, CredentialsError> {
    let answer: EndpointCredentials = serde_json::from_slice(body).map_err(|_| CredentialsError::Malformed)?;
    let expiry = match answer.expiration {
        None => None,
        Some(text) => {
            let end = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| CredentialsError::Malformed)?;
            Some(SystemTime::from(end))
        }
    };
    Ok(Credentials::new(answer.access_key_id, answer.secret_access_key, answer.token, expiry, "container endpoint"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// Answers one request and returns what it was asked.
    fn endpoint(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/credentials", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        (uri, asked)
    }

    fn source(uri: String, token: &str) -> CredentialsSource {
        let variables =
            [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", token.to_owned())];
        CredentialsSource::from_env(&mut EnvReader::new(variables), "the test signs").unwrap()
    }

    #[test]
    fn the_endpoint_is_asked_with_its_authorization_and_its_expiry_is_kept() {
        let (uri, asked) = endpoint(concat!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
            r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"2030-01-02T03:04:05Z"}"#
        ));
        let credentials = source(uri, "let-me-in").fetch().unwrap();
        assert_eq!((credentials.access_key_id(), credentials.session_token()), ("A", Some("T")));
        assert_eq!(credentials.expiry(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_553_445)));
        let request = asked.join().unwrap().to_lowercase();
        assert!(request.starts_with("get /credentials ") && request.contains("authorization: let-me-in"), "{request}");
    }

    #[test]
    fn an_endpoint_that_fails_is_reported_with_its_status_only() {
        let (uri, _asked) = endpoint("HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: 6\r\n\r\nsecret");
        assert_eq!(source(uri, "t").fetch().unwrap_err(), CredentialsError::Status(500));
        let (uri, _asked) = endpoint("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(source(uri, "t").fetch().unwrap_err(), CredentialsError::Malformed);
    }

    #[test]
    fn the_authorization_goes_to_no_other_host() {
        for uri in
            ["http://example.com/c", "https://127.0.0.1/c", "http://169.254.169.254/c", "ftp://localhost/c", "nonsense"]
        {
            assert!(!may_be_asked(uri), "{uri}");
        }
        for uri in
            ["http://127.0.0.1:1234/c", "http://localhost/c", "http://169.254.170.23/c", "http://[fd00:ec2::23]/c"]
        {
            assert!(may_be_asked(uri), "{uri}");
        }
    }
}
