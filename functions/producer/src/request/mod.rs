//! From an HTTP request to records: content type, body, fields, headers, and the checks before anything is sent.
//!
//! "Kafka REST v2" is the API that Confluent's REST Proxy introduced and that Strimzi's bridge and Karapace also support:
//! `application/vnd.kafka.<format>.v2+json` bodies with an array `records`
//! (<https://docs.confluent.io/platform/current/kafka-rest/api.html#api-v2>).
//!
//! Each step is a function of values; what is wrong with a request is reported as [`faults::Faults`]. Nothing here depends on the
//! format of a response.

pub(crate) mod body;
pub(crate) mod checks;
pub(crate) mod cloud_event;
pub(crate) mod content_encoding;
pub(crate) mod content_type;
pub(crate) mod draft;
pub(crate) mod drafts;
pub(crate) mod envelope;
pub(crate) mod faults;
pub(crate) mod json;
pub(crate) mod kafka_rest_v1;
pub(crate) mod ndjson;
pub(crate) mod preferences;
pub(crate) mod propagation;
pub(crate) mod query;
pub(crate) mod record_fields;
pub(crate) mod records_body;
mod schema_check;
pub(crate) mod single_message;
pub(crate) mod v3_body;
