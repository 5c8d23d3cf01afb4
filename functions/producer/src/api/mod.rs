//! The HTTP API: a router over shared state, and what every request passes on its way in and out.
//!
//! | Module | Holds |
//! |---|---|
//! | [`router`] | the table of routes |
//! | `middleware`, `request_info` | around every request: its id, its deadline, its log line, its metrics |
//! | `routes` | one file per resource |
//! | `publishing` | from checked records to delivery results, within the deadline |
//! | `failure_text` | what a caller is told about a record that was not written |
//! | [`problem`] | failures as HTTP: the one place that maps causes to statuses |
//! | `answer` | answers with a JSON body |
//! | `published` | what a request did with records |
//! | `request_metrics`, `metrics_window` | what a request adds to the CloudWatch metrics; one line for many under load |
//! | `totals` | the same since the start, for a scraper |
//! | `openapi` | tests: `docs/openapi.json`, built from the code |
//! | [`state`] | what all requests share |

mod answer;
mod failure_text;
mod metrics_window;
mod middleware;
#[cfg(test)]
mod openapi;
pub mod problem;
mod published;
mod publishing;
pub(crate) mod request_info;
mod request_metrics;
pub mod router;
pub mod routes;
pub mod state;
pub(crate) mod totals;
