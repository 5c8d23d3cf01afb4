//! Clicks counted by page and minute, for analytics: a window is a document in a store with an HTTP interface. A handler of
//! batches, because many clicks change few windows.
//!
//! - **Redelivery, crash**: a document holds its count and the offset of the last click in it, written together. A click at or before
//!   that offset is counted already. This needs `ORDERING=partition`, and so each partition has windows of its own, to be added up
//!   by whoever reads them.
//! - **Poison**: what is no click becomes a dead letter and is not counted.
//! - **A window that cannot be written** fails its clicks; they come again, with the later ones of their partition.
//! - **Late clicks** are counted in the minute that they belong to: no window is ever closed.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use msk_consumer::{BatchHandler, MaxRecords, OpenRecord, Outcome, RecordBatch};
use msk_shared::env::EnvReader;
use serde::{Deserialize, Serialize};

use crate::http_client::{self, HttpClient, Request, percent_encoded};

/// How many milliseconds of event time a window has.
const WINDOW_MS: u64 = 60_000;

/// What a record holds.
#[derive(Debug, Deserialize)]
struct Click {
    page: String,
    at_ms: u64,
}

/// Which document a click is counted in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Window {
    topic: String,
    partition: i32,
    page: String,
    minute: u64,
}

/// A document: clicks up to an offset.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Count {
    clicks: u64,
    last_offset: i64,
}

/// Counts clicks.
#[derive(Debug)]
pub struct ClickWindow {
    store: Uri,
    client: HttpClient,
}

impl ClickWindow {
    /// Reads `APP_URL`, the address below which each window has its document.
    pub fn from_env(env: &mut EnvReader) -> Option<Self> {
        let (store, client) = http_client::from_app_url(env)?;
        Some(Self::new(store, client))
    }

    /// Windows at this address.
    pub fn new(store: Uri, client: HttpClient) -> Self {
        Self { store, client }
    }

    /// Adds the clicks behind the last one that the document has.
    async fn count(&self, window: &Window, offsets: impl Iterator<Item = i64>) -> Result<(), Outcome> {
        let stored = self.read(window).await?;
        let new = offsets.filter(|offset| *offset > stored.last_offset);
        let count = new.fold(stored, |count, offset| Count { clicks: count.clicks + 1, last_offset: offset });
        if count.clicks == stored.clicks {
            return Ok(());
        }
        let document = serde_json::to_vec(&count).map_err(|error| Outcome::Retry(error.into()))?;
        let answer = self.client.send(self.request(Method::PUT, window, document.into())?).await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Outcome::Retry(format!("the store answered a write with status {status}").into())),
        }
    }

    /// What is counted so far; nothing, if there is no document.
    async fn read(&self, window: &Window) -> Result<Count, Outcome> {
        let answer = self.client.send(self.request(Method::GET, window, Bytes::new())?).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(Count { clicks: 0, last_offset: -1 }),
            StatusCode::OK => {
                let count = serde_json::from_slice(answer.body()).ok();
                count.ok_or_else(|| Outcome::Retry("the store answered a read with no count".into()))
            }
            status => Err(Outcome::Retry(format!("the store answered a read with status {status}").into())),
        }
    }

    fn request(&self, method: Method, window: &Window, body: Bytes) -> Result<Request, Outcome> {
        let Window { topic, partition, page, minute } = window;
        let store = self.store.to_string();
        let page = percent_encoded(page);
        let address = format!("{}/{topic}-{partition}/{page}/{minute}", store.trim_end_matches('/'));
        let request =
            http::Request::builder().method(method).uri(address).header("Content-Type", "application/json").body(body);
        request.map_err(|_| Outcome::Poison("the page cannot be part of an address".into()))
    }
}

impl BatchHandler for ClickWindow {
    fn max_records(&self) -> MaxRecords {
        MaxRecords::literal::<1_000>()
    }

    async fn handle_batch(&self, batch: &mut RecordBatch<'_>) {
        let mut windows: BTreeMap<Window, Vec<OpenRecord<'_>>> = BTreeMap::new();
        for open in batch.open() {
            let record = open.record();
            let click: Click = match record.json() {
                Ok(click) => click,
                Err(_) if record.is_tombstone() => {
                    open.settle(Outcome::Skip("a click is never deleted".into()));
                    continue;
                }
                Err(error) => {
                    open.settle(Outcome::Poison(error.into()));
                    continue;
                }
            };
            let window = Window {
                topic: record.topic().to_owned(),
                partition: record.partition(),
                page: click.page,
                minute: click.at_ms / WINDOW_MS,
            };
            windows.entry(window).or_default().push(open);
        }
        for (window, clicks) in windows {
            let counted = self.count(&window, clicks.iter().map(|open| open.record().offset())).await;
            for open in clicks {
                open.settle(match &counted {
                    Ok(()) => Outcome::Done,
                    Err(Outcome::Poison(error)) => Outcome::Poison(error.to_string().into()),
                    Err(Outcome::Retry(error)) => Outcome::Retry(error.to_string().into()),
                    Err(_) => Outcome::Retry("the clicks were not counted".into()),
                });
            }
        }
    }
}
