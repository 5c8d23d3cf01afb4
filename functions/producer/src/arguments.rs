//! The command line. On Lambda there is none. Parsed by hand: four forms that cannot be combined are one `match`, and a parser crate
//! would need as many lines.

use std::net::SocketAddr;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Serve invocations of the Lambda Runtime API.
    Lambda,
    /// Serve plain HTTP on an address.
    Http(SocketAddr),
    Help,
    Version,
}

/// A wrong command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// The position of an unknown argument; its text is not repeated because it could be a secret.
    #[error("argument {0} is unknown; see --help")]
    Unknown(usize),
    /// `--http` without a valid address.
    #[error("--http needs an address and a port, such as 127.0.0.1:8080; 0.0.0.0:8080 listens on all addresses")]
    Address,
    /// Not on Lambda, but no arguments were given.
    #[error(
        "not on Lambda (AWS_LAMBDA_RUNTIME_API is not set): use --http 127.0.0.1:8080 to serve plain HTTP; see --help"
    )]
    NotOnLambda,
}

/// What `--help` prints.
pub(crate) const HELP: &str = "\
HTTP requests become Kafka records.

Usage:
  producer                       on AWS Lambda, or under `cargo lambda watch`
  producer --http <ADDR:PORT>    a plain HTTP server, for containers and tests
  producer --version
  producer --help

Configured by environment variables; KAFKA_BOOTSTRAP_SERVERS and TOPICS are required.
All of them: docs/http-api.md
";

/// Parses the arguments after the program's name.
///
/// # Errors
/// [`UsageError`]
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>, on_lambda: bool) -> Result<Command, UsageError> {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] if on_lambda => Ok(Command::Lambda),
        [] => Err(UsageError::NotOnLambda),
        ["--help" | "-h", ..] => Ok(Command::Help),
        ["--version" | "-V"] => Ok(Command::Version),
        ["--http", address] => address.parse().map(Command::Http).map_err(|_| UsageError::Address),
        ["--http"] => Err(UsageError::Address),
        [joined] if joined.starts_with("--http=") => {
            joined["--http=".len()..].parse().map(Command::Http).map_err(|_| UsageError::Address)
        }
        ["--http" | "--version" | "-V", _, ..] => Err(UsageError::Unknown(if words[0] == "--http" { 3 } else { 2 })),
        _ => Err(UsageError::Unknown(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str], on_lambda: bool) -> Result<Command, UsageError> {
        parse(arguments.iter().map(|&argument| argument.to_owned()), on_lambda)
    }

    #[test]
    fn each_form_is_read() {
        let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(read(&[], true), Ok(Command::Lambda));
        assert_eq!(read(&["--http", "127.0.0.1:8080"], true), Ok(Command::Http(address)));
        assert_eq!(read(&["--http=127.0.0.1:8080"], false), Ok(Command::Http(address)));
        assert_eq!(read(&["--help"], false), Ok(Command::Help));
        assert_eq!(read(&["-V"], false), Ok(Command::Version));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(read(&[], false), Err(UsageError::NotOnLambda));
        assert_eq!(read(&["--http"], false), Err(UsageError::Address));
        assert_eq!(read(&["--http", "8080"], false), Err(UsageError::Address));
        assert_eq!(read(&["--http", "[::1]:1", "x"], false), Err(UsageError::Unknown(3)));
        assert_eq!(read(&["--version", "x"], false), Err(UsageError::Unknown(2)));
        assert_eq!(read(&["serve"], true), Err(UsageError::Unknown(1)));
    }
}
