//! A change stream of a database (Debezium), mirrored into a store with an HTTP interface, such as a search index: each row is a
//! document, `PUT` when it changes and `DELETE` when it goes.
//!
//! - **Redelivery, crash**: both requests are idempotent, and rows keep their order with `ORDERING=key`, so the mirror ends as the
//!   table is.
//! - **Tombstones**: Debezium sends one behind each delete, for the topic's compaction. After compaction it may be all that is
//!   left, so it deletes too.
//! - **Poison**: what is no change event, or has no key, becomes a dead letter; so does what the store refuses for good.

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use msk_consumer::{Outcome, RecordHandler};
use msk_shared::env::EnvReader;
use msk_shared::event::Record;
use serde::Deserialize;
use serde_json::Value;

use crate::http_client::{self, HttpClient, percent_encoded};

/// A change, as <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events> describes it.
#[derive(Debug, Deserialize)]
struct Change {
    op: String,
    after: Option<Value>,
}

/// The JSON converter puts a schema around each event unless `schemas.enable` is false.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Converted<T> {
    WithSchema { payload: T },
    Bare(T),
}

impl<T> Converted<T> {
    fn into_inner(self) -> T {
        match self {
            Self::WithSchema { payload } | Self::Bare(payload) => payload,
        }
    }
}

/// Mirrors one topic.
#[derive(Debug)]
pub struct ChangeStream {
    store: Uri,
    client: HttpClient,
}

impl ChangeStream {
    /// Reads `APP_URL`, the address below which each row has its document.
    pub fn from_env(env: &mut EnvReader) -> Option<Self> {
        let (store, client) = http_client::from_app_url(env)?;
        Some(Self::new(store, client))
    }

    /// A mirror at this address.
    pub fn new(store: Uri, client: HttpClient) -> Self {
        Self { store, client }
    }

    async fn request(&self, method: Method, document: &str, body: Bytes) -> Outcome {
        let address = format!("{}/{document}", self.store.to_string().trim_end_matches('/'));
        let is_delete = method == Method::DELETE;
        let request =
            Request::builder().method(method).uri(address).header("Content-Type", "application/json").body(body);
        let Ok(request) = request else {
            return Outcome::Poison("the row's key cannot be part of an address".into());
        };
        match self.client.send(request).await.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Outcome::Done,
            // It is gone already.
            Ok(StatusCode::NOT_FOUND | StatusCode::GONE) if is_delete => Outcome::Done,
            Ok(StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY) => {
                Outcome::Poison("the store refused the row".into())
            }
            Ok(status) => Outcome::Retry(format!("the store answered with status {status}").into()),
            Err(outcome) => outcome,
        }
    }
}

impl RecordHandler for ChangeStream {
    async fn handle(&self, record: &Record) -> Outcome {
        let document = match record.key() {
            Ok(Some(key)) => document(&key),
            Ok(None) => None,
            Err(error) => return Outcome::Poison(error.into()),
        };
        let Some(document) = document else {
            return Outcome::Poison("the change has no key in JSON, so it is not known which row it is of".into());
        };
        if record.is_tombstone() {
            return self.request(Method::DELETE, &document, Bytes::new()).await;
        }
        let change = match record.json::<Converted<Change>>() {
            Ok(change) => change.into_inner(),
            Err(error) => return Outcome::Poison(error.into()),
        };
        match (change.op.as_str(), change.after) {
            // Created, updated, read by a snapshot.
            ("c" | "u" | "r", Some(row)) => self.request(Method::PUT, &document, row.to_string().into()).await,
            ("d", _) => self.request(Method::DELETE, &document, Bytes::new()).await,
            ("m", _) => Outcome::Skip("a message of the database is no row".into()),
            _ => Outcome::Poison("the change is none that a mirror of rows can follow".into()),
        }
    }
}

/// The document's name: the value of a key of one column, the whole key in JSON of one of several; percent-encoded.
fn document(key: &[u8]) -> Option<String> {
    let key = serde_json::from_slice::<Converted<Value>>(key).ok()?.into_inner();
    let name = match &key {
        Value::Object(columns) if columns.len() == 1 => text(columns.values().next()?),
        Value::Null => return None,
        key => text(key),
    };
    Some(percent_encoded(&name))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
