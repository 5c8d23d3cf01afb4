//! A moment as AWS's tools write it: seconds since 1970 in the API, an ISO 8601 date in the output of AWS's command line.

use std::str::FromStr;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::members::FromMember;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

/// The text is no moment.
#[derive(Debug, thiserror::Error)]
#[error("write seconds since 1970, or an ISO 8601 date with its offset, as in 2026-01-31T09:00:00Z")]
pub struct NoMoment;

/// The years that a timestamp of Kafka and a date can both express.
const SECONDS: std::ops::Range<f64> = 0.0..1e11;

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self(i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
    }

    fn from_seconds(seconds: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "the range fits")]
        SECONDS.contains(&seconds).then(|| Self((seconds * 1000.0).round() as i64))
    }
}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if let Ok(seconds) = text.parse() {
            return Self::from_seconds(seconds).ok_or(NoMoment);
        }
        // Python writes a space in place of the T.
        let date = OffsetDateTime::parse(&text.trim().replacen(' ', "T", 1), &Rfc3339).map_err(|_| NoMoment)?;
        i64::try_from(date.unix_timestamp_nanos() / 1_000_000).ok().filter(|ms| *ms >= 0).map(Self).ok_or(NoMoment)
    }
}

impl FromMember for Moment {
    const WANTED: &'static str = "seconds since 1970, or an ISO 8601 date with its offset (2026-01-31T09:00:00Z)";

    fn from_member(value: &Value) -> Option<Self> {
        match value {
            Value::Number(seconds) => Self::from_seconds(seconds.as_f64()?),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form_that_aws_prints() {
        for (text, expected) in [
            ("1735689600", 1_735_689_600_000),
            ("1735689600.25", 1_735_689_600_250),
            ("2025-01-01T00:00:00+00:00", 1_735_689_600_000),
            ("2025-01-01T01:00:00.250000+01:00", 1_735_689_600_250),
            ("2025-01-01T00:00:00Z", 1_735_689_600_000),
            ("2025-01-01 00:00:00+00:00", 1_735_689_600_000),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap(), Moment(expected), "{text}");
            assert_eq!(Moment::from_member(&Value::from(text)), Some(Moment(expected)), "{text}");
        }
        for text in ["", "now", "-1", "1e300", "NaN", "2025-01-01", "2025-01-01T00:00:00", "1969-12-31T23:59:59Z"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        assert_eq!(Moment::from_member(&Value::from(1_735_689_600.5)), Some(Moment(1_735_689_600_500)));
        assert_eq!(Moment::from_member(&Value::from(true)), None);
    }
}
