//! The on-failure destination: a Kafka topic, which is actually written to, or files in place of SQS, SNS and S3.
//!
//! Documents: AWS Lambda developer guide, "Capturing discarded batches for Amazon MSK event sources".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use msk_shared::event::Record;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::kafka_client::{ClientSettings, DELIVERY_TIMEOUT, QuietContext, producer_settings};
use super::mapping::DestinationTarget;
use super::msk_event::{Envelope, PolledRecord, TOMBSTONES};
use super::outcome::Failure;
use super::schema_registry::conversion::Refusal;
use super::topic_settings::{TopicLimit, batch_bytes};

/// Why records were given up.
pub(super) enum GiveUpReason<'a> {
    /// After this failure of the last invocation.
    RetriesExhausted(&'a Failure),
    PayloadTooLarge,
    RecordAgeExceeded,
    /// Its schema does not let it pass; the names are AWS's reason codes.
    Refused(&'a Refusal),
}

impl GiveUpReason<'_> {
    /// The name in logs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::RetriesExhausted(_) => "RetriesExhausted",
            Self::PayloadTooLarge | Self::Refused(Refusal::TooLarge) => "MaximumPayloadSizeExceeded",
            Self::Refused(Refusal::NoSchema(_)) => "SCHEMA_NOT_FOUND",
            Self::Refused(Refusal::Unreadable(_)) => "DESERIALIZATION_ERROR",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

/// Records that are given up together.
pub(super) struct GivenUp<'a> {
    pub(super) records: &'a [PolledRecord],
    pub(super) envelope: &'a Envelope,
    pub(super) reason: GiveUpReason<'a>,
    pub(super) invoke_count: u32,
}

/// Where given-up records go.
pub(super) struct Destination {
    function: String,
    target: Target,
}

enum Target {
    Kafka { topic: String, producer: FutureProducer<QuietContext>, limit: TopicLimit },
    Files { folder: PathBuf, with_payload: bool },
}

/// Why a document did not reach the destination.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    #[error("topic `{topic}`: {source}")]
    Kafka { topic: String, source: KafkaError },
    #[error(
        "topic `{topic}` takes {limit_bytes} bytes (max.message.bytes), and the document has {bytes}: Lambda writes a record in \
         base64, 4/3 of its size, with metadata; raise the topic's limit to twice its source's and 64 KiB"
    )]
    TooLarge { topic: String, bytes: usize, limit_bytes: usize },
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("the document cannot be serialised as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Destination {
    pub(super) fn new(
        function: &str,
        target: &DestinationTarget,
        client: &ClientSettings,
    ) -> Result<Self, DestinationError> {
        let target = match target {
            DestinationTarget::Kafka(topic) => {
                let topic = topic.to_string();
                let settings = producer_settings(client).with_rights_of_destinations();
                let producer =
                    settings.create().map_err(|source| DestinationError::Kafka { topic: topic.clone(), source })?;
                Target::Kafka { topic, producer, limit: TopicLimit::new(settings) }
            }
            DestinationTarget::Files { folder, with_payload } => {
                Target::Files { folder: folder.clone(), with_payload: *with_payload }
            }
        };
        Ok(Self { function: function.to_owned(), target })
    }

    pub(super) async fn deliver(&self, given_up: &GivenUp<'_>) -> Result<(), DestinationError> {
        match &self.target {
            Target::Kafka { topic, producer, limit } => {
                for record in given_up.records {
                    let document = serde_json::to_vec(&self.record_document(record, given_up)?)?;
                    produce(topic, producer, limit, record, &document).await?;
                }
                Ok(())
            }
            Target::Files { folder, with_payload } => {
                let document = self.batch_document(given_up, *with_payload)?;
                let folder = folder.clone();
                let name = format!("{}-{}.json", timestamp().replace(':', "."), random_id());
                tokio::task::spawn_blocking(move || write(&folder, &name, &document))
                    .await
                    .map_err(|panic| DestinationError::File { path: String::new(), source: panic.into() })?
            }
        }
    }

    fn record_document(&self, polled: &PolledRecord, given_up: &GivenUp<'_>) -> Result<Value, DestinationError> {
        let record = &polled.record;
        let payload = payload(given_up.envelope, [polled]);
        // AWS's page on Kafka destinations uses a different name for this condition than the page on SQS, SNS and S3.
        let mut document = self.context(given_up, "RetriesExhausted");
        let info = json!({"offset": record.offset().to_string(), "timestamp": iso(record.timestamp_ms())});
        document["KafkaBatchInfo"] = batch_info(given_up.envelope, 1, payload.len());
        document["KafkaBatchInfo"]["recordInfo"] = info;
        document["payload"] = serde_json::from_str(&payload)?;
        Ok(document)
    }

    fn batch_document(&self, given_up: &GivenUp<'_>, with_payload: bool) -> Result<String, DestinationError> {
        let records = given_up.records;
        let payload = payload(given_up.envelope, records);
        let mut document = self.context(given_up, "RetryAttemptsExhausted");
        document["KafkaBatchInfo"] = batch_info(given_up.envelope, records.len(), payload.len());
        document["KafkaBatchInfo"]["recordsInfo"] = records_info(records);
        if with_payload {
            document["payload"] = json!(payload);
        }
        Ok(serde_json::to_string_pretty(&document)?)
    }

    fn context(&self, given_up: &GivenUp<'_>, exhausted: &str) -> Value {
        let (condition, last_failure) = match &given_up.reason {
            GiveUpReason::RetriesExhausted(failure) => (exhausted, Some(failure)),
            other => (other.name(), None),
        };
        let response = last_failure.map(|failure| {
            let failed = matches!(failure, Failure::FunctionError(_) | Failure::Timeout(_));
            json!({
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": failed.then_some("Unhandled"),
            })
        });
        json!({
            "requestContext": {
                "requestId": random_id(),
                "functionArn": format!("arn:aws:lambda:us-east-1:123456789012:function:{}", self.function),
                "condition": condition,
                "approximateInvokeCount": given_up.invoke_count,
            },
            "responseContext": response,
            "version": "1.0",
            "timestamp": timestamp(),
        })
    }
}

