//! Environment variables, read once into typed values, with every problem reported together.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::str::FromStr;

/// Renamed variables, as (old name, new name). A function that finds an old name refuses to start and reports
/// the new one; otherwise the setting would be lost silently.
pub const RENAMED: [(&str, &str); 2] =
    [("ESM_PARTIAL_BATCH", "REPORT_BATCH_ITEM_FAILURES"), ("STATUS_MODE", "COMPATIBILITY")];

/// The contract's variables that start with `KAFKA_`.
const KAFKA_VARIABLES: [&str; 8] = [
    "KAFKA_BOOTSTRAP_SERVERS",
    "KAFKA_AUTH",
    "KAFKA_CLIENT_CERT_FILE",
    "KAFKA_CLIENT_KEY_FILE",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_CA_FILE",
    "KAFKA_OPTIONS",
];

/// Reads variables from a map of the environment and collects what is missing or wrong,
/// so that a deployment is told about all its mistakes at once.
///
/// ```
/// use msk_shared::env::EnvReader;
///
/// let mut env = EnvReader::new([("APP_LIMIT", "many"), ("APP_MODE", "fast")]);
/// let limit: Option<u32> = env.parsed("APP_LIMIT");
/// let mode = env.choice("APP_MODE", &[("fast", 1), ("careful", 2)]);
/// let url = env.required("APP_URL", "set it to the address of the endpoint");
/// assert_eq!(mode, Some(1));
/// let error = env.finish(limit.zip(url)).unwrap_err();
/// assert_eq!(error.problems.len(), 2, "all of them together");
/// ```
#[derive(Debug)]
pub struct EnvReader {
    variables: BTreeMap<String, String>,
    problems: Vec<String>,
    asked_for: Vec<&'static str>,
    /// Variables whose value is not UTF-8.
    not_text: BTreeSet<String>,
}

/// Text that never appears in logs or errors.
///
/// ```
/// use msk_shared::env::Secret;
///
/// let password = Secret::new("hunter2");
/// assert_eq!(format!("{password:?}"), "[secret]");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// All the problems of an environment.
///
/// ```
/// use msk_shared::env::EnvReader;
///
/// let mut env = EnvReader::new([("APP_PORT", "70000")]);
/// let port: Option<u16> = env.parsed("APP_PORT");
/// let error = env.finish(port).unwrap_err();
/// assert!(error.problems[0].starts_with("APP_PORT "));
/// assert!(!error.to_string().contains("70000"), "a value may be a secret");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} problem(s): {}", problems.len(), problems.join("; "))]
pub struct EnvError {
    /// One sentence per problem. It names the variable but never includes its value.
    pub problems: Vec<String>,
}

impl EnvReader {
    /// A reader over the process's environment.
    pub fn from_process() -> Self {
        Self::from_os(std::env::vars_os())
    }

    /// A variable whose name is not UTF-8 is not part of the contract; a value that is not UTF-8 is noted when it is read.
    fn from_os(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let named = variables.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let (mut texts, mut not_text) = (Vec::new(), BTreeSet::new());
        for (name, value) in named {
            if value.to_str().is_none() {
                not_text.insert(name.clone());
            }
            texts.push((name, value.to_string_lossy().into_owned()));
        }
        Self { not_text, ..Self::new(texts) }
    }

