//! A mapping as a file of several has it, under AWS's names.

use serde_json::{Map, Value, json};

/// One of the mappings of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ListedMapping {
    /// Members of `CreateEventSourceMapping`.
    pub(super) members: Map<String, Value>,
    /// Those that only a deployment gives their values.
    pub(super) unresolved: Vec<Unresolved>,
}

/// A member whose value is not in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// Its name, behind those of the objects around it, each with a dot.
    pub member: String,
    /// Why, as a sentence begins.
    pub reason: String,
}

impl Unresolved {
    /// Whether the member is this one, or is in it.
    pub(super) fn is_in(&self, member: &str) -> bool {
        self.member.strip_prefix(member).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl From<Value> for ListedMapping {
    fn from(mapping: Value) -> Self {
        let members = if let Value::Object(members) = mapping { members } else { Map::new() };
        Self { members, unresolved: Vec::new() }
    }
}

/// The function's name without the parts of an ARN and without a qualifier.
pub(super) fn bare(name: &str) -> &str {
    let rest = name.split_once(":function:").map_or(name, |(_, rest)| rest);
    rest.split(':').next().unwrap_or(rest)
}

/// The member `Local` with what a file says of the function itself: how long it may take, and its reserved concurrency.
pub(super) fn local_of_function(timeout: Option<&Value>, reserved: Option<&Value>) -> Option<(String, Value)> {
    let given = [("functionTimeoutSeconds", timeout), ("reservedConcurrentExecutions", reserved)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
    // Nothing reserved for it is how a function is switched off on AWS.
    let local: Map<String, Value> = given.filter(|(_, value)| !value.is_null() && *value != 0).collect();
    (!local.is_empty()).then(|| ("Local".to_owned(), json!(local)))
}
