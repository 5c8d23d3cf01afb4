//! Names that Kafka accepts.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest topic name in bytes: the broker creates a directory named `<topic>-<partition>`.
pub const MAX_TOPIC_NAME_BYTES: usize = 249;

/// A topic name that Kafka accepts: `[a-zA-Z0-9._-]{1,249}`, not `.` and not `..`
/// (`org.apache.kafka.common.internals.Topic`). Cheap to clone.
///
/// librdkafka and rdkafka's partition lists must never receive anything else: a NUL byte makes the latter panic.
///
/// ```
/// use msk_shared::names::TopicName;
///
/// assert_eq!(TopicName::parse("orders").unwrap().as_str(), "orders");
/// assert!(TopicName::parse("no topic").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why text is not a valid topic name. The text itself is not included because it comes from callers.
///
/// ```
/// use msk_shared::names::{TopicName, TopicNameError};
///
/// assert_eq!(TopicName::parse("orders/eu"), Err(TopicNameError::Character { position: 7 }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// The text is empty.
    #[error("a topic name must not be empty; use 1 to {MAX_TOPIC_NAME_BYTES} characters")]
    Empty,
    /// The text is longer than [`MAX_TOPIC_NAME_BYTES`].
    #[error("a topic name of {0} bytes is too long; the limit is {MAX_TOPIC_NAME_BYTES}")]
    TooLong(usize),
    /// The text is `.` or `..`.
    #[error("a topic cannot be named `.` or `..`")]
    Dots,
    /// The text has a character other than letters, digits, `.`, `_` and `-`.
    #[error("a topic name may contain only letters, digits, `.`, `_` and `-`; character {position} is not allowed")]
    Character {
        /// Position of the first invalid character, counted from 1.
        position: usize,
    },
}

impl TopicName {
    /// Checks `text` and keeps it.
    ///
    /// # Errors
    /// [`TopicNameError`] tells which rule is broken.
    pub fn parse(text: &str) -> Result<Self, TopicNameError> {
        if text.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if text.len() > MAX_TOPIC_NAME_BYTES {
            return Err(TopicNameError::TooLong(text.len()));
        }
        if text == "." || text == ".." {
            return Err(TopicNameError::Dots);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match text.chars().position(|c| !allowed(c)) {
            Some(index) => Err(TopicNameError::Character { position: index + 1 }),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TopicName {
    type Err = TopicNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for TopicName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_kafka_accepts() {
        let longest = "t".repeat(MAX_TOPIC_NAME_BYTES);
        for name in ["orders", "a.b_c-D9", "...", longest.as_str()] {
            assert_eq!(TopicName::parse(name).map(|t| t.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn refuses_what_kafka_refuses_and_says_why() {
        assert_eq!(TopicName::parse(""), Err(TopicNameError::Empty));
        assert_eq!(TopicName::parse("."), Err(TopicNameError::Dots));
        assert_eq!(TopicName::parse(".."), Err(TopicNameError::Dots));
        assert_eq!(TopicName::parse(&"t".repeat(250)), Err(TopicNameError::TooLong(250)));
        assert_eq!(TopicName::parse("a\0b"), Err(TopicNameError::Character { position: 2 }));
        assert_eq!(TopicName::parse("토픽"), Err(TopicNameError::Character { position: 1 }));
    }

    proptest! {
        #[test]
        fn a_parsed_name_keeps_the_rule(text in "\\PC{0,300}") {
            if let Ok(name) = TopicName::parse(&text) {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
                prop_assert!(name.as_str().len() <= MAX_TOPIC_NAME_BYTES);
            }
        }
    }
}
