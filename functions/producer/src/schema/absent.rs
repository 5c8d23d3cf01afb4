//! A producer that is built without the cargo feature `schemas`: it has no validator, so a policy that names one is refused.

use std::path::Path;

use serde_json::Value;

use super::findings::{SchemaError, Violation};

/// No value of this type exists.
#[derive(Debug)]
pub(super) enum Validator {}

impl Validator {
    /// # Errors
    /// Always.
    pub(super) fn read(_: &Path) -> Result<Self, SchemaError> {
        Err(SchemaError::Unsupported)
    }

    #[cfg_attr(test, allow(dead_code, reason = "tests have the other one"))]
    pub(super) fn violations(&self, _: &Value, _: usize) -> Vec<Violation> {
        match *self {}
    }
}
