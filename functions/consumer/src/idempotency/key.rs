//! What makes two records the same.

use std::fmt;
use std::sync::Arc;

use msk_shared::event::Record;
use serde::Deserialize;

/// The identity of a record's effect, within its topic. Clones share the text.
///
/// ```
/// use msk_consumer::idempotency::IdempotencyKey;
/// use msk_shared::event::{Header, Record};
///
/// let header = Header { name: "idempotency-key".into(), value: Some("o-17".into()) };
/// let record = Record::new("orders", 0, 7).with_headers([header]);
/// assert_eq!(IdempotencyKey::for_record(&record).as_str(), "key:orders:o-17");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The record's key, from the first of these that it has: the `idempotency-key` header, which the producer's API writes for
    /// requests with that HTTP header; `source` and `id` of a CloudEvent; topic, partition and offset, which detect
    /// redeliveries of one record, but not a message that was written twice.
    pub fn for_record(record: &Record) -> Self {
        let topic = record.topic();
        if let Some(key) = record.header_text("idempotency-key").filter(|key| !key.is_empty()) {
            return Self(format!("key:{topic}:{key}").into());
        }
        if let Some((source, id)) = cloud_event_identity(record) {
            // A length keeps `a` + `bc` apart from `ab` + `c`.
            return Self(format!("ce:{topic}:{}:{source}:{id}", source.len()).into());
        }
        // The timestamp distinguishes a recreated topic from its predecessor, whose offsets it repeats.
        Self(format!("at:{}:{}", record.id(), record.timestamp_ms().unwrap_or(-1)).into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn cloud_event_identity(record: &Record) -> Option<(String, String)> {
    let header = |name: &str| record.header_text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    if let (Some(source), Some(id)) = (header("ce_source"), header("ce_id")) {
        return Some((source, id));
    }
    /// The two attributes, and nothing else of the event.
    #[derive(Deserialize)]
    struct Identity {
        source: String,
        id: String,
    }
    // Only a record with this content type is parsed: other JSON may have such members by chance.
    record.header_text("content-type").filter(|text| text.trim_start().starts_with("application/cloudevents+json"))?;
    let Identity { source, id } = record.json().ok()?;
    (!source.is_empty() && !id.is_empty()).then_some((source, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use msk_shared::event::Header;

    fn record(headers: &[(&str, &str)], value: &str) -> Record {
        let headers = headers
            .iter()
            .map(|(name, value)| Header { name: (*name).into(), value: Some(value.as_bytes().to_vec().into()) });
        Record::new("orders", 1, 7).with_headers(headers).with_value(Some(value.as_bytes().to_vec()))
    }

    fn key(record: &Record) -> String {
        IdempotencyKey::for_record(record).to_string()
    }

    #[test]
    fn the_header_wins_over_the_cloud_event_and_that_over_the_coordinates() {
        let all = record(&[("ce_source", "/s"), ("ce_id", "9"), ("idempotency-key", "k/0")], "{}");
        assert_eq!(key(&all), "key:orders:k/0");
        assert_eq!(key(&record(&[("ce_source", "/s"), ("ce_id", "9")], "{}")), "ce:orders:2:/s:9");
        assert_eq!(key(&record(&[], "{}")), "at:orders-1@7:-1");
        assert_eq!(key(&record(&[("idempotency-key", "")], "")), "at:orders-1@7:-1");
    }

    #[test]
    fn a_structured_event_is_known_by_its_content_type() {
        let event = r#"{"specversion":"1.0","source":"/s","id":"9","type":"t"}"#;
        let typed = record(&[("content-type", "application/cloudevents+json; charset=UTF-8")], event);
        assert_eq!(key(&typed), "ce:orders:2:/s:9");
        assert_eq!(key(&record(&[], event)), "at:orders-1@7:-1");
        let broken = record(&[("content-type", "application/cloudevents+json")], "{");
        assert_eq!(key(&broken), "at:orders-1@7:-1");
    }

    #[test]
    fn a_topic_made_anew_does_not_repeat_the_keys_of_the_old_one() {
        use msk_shared::event::TimestampType::CreateTime;
        let old = Record::new("orders", 0, 0).with_timestamp(1_000, CreateTime);
        let new = Record::new("orders", 0, 0).with_timestamp(2_000, CreateTime);
        assert_ne!(key(&old), key(&new));
    }
}
