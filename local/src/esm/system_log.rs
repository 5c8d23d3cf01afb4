//! AWS's system log of a mapping: what its pollers tell of themselves, as JSON lines with AWS's member names
//! (<https://docs.aws.amazon.com/lambda/latest/dg/esm-logging.html>).
//!
//! | Event | Level | When |
//! |---|---|---|
//! | `ESM_PROCESSING_EVENT` | WARN | reading, a commit or a delivery to the destination failed; records were dropped |
//! | `POLLER_STATUS_EVENT` | INFO | partitions were assigned or revoked |
//! | `KAFKA_STATUS_EVENT` | DEBUG | every minute, for each partition that the poller has |
//!
//! AWS documents one sample of each and no list of error codes: its sample has the class of a Java client's exception, which
//! stands here, too, where Kafka's clients share the error. `networkConfig` is missing, since there is no network to tell of.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::mapping::{Mapping, SystemLogLevel};

/// How often AWS tells where the partitions stand.
const STATUS_INTERVAL: Duration = Duration::from_secs(60);

/// Where the system logs of a process go.
pub struct SystemLog {
    stream: Mutex<Box<dyn Write + Send>>,
    status_interval: Duration,
}

impl SystemLog {
    /// Each event becomes a line of `stream`.
    pub fn new(stream: Box<dyn Write + Send>) -> Self {
        Self { stream: Mutex::new(stream), status_interval: STATUS_INTERVAL }
    }

    /// Tells where the partitions stand more often than AWS does.
    #[must_use]
    pub fn with_status_interval(self, status_interval: Duration) -> Self {
        Self { status_interval, ..self }
    }

    fn write(&self, event: &Value) {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // In one piece, for a file that another process appends to. If nobody reads the stream any more, the line is lost and
        // work continues.
        let _ = stream.write_all(format!("{event}\n").as_bytes()).and_then(|()| stream.flush());
    }
}

/// Where one partition stands. Offsets of records, but for the next offset that is written, and the next that is committed.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartitionStatus<'a> {
    pub(super) partition: &'a str,
    pub(super) end_offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consumed_offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) processed_offset: Option<i64>,
    pub(super) committed_offset: i64,
}

/// The system log of one poller; without one that the mapping asks for it writes nothing.
#[derive(Clone)]
pub(super) struct PollerLog(Option<Arc<Enabled>>);

struct Enabled {
    log: Arc<SystemLog>,
    level: SystemLogLevel,
    mapping: Arc<Mapping>,
    brokers: String,
    partitions: usize,
    poller: usize,
}

impl PollerLog {
    /// The log of poller number `poller` of a mapping whose topic has `partitions`.
    pub(super) fn new(
        log: Option<&Arc<SystemLog>>,
        mapping: &Arc<Mapping>,
        brokers: &str,
        partitions: usize,
        poller: usize,
    ) -> Self {
        let enabled = log.zip(mapping.system_log_level).map(|(log, level)| Enabled {
            log: Arc::clone(log),
            level,
            mapping: Arc::clone(mapping),
            brokers: brokers.to_owned(),
            partitions,
            poller,
        });
        Self(enabled.map(Arc::new))
    }

    /// How often to tell where the partitions stand; `None` if nobody wants to know.
    pub(super) fn status_interval(&self) -> Option<Duration> {
        let enabled = self.0.as_ref()?;
        (enabled.level >= SystemLogLevel::Debug).then_some(enabled.log.status_interval)
    }

    /// Reading or committing failed.
    pub(super) fn kafka_error(&self, error: &KafkaError) {
        self.error(&error_code(error), &error.to_string());
    }

    /// Something failed that is not Kafka's.
    pub(super) fn error(&self, code: &str, message: &str) {
        self.write(
            SystemLogLevel::Warn,
            "ESM_PROCESSING_EVENT",
            "error",
            || json!({"errorMessage": message, "errorCode": code}),
        );
    }

    /// The poller has these partitions now, in its `generation`th assignment.
    pub(super) fn assigned(&self, generation: u64, partitions: impl Iterator<Item = i32>) {
        let Some(enabled) = &self.0 else { return };
        let Enabled { mapping, brokers, partitions: total, .. } = &**enabled;
        self.write(SystemLogLevel::Info, "POLLER_STATUS_EVENT", "kafkaEventSourceConnection", || {
            let assigned: Vec<_> = partitions.map(|number| format!("{}-{number}", mapping.topic)).collect();
            let options = mapping.credentials.with_options(&mapping.local.kafka_options);
            let option = |name: &str| options.get(name).map(|value| value.to_uppercase());
            let mut connection = json!({
                "brokerEndpoints": brokers,
                "consumerId": format!("{}-{}", mapping.uuid, enabled.poller),
                "topics": [mapping.topic.as_str()],
                "consumerGroupId": mapping.consumer_group,
                "securityProtocol": option("security.protocol").unwrap_or_else(|| "PLAINTEXT".to_owned()),
                "totalPartitionCount": total,
                "assignedPartitionCount": assigned.len(),
                "partitionsAssignmentGeneration": generation,
                "assignedPartitions": assigned,
            });
            if let Some(mechanism) = option("sasl.mechanism").or_else(|| option("sasl.mechanisms")) {
                connection["saslMechanism"] = mechanism.into();
            }
            connection
        });
    }

