//! The lines of the report, and how they are printed.

use std::fmt::Write as _;

/// The result of a check in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Nothing to do.
    Ok,
    /// Must be fixed before `terraform apply`.
    Missing,
    /// A person has to decide.
    Look,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Look => "look",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone)]
pub(super) struct Line {
    status: Status,
    subject: String,
    says: String,
    /// What to do: commands or sentences, one per line.
    to_do: Vec<String>,
}

impl Line {
    pub(super) fn ok(subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(Status::Ok, subject, says)
    }

    pub(super) fn missing(subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(Status::Missing, subject, says)
    }

    pub(super) fn look(subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(Status::Look, subject, says)
    }

    fn new(status: Status, subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self { status, subject: subject.into(), says: says.into(), to_do: Vec::new() }
    }

    #[must_use]
    pub(super) fn with(mut self, to_do: impl Into<String>) -> Self {
        self.to_do.push(to_do.into());
        self
    }

    pub(super) fn status(&self) -> Status {
        self.status
    }
}

/// The report in columns: status, subject, text. What to do is below the line it belongs to.
pub(super) fn render(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.subject.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for line in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<8} {:<width$}  {}", line.status.word(), line.subject, line.says);
        for to_do in &line.to_do {
            let _ = writeln!(text, "         {:<width$}  > {to_do}", "");
        }
    }
    text
}
