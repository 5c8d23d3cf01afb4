//! The command line. On Lambda there is none. Parsed by hand: one table of options that all have a value, each also a variable, is
//! less than a parser crate would need, and none would keep the values out of its messages.

use std::net::SocketAddr;
use std::time::Duration;

use msk_producer::http_server::settings::{ConnectionLimits, CorsOrigin, Settings};

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Serve invocations of the Lambda Runtime API.
    Lambda,
    /// Serve plain HTTP.
    Http(Settings),
    Help,
    Version,
}

/// An option of the plain HTTP server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerOption {
    flag: &'static str,
    /// The environment variable that stands in for the flag.
    variable: &'static str,
    /// What its value has to be.
    needs: &'static str,
}

const fn option(flag: &'static str, variable: &'static str, needs: &'static str) -> ServerOption {
    ServerOption { flag, variable, needs }
}

const HTTP: ServerOption = option(
    "--http",
    "HTTP_ADDR",
    "an address and a port, such as 127.0.0.1:8080; 0.0.0.0:8080 listens on all addresses",
);
const METRICS: ServerOption = option("--metrics", "METRICS_ADDR", "an address and a port, such as 127.0.0.1:9464");
const CORS_ORIGIN: ServerOption = option(
    "--cors-origin",
    "CORS_ORIGINS",
    "an origin such as https://shop.example without a path, or * for every one",
);
const MAX_CONNECTIONS: ServerOption = option("--max-connections", "MAX_CONNECTIONS", "a number from 1 to 1000000");
const HEADER_TIMEOUT: ServerOption =
    option("--header-timeout", "HEADER_TIMEOUT", "a time from 1ms to 3600s, such as 10s or 500ms");
const IDLE_TIMEOUT: ServerOption =
    option("--idle-timeout", "IDLE_TIMEOUT", "a time from 1ms to 3600s, such as 75s or 500ms");

static OPTIONS: [&ServerOption; 6] = [&HTTP, &METRICS, &CORS_ORIGIN, &MAX_CONNECTIONS, &HEADER_TIMEOUT, &IDLE_TIMEOUT];

/// A wrong command line. Values are not repeated, because they could be secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// The position of an unknown argument.
    #[error("argument {0} is unknown; see --help")]
    Unknown(usize),
    /// An option with a wrong value, or without one.
    #[error("{} needs {}", .0.flag, .0.needs)]
    Flag(&'static ServerOption),
    /// The same, from the environment.
    #[error("the variable {} needs {}", .0.variable, .0.needs)]
    Variable(&'static ServerOption),
    #[error("{} may be given only once", .0.flag)]
    Twice(&'static ServerOption),
    /// Neither on Lambda nor told where to listen.
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

Options of the plain HTTP server, each with the variable that stands in for it:
  --http <ADDR:PORT>       HTTP_ADDR        where to listen
  --metrics <ADDR:PORT>    METRICS_ADDR     Prometheus metrics at /metrics there; default: none
  --cors-origin <ORIGIN>   CORS_ORIGINS     web pages of this origin may call the API; repeat the
                                            flag for several (in the variable: separate by commas)
  --max-connections <N>    MAX_CONNECTIONS  connections at a time, further clients wait; default: 1024
  --header-timeout <TIME>  HEADER_TIMEOUT   how long a request's headers may take, and each pause in
                                            its body; default: 10s
  --idle-timeout <TIME>    IDLE_TIMEOUT     how long a connection may wait for its next request;
                                            default: 75s

Otherwise configured by environment variables; KAFKA_BOOTSTRAP_SERVERS and TOPICS are required.
All of them: docs/http-api.md
";

/// Parses the arguments after the program's name; `variable` reads the environment.
///
/// # Errors
/// [`UsageError`]
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = String>,
    on_lambda: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Command, UsageError> {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] if on_lambda => return Ok(Command::Lambda),
        ["--help" | "-h", ..] => return Ok(Command::Help),
        ["--version" | "-V"] => return Ok(Command::Version),
        ["--version" | "-V", ..] => return Err(UsageError::Unknown(2)),
        _ => {}
    }
    let given = Given { flags: flags(&words)?, variable };
    let limits = ConnectionLimits::default();
    Ok(Command::Http(Settings {
        http: given.one(&HTTP, |text| text.parse().ok())?.ok_or(UsageError::NotOnLambda)?,
        metrics: given.one(&METRICS, |text| text.parse::<SocketAddr>().ok())?,
        cors_origins: given.several(&CORS_ORIGIN, |text| text.parse::<CorsOrigin>().ok())?,
        limits: ConnectionLimits {
            max_connections: given.one(&MAX_CONNECTIONS, count)?.unwrap_or(limits.max_connections),
            header_timeout: given.one(&HEADER_TIMEOUT, time)?.unwrap_or(limits.header_timeout),
            idle_timeout: given.one(&IDLE_TIMEOUT, time)?.unwrap_or(limits.idle_timeout),
        },
    }))
}

/// `--flag value` and `--flag=value`, in any order.
fn flags<'a>(words: &[&'a str]) -> Result<Vec<(&'static ServerOption, &'a str)>, UsageError> {
    let mut flags = Vec::new();
    let mut words = words.iter().zip(1..);
    while let Some((word, position)) = words.next() {
        let (name, joined) = word.split_once('=').map_or((*word, None), |(name, value)| (name, Some(value)));
        let option = OPTIONS.into_iter().find(|option| option.flag == name).ok_or(UsageError::Unknown(position))?;
        let value = joined.or_else(|| words.next().map(|(value, _)| *value)).ok_or(UsageError::Flag(option))?;
        flags.push((option, value));
    }
    Ok(flags)
}

