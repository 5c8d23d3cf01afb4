//! Records that are written continuously, and a consumer group that reads them.

use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _};
use tokio::task::JoinHandle;

use crate::error::{Result, kafka_error};

/// Pause between two records: 40 a second.
const PAUSE: Duration = Duration::from_millis(25);

/// A task that ends when this is dropped.
#[derive(Debug)]
pub struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A member of a group, until this is dropped. Then it leaves on its own thread: rdkafka waits in `drop` for the
/// group's coordinator, forever if the brokers end in the meantime.
struct Member(Option<StreamConsumer>);

impl Member {
    async fn read(&self) -> bool {
        let Some(consumer) = &self.0 else { return false };
        consumer.recv().await.map(|record| record.offset()).is_ok()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let consumer = self.0.take();
        std::thread::spawn(move || drop(consumer));
    }
}

/// Writes 40 records a second to `topic` without waiting for acknowledgements, even if the cluster
/// refuses them.
///
/// # Errors
/// [`crate::Error::Kafka`] if librdkafka rejects the settings.
pub fn write(settings: &ClientConfig, topic: &str) -> Result<Task> {
    let mut settings = settings.clone();
    settings.set("message.timeout.ms", "5000").set("retry.backoff.ms", "200").set("acks", "all");
    let producer: FutureProducer = settings.create().map_err(kafka_error("creating the traffic's producer"))?;
    let topic = topic.to_owned();
    Ok(Task(tokio::spawn(async move {
        for number in 0_u64.. {
            let key = number.to_string();
            let record = FutureRecord::to(&topic).key(&key).payload("a record of the monitoring test");
            // A full queue drops the record, which does not matter here.
            drop(producer.send_result(record));
            tokio::time::sleep(PAUSE).await;
        }
    })))
}

/// Reads `topic` in `group` from its beginning and commits twice a second.
///
/// # Errors
/// [`crate::Error::Kafka`] if librdkafka rejects the settings.
pub fn read(settings: &ClientConfig, group: &str, topic: &str) -> Result<Task> {
    let mut settings = settings.clone();
    settings.set("group.id", group).set("auto.offset.reset", "earliest");
    settings.set("enable.auto.commit", "true").set("auto.commit.interval.ms", "500");
    let consumer: StreamConsumer = settings.create().map_err(kafka_error("creating the traffic's consumer"))?;
    consumer.subscribe(&[topic]).map_err(kafka_error("subscribing"))?;
    let member = Member(Some(consumer));
    Ok(Task(tokio::spawn(async move {
        loop {
            // Errors are transient; retrying them in a tight loop would occupy a core.
            if !member.read().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    })))
}
