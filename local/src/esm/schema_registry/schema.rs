//! A schema of the registry, ready to judge data.

use super::avro_reader::{self, AvroError};
use super::avro_schema::AvroSchema;
use super::json_schema::{JsonSchema, JsonSchemaError};

/// A schema as a registry tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SchemaText {
    /// `AVRO`, `JSON` or `PROTOBUF`.
    pub(super) kind: String,
    pub(super) text: String,
    /// What it refers to: names with texts, each after those that it refers to itself.
    pub(super) referenced: Vec<(String, String)>,
}

/// What data is judged with.
#[derive(Debug)]
pub(super) enum Schema {
    Avro(AvroSchema),
    Json(JsonSchema),
    /// Taken as it is: only its bytes can be delivered.
    Protobuf,
    /// The registry's text is no schema, for this reason: no data can be right.
    Invalid {
        data_format: &'static str,
        reason: String,
    },
}

/// The schema's format is not emulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownFormat(pub(super) String);

/// Why data cannot be delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Avro(#[from] AvroError),
    #[error(transparent)]
    Json(#[from] JsonSchemaError),
    #[error("the registry's schema is invalid: {0}")]
    Schema(String),
}

impl Schema {
    /// Compiles the text.
    ///
    /// # Errors
    /// [`UnknownFormat`] if its format is none of Avro, JSON Schema and Protobuf.
    pub(super) fn compile(read: &SchemaText) -> Result<Self, UnknownFormat> {
        let invalid = |data_format| move |reason| Self::Invalid { data_format, reason };
        Ok(match read.kind.as_str() {
            "AVRO" => {
                let referenced = read.referenced.iter().map(|(_, text)| text.as_str());
                let parsed = AvroSchema::parse(referenced, &read.text);
                parsed.map_or_else(|error| invalid("AVRO")(error.to_string()), Self::Avro)
            }
            "JSON" => JsonSchema::compile(&read.referenced, &read.text).map_or_else(invalid("JSON"), Self::Json),
            "PROTOBUF" => Self::Protobuf,
            other => return Err(UnknownFormat(other.to_owned())),
        })
    }

    /// The name in the event.
    pub(super) fn data_format(&self) -> &'static str {
        match self {
            Self::Avro(_) => "AVRO",
            Self::Json(_) => "JSON",
            Self::Protobuf => "PROTOBUF",
            Self::Invalid { data_format, .. } => data_format,
        }
    }

    /// The data as JSON, of at most `limit` bytes; `None` for the data itself.
    ///
    /// # Errors
    /// [`Unreadable`] if the data is not what the schema says.
    pub(super) fn to_json(&self, data: &[u8], limit: usize) -> Result<Option<Vec<u8>>, Unreadable> {
        match self {
            Self::Avro(schema) => Ok(Some(avro_reader::to_json(schema, data, limit)?)),
            Self::Json(schema) => Ok(schema.judge(data).map(|()| None)?),
            Self::Protobuf => Ok(None),
            Self::Invalid { reason, .. } => Err(Unreadable::Schema(reason.clone())),
        }
    }
}
