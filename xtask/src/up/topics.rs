//! The topics that `up` serves: checked before anything is built, and each of them once.

use anyhow::{Result, bail, ensure};

const MAX_PARTITIONS: i32 = 1000;
const MAX_NAME_BYTES: usize = 249;

/// Behind a topic that is compacted.
const COMPACT: &str = ":compact";

/// Accepts `NAME` or `NAME:PARTITIONS`, optionally followed by `:compact`, with the error texts of `msk_shared::topic_spec`.
/// Only the tests link that crate for comparison: otherwise every `cargo xtask` would have to wait for tokio to compile.
pub(super) fn parse(text: &str) -> Result<String, String> {
    let plain = text.strip_suffix(COMPACT).unwrap_or(text);
    if let Some((_, count)) = plain.split_once(':')
        && !count.parse().is_ok_and(|count| (1..=MAX_PARTITIONS).contains(&count))
    {
        return Err(format!(
            "the number of partitions after `:` must be a whole number from 1 to {MAX_PARTITIONS}, as in `orders:6`"
        ));
    }
    check_name(name(plain))?;
    Ok(text.to_owned())
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match (name, name.chars().position(|c| !allowed(c))) {
        ("", _) => Err(format!("a topic name must not be empty; use 1 to {MAX_NAME_BYTES} characters")),
        _ if name.len() > MAX_NAME_BYTES => {
            Err(format!("a topic name of {} bytes is too long; the limit is {MAX_NAME_BYTES}", name.len()))
        }
        ("." | "..", _) => Err("a topic cannot be named `.` or `..`".to_owned()),
        (_, Some(index)) => Err(format!(
            "a topic name may contain only letters, digits, `.`, `_` and `-`; character {} is not allowed",
            index + 1
        )),
        (_, None) => Ok(()),
    }
}

/// `orders:6`, six partitions, is the topic `orders`.
pub(super) fn name(topic: &str) -> &str {
    topic.split_once(':').map_or(topic, |(name, _)| name)
}

fn is_compacted(topic: &str) -> bool {
    topic.ends_with(COMPACT)
}

/// Each name once, as it was first given.
///
/// # Errors
/// When two of them cannot both hold, or a topic of dead letters would be compacted.
pub(super) fn distinct(topics: &[String]) -> Result<Vec<String>> {
    let is_first = |(index, topic): &(usize, &String)| topics[..*index].iter().all(|other| name(other) != name(topic));
    let distinct: Vec<String> = topics.iter().enumerate().filter(is_first).map(|(_, topic)| topic.clone()).collect();
    for topic in topics {
        let same = distinct.iter().find(|other| name(other) == name(topic));
        let name = name(topic);
        ensure!(
            same.is_some_and(|other| is_compacted(other) == is_compacted(topic)),
            "topic `{name}` is named twice, once with `:compact` and once without: name it once"
        );
        let source =
            name.strip_suffix(".dlq").filter(|source| distinct.iter().any(|other| self::name(other) == *source));
        if let Some(source) = source.filter(|_| is_compacted(topic)) {
            bail!(
                "topic `{name}` holds the dead letters of `{source}` and must not be compacted: letters without a key \
                 would be refused, and later ones overwrite earlier ones. Leave `:compact` out"
            );
        }
    }
    Ok(distinct)
}

/// The producer's `TOPICS`: on a compacted topic Kafka refuses records without a key, so there the producer asks for one.
pub(super) fn policies(topics: &[String], compacted: &[String]) -> String {
    // Topic names need no escape in JSON.
    let policy = |topic: &String| {
        let name = name(topic);
        let is_compacted = is_compacted(topic) || compacted.iter().any(|other| other == name);
        format!("\"{name}\":{}", if is_compacted { r#"{"key":"required"}"# } else { "{}" })
    };
    format!("{{{}}}", topics.iter().map(policy).collect::<Vec<_>>().join(","))
}

/// The dead-letter topics to create, except those that are also served.
pub(super) fn dead_letters(topics: &[String]) -> String {
    let all = topics.iter().map(|topic| format!("{}.dlq", name(topic)));
    let created = all.filter(|dead| topics.iter().all(|topic| name(topic) != dead));
    created.map(|dead| format!("{dead}:1")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use msk_shared::topic_spec::TopicSpec;

    use super::*;

    fn owned(topics: &[&str]) -> Vec<String> {
        topics.iter().map(|topic| (*topic).to_owned()).collect()
    }

    #[test]
    fn what_is_refused_later_is_refused_at_once_in_the_same_words() {
        let (longest, longer) = ("t".repeat(249), "t".repeat(250));
        let texts = ["orders", "a.b_c-D9:1", "orders:1000", "...", &longest, &longer, "", ".", "..", ":3", "or ders"];
        let counts =
            ["orders:", "orders:0", "orders:1001", "orders:-1", "orders:six", "a:1:2", "a b:0", "토픽", "a\0b"];
        let compacted =
            [":compact", "a:compact", "a:6:compact", "a:0:compact", "a:compact:6", "a:compact:compact", "a b:compact"];
        for text in texts.into_iter().chain(counts).chain(compacted) {
            let later = text.parse::<TopicSpec>().map(|_| text.to_owned()).map_err(|error| error.to_string());
            assert_eq!(parse(text), later, "{text:?}");
        }
    }

    #[test]
    fn every_topic_has_a_dead_letter_topic() {
        assert_eq!(dead_letters(&owned(&["orders:6", "audit"])), "orders.dlq:1,audit.dlq:1");
    }

    #[test]
    fn no_name_is_asked_for_twice() {
        assert_eq!(distinct(&owned(&["orders:6", "audit", "orders", "audit"])).unwrap(), ["orders:6", "audit"]);
        assert_eq!(dead_letters(&owned(&["orders", "orders.dlq:2"])), "orders.dlq.dlq:1");
    }
    #[test]
    fn a_compacted_topic_asks_for_keys() {
        let topics = owned(&["orders:6", "state:compact", "audit"]);
        assert_eq!(policies(&topics, &[]), r#"{"orders":{},"state":{"key":"required"},"audit":{}}"#);
        let by_the_cluster = policies(&topics, &owned(&["audit"]));
        assert_eq!(by_the_cluster, r#"{"orders":{},"state":{"key":"required"},"audit":{"key":"required"}}"#);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let refused = |topics: &[&str]| distinct(&owned(topics)).unwrap_err().to_string();
        assert!(refused(&["state:compact", "state"]).contains("`state` is named twice"));
        assert!(refused(&["state", "state:6:compact"]).contains("name it once"));
        assert!(refused(&["orders", "orders.dlq:compact"]).contains("dead letters of `orders`"));
        assert_eq!(distinct(&owned(&["state:compact", "state:compact"])).unwrap(), ["state:compact"]);
        assert_eq!(distinct(&owned(&["orders.dlq:compact"])).unwrap(), ["orders.dlq:compact"], "nobody's dead letters");
    }
}
