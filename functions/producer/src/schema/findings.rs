//! What is wrong with a value or with a schema.

#[cfg(feature = "schemas")]
use std::path::PathBuf;

/// The largest file of a schema, in bytes: fifty of them compile within a fraction of Lambda's 10 s for an init.
pub const MAX_FILE_BYTES: usize = 65_536;
/// The deepest nesting of a schema's file.
pub const MAX_LEVELS: usize = 32;
/// The longest name of a schema.
pub(super) const MAX_NAME_BYTES: usize = 100;

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
pub(super) fn pointer_step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}
