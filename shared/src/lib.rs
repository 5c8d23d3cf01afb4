//! What the functions, the local tools and the tests share.
//!
//! | Module | Contains |
//! |---|---|
//! | [`names`] | topic names: a value that exists is valid |
//! | [`topic_spec`] | a topic to create, as written on a command line |
//! | [`limits`] | sizes and counts with their allowed ranges |
//! | [`deadline`] | how much time an invocation has left |
//! | [`mod@env`] | environment variables, read once, with all problems reported together; renamed variables |
//! | [`header`], [`trace_parent`] | a record's header, and the header that links it to a trace |
//! | [`messages`] | the sample messages as types |
//! | [`event`] | the MSK event, its records, and the batch response |
//! | [`executor`] | the async executor, with as many threads as a function can use |
//! | [`telemetry`] | JSON logs and CloudWatch metrics |
//! | [`aws`] | (feature `aws`) credentials and signed requests, without AWS's SDK |
//! | [`runtime`] | (feature `runtime`) the loop between AWS Lambda and a function |
//! | [`kafka`] | (feature `kafka`) client configuration, MSK IAM tokens, the publisher |

#[cfg(feature = "aws")]
pub mod aws;
pub mod deadline;
pub mod env;
pub mod event;
pub mod executor;
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

/// The code of the README is compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
