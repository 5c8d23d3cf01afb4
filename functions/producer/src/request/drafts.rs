//! The drafts of a request's records, and from drafts to records.

use msk_shared::kafka::OutboundRecord;

use super::checks;
use super::draft::Draft;
use super::faults::{FaultCollector, FaultKind, Faults, Places};
use crate::config::Limits;
use crate::topics::Topic;

/// The records of a body, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    /// The records, at most `MAX_RECORDS`.
    pub(crate) records: Vec<Draft>,
    /// How many records the body has.
    pub(crate) count: usize,
    /// What is wrong with them.
    pub(crate) faults: FaultCollector,
    /// What is said of a body without records.
    pub(crate) none: &'static str,
}

impl Drafts {
    /// No record yet.
    pub(crate) fn new(places: Places, none: &'static str) -> Self {
        Self { faults: FaultCollector::new(places), none, ..Self::default() }
    }

    /// The only record of a request.
    pub(super) fn single(draft: Draft) -> Self {
        Self { records: vec![draft], count: 1, ..Self::new(Places::Message, "") }
    }

    /// Where the parts of the records are, for faults that show later.
    pub(crate) fn places(&self) -> Places {
        self.faults.places()
    }

    /// Checks everything that can be known without the cluster; `partition` is that of the path.
    ///
    /// # Errors
    /// The most severe faults.
    pub(crate) fn into_records(
        self,
        topic: &Topic,
        partition: Option<i32>,
        limits: &Limits,
    ) -> Result<Vec<OutboundRecord>, Faults> {
        // What does not decode comes first, then the count: of too many records not all were looked at.
        if self.faults.kind() == Some(FaultKind::Malformed) {
            self.faults.into_result()?;
            return Ok(Vec::new());
        }
        self.check_count(limits.records.get())?;
        let Self { mut records, mut faults, .. } = self;
        if let Some(partition) = partition {
            checks::fix_partition(&mut records, partition, &mut faults);
        }
        let records = checks::records(records, topic, limits, &mut faults);
        faults.into_result()?;
        Ok(records)
    }

    /// Rejects a body without records, and one with too many.
    fn check_count(&self, max_records: usize) -> Result<(), Faults> {
        match self.count {
            0 if self.faults.kind().is_none() => Err(Faults::new(FaultKind::RecordCount, self.none)),
            count if count > max_records => Err(Faults::new(
                FaultKind::RecordCount,
                format!("the request has {count} records; the limit is {max_records} (MAX_RECORDS)"),
            )),
            _ => Ok(()),
        }
    }
}
