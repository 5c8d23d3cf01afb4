//! Sizes and counts that a configuration may set, each with its allowed range.

use std::fmt;

/// A whole number within `MIN..=MAX`: a value that exists is within the range.
///
/// ```
/// use msk_shared::limits::Bounded;
///
/// type Percent = Bounded<0, 100>;
/// assert_eq!("40".parse::<Percent>().unwrap().get(), 40);
/// assert_eq!(Percent::new(101).unwrap_err().to_string(), "must be a whole number from 0 to 100");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bounded<const MIN: usize, const MAX: usize>(usize);

/// A number outside its range, or text that is not a number.
///
/// ```
/// use msk_shared::limits::RecordCount;
///
/// let error = "many".parse::<RecordCount>().unwrap_err();
/// assert_eq!(error.to_string(), "must be a whole number from 1 to 10000");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from {min} to {max}")]
pub struct OutOfRange {
    min: usize,
    max: usize,
}

impl<const MIN: usize, const MAX: usize> Bounded<MIN, MAX> {
    /// Checks a number against the range.
    ///
    /// # Errors
    /// [`OutOfRange`] names the range.
    pub const fn new(value: usize) -> Result<Self, OutOfRange> {
        if value < MIN || value > MAX { Err(OutOfRange { min: MIN, max: MAX }) } else { Ok(Self(value)) }
    }

    /// A constant in the program; a value outside the range fails the build.
    pub const fn literal<const VALUE: usize>() -> Self {
        const {
            assert!(VALUE >= MIN && VALUE <= MAX, "the constant is outside its range");
        }
        Self(VALUE)
    }

    /// The number.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl<const MIN: usize, const MAX: usize> std::str::FromStr for Bounded<MIN, MAX> {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        text.trim().parse().map_err(|_| OutOfRange { min: MIN, max: MAX }).and_then(Self::new)
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Display for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Largest request body in bytes, after decompression. A synchronous Lambda event is limited to 6 MB *after* base64 and escaping
/// (AWS Lambda quotas), so anything above 6 MiB could never arrive.
pub type RequestBytes = Bounded<1024, { 6 * 1024 * 1024 }>;
/// The maximum number of records in one request.
pub type RecordCount = Bounded<1, 10_000>;
/// Largest record (key, value and headers) in bytes. MSK's own maximum for `message.max.bytes` is 8 MiB; this one is that of a request.
pub type RecordBytes = Bounded<1, { 6 * 1024 * 1024 }>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_outside_the_range_is_refused_with_the_range() {
        assert_eq!("500".parse::<RecordCount>().map(RecordCount::get), Ok(500));
        for text in ["0", "10001", "-1", "1e3", "", "many"] {
            let error = text.parse::<RecordCount>().unwrap_err();
            assert_eq!(error.to_string(), "must be a whole number from 1 to 10000", "{text}");
        }
    }
}
