//! What can go wrong in the test bed, and what to change.

use std::{path::PathBuf, time::Duration};

/// A failure of the test bed itself, never of the code under test.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program the test bed needs is not on the `PATH`.
    #[error("`{tool}` was not found: {install}")]
    MissingTool {
        /// The program's name.
        tool: &'static str,
        /// How to install it.
        install: &'static str,
    },
    /// A program that the test bed ran has failed.
    #[error("`{command}` failed: {detail}")]
    Command {
        /// The command, shortened to what matters.
        command: String,
        /// Its exit status and the end of its output.
        detail: String,
    },
    /// A process of the test bed ended although it should still be running.
    #[error("{name} ended early ({status}); the end of its log:\n{log_tail}")]
    Exited {
        /// The name of the process.
        name: String,
        /// Its exit status.
        status: String,
        /// The last lines of its log.
        log_tail: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {limit:?}; last seen: {last_seen}")]
    TimedOut {
        /// What was awaited.
        what: String,
        /// How long it was awaited.
        limit: Duration,
        /// The state when the wait ended.
        last_seen: String,
    },
    /// A file or folder could not be used.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A socket or process call failed.
    #[error("{what}: {source}")]
    Os {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The Kafka client of the test bed failed.
    #[error("{what}: {source}")]
    Kafka {
        /// What was tried.
        what: String,
        /// librdkafka's error.
        source: rdkafka::error::KafkaError,
    },
    /// Certificates could not be created or loaded.
    #[error("certificate {what}: {detail}")]
    Certificate {
        /// Which certificate.
        what: String,
        /// The reason.
        detail: String,
    },
    /// The test bed cannot do what was requested.
    #[error("{0}")]
    Invalid(String),
}

/// A result with the test bed's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds the file to an I/O error.
pub(crate) fn file_error(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.into();
    move |source| Error::File { path, source }
}

/// Adds what was attempted to an I/O error.
pub(crate) fn os_error(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Os { what, source }
}

/// Adds what was attempted to a librdkafka error.
pub(crate) fn kafka_error(what: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> Error {
    let what = what.into();
    move |source| Error::Kafka { what, source }
}
