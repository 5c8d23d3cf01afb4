//! What the functions, the local tools and the tests share.
//!
//! | Module | Holds |
//! |---|---|
//! | [`names`] | topic names: a value that exists is valid |
//! | [`topic_spec`] | a topic to create, as command lines say it |
//! | [`limits`] | sizes and counts with their allowed ranges |
//! | [`deadline`] | how much time an invocation has left |
//! | [`env`] | environment variables, read once, every problem reported together; those with new names |
//! | [`header`], [`trace_parent`] | a record's header, and the one that ties it to a trace |
//! | [`messages`] | the sample messages as types |
//! | [`event`] | the MSK event, its records, and the batch response |
//! | [`telemetry`] | JSON logs and CloudWatch metrics |
//! | [`runtime`] | (feature `runtime`) the loop between AWS Lambda and a function |
//! | [`kafka`] | (feature `kafka`) client configuration, MSK IAM tokens, the publisher |

pub mod deadline;
pub mod env;
pub mod event;
pub mod header;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod limits;
pub mod messages;
pub mod names;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod telemetry;
pub mod topic_spec;
pub mod trace_parent;
