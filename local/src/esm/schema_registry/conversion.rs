//! One record on its way to the function: its frames are taken off, its data is judged, and becomes JSON where the mapping says so.

use bytes::Bytes;
use msk_shared::event::{ConfluentPrefix, Record, SchemaFrame, SchemaMetadata};

use super::avro_reader::AvroError;
use super::registry_settings::EventRecordFormat;
use super::schema::Unreadable;
use super::schema_store::{Lookup, SchemaStore};

/// Headers in which Confluent's newer serialisers may put the id of a schema, in place of the frame.
const ID_HEADERS: [&str; 2] = ["__key_schema_id", "__value_schema_id"];

/// What has become of a record.
#[derive(Debug)]
pub(in super::super) enum Converted {
    /// The function may get it.
    Record {
        record: Record,
        /// What the filters see in place of its value.
        judged_value: Option<Bytes>,
    },
    /// A schema must be fetched first.
    Wanted { record: Record, schema_id: u32 },
    /// It can never be delivered.
    Refused { record: Record, refusal: Refusal },
}

/// Why a record cannot be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Refusal {
    /// The registry does not have the schema.
    NoSchema(String),
    /// It is not what the schema says.
    Unreadable(String),
    /// Its JSON would not fit into an event.
    TooLarge,
}

/// A key or a value after its conversion.
struct ConvertedField {
    delivered: Bytes,
    json: Option<Bytes>,
    metadata: SchemaMetadata,
}

/// Why a part is not converted.
enum Obstacle {
    Wanted(u32),
    Refused(Refusal),
}

impl SchemaStore {
    /// Converts a record with the schemas that are known; its JSON may have `limit` bytes.
    pub(in super::super) fn convert(&self, record: Record, limit: usize) -> Converted {
        let bytes = |part: std::borrow::Cow<'_, [u8]>| Bytes::copy_from_slice(&part);
        let key = if self.settings.keys { record.key().ok().flatten().map(bytes) } else { None };
        let value = if self.settings.values { record.value().ok().flatten().map(bytes) } else { None };
        let convert = |name, part: Option<Bytes>| part.map(|part| self.part(name, &part, limit)).transpose();
        let named = |header: &str, refusal| self.with_header_advice(&record, header, refusal);
        let key = convert("key", key).map_err(|obstacle| named(ID_HEADERS[0], obstacle));
        let parts = key.and_then(|key| {
            let value = convert("value", value).map_err(|obstacle| named(ID_HEADERS[1], obstacle))?;
            Ok((key, value))
        });
        match parts {
            Err(Obstacle::Wanted(schema_id)) => Converted::Wanted { record, schema_id },
            Err(Obstacle::Refused(refusal)) => Converted::Refused { record, refusal },
            Ok((key, value)) => converted(record, key, value),
        }
    }

    fn part(&self, name: &str, data: &Bytes, limit: usize) -> Result<ConvertedField, Obstacle> {
        let unreadable = |problem: String| Obstacle::Refused(Refusal::Unreadable(format!("the {name} {problem}")));
        let (id, start) = match SchemaFrame::split(data) {
            Some((SchemaFrame::Confluent(prefix), _)) => (prefix.schema_id, ConfluentPrefix::LEN),
            Some((frame, _)) => {
                return Err(unreadable(format!("begins with {frame}, and the registry is none of AWS Glue")));
            }
            None => {
                let length = data.len();
                return Err(unreadable(format!(
                    "of {length} bytes does not begin with a schema registry's frame, a zero byte and an id"
                )));
            }
        };
        let schema = match self.lookup(id) {
            Lookup::Schema(schema) => schema,
            Lookup::Unknown => return Err(Obstacle::Wanted(id)),
            Lookup::NotThere => {
                let text =
                    format!("the registry does not have schema {id}, which the {name} names, or one that it refers to");
                return Err(Obstacle::Refused(Refusal::NoSchema(text)));
            }
        };
        let source = data.slice(start..);
        let json = match schema.to_json(&source, limit) {
            Ok(json) => json.map(Bytes::from),
            Err(Unreadable::Avro(AvroError::TooLarge(_))) => return Err(Obstacle::Refused(Refusal::TooLarge)),
            Err(problem) => return Err(unreadable(format!("is not what schema {id} says: {problem}"))),
        };
        let delivered = match self.settings.format {
            EventRecordFormat::Json => json.clone().unwrap_or_else(|| source.clone()),
            EventRecordFormat::Source => source,
        };
        let metadata = SchemaMetadata { data_format: schema.data_format().to_owned(), schema_id: id.to_string() };
        Ok(ConvertedField { delivered, json, metadata })
    }

    /// A serialiser that puts ids into headers is named: AWS documents frames only.
    fn with_header_advice(&self, record: &Record, header: &str, obstacle: Obstacle) -> Obstacle {
        match obstacle {
            Obstacle::Refused(Refusal::Unreadable(text)) if record.header(header).is_some() => {
                Obstacle::Refused(Refusal::Unreadable(format!(
                    "{text}; the header {header} has an id that is not read: let the serialiser write it before the data"
                )))
            }
            other => other,
        }
    }
}

fn converted(record: Record, key: Option<ConvertedField>, value: Option<ConvertedField>) -> Converted {
    let judged_value = value.as_ref().and_then(|value| value.json.clone());
    let (mut record, mut schemas) = (record, (None, None));
    if let Some(ConvertedField { delivered, metadata, .. }) = key {
        record = record.with_key(Some(delivered));
        schemas.0 = Some(metadata);
    }
    if let Some(ConvertedField { delivered, metadata, .. }) = value {
        record = record.with_value(Some(delivered));
        schemas.1 = Some(metadata);
    }
    Converted::Record { record: record.with_schemas(schemas.0, schemas.1), judged_value }
}

impl Refusal {
    /// What is wrong, without anything of the record's content.
    pub(in super::super) fn detail(&self) -> String {
        match self {
            Self::NoSchema(text) | Self::Unreadable(text) => text.clone(),
            Self::TooLarge => "its JSON does not fit into an event".to_owned(),
        }
    }
}
