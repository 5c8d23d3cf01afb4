//! The producer: HTTP requests become Kafka records, and the answer says truthfully what happened to each.
//!
//! | Module | Holds |
//! |---|---|
//! | [`process`], [`cli`], [`start`], [`app`] | the process, its command line, its start, the state that requests share |
//! | [`config`], [`topics`] | the environment contract; topics and their policies |
//! | [`lambda`], `event_guard` | the function: API Gateway event in, checked, answer out |
//! | [`server`] | the same as a plain HTTP server |
//! | [`router`], `routes` | the routes, and what every request goes through |
//! | `request` | media type, body, JSON, records, headers |
//! | `validate` | the whole request against policy and limits, before anything is sent |
//! | `answer`, [`problem`] | answers and problem documents; the one place that maps causes to HTTP |
//! | `metrics` | the request's line of CloudWatch metrics |

mod answer;
pub mod app;
pub mod cli;
pub mod config;
mod context;
mod event_guard;
pub mod lambda;
mod metrics;
pub mod problem;
pub mod process;
mod request;
pub mod router;
mod routes;
pub mod server;
pub mod start;
pub mod topics;
mod validate;

pub use routes::version::line as version_line;
