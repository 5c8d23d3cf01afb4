//! How records are represented in a request.

/// The format of a key or value.
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
    pub const ALL: [Self; 3] = [Self::Json, Self::Binary, Self::Text];

    /// The format that a word of a request or a topic policy means: `text` and `string` are the same.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "json" => Some(Self::Json),
            "binary" => Some(Self::Binary),
            "string" | "text" => Some(Self::Text),
            _ => None,
        }
    }
}

/// What a topic policy's `formats` tells apart: how a value came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueFormat {
    /// A field of a record.
    Field(Format),
    /// A CloudEvent, in any of its modes.
    CloudEvent,
    /// A line of NDJSON.
    NdJson,
    /// The body, as it is.
    Raw,
}

impl ValueFormat {
    /// Every format, in the order in which responses list them.
    pub const ALL: [Self; 6] = [
        Self::Field(Format::Json),
        Self::Field(Format::Binary),
        Self::Field(Format::Text),
        Self::CloudEvent,
        Self::NdJson,
        Self::Raw,
    ];

    /// The format that a word of a topic policy means.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "cloudevents" => Some(Self::CloudEvent),
            "ndjson" => Some(Self::NdJson),
            "raw" => Some(Self::Raw),
            word => Format::parse(word).map(Self::Field),
        }
    }

    /// The word used in `formats` of a topic policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Field(Format::Json) => "json",
            Self::Field(Format::Binary) => "binary",
            Self::Field(Format::Text) => "text",
            Self::CloudEvent => "cloudevents",
            Self::NdJson => "ndjson",
            Self::Raw => "raw",
        }
    }
}