    /// Where a partition stands.
    pub(super) fn status(&self, status: PartitionStatus<'_>) {
        self.write(SystemLogLevel::Debug, "KAFKA_STATUS_EVENT", "kafkaPartitionOffsets", || {
            serde_json::to_value(status).unwrap_or_default()
        });
    }

    fn write(&self, level: SystemLogLevel, event_type: &str, member: &str, content: impl FnOnce() -> Value) {
        let Some(enabled) = self.0.as_ref().filter(|enabled| level <= enabled.level) else { return };
        let mapping = &enabled.mapping;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut event = json!({
            "eventType": event_type,
            "timestamp": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            "resourceArn": resource_arn(mapping.event_source.arn().unwrap_or(SELF_MANAGED), &mapping.uuid),
            "eventProcessorId": format!("{}/{}", mapping.uuid, enabled.poller),
            "logLevel": level.name(),
        });
        if let Some(arn) = mapping.event_source.arn() {
            event["eventSourceArn"] = arn.into();
        }
        event[member] = content();
        enabled.log.write(&event);
    }
}

/// Stands for the region and the account of a mapping whose cluster has neither.
const SELF_MANAGED: &str = "arn:aws:kafka:us-east-1:123456789012";

/// The ARN of a mapping in the region and the account of its cluster.
fn resource_arn(event_source_arn: &str, uuid: &str) -> String {
    let mut parts = event_source_arn.split(':').skip(1);
    let mut part = || parts.next().unwrap_or_default();
    let (partition, _kafka, region, account) = (part(), part(), part(), part());
    format!("arn:{partition}:lambda:{region}:{account}:event-source-mapping:{uuid}")
}

/// The exception of Kafka's Java client for an error that it shares, otherwise librdkafka's name of the error.
fn error_code(error: &KafkaError) -> String {
    use RDKafkaErrorCode as Code;
    let Some(code) = error.rdkafka_error_code() else { return "KafkaError".to_owned() };
    let exception = match code {
        Code::RequestTimedOut | Code::OperationTimedOut | Code::MessageTimedOut => "TimeoutException",
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "UnknownTopicOrPartitionException"
        }
        Code::TopicAuthorizationFailed => "TopicAuthorizationException",
        Code::GroupAuthorizationFailed => "GroupAuthorizationException",
        Code::ClusterAuthorizationFailed => "ClusterAuthorizationException",
        Code::SaslAuthenticationFailed | Code::Authentication => "SaslAuthenticationException",
        Code::RebalanceInProgress => "RebalanceInProgressException",
        Code::IllegalGeneration => "IllegalGenerationException",
        Code::UnknownMemberId => "UnknownMemberIdException",
        Code::CoordinatorNotAvailable => "CoordinatorNotAvailableException",
        Code::NotCoordinator => "NotCoordinatorException",
        Code::OffsetOutOfRange => "OffsetOutOfRangeException",
        Code::BrokerTransportFailure => "DisconnectException",
        _ => return format!("{code:?}"),
    };
    format!("org.apache.kafka.common.errors.{exception}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_partitions_is_told_each_minute() {
        assert_eq!(SystemLog::new(Box::new(std::io::sink())).status_interval, Duration::from_secs(60));
    }

    #[test]
    fn a_mapping_is_where_its_cluster_is() {
        let cluster = "arn:aws-cn:kafka:cn-north-1:123456789012:cluster/orders/1-2";
        let expected = "arn:aws-cn:lambda:cn-north-1:123456789012:event-source-mapping:u";
        assert_eq!(resource_arn(cluster, "u"), expected);
    }

    #[test]
    fn an_error_that_java_clients_share_has_their_name() {
        let code = |code| error_code(&KafkaError::ConsumerCommit(code));
        assert_eq!(
            code(RDKafkaErrorCode::IllegalGeneration),
            "org.apache.kafka.common.errors.IllegalGenerationException"
        );
        assert_eq!(code(RDKafkaErrorCode::Fail), "Fail");
    }
}
