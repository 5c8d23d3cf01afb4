//! Handlers that take several records in one call, for sinks that write many at once.

use std::future::Future;

use msk_shared::event::Record;
use msk_shared::limits::Bounded;

use crate::handler::{Outcome, RecordHandler};

/// How many records one call takes at most. 10,000 is the largest batch that an event source mapping sends.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>
pub type MaxRecords = Bounded<1, 10_000>;

/// Handles several records in one call. Every [`RecordHandler`] is one, with a single record per call.
///
/// A call has the next records of one lane or of several, each lane's in order; a lane's later records come in a later call.
/// Records can be delivered again, so effects must be idempotent. What happens to a record:
///
/// - It gets its outcome when the handler settles it, and keeps it if the call then panics or is abandoned for lack of time.
/// - A record that is left open counts as [`Outcome::Retry`].
/// - If the handler panics, the open records are given to it again, in calls of half as many, until the record is alone with
///   which it panics: that one counts as [`Outcome::Poison`].
/// - A record that fails is delivered again together with the later ones of its lane, also those that the same call settled as
///   done: what was written out of order is then written once more, in order. With `ORDERING=none` each record is its own lane.
///
/// ```
/// use msk_consumer::{BatchHandler, MaxRecords, Outcome, RecordBatch};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     id: String,
/// }
///
/// struct Orders;
///
/// impl BatchHandler for Orders {
///     /// As many as one request to the sink can hold.
///     fn max_records(&self) -> MaxRecords {
///         MaxRecords::literal::<25>()
///     }
///
///     async fn handle_batch(&self, batch: &mut RecordBatch<'_>) {
///         let mut orders = Vec::new();
///         for open in batch.open() {
///             match open.record().json::<Order>() {
///                 Ok(order) => orders.push((open, order)),
///                 Err(error) => open.settle(Outcome::Poison(error.into())),
///             }
///         }
///         let stored = store(orders.iter().map(|(_, order)| order)).await;
///         for ((open, _), stored) in orders.into_iter().zip(stored) {
///             open.settle(stored.into());
///         }
///     }
/// }
///
/// /// One result per order, as the sink answers.
/// async fn store(orders: impl Iterator<Item = &Order>) -> Vec<Result<(), std::io::Error>> {
///     orders.map(|_| Ok(())).collect()
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "implement `RecordHandler` to handle one record at a time, or `BatchHandler` for several in one call"
)]
pub trait BatchHandler: Send + Sync + 'static {
    /// How many records a call takes at most.
    fn max_records(&self) -> MaxRecords;

    /// Handles the records and settles each of them.
    fn handle_batch(&self, batch: &mut RecordBatch<'_>) -> impl Future<Output = ()> + Send;
}

impl<H: RecordHandler> BatchHandler for H {
    fn max_records(&self) -> MaxRecords {
        MaxRecords::literal::<1>()
    }

    async fn handle_batch(&self, batch: &mut RecordBatch<'_>) {
        for open in batch.open() {
            let outcome = self.handle(open.record()).await;
            open.settle(outcome);
        }
    }
}

/// The records of one call, each with room for exactly one outcome.
///
/// A test of a handler makes one:
///
/// ```
/// use msk_consumer::{BatchHandler, DefaultHandler, Outcome, RecordBatch};
/// use msk_shared::event::Record;
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// let records = [Record::new("orders", 0, 7).with_value(Some("{}")), Record::new("orders", 0, 8)];
/// let mut batch = RecordBatch::new(&records);
/// DefaultHandler.handle_batch(&mut batch).await;
/// let outcomes: Vec<_> = batch.into_outcomes().collect();
/// assert!(matches!(outcomes[..], [Some(Outcome::Done), Some(Outcome::Skip(_))]));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RecordBatch<'r> {
    entries: Vec<(&'r Record, Option<Outcome>)>,
}

impl<'r> RecordBatch<'r> {
    /// A batch of open records; a test of a handler can make one.
    pub fn new(records: impl IntoIterator<Item = &'r Record>) -> Self {
        Self { entries: records.into_iter().map(|record| (record, None)).collect() }
    }

    /// All records, settled or not, each lane's in order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &'r Record> {
        self.entries.iter().map(|(record, _)| *record)
    }

    /// The records that have no outcome yet.
    pub fn open(&mut self) -> impl Iterator<Item = OpenRecord<'_>> {
        self.entries
            .iter_mut()
            .filter(|(_, outcome)| outcome.is_none())
            .map(|(record, outcome)| OpenRecord { record, outcome })
    }

    /// Settles all records that are still open, for a sink that takes or refuses them together.
    ///
    /// ```
    /// # use msk_consumer::{Outcome, RecordBatch};
    /// # use msk_shared::event::Record;
    /// # let records = [Record::new("orders", 0, 7)];
    /// # let mut batch = RecordBatch::new(&records);
    /// # let written: Result<(), std::io::Error> = Ok(());
    /// batch.settle_open(|_| match &written {
    ///     Ok(()) => Outcome::Done,
    ///     Err(error) => Outcome::Retry(error.to_string().into()),
    /// });
    /// # assert!(batch.into_outcomes().all(|outcome| matches!(outcome, Some(Outcome::Done))));
    /// ```
    pub fn settle_open(&mut self, outcome: impl Fn(&Record) -> Outcome) {
        for open in self.open() {
            let outcome = outcome(open.record());
            open.settle(outcome);
        }
    }

    /// The outcome of each record, in the order of [`records`](Self::records); `None` for one that is open.
    pub fn into_outcomes(self) -> impl ExactSizeIterator<Item = Option<Outcome>> {
        self.entries.into_iter().map(|(_, outcome)| outcome)
    }
}

/// A record without an outcome. Settling it uses it up, so no record can get two:
///
/// ```compile_fail,E0382
/// use msk_consumer::{Outcome, RecordBatch};
///
/// fn twice(batch: &mut RecordBatch<'_>) {
///     for open in batch.open() {
///         open.settle(Outcome::Done);
///         open.settle(Outcome::Done);
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "a record that is not settled is delivered again"]
pub struct OpenRecord<'b> {
    record: &'b Record,
    outcome: &'b mut Option<Outcome>,
}

impl<'b> OpenRecord<'b> {
    /// The record.
    pub fn record(&self) -> &'b Record {
        self.record
    }

    /// Gives the record its outcome.
    pub fn settle(self, outcome: Outcome) {
        *self.outcome = Some(outcome);
    }
}
