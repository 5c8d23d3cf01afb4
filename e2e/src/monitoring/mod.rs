//! Amazon MSK's monitoring reproduced on this machine: real brokers with the JMX exporter in its default naming (which is
//! MSK's), the node exporter, MSK's own consumer lag metrics, and Prometheus with the rules of `infra/rules`.
//!
//! | Module | Contains |
//! |---|---|
//! | [`stack`] | all of it together, on one cluster of the test bed |
//! | [`rules`] | the rule files of `infra/rules` with their limits filled in, and the queries of `infra/dashboards` |
//! | [`prometheus`] | the Prometheus process and its API |
//! | [`lag`] | consumer lag under MSK's metric name |
//! | [`volume`] | the node exporter, and a small data volume that can be filled |
//! | [`traffic`] | records written and read continuously |
//! | `agent` | the JMX exporter's jar |

mod agent;
pub mod lag;
pub mod prometheus;
pub mod rules;
pub mod stack;
pub mod traffic;
pub mod volume;

pub use stack::Stack;