/// What is given for the options: a flag goes before its variable.
struct Given<'a, V> {
    flags: Vec<(&'static ServerOption, &'a str)>,
    variable: V,
}

impl<V: Fn(&str) -> Option<String>> Given<'_, V> {
    /// The value of an option that may be given once.
    fn one<T>(&self, option: &'static ServerOption, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, UsageError> {
        let mut values = self.values(option);
        match (values.next(), values.next()) {
            (Some(value), None) => read(value).map(Some).ok_or(UsageError::Flag(option)),
            (Some(_), Some(_)) => Err(UsageError::Twice(option)),
            (None, _) => match self.variable(option) {
                Some(value) => read(value.trim()).map(Some).ok_or(UsageError::Variable(option)),
                None => Ok(None),
            },
        }
    }

    /// The values of an option that may be given several times.
    fn several<T>(
        &self,
        option: &'static ServerOption,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, UsageError> {
        let values: Vec<&str> = self.values(option).collect();
        if !values.is_empty() {
            return values.into_iter().map(|value| read(value).ok_or(UsageError::Flag(option))).collect();
        }
        let listed = self.variable(option).unwrap_or_default();
        let listed = listed.split(',').map(str::trim).filter(|value| !value.is_empty());
        listed.map(|value| read(value).ok_or(UsageError::Variable(option))).collect()
    }

    fn values(&self, option: &'static ServerOption) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |(given, _)| *given == option).map(|(_, value)| *value)
    }

    /// An empty variable counts as absent.
    fn variable(&self, option: &ServerOption) -> Option<String> {
        (self.variable)(option.variable).filter(|value| !value.trim().is_empty())
    }
}

fn count(text: &str) -> Option<u32> {
    text.parse().ok().filter(|count| (1..=1_000_000).contains(count))
}

