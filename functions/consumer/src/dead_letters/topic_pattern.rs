//! Where dead letters go (`DEAD_LETTER`).

use std::str::FromStr;

use msk_shared::names::{TopicName, TopicNameError};

/// Stands for the record's topic in a pattern.
const PLACEHOLDER: &str = "{topic}";

/// The dead-letter topic; `{topic}` in it stands for the record's topic.
///
/// ```
/// use msk_consumer::dead_letters::TopicPattern;
///
/// let pattern: TopicPattern = "kafka:{topic}.dlq".parse().unwrap();
/// assert_eq!(pattern.topic_for("orders").unwrap().as_str(), "orders.dlq");
/// assert!("kafka:{topic}".parse::<TopicPattern>().is_err(), "dead letters would be consumed again");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPattern(String);

/// Why a text is not a valid `DEAD_LETTER`.
///
/// ```
/// use msk_consumer::dead_letters::{TargetError, TopicPattern};
///
/// assert_eq!("sqs:letters".parse::<TopicPattern>(), Err(TargetError::Sqs));
/// assert_eq!("orders.dlq".parse::<TopicPattern>(), Err(TargetError::Unknown));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// SQS is not supported yet.
    #[error("`sqs:` is not supported yet; use `kafka:<topic>`, for example `kafka:{{topic}}.dlq`, or unset it")]
    Sqs,
    /// It does not begin with `kafka:`.
    #[error("must be `kafka:<topic>`, for example `kafka:{{topic}}.dlq`")]
    Unknown,
    /// It is the record's own topic, so every dead letter would be consumed again.
    #[error("must not be the record's own topic; use a different one, for example `kafka:{{topic}}.dlq`")]
    OwnTopic,
    /// The topic name breaks Kafka's rules.
    #[error("must have a valid topic: {0}")]
    TopicName(#[from] TopicNameError),
}

impl FromStr for TopicPattern {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        if text.starts_with("sqs:") {
            return Err(TargetError::Sqs);
        }
        let pattern = text.strip_prefix("kafka:").ok_or(TargetError::Unknown)?.trim();
        if pattern == PLACEHOLDER {
            return Err(TargetError::OwnTopic);
        }
        let pattern = Self(pattern.to_owned());
        pattern.topic_for("t")?;
        Ok(pattern)
    }
}

impl TopicPattern {
    /// The dead-letter topic for records of `topic`.
    ///
    /// # Errors
    /// [`TopicNameError`], for example if the name becomes too long.
    pub fn topic_for(&self, topic: &str) -> Result<TopicName, TopicNameError> {
        TopicName::parse(&self.0.replace(PLACEHOLDER, topic))
    }

    /// The topic, if it is the same for all records.
    pub fn fixed(&self) -> Option<TopicName> {
        if self.0.contains(PLACEHOLDER) { None } else { TopicName::parse(&self.0).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_filled_with_the_records_topic() {
        let pattern: TopicPattern = "kafka:{topic}.dlq".parse().unwrap();
        assert_eq!(pattern.topic_for("orders").unwrap().as_str(), "orders.dlq");
        assert_eq!(pattern.fixed(), None);
        let fixed: TopicPattern = "kafka:dead".parse().unwrap();
        assert_eq!(fixed.topic_for("orders").unwrap().as_str(), "dead");
        assert_eq!(fixed.fixed().unwrap().as_str(), "dead");
        assert!(pattern.topic_for(&"t".repeat(246)).is_err(), "250 characters");
    }

    #[test]
    fn what_is_no_dead_letter_is_refused() {
        let refused = |text: &str| text.parse::<TopicPattern>().unwrap_err();
        assert_eq!(refused("sqs:https://sqs.eu-west-1.amazonaws.com/1/q"), TargetError::Sqs);
        assert_eq!(refused("orders.dlq"), TargetError::Unknown);
        assert_eq!(refused("kafka:{topic}"), TargetError::OwnTopic);
        for text in ["kafka:", "kafka:a b", "kafka:{Topic}.dlq", "kafka:a\0b", "kafka:.."] {
            assert!(matches!(refused(text), TargetError::TopicName(_)), "{text}");
        }
    }
}
