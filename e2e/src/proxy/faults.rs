//! What a proxy can do to its connections.

use std::{collections::BTreeMap, time::Duration};

/// Faults that last until they are changed. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The delay of every byte in each direction, so it affects a round trip twice.
    pub delay: Duration,
    /// The most bytes per second in each direction of each connection.
    pub bytes_per_second: Option<u32>,
    /// Nothing arrives in either direction, but connections stay open, as when packets are dropped on the way.
    /// What was in flight arrives after healing, because TCP would retransmit it.
    pub blackhole: bool,
    /// The port is closed: connecting fails at once. Open connections are unaffected.
    pub refuse: bool,
    /// More new connections than this within a second are reset, as MSK's limit for IAM does.
    pub new_connections_per_second: Option<usize>,
    /// Produce responses that never reach the client, though the broker has appended the records.
    pub lose_produce_responses: Option<Loss>,
    /// Produce responses never reach the client, and its connection stays open.
    pub withhold_produce_responses: bool,
    /// Produce responses that report an error to the client although the broker had none.
    pub falsify_produce_responses: Option<Falsehood>,
    /// Metadata responses list topics and no broker, as while the controller has fenced all of them.
    pub hide_brokers: bool,
}

/// Which produce responses are changed, and into what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Falsehood {
    /// One in this many produce responses of this proxy is changed; 1 means all.
    pub every: u64,
    /// Kafka's error code put into its first partition. 45, `OUT_OF_ORDER_SEQUENCE_NUMBER`, is what librdkafka considers
    /// fatal.
    pub error_code: i16,
}

/// Which produce responses are lost, and how that looks to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// One in this many produce responses of this proxy is lost; 1 means all.
    pub every: u64,
    /// How the client's connection is cut.
    pub cut: Cut,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// RST to both sides.
    #[default]
    Reset,
    /// FIN to both sides.
    Close,
    /// The server's side is closed, the client's stays open and is never answered: what a forgotten NAT entry or a
    /// half-open connection looks like.
    Strand,
}

/// What a proxy has seen and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections let through.
    pub connections: u64,
    /// Connections reset because there were too many within a second.
    pub connections_over_limit: u64,
    /// Connections open now.
    pub open: u64,
    /// Bytes read from clients.
    pub bytes_from_clients: u64,
    /// Requests by Kafka's API key, where the proxy sees frames; 0 is Produce, 22 `InitProducerId`.
    pub requests: BTreeMap<i16, u64>,
    /// Authentications on connections that had authenticated before, where the proxy sees frames.
    pub reauthentications: u64,
    /// Produce responses seen from the broker.
    pub produce_responses: u64,
    /// Produce responses that the client never received.
    pub produce_responses_lost: u64,
    /// Produce responses that were changed.
    pub produce_responses_falsified: u64,
    /// Metadata responses that lost their brokers.
    pub metadata_responses_without_brokers: u64,
}
