//! What is wrong with a request's records, collected over the whole request, so that one answer names all of it.

use crate::problem::{FieldError, Kind, Problem};

/// At most this many places are named in one answer.
pub(crate) const MAX_NAMED: usize = 20;

/// Where the parts of a record stand in a request, and so what they are called in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Places {
    /// In `/records/<n>` of the v2 family's envelope.
    #[default]
    Envelope,
    /// The body is the value, headers are the rest: `POST /messages`.
    Message,
}

/// A part of a record that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The record as a whole.
    Whole,
    /// Its key.
    Key,
    /// Its value.
    Value,
    /// Its partition.
    Partition,
}

impl Places {
    fn pointer(self, index: usize, part: Part) -> String {
        match (self, part) {
            (Self::Envelope, Part::Whole) => format!("/records/{index}"),
            (Self::Envelope, Part::Key) => format!("/records/{index}/key"),
            (Self::Envelope, Part::Value) => format!("/records/{index}/value"),
            (Self::Envelope, Part::Partition) => format!("/records/{index}/partition"),
            // The empty pointer is the whole body.
            (Self::Message, Part::Whole | Part::Value) => String::new(),
            (Self::Message, Part::Key) => "Kafka-Key".to_owned(),
            (Self::Message, Part::Partition) => "Kafka-Partition".to_owned(),
        }
    }
}

/// Faults by their kind. One answer has one status, so the gravest kind that occurs decides, and its places are named.
#[derive(Debug, Default)]
pub(crate) struct Issues {
    faults: Vec<(Kind, FieldError)>,
    /// Faults per kind, named or not.
    counts: Vec<(Kind, usize)>,
    /// The first record that is too large, with its size and its limit.
    oversize: Option<Oversize>,
    places: Places,
}

/// A record over its limit.
#[derive(Debug, Clone, Copy)]
struct Oversize {
    index: usize,
    actual_bytes: usize,
    limit_bytes: usize,
}

/// Gravest first: what does not decode, what has the wrong shape, what is too large, what names no partition.
const ORDER: [Kind; 4] = [Kind::Malformed, Kind::Invalid, Kind::TooLarge, Kind::PartitionNotFound];

impl Issues {
    /// None yet, of a request whose records stand there.
    pub(crate) fn at(places: Places) -> Self {
        Self { places, ..Self::default() }
    }

    /// Notes a fault of a record.
    pub(crate) fn note_part(&mut self, kind: Kind, index: usize, part: Part, detail: impl Into<String>) {
        self.note(kind, self.places.pointer(index, part), detail);
    }

    /// Notes a fault at a place of the body (a JSON pointer, RFC 6901).
    pub(crate) fn note(&mut self, kind: Kind, pointer: impl Into<String>, detail: impl Into<String>) {
        let count = match self.counts.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, count)) => count,
            None => {
                self.counts.push((kind, 0));
                // Just pushed.
                let last = self.counts.len() - 1;
                &mut self.counts[last].1
            }
        };
        *count += 1;
        if *count <= MAX_NAMED {
            self.faults.push((kind, FieldError { pointer: pointer.into(), detail: detail.into() }));
        }
    }

    /// Notes a record that is larger than its limit; `variable` is the limit's name.
    pub(crate) fn too_large(&mut self, index: usize, actual_bytes: usize, limit_bytes: usize, variable: &str) {
        self.oversize.get_or_insert(Oversize { index, actual_bytes, limit_bytes });
        self.note_part(
            Kind::TooLarge,
            index,
            Part::Whole,
            format!("the record has {actual_bytes} bytes; the limit is {limit_bytes} bytes ({variable})"),
        );
    }

    /// Whether there is a fault of this kind.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.counts.iter().any(|(k, _)| *k == kind)
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The answer, if anything is wrong.
    ///
    /// # Errors
    /// One problem of the gravest kind, naming at most [`MAX_NAMED`] places.
    pub(crate) fn into_result(self) -> Result<(), Problem> {
        let Some(kind) = ORDER.into_iter().find(|kind| self.has(*kind)) else {
            return Ok(());
        };
        let count = self.counts.iter().find(|(k, _)| *k == kind).map_or(0, |(_, count)| *count);
        let errors: Vec<FieldError> = self.faults.into_iter().filter(|(k, _)| *k == kind).map(|(_, e)| e).collect();
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        let detail = match count {
            0 | 1 => first,
            _ if count > errors.len() => format!("{first} (and {} more; the first {MAX_NAMED} are listed)", count - 1),
            _ => format!("{first} (and {} more)", count - 1),
        };
        let mut problem = Problem::new(kind, detail).with_errors(errors);
        if let (Kind::TooLarge, Some(oversize)) = (kind, self.oversize) {
            problem = problem.with_sizes(oversize.limit_bytes, oversize.actual_bytes);
            if self.places == Places::Envelope {
                problem = problem.at_record(oversize.index);
            }
        }
        Err(problem)
    }
}
