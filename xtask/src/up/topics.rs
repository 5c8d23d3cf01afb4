//! The topics that `up` serves: checked before anything is built, and each of them once.

const MAX_PARTITIONS: i32 = 1000;
const MAX_NAME_BYTES: usize = 249;

/// Accepts `NAME` or `NAME:PARTITIONS`, with the error texts of `msk_shared::topic_spec`. Only the tests link that crate,
/// to compare: with it every `cargo xtask` would wait for tokio to be compiled.
pub(super) fn parse(text: &str) -> Result<String, String> {
    if let Some((_, count)) = text.split_once(':')
        && !count.parse().is_ok_and(|count| (1..=MAX_PARTITIONS).contains(&count))
    {
        return Err(format!(
            "the number of partitions after `:` must be a whole number from 1 to {MAX_PARTITIONS}, as in `orders:6`"
        ));
    }
    check_name(name(text))?;
    Ok(text.to_owned())
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match (name, name.chars().position(|c| !allowed(c))) {
        ("", _) => Err(format!("a topic name is empty; give 1 to {MAX_NAME_BYTES} characters")),
        _ if name.len() > MAX_NAME_BYTES => {
            Err(format!("a topic name has {} bytes; the limit is {MAX_NAME_BYTES}", name.len()))
        }
        ("." | "..", _) => Err("a topic cannot be named `.` or `..`".to_owned()),
        (_, Some(index)) => Err(format!(
            "a topic name may only have letters, digits, `.`, `_` and `-`; character {} is another one",
            index + 1
        )),
        (_, None) => Ok(()),
    }
}

/// `orders:6`, six partitions, is the topic `orders`.
pub(super) fn name(topic: &str) -> &str {
    topic.split_once(':').map_or(topic, |(name, _)| name)
}

/// Each name once, as it was given first.
pub(super) fn distinct(topics: &[String]) -> Vec<String> {
    let is_first = |(index, topic): &(usize, &String)| topics[..*index].iter().all(|other| name(other) != name(topic));
    topics.iter().enumerate().filter(is_first).map(|(_, topic)| topic.clone()).collect()
}

/// The dead-letter topics to create, without those that are also served.
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
        for text in texts.into_iter().chain(counts) {
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
        assert_eq!(distinct(&owned(&["orders:6", "audit", "orders", "audit"])), ["orders:6", "audit"]);
        assert_eq!(dead_letters(&owned(&["orders", "orders.dlq:2"])), "orders.dlq.dlq:1");
    }
}