/// `10s`, `500ms`.
fn time(text: &str) -> Option<Duration> {
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s')?, 1000),
    };
    let is_plain = number.bytes().all(|b| b.is_ascii_digit());
    let ms = number.parse::<u64>().ok().filter(|_| is_plain)?.checked_mul(unit_ms)?;
    (1..=3_600_000).contains(&ms).then(|| Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(arguments: &[&str], on_lambda: bool, variables: &[(&str, &str)]) -> Result<Command, UsageError> {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        parse(arguments.iter().map(|&argument| argument.to_owned()), on_lambda, variable)
    }

    fn read(arguments: &[&str], on_lambda: bool) -> Result<Command, UsageError> {
        read_with(arguments, on_lambda, &[])
    }

    fn defaults() -> Settings {
        let http = "127.0.0.1:8080".parse().unwrap();
        Settings { http, metrics: None, cors_origins: Vec::new(), limits: ConnectionLimits::default() }
    }

    #[test]
    fn each_form_is_read() {
        assert_eq!(read(&[], true), Ok(Command::Lambda));
        assert_eq!(read(&["--http", "127.0.0.1:8080"], true), Ok(Command::Http(defaults())));
        assert_eq!(read(&["--http=127.0.0.1:8080"], false), Ok(Command::Http(defaults())));
        assert_eq!(read(&["--help"], false), Ok(Command::Help));
        assert_eq!(read(&["-V"], false), Ok(Command::Version));
    }

    #[test]
    fn every_option_is_read_from_a_flag_or_a_variable_and_the_flag_goes_first() {
        let origins = ["https://a.example", "http://localhost:3000"];
        let all = Settings {
            metrics: Some("[::1]:9464".parse().unwrap()),
            cors_origins: origins.map(|origin| origin.parse().unwrap()).into(),
            limits: ConnectionLimits {
                max_connections: 7,
                header_timeout: Duration::from_millis(250),
                idle_timeout: Duration::from_secs(3),
            },
            ..defaults()
        };
        let flags = [
            ["--max-connections", "7"],
            ["--http", "127.0.0.1:8080"],
            ["--metrics", "[::1]:9464"],
            ["--header-timeout", "250ms"],
            ["--idle-timeout", "3s"],
            ["--cors-origin", origins[0]],
            ["--cors-origin", origins[1]],
        ];
        let variables = [
            ("HTTP_ADDR", "127.0.0.1:8080"),
            ("METRICS_ADDR", "[::1]:9464"),
            ("MAX_CONNECTIONS", "7"),
            ("HEADER_TIMEOUT", " 250ms"),
            ("IDLE_TIMEOUT", "3s"),
            ("CORS_ORIGINS", "https://a.example, http://localhost:3000,"),
        ];
        assert_eq!(read(flags.as_flattened(), false), Ok(Command::Http(all.clone())));
        assert_eq!(read_with(&[], false, &variables), Ok(Command::Http(all.clone())));
        let wrong = OPTIONS.map(|option| (option.variable, "x"));
        assert_eq!(read_with(flags.as_flattened(), false, &wrong), Ok(Command::Http(all)));
        assert_eq!(read_with(&[], true, &variables), Ok(Command::Lambda), "Lambda comes first");
        for option in OPTIONS {
            assert!(HELP.contains(option.flag) && HELP.contains(option.variable), "{option:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(read(&[], false), Err(UsageError::NotOnLambda));
        assert_eq!(read(&["--metrics", "[::1]:1"], false), Err(UsageError::NotOnLambda));
        assert_eq!(read(&["--http"], false), Err(UsageError::Flag(&HTTP)));
        assert_eq!(read(&["--http", "8080"], false), Err(UsageError::Flag(&HTTP)));
        assert_eq!(read(&["--http", "[::1]:1", "x"], false), Err(UsageError::Unknown(3)));
        assert_eq!(read(&["--http", "[::1]:1", "--http=[::1]:2"], false), Err(UsageError::Twice(&HTTP)));
        assert_eq!(read(&["--version", "x"], false), Err(UsageError::Unknown(2)));
        assert_eq!(read(&["serve"], true), Err(UsageError::Unknown(1)));
        let wrong = [
            (&MAX_CONNECTIONS, "0"),
            (&MAX_CONNECTIONS, "1000001"),
            (&HEADER_TIMEOUT, "0s"),
            (&HEADER_TIMEOUT, "10"),
            (&IDLE_TIMEOUT, "+1s"),
            (&IDLE_TIMEOUT, "3601s"),
            (&IDLE_TIMEOUT, "99999999999999999999s"),
            (&CORS_ORIGIN, "shop.example"),
            (&METRICS, "localhost:1"),
        ];
        for (option, value) in wrong {
            let flags = ["--http", "127.0.0.1:8080", option.flag, value];
            assert_eq!(read(&flags, false), Err(UsageError::Flag(option)), "{value}");
            let variables = [(option.variable, value)];
            let error = read_with(&flags[..2], false, &variables).unwrap_err();
            assert_eq!(error, UsageError::Variable(option), "{value}");
            assert!(!error.to_string().contains(value) || option.needs.contains(value), "{error}");
        }
    }
}
