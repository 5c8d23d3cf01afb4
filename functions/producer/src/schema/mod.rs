//! JSON Schemas (draft 2020-12) that topics' policies name: files of a folder, compiled once, before the first request.
//!
//! | Module | Is |
//! |---|---|
//! | `validator` | a compiled schema, with the cargo feature `schemas` |
//! | `references` | whether its references stay in the file, and its work stays small |
//! | `absent` | what stands in its place without: no schema can be loaded |

#[cfg(any(test, not(feature = "schemas")))]
mod absent;
#[cfg(feature = "schemas")]
mod references;
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

/// Where a layer puts schemas: Lambda unpacks layers into `/opt`.
pub(crate) const DEFAULT_FOLDER: &str = "/opt/schemas";

/// The largest file of a schema, in bytes: fifty of them compile within a fraction of Lambda's 10 s for an init.
pub const MAX_FILE_BYTES: usize = 65_536;
/// The deepest nesting of a schema's file.
pub const MAX_LEVELS: usize = 32;
const MAX_NAME_BYTES: usize = 100;

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

/// A place of a value that is against its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// A JSON pointer into the value (RFC 6901).
    pub(crate) pointer: String,
    /// What is wrong, without anything of the value but names of members.
    pub(crate) detail: String,
}

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error(
        "`schema` must be the name of a file without .json: 1 to {MAX_NAME_BYTES} of a-z, A-Z, 0-9, dot, underscore and \
         hyphen, not beginning with a dot"
    )]
    Name,
    #[cfg(any(test, not(feature = "schemas")))]
    #[error(
        "`schema` needs a producer that is built with schemas: deploy the zip that `cargo xtask package --features schemas` \
         makes, or remove `schema`"
    )]
    Unsupported,
    #[cfg(feature = "schemas")]
    #[error("the schema {}: {reason}", .file.display())]
    File { file: PathBuf, reason: String },
    #[cfg(feature = "schemas")]
    #[error("the schema {}, at {pointer:?}: {reason}", .file.display())]
    Content { file: PathBuf, pointer: String, reason: String },
}

/// A JSON pointer to a member (RFC 6901, 3).
#[cfg(feature = "schemas")]
fn pointer_step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
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
