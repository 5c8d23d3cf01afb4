//! Why a record was not acknowledged, and whether it may have been written all the same.

use rdkafka::types::RDKafkaErrorCode as Code;

/// What is known of a record that was not acknowledged.
///
/// ```
/// use msk_shared::kafka::Persisted;
///
/// // What is known of several records together is the worst of them.
/// assert_eq!([Persisted::No, Persisted::Unknown, Persisted::No].into_iter().max(), Some(Persisted::Unknown));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Persisted {
    /// Not written, and never will be.
    No,
    /// Possibly written.
    Unknown,
}

/// Why a record was not acknowledged. One cause, one answer: the table of HTTP statuses depends on these.
///
/// ```
/// use msk_shared::kafka::{FailureCause, PublishFailure};
///
/// let failure = PublishFailure::not_sent(FailureCause::CircuitOpen);
/// assert_eq!(failure.cause.name(), "circuit_open");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCause {
    /// Less time was left than a write needs; nothing was enqueued.
    NoTimeLeft,
    /// Earlier requests failed and the cluster still does not answer; nothing was enqueued.
    CircuitOpen,
    /// The client's queue is full.
    QueueFull,
    /// A broker's quota (KIP-599).
    Throttled,
    /// The broker refuses the record's size.
    RecordTooLarge,
    /// The record has no key, and the topic is compacted.
    KeyMissing,
    /// The record's timestamp is outside the bounds of the topic.
    TimestampOutOfRange,
    /// The cluster does not have the topic.
    TopicMissing,
    /// The topic does not have the partition.
    PartitionMissing,
    /// No broker is reachable, or the connection was lost.
    BrokersUnreachable,
    /// Too few in-sync replicas.
    NotEnoughReplicas,
    /// No acknowledgement in time.
    TimedOut,
    /// The cluster refused the credentials, or no token could be signed.
    Authentication,
    /// The principal may not write this topic (`kafka-cluster:WriteData`).
    TopicAuthorization,
    /// The principal may not use the idempotent producer (`kafka-cluster:WriteDataIdempotently`) or connect.
    ClusterAuthorization,
    /// The idempotent producer's fatal error: the client is unusable and is being replaced.
    Fatal,
    /// The broker refuses the record itself, for another reason than its size, key or timestamp.
    Rejected,
    /// The broker refused the batch that the record was in, and no time was left to send the record alone.
    BatchRefused,
    /// The batch that the record was in was refused, and a later record of its key or partition is, or may be, written.
    Overtaken,
    /// Any other failure, with librdkafka's code.
    Other(Code),
}

/// One record's failure.
///
/// ```
/// use msk_shared::kafka::{FailureCause, Persisted, PublishFailure};
///
/// /// What was surely not written may be sent again as it is; anything else needs an `idempotency-key`.
/// fn may_be_sent_again(failure: PublishFailure) -> bool {
///     failure.persisted == Persisted::No && failure.cause != FailureCause::RecordTooLarge
/// }
/// assert!(!may_be_sent_again(PublishFailure { cause: FailureCause::TimedOut, persisted: Persisted::Unknown }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishFailure {
    /// Why it was not acknowledged.
    pub cause: FailureCause,
    /// Whether it may have been written.
    pub persisted: Persisted,
}

impl PublishFailure {
    /// A failure before anything was enqueued.
    pub const fn not_sent(cause: FailureCause) -> Self {
        Self { cause, persisted: Persisted::No }
    }
}

impl FailureCause {
    /// A stable, short name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoTimeLeft => "no_time_left",
            Self::CircuitOpen => "circuit_open",
            Self::QueueFull => "queue_full",
            Self::Throttled => "throttled",
            Self::RecordTooLarge => "record_too_large",
            Self::KeyMissing => "key_missing",
            Self::TimestampOutOfRange => "timestamp_out_of_range",
            Self::TopicMissing => "topic_missing",
            Self::PartitionMissing => "partition_missing",
            Self::BrokersUnreachable => "brokers_unreachable",
            Self::NotEnoughReplicas => "not_enough_replicas",
            Self::TimedOut => "timed_out",
            Self::Authentication => "authentication",
            Self::TopicAuthorization => "topic_authorization",
            Self::ClusterAuthorization => "cluster_authorization",
            Self::Fatal => "fatal",
            Self::Rejected => "rejected",
            Self::BatchRefused => "batch_refused",
            Self::Overtaken => "overtaken",
            Self::Other(_) => "other",
        }
    }
}

/// The table of librdkafka's error codes: the one place to read, test and document. `refusal.rs` says which of them are a
/// record's fault.
impl From<Code> for FailureCause {
    fn from(code: Code) -> Self {
        match code {
            Code::QueueFull => Self::QueueFull,
            Code::ThrottlingQuotaExceeded => Self::Throttled,
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => Self::RecordTooLarge,
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::InvalidTopic => Self::TopicMissing,
            Code::UnknownPartition => Self::PartitionMissing,
            Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::Resolve
            | Code::BrokerDestroy
            | Code::NodeUpdate
            | Code::NetworkException
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::SSL => Self::BrokersUnreachable,
            Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => Self::NotEnoughReplicas,
            Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::PurgeQueue
            | Code::PurgeInflight => Self::TimedOut,
            Code::Authentication | Code::SaslAuthenticationFailed | Code::IllegalSASLState => Self::Authentication,
            Code::TopicAuthorizationFailed => Self::TopicAuthorization,
            Code::ClusterAuthorizationFailed | Code::TransactionalIdAuthorizationFailed => Self::ClusterAuthorization,
            Code::Fatal
            | Code::OutOfOrderSequenceNumber
            | Code::UnknownProducerId
            | Code::InvalidProducerEpoch
            | Code::ProducerFenced
            | Code::Inconsistent => Self::Fatal,
            Code::InvalidTimestamp => Self::TimestampOutOfRange,
            Code::InvalidMessage | Code::InvalidRecord | Code::PolicyViolation => Self::Rejected,
            Code::InvalidDifferentRecord => Self::BatchRefused,
            other => Self::Other(other),
        }
    }
}
