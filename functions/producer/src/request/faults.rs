//! What is wrong with a request, collected over the whole of it, so that one answer names every place.

use super::json::SyntaxError;

/// At most this many places are named in one answer.
pub(crate) const MAX_NAMED: usize = 20;

/// Kinds of faults, the most severe first: an answer has one status, so the first kind that occurs decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// The body did not come in time.
    TooSlow,
    /// Bytes that do not decode.
    Malformed,
    /// The media type is not one of these.
    MediaType(&'static str),
    /// The body is compressed in a way that is not accepted.
    ContentEncoding,
    /// Of the wrong shape, or against the topic's policy.
    Invalid,
    /// No record, or too many.
    RecordCount,
    /// The request or a record is over its limit.
    TooLarge,
    PartitionNotFound,
}

/// One fault, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// A JSON pointer into the body (RFC 6901; empty: the whole body), or the name of a header or of the query. `None` when
    /// the fault is in no single place.
    pub(crate) pointer: Option<String>,
    /// What is wrong and what to change.
    pub(crate) detail: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.as_deref() {
            None | Some("") => f.write_str(&self.detail),
            Some(pointer) => write!(f, "{pointer}: {}", self.detail),
        }
    }
}

/// A request or record over its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oversize {
    pub(crate) limit_bytes: usize,
    pub(crate) actual_bytes: usize,
    /// The record's place in the request; `None` when the request itself is too large, or has only one record.
    pub(crate) index: Option<usize>,
}

/// The faults of a refused request: at least one, all of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub(crate) kind: FaultKind,
    /// The first [`MAX_NAMED`] of them.
    pub(crate) named: Vec<Fault>,
    /// The first that is too large.
    pub(crate) oversize: Option<Oversize>,
    /// How many were found, named or not.
    count: usize,
    /// Whether there may be more than were found.
    is_open_ended: bool,
}

impl Faults {
    fn one(kind: FaultKind, fault: Fault) -> Self {
        Self { kind, named: vec![fault], oversize: None, count: 1, is_open_ended: false }
    }

    /// A fault that is in no single place.
    pub(crate) fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self::one(kind, Fault { pointer: None, detail: detail.into() })
    }

    /// A fault of a header or the query.
    pub(crate) fn at(kind: FaultKind, place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::one(kind, Fault { pointer: Some(place.into()), detail: detail.into() })
    }

    /// A request over its limit.
    pub(crate) fn too_large(detail: String, limit_bytes: usize, actual_bytes: usize) -> Self {
        let oversize = Some(Oversize { limit_bytes, actual_bytes, index: None });
        Self { oversize, ..Self::new(FaultKind::TooLarge, detail) }
    }

    /// The first fault, and how many more there are.
    pub(crate) fn summary(&self) -> String {
        let first = self.named.first().map(ToString::to_string).unwrap_or_default();
        let at_least = if self.is_open_ended { "at least " } else { "" };
        match self.count {
            0 | 1 if self.is_open_ended => format!("{first} (there may be more)"),
            0 | 1 => first,
            count if count > MAX_NAMED => {
                format!("{first} (and {at_least}{} more; the first {MAX_NAMED} are listed)", count - 1)
            }
            count => format!("{first} (and {at_least}{} more)", count - 1),
        }
    }
}

impl From<SyntaxError> for Faults {
    fn from(error: SyntaxError) -> Self {
        Self::new(FaultKind::Malformed, format!("malformed JSON: {error}"))
    }
}

/// Where the parts of a record are in a request, and so what they are called in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Places {
    /// In `/records/<n>` of the body.
    #[default]
    Envelope,
    /// The body is the record, as Confluent's API v3 writes it.
    V3Record,
    /// Records of API v3 one after the other; each counts as `/records/<n>`.
    V3Records,
    /// In `/entries/<n>` of the body, as API v3 writes them.
    V3Entries,
    /// The body is the value, headers are the rest.
    Message,
    /// Each line of the body is a value, headers are the rest; a line counts as `/records/<n>`.
    Lines,
    /// In `/<n>` of the body, headers are the rest: a batch of CloudEvents.
    Batch,
}

/// A part of a record that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordPart {
    Whole,
    Key,
    Value,
    Partition,
    Timestamp,
    /// What is in the value.
    Data,
}

impl Places {
    /// What a record is called in an answer.
    pub(crate) fn record(self, index: usize) -> String {
        match self {
            Self::V3Entries => format!("/entries/{index}"),
            Self::V3Record | Self::Message => String::new(),
            Self::Batch => format!("/{index}"),
            Self::Envelope | Self::Lines | Self::V3Records => format!("/records/{index}"),
        }
    }

