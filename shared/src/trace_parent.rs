//! The `traceparent` of W3C Trace Context: <https://www.w3.org/TR/trace-context/#traceparent-header>.

use std::ops::Range;

const VERSION: Range<usize> = 0..2;
const TRACE_ID: Range<usize> = 3..35;
const PARENT_ID: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..55;

/// A valid `traceparent`: its four fields `00-<32 hex>-<16 hex>-<2 hex>`, safe to show in a log.
///
/// ```
/// use msk_shared::trace_parent::TraceParent;
///
/// let parent = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
/// assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert!(TraceParent::parse(b"anything else").is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent<'a>(&'a str);

impl<'a> TraceParent<'a> {
    /// `None` for an invalid value, which section 3.2.2.5 of the specification says to ignore. A later version may have more
    /// fields after these four; they are valid but omitted.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let is_hex = |field: &Range<usize>| {
            value.get(field.clone()).is_some_and(|part| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        };
        let is_zero = |field: Range<usize>| value[field].iter().all(|b| *b == b'0');
        let dash = |at: usize| value.get(at) == Some(&b'-');
        let is_valid = [VERSION, TRACE_ID, PARENT_ID, FLAGS].iter().all(is_hex)
            && [VERSION, TRACE_ID, PARENT_ID].iter().all(|field| dash(field.end))
            && &value[VERSION] != b"ff"
            && !is_zero(TRACE_ID)
            && !is_zero(PARENT_ID)
            && (value.len() == FLAGS.end || (&value[VERSION] != b"00" && dash(FLAGS.end)));
        if is_valid { std::str::from_utf8(&value[..FLAGS.end]).ok().map(Self) } else { None }
    }

    /// The four fields as text.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// 32 hexadecimal digits, not all zero.
    pub fn trace_id(self) -> &'a str {
        &self.0[TRACE_ID]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_a_well_formed_traceparent_is_one() {
        let parsed = TraceParent::parse(PARENT.as_bytes()).unwrap();
        assert_eq!((parsed.as_str(), parsed.trace_id()), (PARENT, "4bf92f3577b34da6a3ce929d0e0e4736"));
        for text in [
            "",
            "secret",
            &PARENT.to_uppercase(),
            &PARENT[..52],
            &format!("{PARENT}-more"),
            &PARENT.replace("00-4", "ff-4"),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace("-01", "-é"),
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_a_later_version_adds_is_left_out() {
        let later = PARENT.replace("00-4", "cc-4");
        let parsed = |text: String| TraceParent::parse(text.as_bytes()).map(|parent| parent.as_str().to_owned());
        assert_eq!(parsed(format!("{later}-what-the-future-brings")), Some(later.clone()));
        assert_eq!(parsed(format!("{later}.more")), None);
    }
}
