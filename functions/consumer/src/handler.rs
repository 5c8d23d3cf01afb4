//! **The business logic.** Replace the body of [`DefaultHandler::handle`], or implement [`RecordHandler`] for your own type
//! (with clients, caches and configuration in its fields) and pass it to [`crate::run`] in `main.rs`.
//!
//! ```
//! use msk_consumer::{Outcome, RecordHandler};
//! use msk_shared::event::Record;
//! // A sample; your own messages go beside it. A topic with the schema `orders.v1` has no others.
//! use msk_shared::messages::OrderPlaced;
//!
//! struct Orders;
//!
//! impl RecordHandler for Orders {
//!     async fn handle(&self, record: &Record) -> Outcome {
//!         if record.is_tombstone() {
//!             return Outcome::Skip("orders are never deleted".into());
//!         }
//!         let order: OrderPlaced = match record.json() {
//!             Ok(order) => order,
//!             Err(error) => return Outcome::Poison(error.into()),
//!         };
//!         store(&order).await.into()
//!     }
//! }
//!
//! async fn store(_order: &OrderPlaced) -> Result<(), std::io::Error> {
//!     Ok(())
//! }
//! ```

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use msk_shared::event::{DecodeError, MessageKind, Record};
use msk_shared::telemetry::log_record;

/// Handles one record. Records of one lane are handled one after the other, in order; lanes run concurrently.
///
/// A record can be delivered again, after a failure, a timeout or a rebalance, so effects must be idempotent.
///
/// ```
/// use msk_consumer::{Outcome, RecordHandler};
/// use msk_shared::event::Record;
///
/// /// Its test needs neither Kafka nor Lambda.
/// struct Payments;
///
/// impl RecordHandler for Payments {
///     async fn handle(&self, record: &Record) -> Outcome {
///         match record.json::<u64>() {
///             Ok(0) => Outcome::Skip("nothing to pay".into()),
///             Ok(_amount) => Outcome::Done,
///             Err(error) => Outcome::Poison(error.into()),
///         }
///     }
/// }
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let payment = |value| Record::new("payments", 0, 7).with_value(Some(value));
/// assert!(matches!(Payments.handle(&payment("5")).await, Outcome::Done));
/// assert!(matches!(Payments.handle(&payment("five")).await, Outcome::Poison(_)));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait RecordHandler: Send + Sync + 'static {
    /// Handles the record and returns the outcome. A panic is caught and counts as [`Outcome::Poison`].
    fn handle(&self, record: &Record) -> impl Future<Output = Outcome> + Send;
}

/// A shared handler, for example with a test that checks its effects.
impl<H: RecordHandler> RecordHandler for Arc<H> {
    fn handle(&self, record: &Record) -> impl Future<Output = Outcome> + Send {
        H::handle(self, record)
    }
}

/// The outcome of handling a record.
///
/// ```
/// use msk_consumer::Outcome;
///
/// /// A sink that is busy is asked again; one that refuses the record never takes it.
/// fn outcome(status: u16) -> Outcome {
///     match status {
///         200..=299 => Outcome::Done,
///         409 => Outcome::Skip("it has a newer one".into()),
///         429 | 500.. => Outcome::Retry(format!("the sink answered {status}").into()),
///         _ => Outcome::Poison(format!("the sink refused the record with {status}").into()),
///     }
/// }
/// assert!(matches!(outcome(503), Outcome::Retry(_)));
/// assert!(matches!(outcome(422), Outcome::Poison(_)));
/// ```
#[derive(Debug)]
pub enum Outcome {
    /// The effect happened.
    Done,
    /// There was correctly nothing to do.
    Skip(Reason),
    /// Failed but may succeed later: reported to the event source mapping together with the later records of its lane.
    Retry(Error),
    /// Will never succeed: becomes a dead letter.
    Poison(Error),
}

/// Why a record was skipped.
pub type Reason = Cow<'static, str>;

/// Why a record failed. Its text goes to the log and into the dead letter's `x-dlq-error`, so it must not include the record's content.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// `Ok` is [`Outcome::Done`], an error is [`Outcome::Retry`].
///
/// ```
/// use msk_consumer::Outcome;
///
/// let stored: Result<(), std::io::Error> = Ok(());
/// assert!(matches!(stored.into(), Outcome::Done));
/// ```
impl<E: Into<Error>> From<Result<(), E>> for Outcome {
    fn from(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(error) => Self::Retry(error.into()),
        }
    }
}

/// Verifies a deployment end to end: decodes each record and logs its coordinates and type, never its content.
///
/// ```
/// use msk_consumer::{DefaultHandler, Outcome, RecordHandler};
/// use msk_shared::event::Record;
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let record = Record::new("orders", 0, 7).with_value(Some(r#"{"id": 1}"#));
/// assert!(matches!(DefaultHandler.handle(&record).await, Outcome::Done));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultHandler;

impl RecordHandler for DefaultHandler {
    async fn handle(&self, record: &Record) -> Outcome {
        let (kind, bytes) = match decode(record) {
            Ok(decoded) => decoded,
            Err(error) => return Outcome::Poison(error.into()),
        };
        let name = match &kind {
            MessageKind::Tombstone => "tombstone",
            MessageKind::CloudEvent(name) => name,
            MessageKind::Json => "json",
        };
        log_record(record, name, bytes);
        match kind {
            MessageKind::Tombstone => Outcome::Skip("tombstone".into()),
            MessageKind::CloudEvent(_) | MessageKind::Json => Outcome::Done,
        }
    }
}

fn decode(record: &Record) -> Result<(MessageKind, usize), DecodeError> {
    let value = record.value()?;
    let kind = MessageKind::from_value(record, value.as_deref())?;
    Ok((kind, value.map_or(0, |value| value.len())))
}