    /// What a part of a record is called in an answer.
    pub(crate) fn pointer(self, index: usize, part: RecordPart) -> String {
        match (self, part) {
            (Self::Envelope | Self::Message | Self::Lines | Self::Batch, RecordPart::Data) => {
                self.pointer(index, RecordPart::Value)
            }
            (Self::V3Record | Self::V3Records | Self::V3Entries, part) => {
                let member = match part {
                    RecordPart::Whole => "",
                    RecordPart::Key => "/key",
                    RecordPart::Value => "/value",
                    RecordPart::Data => "/value/data",
                    RecordPart::Partition => "/partition_id",
                    RecordPart::Timestamp => "/timestamp",
                };
                self.record(index) + member
            }
            (Self::Envelope, RecordPart::Whole) => format!("/records/{index}"),
            (Self::Envelope, RecordPart::Key) => format!("/records/{index}/key"),
            (Self::Envelope, RecordPart::Value) => format!("/records/{index}/value"),
            (Self::Envelope, RecordPart::Partition) => format!("/records/{index}/partition"),
            (Self::Envelope, RecordPart::Timestamp) => format!("/records/{index}/timestamp"),
            (Self::Message | Self::Lines | Self::Batch, RecordPart::Whole | RecordPart::Value) => self.record(index),
            (Self::Batch, RecordPart::Key) => format!("/{index}/partitionkey"),
            (Self::Message | Self::Lines, RecordPart::Key) => "Kafka-Key".to_owned(),
            (Self::Message | Self::Lines | Self::Batch, RecordPart::Partition) => "Kafka-Partition".to_owned(),
            (Self::Message | Self::Lines | Self::Batch, RecordPart::Timestamp) => "Kafka-Timestamp".to_owned(),
        }
    }
}

/// Collects faults while a request is checked, and keeps those of the most severe kind.
#[derive(Debug, Default)]
pub(crate) struct FaultCollector {
    faults: Option<Faults>,
    places: Places,
}

impl FaultCollector {
    pub(crate) fn new(places: Places) -> Self {
        Self { faults: None, places }
    }

    /// Notes a fault of a record.
    pub(crate) fn note_part(&mut self, kind: FaultKind, index: usize, part: RecordPart, detail: impl Into<String>) {
        self.note(kind, self.places.pointer(index, part), detail);
    }

    /// Notes a fault at a place of the body (a JSON pointer, RFC 6901).
    pub(crate) fn note(&mut self, kind: FaultKind, pointer: impl Into<String>, detail: impl Into<String>) {
        let fault = Fault { pointer: Some(pointer.into()), detail: detail.into() };
        match &mut self.faults {
            Some(faults) if faults.kind < kind => {}
            // A header that holds for every record has one fault, however many there are.
            Some(faults) if faults.kind == kind && faults.named.last() == Some(&fault) => {}
            Some(faults) if faults.kind == kind => {
                faults.count += 1;
                if faults.named.len() < MAX_NAMED {
                    faults.named.push(fault);
                }
            }
            _ => self.faults = Some(Faults::one(kind, fault)),
        }
    }

    /// Whether as many faults of a request that is invalid are named as ever are.
    pub(super) fn is_full(&self) -> bool {
        self.faults.as_ref().is_some_and(|it| {
            it.kind < FaultKind::Invalid || it.kind == FaultKind::Invalid && it.named.len() >= MAX_NAMED
        })
    }

    /// Notes that not every fault of a request that is invalid was looked for.
    pub(super) fn note_open_end(&mut self) {
        if let Some(faults) = self.faults.as_mut().filter(|faults| faults.kind == FaultKind::Invalid) {
            faults.is_open_ended = true;
        }
    }

    /// Notes a record that is larger than its limit; `variable` is the limit's name.
    pub(crate) fn note_too_large(&mut self, index: usize, actual_bytes: usize, limit_bytes: usize, variable: &str) {
        let detail = format!("the record has {actual_bytes} bytes; the limit is {limit_bytes} bytes ({variable})");
        self.note_part(FaultKind::TooLarge, index, RecordPart::Whole, detail);
        let index = (!matches!(self.places, Places::Message | Places::V3Record)).then_some(index);
        if let Some(faults) = self.faults.as_mut().filter(|faults| faults.kind == FaultKind::TooLarge) {
            faults.oversize.get_or_insert(Oversize { limit_bytes, actual_bytes, index });
        }
    }

    /// Sets where the parts of records are, from now on.
    pub(crate) fn set_places(&mut self, places: Places) {
        self.places = places;
    }

    /// Puts a step before the pointers of all faults so far.
    pub(crate) fn put_under(&mut self, step: &str) {
        for fault in self.faults.iter_mut().flat_map(|faults| &mut faults.named) {
            fault.pointer = fault.pointer.take().map(|pointer| format!("{step}{pointer}"));
        }
    }

    /// Where the parts of the records are.
    pub(crate) fn places(&self) -> Places {
        self.places
    }

    /// The most severe kind so far.
    pub(crate) fn kind(&self) -> Option<FaultKind> {
        self.faults.as_ref().map(|faults| faults.kind)
    }

    /// # Errors
    /// The faults of the most severe kind, if there are any.
    pub(crate) fn into_result(self) -> Result<(), Faults> {
        self.faults.map_or(Ok(()), Err)
    }
}
