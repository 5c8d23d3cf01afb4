//! Posts each record's value to an HTTP endpoint, such as an internal load balancer, and slows down when the endpoint says so.
//!
//! - **Redelivery, crash**: a record is posted again with the same `Idempotency-Key`, by which the endpoint can recognise it.
//! - **Poison**: what the endpoint refuses for good (4xx) becomes a dead letter.
//! - **Backpressure**: after 429 or 503 nothing is posted for as long as `Retry-After` says. A record whose turn comes in that time
//!   waits if that is short, and otherwise fails without a request: the event source mapping delivers it again, with those behind it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{StatusCode, Uri};
use msk_consumer::idempotency::IdempotencyKey;
use msk_consumer::{Outcome, RecordHandler};
use msk_shared::env::EnvReader;
use msk_shared::event::Record;

use crate::http_client::{self, HttpClient, Response};

/// The pause that is kept when the endpoint names none.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that is kept: an endpoint's mistake must not stop a consumer for hours.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Waiting longer than this costs more than a redelivery.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Forwards records to one endpoint. All lanes share its pause.
#[derive(Debug)]
pub struct HttpForwarder {
    endpoint: Uri,
    client: HttpClient,
    /// By the wall clock, which goes on while the environment is frozen.
    paused_until: Mutex<Option<SystemTime>>,
}

impl HttpForwarder {
    /// Reads `APP_URL`, the endpoint, and `APP_CA_FILE`, the authorities that it is trusted by.
    pub fn from_env(env: &mut EnvReader) -> Option<Self> {
        let (endpoint, client) = http_client::from_app_url(env)?;
        Some(Self::new(endpoint, client))
    }

    /// A forwarder to this address.
    pub fn new(endpoint: Uri, client: HttpClient) -> Self {
        Self { endpoint, client, paused_until: Mutex::new(None) }
    }

    fn paused_until(&self) -> MutexGuard<'_, Option<SystemTime>> {
        self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left of the pause.
    fn pause(&self) -> Duration {
        let until = *self.paused_until();
        until.and_then(|until| until.duration_since(SystemTime::now()).ok()).unwrap_or_default()
    }

    fn pause_for(&self, time: Duration) {
        let until = SystemTime::now() + time.min(LONGEST_PAUSE);
        let mut paused_until = self.paused_until();
        *paused_until = Some(paused_until.map_or(until, |before| before.max(until)));
    }

    async fn post(&self, record: &Record, value: Bytes) -> Result<Response, Outcome> {
        let mut request = http::Request::post(&self.endpoint).header("Idempotency-Key", printable(record));
        if let Some(content_type) = record.header_text("content-type").filter(|text| is_header_value(text)) {
            request = request.header("Content-Type", content_type);
        }
        match request.body(value) {
            Ok(request) => self.client.send(request).await,
            Err(_) => Err(Outcome::Poison("the record's content type cannot be that of a request".into())),
        }
    }

    fn outcome(&self, status: StatusCode, retry_after: Option<Duration>) -> Outcome {
        match status {
            status if status.is_success() => Outcome::Done,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.pause_for(retry_after.unwrap_or(DEFAULT_PAUSE));
                Outcome::Retry(format!("the endpoint asked for a pause with status {status}").into())
            }
            // 408 says nothing about the record. A redirect means that APP_URL is wrong, not the record.
            status if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
                Outcome::Poison(format!("the endpoint refused the record with status {status}").into())
            }
            status => Outcome::Retry(format!("the endpoint answered with status {status}").into()),
        }
    }
}

impl RecordHandler for HttpForwarder {
    async fn handle(&self, record: &Record) -> Outcome {
        let value = match record.value() {
            Ok(Some(value)) => Bytes::from(value.into_owned()),
            Ok(None) => return Outcome::Skip("a tombstone has nothing to post".into()),
            Err(error) => return Outcome::Poison(error.into()),
        };
        let pause = self.pause();
        if pause > LONGEST_WAIT {
            return Outcome::Retry(
                format!("the endpoint asked for a pause, of which {} s are left", pause.as_secs()).into(),
            );
        }
        tokio::time::sleep(pause).await;
        match self.post(record, value).await {
            Ok(answer) => self.outcome(answer.status(), retry_after(&answer)),
            Err(outcome) => outcome,
        }
    }
}

/// In seconds; the other form, a date, counts as none.
fn retry_after(answer: &Response) -> Option<Duration> {
    let text = answer.headers().get("retry-after")?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// The record's identity, in the characters that a header may have.
fn printable(record: &Record) -> String {
    let escape = |byte: u8| match byte {
        b'!'..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    IdempotencyKey::for_record(record).as_str().bytes().map(escape).collect()
}

fn is_header_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
