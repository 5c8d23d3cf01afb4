//! The batch response of a function whose mapping has `ReportBatchItemFailures`.

use serde::Serialize;

use super::msk_event::MskEvent;
use super::record::{BrokenRecord, Record};
use super::record_id::{RecordFault, RecordId};

/// `{"batchItemFailures":[{"itemIdentifier":{"partition":"<topic>-<n>","offset":<int>}}]}`.
///
/// AWS retries the whole batch, silently and endlessly, if one identifier does not belong to the batch, so a response is
/// made only from an event's own records.
///
/// ```
/// use msk_shared::event::{BatchResponse, MskEvent, Record};
///
/// let event = MskEvent::new([Record::new("orders", 0, 7), Record::new("orders", 0, 8)]);
/// let response = BatchResponse::reporting(&event, |index, _| index == 1).unwrap();
/// assert_eq!(
///     serde_json::to_string(&response).unwrap(),
///     r#"{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":8}}]}"#
/// );
/// assert!(BatchResponse::all_done().is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BatchResponse {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    item: Item,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Item {
    partition: String,
    offset: i64,
    #[serde(skip)]
    id: RecordId,
}

/// A failed record that has no identifier: only an invocation error makes AWS retry it.
///
/// ```
/// use msk_shared::event::{BatchResponse, MskEvent};
///
/// let event = MskEvent::parse(r#"{"eventSource": "aws:kafka", "records": {"orders-0": [{"offset": 7}, {}]}}"#)?;
/// let error = BatchResponse::reporting(&event, |_, record| record.is_err()).unwrap_err();
/// assert_eq!(error.position, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {position} of the event failed and cannot be reported individually: {fault}")]
pub struct Unreportable {
    /// Position in [`MskEvent::entries`], counted from 1.
    pub position: usize,
    /// Why it has no identifier.
    pub fault: RecordFault,
}

impl BatchResponse {
    /// No failure: the whole batch is done.
    pub fn all_done() -> Self {
        Self::default()
    }

    /// Reports the records of `event` for which `is_failed` returns true, given each one's position in [`MskEvent::entries`]
    /// (from 0) and the record.
    ///
    /// # Errors
    /// [`Unreportable`] if a failed record has no identifier.
    pub fn reporting(
        event: &MskEvent,
        mut is_failed: impl FnMut(usize, Result<&Record, &BrokenRecord>) -> bool,
    ) -> Result<Self, Unreportable> {
        let mut failures = Vec::new();
        for (index, record) in event.entries().enumerate().filter(|(index, record)| is_failed(*index, *record)) {
            let id = record.map_err(|broken| Unreportable { position: index + 1, fault: broken.id().fault })?.id();
            failures.push(Failure { item: Item { partition: id.partition_name(), offset: id.offset, id } });
        }
        Ok(Self { failures })
    }

    /// Whether nothing is reported.
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Number of reported records.
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// The reported records, in the order of the event.
    pub fn failed(&self) -> impl Iterator<Item = &RecordId> {
        self.failures.iter().map(|failure| &failure.item.id)
    }
}
