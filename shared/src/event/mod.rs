//! The MSK event, its records and the batch response: read by the consumer, written by the emulator.
//!
//! | To | Use |
//! |---|---|
//! | read an invocation's body | [`MskEvent::parse`] |
//! | inspect a record | [`Record`]: `value()`, `key()`, `header()`, `is_tombstone()`, `id()` |
//! | decode its value | [`Record::json`], [`Record::text`], [`Record::message`], [`SchemaFrame`] |
//! | respond to Lambda | [`BatchResponse::reporting`] |
//! | write an event as AWS does | [`Record::new`], [`MskEvent::new`], [`MskEvent::to_json`] |
//! | evaluate a function's response as AWS does | [`judge`] |
//!
//! The text of the event is never copied: records refer to slices of it and decode their base64 on demand.
//! The format is that of AWS's page "Using Lambda with Amazon MSK"; what is accepted beyond it is listed at [`MskEvent::parse`].

#[cfg(feature = "aws-lambda-events")]
mod aws_lambda_events;
mod cloud_event;
mod decode;
mod encoding;
mod frame;
mod message;
mod msk_event;
mod parse;
mod record;
mod record_id;
mod response;
mod verdict;
mod write;

pub use crate::header::Header;
pub use cloud_event::{CloudEvent, CloudEventMode, is_json_media_type};
pub use decode::{DecodeError, JsonFault};
pub use encoding::FieldError;
pub use frame::{ConfluentPrefix, SchemaFrame};
pub use message::{Message, MessageKind};
pub use msk_event::{MSK_EVENT_SOURCE, MskEvent, PartitionRecords, SELF_MANAGED_EVENT_SOURCE};
pub use parse::EventError;
pub use record::{BrokenRecord, Record, SchemaMetadata, TimestampType};
pub use record_id::{BrokenId, RecordFault, RecordId};
pub use response::{BatchResponse, Unreportable};
pub use verdict::{Mistake, Overlooked, Verdict, judge, names_failures, overlooked};
pub use write::TombstoneStyle;
