//! The final state of a topic: every record of every partition from offset 0, read without going through the fault proxies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::error::{Error, Result, kafka_error};
use crate::history::Found;
use crate::kafka::Cluster;

/// Limit for the whole read. The slowest case is the first fetch after an election.
const LIMIT: Duration = Duration::from_secs(60);

/// Limit of one query for a partition's end; it is repeated until [`LIMIT`].
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);

/// A record as a second client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its position in the topic.
    pub partition: i32,
    /// Its position in the topic.
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl StoredRecord {
    /// The member `id` of a JSON value: it identifies the test bed's messages.
    pub fn id(&self) -> Option<String> {
        let value: serde_json::Value = serde_json::from_slice(self.value.as_deref()?).ok()?;
        Some(value.get("id")?.as_str()?.to_owned())
    }
}

/// Reads all of `topic`.
///
/// # Errors
/// [`Error::Kafka`], or [`Error::TimedOut`] when the end is not reached within a minute.
pub async fn read_topic(cluster: &Cluster, topic: &str) -> Result<Vec<StoredRecord>> {
    let partitions = cluster.admin().partitions(topic).await?.into_iter().map(|partition| partition.id).collect();
    let bootstrap = cluster.internal_bootstrap();
    let topic = topic.to_owned();
    let read = tokio::task::spawn_blocking(move || read_blocking(&bootstrap, &topic, partitions));
    read.await.map_err(|error| Error::Invalid(format!("reading: {error}")))?
}

/// The messages of `topic` in the form for the history checker; a record without an id gets its position as its id.
pub async fn find_messages(cluster: &Cluster, topic: &str) -> Result<Vec<Found>> {
    let records = read_topic(cluster, topic).await?;
    let found = records.iter().map(|record| Found {
        id: record.id().unwrap_or_else(|| format!("no id at {topic}-{}@{}", record.partition, record.offset)),
        partition: record.partition,
        offset: record.offset,
    });
    Ok(found.collect())
}

fn read_blocking(bootstrap: &str, topic: &str, partitions: Vec<i32>) -> Result<Vec<StoredRecord>> {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "msk-e2e-final-read")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50")
        .set("log_level", "0");
    let consumer: BaseConsumer = config.create().map_err(kafka_error("creating the final reader"))?;
    let start = Instant::now();
    let timed_out = |last_seen| Error::TimedOut { what: format!("the end of {topic}"), limit: LIMIT, last_seen };
    let mut assignment = TopicPartitionList::new();
    let mut unfinished = BTreeMap::new();
    for &partition in &partitions {
        let added = assignment.add_partition_offset(topic, partition, Offset::Beginning);
        added.map_err(kafka_error("assigning partitions"))?;
        if let Some(end) = end(&consumer, topic, partition, start).map_err(timed_out)? {
            unfinished.insert(partition, end);
        }
    }
    consumer.assign(&assignment).map_err(kafka_error("assigning partitions"))?;
    let mut records = Vec::new();
    while !unfinished.is_empty() {
        if start.elapsed() > LIMIT {
            return Err(timed_out(format!("{} records; not reached (partition: end): {unfinished:?}", records.len())));
        }
        match consumer.poll(Duration::from_millis(200)) {
            None => {}
            Some(Ok(message)) => {
                unfinished.retain(|&left, &mut end| left != message.partition() || message.offset() + 1 < end);
                records.push(stored(&message));
            }
            // Elections and dead brokers: librdkafka retries by itself until the limit above.
            Some(Err(error)) => tracing::debug!(%error, topic, "final read"),
        }
    }
    Ok(records)
}

/// The offset after the last record; `None` for an empty partition. The end that a fetch reports is not reliable: a new
/// leader starts with a follower's high watermark, which lacks the last records until the others have fetched from it.
/// A leader answers the query used here only once its high watermark has passed its election (KIP-207).
fn end(consumer: &BaseConsumer, topic: &str, partition: i32, start: Instant) -> Result<Option<i64>, String> {
    loop {
        match consumer.fetch_watermarks(topic, partition, QUESTION_TIMEOUT) {
            Ok((first, end)) => return Ok((first < end).then_some(end)),
            Err(error) if start.elapsed() > LIMIT => return Err(format!("partition {partition}: {error}")),
            Err(error) => tracing::debug!(%error, topic, partition, "end of the partition"),
        }
        // Some refusals, for example from a former leader, come immediately.
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn stored(message: &rdkafka::message::BorrowedMessage<'_>) -> StoredRecord {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    StoredRecord {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}
