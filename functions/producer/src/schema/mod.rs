//! JSON Schemas (draft 2020-12) that topics' policies name: files of a folder, compiled once, before the first request.
//!
//! | Module | Is |
//! |---|---|
//! | `findings` | what is wrong with a value or with a schema |
//! | `validator` | a compiled schema, with the cargo feature `schemas` |
//! | `references` | whether its references stay in the file, and its work stays small |
//! | `test_suite` | tests: what others say a schema means |
//! | `absent` | what stands in its place without: no schema can be loaded |

#[cfg(any(test, not(feature = "schemas")))]
mod absent;
mod findings;
#[cfg(feature = "schemas")]
mod references;
#[cfg(all(test, feature = "schemas"))]
mod test_suite;
#[cfg(feature = "schemas")]
mod validator;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

#[cfg(not(feature = "schemas"))]
use absent::Validator;
#[cfg(feature = "schemas")]
use validator::Validator;

use findings::MAX_NAME_BYTES;
pub use findings::{MAX_FILE_BYTES, MAX_LEVELS};
pub(crate) use findings::{SchemaError, Violation};

/// Where a layer puts schemas: Lambda unpacks layers into `/opt`.
pub(crate) const DEFAULT_FOLDER: &str = "/opt/schemas";

/// A schema that the values of a topic must satisfy.
#[derive(Clone)]
pub struct Schema {
    name: Arc<str>,
    validator: Arc<Validator>,
}

impl Schema {
    /// The name by which a policy asks for it: that of its file, without `.json`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What in a value is against the schema, at most `most` places; none if it satisfies it.
    pub(crate) fn violations(&self, value: &Value, most: usize) -> Vec<Violation> {
        self.validator.violations(value, most)
    }
}

/// Names are enough: a folder has one file of a name.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Schema {}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.name).finish()
    }
}

/// The folder of the schemas (`SCHEMAS`), and those that were read from it.
#[derive(Debug)]
pub(crate) struct SchemaFolder {
    folder: PathBuf,
    read: HashMap<String, Schema>,
}

impl SchemaFolder {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), read: HashMap::new() }
    }

    /// The schema of this name, which is read and compiled when it is first asked for.
    ///
    /// # Errors
    /// [`SchemaError`], which names the file and the place in it.
    pub(crate) fn schema(&mut self, name: &str) -> Result<Schema, SchemaError> {
        if let Some(schema) = self.read.get(name) {
            return Ok(schema.clone());
        }
        // So that no name leads out of the folder.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || name.starts_with('.') || !name.bytes().all(allowed) {
            return Err(SchemaError::Name);
        }
        let validator = Arc::new(Validator::read(&self.file(name))?);
        let schema = Schema { name: name.into(), validator };
        self.read.insert(name.to_owned(), schema.clone());
        Ok(schema)
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_of_the_folder_and_nothing_else() {
        let mut folder = SchemaFolder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/schemas"));
        assert_eq!(folder.schema("orders.v1").unwrap().name(), "orders.v1");
        for name in ["", ".", "..", "../schemas/orders.v1", "/etc/passwd", "orders v1", "orders.v1\0", &"a".repeat(101)]
        {
            assert_eq!(folder.schema(name).unwrap_err(), SchemaError::Name, "{name:?}");
        }
    }

    #[test]
    fn a_schema_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        std::fs::write(&file, "{}").unwrap();
        let mut schemas = SchemaFolder::new(folder.path());
        schemas.schema("a").unwrap();
        std::fs::remove_file(file).unwrap();
        schemas.schema("a").unwrap();
    }

    #[test]
    fn without_the_feature_the_error_names_the_zip() {
        let error = absent::Validator::read(Path::new("/opt/schemas/a.json")).unwrap_err();
        assert!(error.to_string().contains("cargo xtask package --features schemas"), "{error}");
    }
}
