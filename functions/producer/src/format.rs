//! How a record's key or value is represented in a request.

/// The format of a key or value in a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Any JSON, stored as compact JSON.
    Json,
    /// Base64 text, stored as the decoded bytes.
    Binary,
    /// A string, stored as its text without quotes.
    Text,
}

impl Format {
    /// Every format, in the order in which responses list them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Binary, Self::Text];

    /// The word used in `formats` of a topic policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Binary => "binary",
            Self::Text => "text",
        }
    }
}
