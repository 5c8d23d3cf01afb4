//! What a proxy can do to the connections through it.

use std::{collections::BTreeMap, time::Duration};

/// Faults that last until they are changed. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Later arrival of every byte, in each direction: a round trip takes twice as long.
    pub delay: Duration,
    /// At most so many bytes a second in each direction of each connection.
    pub bytes_per_second: Option<u32>,
    /// Nothing arrives any more, in both directions; connections still open, as when packets are dropped on the way.
    /// What was under way arrives after healing, as TCP would send it again.
    pub blackhole: bool,
    /// The port is closed: connecting fails at once. Open connections live on.
    pub refuse: bool,
    /// More new connections than this within a second are reset, as MSK's limit for IAM does.
    pub new_connections_per_second: Option<usize>,
    /// Produce responses that never reach the client, though the broker has appended the records.
    pub lose_produce_responses: Option<Loss>,
    /// Produce responses that tell the client of an error the broker did not have.
    pub falsify_produce_responses: Option<Falsehood>,
}

/// Which produce responses are changed, and into what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Falsehood {
    /// Every how many produce responses of this proxy one is changed; 1 is each.
    pub every: u64,
    /// Kafka's error code put into its first partition. 45, `OUT_OF_ORDER_SEQUENCE_NUMBER`, is what librdkafka takes
    /// for fatal.
    pub error_code: i16,
}

/// Which produce responses are lost, and how that looks to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Every how many produce responses of this proxy one is lost; 1 is each.
    pub every: u64,
    /// How the client learns of it.
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
    /// Connections reset for being too many in a second.
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
    /// Those of them the client never got.
    pub produce_responses_lost: u64,
    /// Those of them that were changed.
    pub produce_responses_falsified: u64,
}
