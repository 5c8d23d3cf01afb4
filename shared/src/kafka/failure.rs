//! Why a record was not acknowledged, and what is known of its fate.

use rdkafka::types::RDKafkaErrorCode as Code;

/// What is known of a record that was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Persisted {
    /// Surely not written, and never will be.
    No,
    /// May have been written.
    Unknown,
}

/// Why a record was not acknowledged. One cause, one answer: the HTTP table hangs on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCause {
    /// Less time left than a write needs; nothing was enqueued.
    NoTimeLeft,
    /// Earlier requests failed and the cluster still does not answer; nothing was enqueued.
    CircuitOpen,
    /// The local queue is full.
    QueueFull,
    /// The broker's quota.
    Throttled,
    /// The broker refuses the record's size.
    RecordTooLarge,
    /// The cluster does not have the topic.
    TopicMissing,
    /// The topic does not have the partition.
    PartitionMissing,
    /// No broker reachable, or the connection was lost.
    BrokersUnreachable,
    /// Too few in-sync replicas.
    NotEnoughReplicas,
    /// No acknowledgement in time.
    TimedOut,
    /// The cluster refused our credentials, or no token could be had to show it.
    Authentication,
    /// Our principal may not write this topic (`kafka-cluster:WriteData`).
    TopicAuthorization,
    /// Our principal may not use the idempotent producer (`kafka-cluster:WriteDataIdempotently`) or connect.
    ClusterAuthorization,
    /// The client gave up for good (idempotent producer fatal error); it is being rebuilt.
    Fatal,
    /// The broker refuses the record itself (corrupt, unsupported timestamp, ...).
    Rejected,
    /// Anything else, by librdkafka's code.
    Other(Code),
}

/// One record's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishFailure {
    /// Why.
    pub cause: FailureCause,
    /// What is known of the record's fate.
    pub persisted: Persisted,
}

impl PublishFailure {
    /// A failure before anything was enqueued.
    pub const fn not_sent(cause: FailureCause) -> Self {
        Self { cause, persisted: Persisted::No }
    }
}

impl FailureCause {
    /// Classifies librdkafka's error code. The table is the one place to read, test and document.
    pub fn of(code: Code) -> Self {
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
            Code::InvalidMessage | Code::InvalidTimestamp | Code::InvalidRecord | Code::PolicyViolation => {
                Self::Rejected
            }
            other => Self::Other(other),
        }
    }

    /// Whether the same record may succeed later without a change by the caller.
    pub fn retriable(self) -> bool {
        !matches!(self, Self::RecordTooLarge | Self::PartitionMissing | Self::Rejected)
    }

    /// A stable, short name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoTimeLeft => "no_time_left",
            Self::CircuitOpen => "circuit_open",
            Self::QueueFull => "queue_full",
            Self::Throttled => "throttled",
            Self::RecordTooLarge => "record_too_large",
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
            Self::Other(_) => "other",
        }
    }
}
