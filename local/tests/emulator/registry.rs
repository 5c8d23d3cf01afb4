//! A schema registry with Confluent's API on a free port, for what a real one does not do on request: to fail, to hang, to ask for a
//! password. Stage `schema-registry` has a real one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

/// How the registry answers instead of what it knows.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Status(u16, Value),
    /// It never answers.
    Silence,
}

#[derive(Default)]
struct Contents {
    schemas: Mutex<BTreeMap<u32, Value>>,
    versions: Mutex<BTreeMap<(String, u32), Value>>,
    failures: Mutex<VecDeque<Failure>>,
    requests: Mutex<Vec<String>>,
    authorization: Mutex<Option<String>>,
}

/// The registry; it ends when this is dropped.
pub(crate) struct Registry {
    pub(crate) url: String,
    contents: Arc<Contents>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let contents = Arc::new(Contents::default());
        let app = Router::new()
            .route("/base/schemas/ids/{id}", get(schema))
            .route("/base/subjects/{subject}/versions/{version}", get(version))
            .with_state(Arc::clone(&contents));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, contents, server }
    }

    /// Registers a schema; Avro has no type in the answers, as in Confluent's registry.
    pub(crate) fn add(&self, id: u32, kind: Option<&str>, schema: &str, references: &Value) {
        let mut answer = json!({"schema": schema, "references": references});
        if let Some(kind) = kind {
            answer["schemaType"] = json!(kind);
        }
        self.contents.schemas.lock().unwrap().insert(id, answer);
    }

    /// Registers a schema as what others refer to.
    pub(crate) fn add_version(&self, subject: &str, version: u32, schema: &str, references: &Value) {
        let answer = json!({"subject": subject, "version": version, "schema": schema, "references": references});
        self.contents.versions.lock().unwrap().insert((subject.to_owned(), version), answer);
    }

    /// The next request is answered like this, and those after it by what was asked for later.
    pub(crate) fn fail_next(&self, failure: Failure) {
        self.contents.failures.lock().unwrap().push_back(failure);
    }

    /// Requests with another authorization are refused.
    pub(crate) fn ask_for(&self, authorization: &str) {
        *self.contents.authorization.lock().unwrap() = Some(authorization.to_owned());
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.contents.requests.lock().unwrap().clone()
    }
}

async fn schema(State(contents): State<Arc<Contents>>, headers: HeaderMap, Path(id): Path<u32>) -> Response {
    let known = contents.schemas.lock().unwrap().get(&id).cloned();
    answer(&contents, &headers, format!("/schemas/ids/{id}"), known.ok_or(40403)).await
}

async fn version(
    State(contents): State<Arc<Contents>>,
    headers: HeaderMap,
    Path((subject, version)): Path<(String, u32)>,
) -> Response {
    let path = format!("/subjects/{subject}/versions/{version}");
    let known = contents.versions.lock().unwrap().get(&(subject, version)).cloned();
    answer(&contents, &headers, path, known.ok_or(40402)).await
}

async fn answer(contents: &Contents, headers: &HeaderMap, path: String, known: Result<Value, u32>) -> Response {
    contents.requests.lock().unwrap().push(path);
    let failure = contents.failures.lock().unwrap().pop_front();
    match failure {
        Some(Failure::Silence) => std::future::pending().await,
        Some(Failure::Status(status, body)) => {
            return (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response();
        }
        None => {}
    }
    let wanted = contents.authorization.lock().unwrap().clone();
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    if wanted.is_some() && wanted.as_deref() != given {
        return (StatusCode::UNAUTHORIZED, json!({"error_code": 40101, "message": "no"}).to_string()).into_response();
    }
    match known {
        Ok(known) => known.to_string().into_response(),
        Err(code) => {
            (StatusCode::NOT_FOUND, json!({"error_code": code, "message": "not found"}).to_string()).into_response()
        }
    }
}

/// Data with Confluent's frame.
pub(crate) fn framed(id: u32, data: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], data].concat()
}
