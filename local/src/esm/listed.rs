//! A mapping as a file of several has it, under AWS's names.

use serde_json::{Map, Value};

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
