//! What the windows of clicks promise, against a small document store on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

mod endpoint;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use endpoint::Endpoint;
use msk_consumer::dead_letters::NoSink;
use msk_consumer::idempotency::MemoryStore;
use msk_consumer::{BatchProcessor, BatchSettings, InvocationContext};
use msk_consumer_examples::click_window::ClickWindow;
use msk_consumer_examples::http_client::HttpClient;
use msk_shared::event::{MskEvent, Record, TombstoneStyle};
use serde_json::{Value, json};

/// Documents by path. While it is broken, it takes `writes_left` more of them.
#[derive(Default)]
struct Store {
    documents: Mutex<BTreeMap<String, Vec<u8>>>,
    is_broken: AtomicBool,
    writes_left: AtomicUsize,
}

impl Store {
    fn serve(self: &Arc<Self>) -> Endpoint {
        let store = Arc::clone(self);
        Endpoint::serve(move |request| {
            let mut documents = store.documents.lock().unwrap();
            if request.method == "GET" {
                return match documents.get(&request.path) {
                    Some(document) => ("200 OK\r\n".to_owned(), document.clone()),
                    None => ("404 Not Found\r\n".to_owned(), Vec::new()),
                };
            }
            let may_write = || store.writes_left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
            if store.is_broken.load(SeqCst) && !may_write() {
                return ("503 Busy\r\n".to_owned(), Vec::new());
            }
            documents.insert(request.path.clone(), request.body.clone());
            ("200 OK\r\n".to_owned(), Vec::new())
        })
    }

    /// The clicks of each document.
    fn clicks(&self) -> BTreeMap<String, u64> {
        let documents = self.documents.lock().unwrap();
        let clicks = |document: &[u8]| serde_json::from_slice::<Value>(document).unwrap()["clicks"].as_u64().unwrap();
        documents.iter().map(|(path, document)| (path.clone(), clicks(document))).collect()
    }
}

/// An execution environment of its own, which knows nothing of what another one did.
async fn deliver(endpoint: &Endpoint, records: &[Record]) -> Vec<String> {
    let settings = BatchSettings { report_batch_item_failures: true, ..BatchSettings::default() };
    let handler = ClickWindow::new(endpoint.url().parse().unwrap(), HttpClient::without_tls());
    let processor = BatchProcessor::new(handler, NoSink, MemoryStore::default(), settings);
    let invocation = InvocationContext { request_id: "test".to_owned(), deadline: None };
    let event = MskEvent::new(records.iter().cloned()).to_json(TombstoneStyle::Omit);
    processor.process(event, &invocation).await.answer.unwrap().failed().map(ToString::to_string).collect()
}

fn click(partition: i32, offset: i64, page: &str, minute: u64) -> Record {
    let value = json!({"page": page, "at_ms": minute * 60_000 + offset as u64}).to_string();
    Record::new("clicks", partition, offset).with_value(Some(value))
}

fn clicks() -> Vec<Record> {
    let pages = ["/home", "/a?b=c d"];
    let partition =
        |partition| (0..40).map(move |offset| click(partition, offset, pages[offset as usize % 2], offset as u64 / 30));
    partition(0).chain(partition(1)).collect()
}

fn expected() -> BTreeMap<String, u64> {
    let mut expected = BTreeMap::new();
    for partition in 0..2 {
        for page in ["%2Fhome", "%2Fa%3Fb%3Dc%20d"] {
            for (minute, clicks) in [(0, 15), (1, 5)] {
                expected.insert(format!("/intake/clicks-{partition}/{page}/{minute}"), clicks);
            }
        }
    }
    expected
}

#[tokio::test]
async fn each_click_is_counted_once_however_often_it_comes() {
    let store = Arc::new(Store::default());
    let endpoint = store.serve();
    let clicks = clicks();
    // Batches of other bounds each time, as after a crash.
    for batch in [&clicks[..7], &clicks[..25], &clicks[3..33], &clicks[..], &clicks[60..]] {
        assert!(deliver(&endpoint, batch).await.is_empty());
    }
    assert_eq!(store.clicks(), expected());
}

#[tokio::test]
async fn windows_that_cannot_be_written_lose_and_repeat_nothing() {
    let clicks = clicks();
    // The store breaks after any number of writes in the midst of a call, then is mended.
    for writes in 0..8 {
        let store = Arc::new(Store::default());
        let endpoint = store.serve();
        store.writes_left.store(writes, SeqCst);
        store.is_broken.store(true, SeqCst);
        assert!(!deliver(&endpoint, &clicks).await.is_empty(), "after {writes} writes");
        store.is_broken.store(false, SeqCst);
        assert!(deliver(&endpoint, &clicks).await.is_empty());
        assert_eq!(store.clicks(), expected(), "after {writes} writes");
    }
}

#[tokio::test]
async fn what_is_no_click_is_poison_and_is_not_counted() {
    let store = Arc::new(Store::default());
    let endpoint = store.serve();
    let odd = Record::new("clicks", 0, 1).with_value(Some(r#"{"page": "/home"}"#));
    let records = [click(0, 0, "/home", 7), odd, Record::new("clicks", 0, 2), click(1, 0, "/home", 7)];
    // Without a dead-letter sink poison is reported, and what follows it in its partition.
    assert_eq!(deliver(&endpoint, &records).await, ["clicks-0@1", "clicks-0@2"]);
    let counted = ["/intake/clicks-0/%2Fhome/7", "/intake/clicks-1/%2Fhome/7"].map(|path| (path.to_owned(), 1));
    assert_eq!(store.clicks(), BTreeMap::from(counted));
}