/// One document for each record, with the record's own key.
async fn produce(
    topic: &str,
    producer: &FutureProducer<QuietContext>,
    limit: &TopicLimit,
    record: &PolledRecord,
    document: &[u8],
) -> Result<(), DestinationError> {
    let key = record.record.key().ok().flatten();
    let bytes = batch_bytes(key.as_ref().map(|key| key.len()), document.len());
    if let Some(limit_bytes) = limit.bytes(topic).await.filter(|limit| bytes > *limit) {
        return Err(DestinationError::TooLarge { topic: topic.to_owned(), bytes, limit_bytes });
    }
    let mut message = FutureRecord::<[u8], [u8]>::to(topic).payload(document);
    message.key = key.as_deref();
    let sent = producer.send(message, DELIVERY_TIMEOUT).await;
    sent.map(drop).map_err(|(source, _)| DestinationError::Kafka { topic: topic.to_owned(), source })
}

fn batch_info(envelope: &Envelope, batch_size: usize, payload_size: usize) -> Value {
    let mut info = json!({
        "batchSize": batch_size,
        "bootstrapServers": envelope.bootstrap_servers,
        "payloadSize": payload_size,
    });
    if let Some(arn) = &envelope.event_source_arn {
        info["eventSourceArn"] = json!(arn);
    }
    info
}

fn payload<'a>(envelope: &Envelope, records: impl IntoIterator<Item = &'a PolledRecord>) -> String {
    // The encoder writes UTF-8 only.
    String::from_utf8(envelope.event(records).to_json(TOMBSTONES)).unwrap_or_default()
}

/// The first and last record of each partition.
fn records_info(records: &[PolledRecord]) -> Value {
    let mut partitions: BTreeMap<String, (&Record, &Record)> = BTreeMap::new();
    for polled in records {
        let record = &polled.record;
        partitions.entry(record.id().partition_name()).or_insert((record, record)).1 = record;
    }
    let info = partitions.into_iter().map(|(name, (first, last))| {
        let info = json!({
            "firstRecordOffset": first.offset().to_string(),
            "lastRecordOffset": last.offset().to_string(),
            "firstRecordTimestamp": iso(first.timestamp_ms()),
            "lastRecordTimestamp": iso(last.timestamp_ms()),
        });
        (name, info)
    });
    Value::Object(info.collect())
}

fn iso(timestamp_ms: Option<i64>) -> Option<String> {
    let nanoseconds = i128::from(timestamp_ms?) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?.format(&Rfc3339).ok()
}

fn timestamp() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// A random id in the format of a UUID.
fn random_id() -> String {
    let [a, b, c, d] = rand::random::<[u32; 4]>();
    format!("{a:08x}-{:04x}-4{:03x}-8{:03x}-{:04x}{d:08x}", b >> 16, b & 0xfff, c >> 20, c & 0xffff)
}

fn write(folder: &Path, name: &str, document: &str) -> Result<(), DestinationError> {
    let path = folder.join(name);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, document));
    written.map_err(|source| DestinationError::File { path: path.display().to_string(), source })
}
