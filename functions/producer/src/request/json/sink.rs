//! Collects a value as it is kept.

/// A value as it is kept: runs of the text, with replacements between them.
pub(super) struct Sink {
    keeps: bool,
    changed: bool,
    out: Vec<u8>,
    /// Where the run begins that has not been copied yet.
    run: usize,
}

impl Sink {
    pub(super) fn none() -> Self {
        Self { keeps: false, changed: false, out: Vec::new(), run: 0 }
    }

    pub(super) fn from(start: usize) -> Self {
        Self { keeps: true, changed: false, out: Vec::new(), run: start }
    }

    /// The text from `start` to `end` is kept as `bytes`.
    pub(super) fn replace(&mut self, text: &str, start: usize, end: usize, bytes: &[u8]) {
        if self.keeps {
            self.changed = true;
            self.out.extend_from_slice(&text.as_bytes()[self.run..start]);
            self.out.extend_from_slice(bytes);
            self.run = end;
        }
    }

    /// What is kept of the value that began where this sink did and ends at `end`; `None` when that is the text itself.
    pub(super) fn finish(mut self, text: &str, end: usize) -> Option<Vec<u8>> {
        if self.changed {
            self.out.extend_from_slice(&text.as_bytes()[self.run..end]);
        }
        self.changed.then_some(self.out)
    }
}
