//! How a caller wants a POST treated: `?validate_only=` and `Prefer` (RFC 7240).

use http::HeaderMap;

use super::faults::{FaultKind, Faults};

/// The query parameter for a request that is checked and not written.
pub(super) const VALIDATE_ONLY: &str = "validate_only";

/// Whether a request is only checked, by its parameter [`VALIDATE_ONLY`].
///
/// # Errors
/// [`FaultKind::Invalid`] for another value than `true` or `false`.
pub(super) fn validate_only(value: Option<&str>) -> Result<bool, Faults> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Faults::at(FaultKind::Invalid, "query", "`validate_only` must be `true` or `false`")),
    }
}

/// Whether the caller prefers an answer without a body (`return=minimal`). Other preferences are ignored, and of several
/// for the same thing the first counts (RFC 7240, 2).
pub(crate) fn prefers_minimal(headers: &HeaderMap) -> bool {
    let mut preferences =
        headers.get_all("prefer").iter().flat_map(|value| value.to_str().unwrap_or_default().split(','));
    let wanted = preferences.find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("return").then(|| value.trim().trim_matches('"'))
    });
    wanted.is_some_and(|value| value.eq_ignore_ascii_case("minimal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_return_preference_counts() {
        let minimal = |values: &[&'static str]| {
            prefers_minimal(
                &values.iter().map(|value| (http::HeaderName::from_static("prefer"), value.parse().unwrap())).collect(),
            )
        };
        for values in
            [&["return=minimal"][..], &["wait=5, Return = \"Minimal\";x=1"], &["respond-async", "return=minimal"]]
        {
            assert!(minimal(values), "{values:?}");
        }
        for values in
            [&[][..], &["return=representation, return=minimal"], &["minimal"], &["return"], &["x=1;return=minimal"]]
        {
            assert!(!minimal(values), "{values:?}");
        }
    }
}
