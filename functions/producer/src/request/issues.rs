//! What is wrong with a request's records, collected over the whole request, so that one answer names all of it.

use crate::problem::{FieldError, Kind, Problem};

/// At most this many places are named in one answer.
pub(crate) const MAX_NAMED: usize = 20;

/// Faults by their kind. One answer has one status, so the gravest kind that occurs decides, and its places are named.
#[derive(Debug, Default)]
pub(crate) struct Issues {
    faults: Vec<(Kind, FieldError)>,
    /// Faults per kind, named or not.
    counts: Vec<(Kind, usize)>,
    /// The first record that is too large, with its size and its limit.
    oversize: Option<Oversize>,
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
        self.note(
            Kind::TooLarge,
            format!("/records/{index}"),
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
        let first = errors.first().map(|e| format!("{}: {}", e.pointer, e.detail)).unwrap_or_default();
        let detail = match count {
            0 | 1 => first,
            _ if count > errors.len() => format!("{first} (and {} more; the first {MAX_NAMED} are listed)", count - 1),
            _ => format!("{first} (and {} more)", count - 1),
        };
        let mut problem = Problem::new(kind, detail).with_errors(errors);
        if let (Kind::TooLarge, Some(oversize)) = (kind, self.oversize) {
            problem = problem.with_sizes(oversize.limit_bytes, oversize.actual_bytes).at_record(oversize.index);
        }
        Err(problem)
    }
}
