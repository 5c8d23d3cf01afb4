//! Requests to a registry with Confluent's API
//! (<https://docs.confluent.io/platform/current/schema-registry/develop/api.html>).

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::timeout;

use super::super::http_failure::not_answered;
use super::super::trusted_roots::ROOTS_VARIABLE;
use super::registry_settings::{RegistryCredentials, RegistrySettings};
use super::registry_tls::{self, RegistryTlsError};
use super::schema::SchemaText;

/// How long one request may take, the answer included: a registry answers from memory.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting may take of that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest answer: Confluent's registry keeps schemas in records of Kafka, of 1 MB by default.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Schemas that one schema may refer to, directly or not.
const MAX_REFERENCES: usize = 200;
/// Confluent's codes for a schema, a subject and a version that are not there; another 404 is no registry.
const NOT_FOUND: [i64; 3] = [40403, 40401, 40402];

/// A client of one registry.
pub(super) struct RegistryClient {
    url: String,
    authorization: Option<HeaderValue>,
    http: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// Why the registry did not tell a schema. Neither addresses of schemas nor secrets are in the text.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is no answer.
    #[error("the schema registry {url} cannot be reached: {cause}; check SchemaRegistryURI (--schema-registry-url)")]
    Unreachable { url: String, cause: String },
    /// It asks for another secret.
    #[error("the schema registry {url} answers {status}: check the secrets of its AccessConfigs (--secret)")]
    Denied { url: String, status: StatusCode },
    /// There is something else.
    #[error(
        "the schema registry {url} answers {status}, without an error_code of Confluent's API: check SchemaRegistryURI \
         (--schema-registry-url), which for some registries ends with a path, such as /apis/ccompat/v7 for Apicurio's"
    )]
    NotARegistry { url: String, status: StatusCode },
    /// It has a problem of its own.
    #[error("the schema registry {url} answers {status}")]
    Status { url: String, status: StatusCode },
    /// It says something else.
    #[error("the schema registry {url} answers what is not Confluent's API: {problem}")]
    Malformed { url: String, problem: String },
    /// A schema refers to too many others.
    #[error("schema {id} of the schema registry {url} refers to more than {MAX_REFERENCES} schemas")]
    References { url: String, id: u32 },
    /// Neither Avro nor JSON Schema, and more than its bytes is wanted.
    #[error(
        "schema {id} of the schema registry {url} is of format {format}, which the emulator does not read: EventRecordFormat SOURCE \
         delivers PROTOBUF without looking into it, or leave SchemaRegistryConfig out on this machine"
    )]
    Format { url: String, id: u32, format: String },
}

impl RegistryError {
    /// Whether asking again has the same answer.
    pub(in super::super) fn is_final(&self) -> bool {
        matches!(self, Self::Format { .. } | Self::References { .. })
    }
}

/// `GET /schemas/ids/{id}` and `GET /subjects/{subject}/versions/{version}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaAnswer {
    schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize, Clone)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

impl RegistryClient {
    pub(super) fn new(
        settings: &RegistrySettings,
        credentials: &RegistryCredentials,
    ) -> Result<Self, RegistryTlsError> {
        let tls = registry_tls::client_config(credentials, settings.url.starts_with("https://"))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let authorization = credentials.user.as_ref().and_then(|(user, password)| {
            let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
            let mut value = HeaderValue::from_str(&text).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        let http = Client::builder(TokioExecutor::new()).build(connector.wrap_connector(tcp));
        Ok(Self { url: settings.url.clone(), authorization, http })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The schema with this id and those that it refers to; `None` if the registry has none.
    ///
    /// # Errors
    /// [`RegistryError`] if the registry does not say.
    pub(super) async fn schema(&self, id: u32) -> Result<Option<SchemaText>, RegistryError> {
        let Some(answer) = self.get(&format!("/schemas/ids/{id}")).await? else { return Ok(None) };
        let Some(referenced) = self.referenced(id, answer.references.unwrap_or_default()).await? else {
            return Ok(None);
        };
        // Registries leave the type out for Avro.
        let kind = answer.schema_type.unwrap_or_else(|| "AVRO".to_owned());
        Ok(Some(SchemaText { kind, text: answer.schema, referenced }))
    }

    /// What a schema refers to, each after what it refers to itself.
    async fn referenced(
        &self,
        id: u32,
        direct: Vec<Reference>,
    ) -> Result<Option<Vec<(String, String)>>, RegistryError> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        // A reference that is taken with its answer has all that it refers to in `found`.
        let mut open: Vec<(Reference, Option<String>)> =
            direct.into_iter().rev().map(|reference| (reference, None)).collect();
        while let Some((reference, answered)) = open.pop() {
            if let Some(text) = answered {
                found.push((reference.name, text));
                continue;
            }
            // As Confluent's own readers do: of two with one name the first counts.
            if !seen.insert(reference.name.clone()) {
                continue;
            }
            if seen.len() > MAX_REFERENCES {
                return Err(RegistryError::References { url: self.url.clone(), id });
            }
            let subject = utf8_percent_encode(&reference.subject, NON_ALPHANUMERIC);
            let Some(answer) = self.get(&format!("/subjects/{subject}/versions/{}", reference.version)).await? else {
                return Ok(None);
            };
            open.push((reference, Some(answer.schema)));
            open.extend(answer.references.unwrap_or_default().into_iter().rev().map(|inner| (inner, None)));
        }
        Ok(Some(found))
    }

    async fn get(&self, path: &str) -> Result<Option<SchemaAnswer>, RegistryError> {
        let url = self.url.clone();
        let answer = |problem: String| RegistryError::Malformed { url: url.clone(), problem };
        let mut request = Request::get(format!("{url}{path}"))
            .header(ACCEPT, "application/vnd.schemaregistry.v1+json, application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| answer(error.to_string()))?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| not_answered(&error, &trust()))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| {
                format!("its answer breaks off, or has more than {MAX_ANSWER_BYTES} bytes ({error})")
            })?;
            Ok::<_, String>((head.status, body.to_bytes()))
        };
        let answered = timeout(REQUEST_TIMEOUT, exchange).await;
        let answered =
            answered.unwrap_or_else(|_| Err(format!("it did not answer within {} s", REQUEST_TIMEOUT.as_secs())));
        let (status, body) = answered.map_err(|cause| RegistryError::Unreachable { url: url.clone(), cause })?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| answer(format!("line {}, column {}", error.line(), error.column()))),
            StatusCode::NOT_FOUND if NOT_FOUND.contains(&error_code(&body)) => Ok(None),
            StatusCode::NOT_FOUND => Err(RegistryError::NotARegistry { url, status }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RegistryError::Denied { url, status }),
            status => Err(RegistryError::Status { url, status }),
        }
    }
}

/// What to do about a certificate of an unknown authority.
fn trust() -> String {
    format!("AccessConfigs SERVER_ROOT_CA_CERTIFICATE, or {ROOTS_VARIABLE}, says whom to trust")
}

/// The number that Confluent's API gives an error.
fn error_code(body: &[u8]) -> i64 {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    answer["error_code"].as_i64().unwrap_or_default()
}
