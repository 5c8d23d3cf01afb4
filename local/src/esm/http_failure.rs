//! Why a request over HTTP has no answer, in words.

use std::error::Error;

/// The innermost cause tells what happened; the outer ones only say what was tried.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The cause, and for a server that nobody trusts what does: `trust` is a sentence of it.
pub(super) fn not_answered(error: &(dyn Error + 'static), trust: &str) -> String {
    let cause = cause(error);
    if cause.starts_with("invalid peer certificate") { format!("{cause}; {trust}") } else { cause }
}
