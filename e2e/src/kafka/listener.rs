//! The client listeners of a broker.

/// A client listener. Every broker has all of them, each on its own port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listener {
    /// `SASL_SSL` with OAUTHBEARER: MSK IAM tokens, MSK's port 9098.
    Iam,
    /// `SASL_SSL` with SCRAM-SHA-512, MSK's port 9096.
    Scram,
    /// `SSL` with client certificates, MSK's port 9094.
    MutualTls,
    /// `PLAINTEXT`, MSK's port 9092.
    Plaintext,
}

impl Listener {
    /// All client listeners.
    pub const ALL: [Self; 4] = [Self::Iam, Self::Scram, Self::MutualTls, Self::Plaintext];

    /// The name in `server.properties`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iam => "IAM",
            Self::Scram => "SCRAM",
            Self::MutualTls => "MTLS",
            Self::Plaintext => "CLIENT",
        }
    }

    /// Kafka's security protocol for this listener.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Iam | Self::Scram => "SASL_SSL",
            Self::MutualTls => "SSL",
            Self::Plaintext => "PLAINTEXT",
        }
    }
}
