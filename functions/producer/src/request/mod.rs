//! From an HTTP request to records: media type, body, the v2 envelope, header fields.
//!
//! Each step is a function over values; nothing here knows Kafka or the answer's form.

pub(crate) mod body;
pub(crate) mod carried;
pub(crate) mod envelope;
pub(crate) mod fields;
pub(crate) mod issues;
pub(crate) mod json;
pub(crate) mod media;
pub(crate) mod message;
pub(crate) mod query;
