//! The producer: HTTP requests become Kafka records, and the response says truthfully what happened to each.
//!
//! Each module uses only those below it.
//!
//! | Module | Contains |
//! |---|---|
//! | [`lambda`], [`http_server`] | the two ways of serving: as an AWS Lambda function, as a plain HTTP server |
//! | [`app`] | from the environment to a running application |
//! | [`api`] | the HTTP API: routes, problems, answers, publishing |
//! | `request` | from an HTTP request to checked records |
//! | [`config`], [`topics`] | the environment contract; topics and their policies |
//! | [`principal`], [`principal_pattern`] | callers, and how policies name them |
//! | [`schema`] | JSON Schemas of values |
//! | [`format`], `record_result` | the formats of keys and values; one record's result |

pub mod api;
pub mod app;
pub mod config;
pub mod format;
pub mod http_server;
pub mod lambda;
pub mod principal;
pub mod principal_pattern;
mod record_result;
mod request;
pub mod schema;
pub mod topics;