    /// A reader over the given variables. An empty value counts as absent, as Terraform cannot leave one out conditionally.
    pub fn new<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables = variables
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .filter(|(_, v): &(String, String)| !v.trim().is_empty())
            .collect();
        Self { variables, problems: Vec::new(), asked_for: Vec::new(), not_text: BTreeSet::new() }
    }

    /// The value of an optional variable.
    pub fn optional(&mut self, name: &'static str) -> Option<String> {
        if !self.asked_for.contains(&name) {
            self.asked_for.push(name);
            self.refuse_old_name(name);
        }
        if self.not_text.remove(name) {
            self.problem(format!("{name} must be UTF-8 text"));
        }
        self.variables.get(name).cloned()
    }

    fn refuse_old_name(&mut self, name: &str) {
        for (old, new) in RENAMED.iter().filter(|(_, new)| *new == name) {
            if self.variables.contains_key(*old) || self.not_text.contains(*old) {
                self.problem(format!("{old} is now called {new}: set {new} and remove {old}"));
            }
        }
    }

    /// The value of a required variable; if it is absent, that is noted together with `why`, which says what to set.
    pub fn required(&mut self, name: &'static str, why: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(format!("{name} is missing: {why}"));
        }
        value
    }

    /// A variable parsed as `T`; `None` if it is absent, or if it is invalid, which is noted.
    pub fn parsed<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.optional(name)?;
        match text.trim().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(format!("{name} {error}"));
                None
            }
        }
    }

    /// A variable with a fixed set of allowed words.
    pub fn choice<T: Clone>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.optional(name)?;
        let found = choices.iter().find(|(word, _)| *word == text.trim()).map(|(_, value)| value.clone());
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.problem(format!("{name} must be one of: {}", words.join(", ")));
        }
        found
    }

    /// Notes a problem. The text names the variable and says what to change, but does not include the value.
    pub fn problem(&mut self, text: impl Into<String>) {
        let text = text.into();
        // A handler may read what the consumer has read before.
        if !self.problems.contains(&text) {
            self.problems.push(text);
        }
    }

    /// Warns about variables that start with `KAFKA_` but are not part of the contract: most likely they are misspelt.
    pub fn warn_of_unknown_kafka_variables(&self) {
        for name in self.unknown_kafka_variables() {
            tracing::warn!(variable = name, "unknown environment variable: is it misspelt?");
        }
    }

    fn unknown_kafka_variables(&self) -> Vec<&String> {
        let is_unknown = |name: &&String| name.starts_with("KAFKA_") && !KAFKA_VARIABLES.contains(&name.as_str());
        self.variables.keys().filter(is_unknown).collect()
    }

    /// Returns the value if no problem was noted.
    ///
    /// # Errors
    /// [`EnvError`] lists all problems in the order in which they were noted.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, EnvError> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(EnvError { problems: self.problems }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RecordCount;

    #[test]
    fn all_problems_are_reported_together_and_no_value_is_shown() {
        let mut env = EnvReader::new([("MAX_RECORDS", "secret-looking"), ("MODE", "sloppy"), ("EMPTY", " ")]);
        let count: Option<RecordCount> = env.parsed("MAX_RECORDS");
        let mode = env.choice("MODE", &[("strict", 1), ("confluent", 2)]);
        let topics = env.required("TOPICS", "list the topics that may be written");
        let empty = env.required("EMPTY", "anything");
        assert!(count.is_none() && mode.is_none() && topics.is_none() && empty.is_none());
        let error = env.finish(Some(())).unwrap_err();
        assert_eq!(error.problems.len(), 4);
        let text = error.to_string();
        for name in ["MAX_RECORDS", "MODE", "TOPICS", "EMPTY"] {
            assert!(text.contains(name), "{text}");
        }
        assert!(!text.contains("secret-looking") && !text.contains("sloppy"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_wrong_not_missing() {
        use std::os::unix::ffi::OsStringExt;
        let broken = OsString::from_vec(b"canary\xff".to_vec());
        let mut env = EnvReader::from_os([("TOPICS".into(), broken.clone()), ("NOBODY_ASKS".into(), broken)]);
        let topics = env.required("TOPICS", "list the topics that may be written");
        let error = env.finish(topics).unwrap_err();
        assert_eq!(error.problems, ["TOPICS must be UTF-8 text"]);
    }

    #[test]
    fn an_old_name_is_refused_once_with_its_new_name() {
        for (old, new) in RENAMED {
            for variables in [vec![(old, "canary")], vec![(old, "canary"), (new, "canary")]] {
                let mut env = EnvReader::new(variables);
                env.optional(new);
                env.optional(new);
                let problems = env.finish(Some(())).unwrap_err().problems;
                assert_eq!(problems, [format!("{old} is now called {new}: set {new} and remove {old}")]);
            }
            let mut other = EnvReader::new([(old, "canary")]);
            other.optional("TOPICS");
            assert_eq!(other.finish(Some(())), Ok(()), "{new} is not read: {old} is another program's");
        }
    }

    #[test]
    fn a_misspelt_kafka_variable_is_named() {
        let env =
            EnvReader::new([("KAFKA_BOOTSTRAP_SERVERS", "a:1"), ("KAFKA_BOOTSTRAP_SERVER", "b:1"), ("PATH", "x")]);
        assert_eq!(env.unknown_kafka_variables(), ["KAFKA_BOOTSTRAP_SERVER"]);
    }
}
