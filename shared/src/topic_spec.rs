//! A topic to create, as written on a command line.

use std::str::FromStr;

use crate::names::{TopicName, TopicNameError};

const DEFAULT_PARTITIONS: i32 = 3;
/// A cluster on a laptop needs no more, and each partition costs resources.
const MAX_PARTITIONS: i32 = 1000;

/// How a specification says that its topic is compacted.
const COMPACT: &str = ":compact";

/// A topic to create: `NAME` or `NAME:PARTITIONS`, and `:compact` behind it for one that is compacted.
///
/// ```
/// use msk_shared::topic_spec::TopicSpec;
///
/// let topic: TopicSpec = "customers:6:compact".parse()?;
/// assert_eq!((topic.name.as_str(), topic.partitions, topic.compacted), ("customers", 6, true));
/// assert!("customers:0".parse::<TopicSpec>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// The topic's name.
    pub name: TopicName,
    /// How many partitions it has; 3 by default.
    pub partitions: i32,
    /// Whether it is compacted: then Kafka refuses records without a key.
    pub compacted: bool,
}

/// Why text is not a valid [`TopicSpec`].
///
/// ```
/// use msk_shared::topic_spec::{TopicSpec, TopicSpecError};
///
/// let error = "orders:many".parse::<TopicSpec>().unwrap_err();
/// assert!(matches!(error, TopicSpecError::Partitions));
/// assert!(error.to_string().ends_with("from 1 to 1000, as in `orders:6`"));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum TopicSpecError {
    /// The name breaks Kafka's rules.
    #[error(transparent)]
    Name(#[from] TopicNameError),
    /// The number of partitions is not a number from 1 to 1000.
    #[error("the number of partitions after `:` must be a whole number from 1 to {MAX_PARTITIONS}, as in `orders:6`")]
    Partitions,
}

impl FromStr for TopicSpec {
    type Err = TopicSpecError;

    fn from_str(text: &str) -> Result<Self, TopicSpecError> {
        let (text, compacted) = text.strip_suffix(COMPACT).map_or((text, false), |rest| (rest, true));
        let (name, partitions) = match text.split_once(':') {
            None => (text, DEFAULT_PARTITIONS),
            Some((name, count)) => (name, count.parse().map_err(|_| TopicSpecError::Partitions)?),
        };
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(TopicSpecError::Partitions);
        }
        Ok(Self { name: TopicName::parse(name)?, partitions, compacted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_say_how_many_partitions_it_has() {
        let spec: TopicSpec = "orders:6".parse().unwrap();
        assert_eq!((spec.name.as_str(), spec.partitions), ("orders", 6));
        assert_eq!("orders".parse::<TopicSpec>().unwrap().partitions, 3);
        for (text, partitions) in [("state:compact", 3), ("state:6:compact", 6)] {
            let spec: TopicSpec = text.parse().unwrap();
            assert_eq!((spec.name.as_str(), spec.partitions, spec.compacted), ("state", partitions, true));
        }
        for text in [":compact", "state:compact:6", "state:compact:compact", "state:Compact"] {
            assert!(text.parse::<TopicSpec>().is_err(), "{text}");
        }
        for text in ["orders:0", "orders:1001", "orders:six", "orders:", "orders:1:2", "or ders:1", ""] {
            assert!(text.parse::<TopicSpec>().is_err(), "{text}");
        }
    }
}
