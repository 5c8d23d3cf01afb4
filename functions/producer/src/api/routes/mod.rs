//! One file per resource: read the request, do it, answer.

#[cfg(feature = "docs-page")]
pub(crate) mod docs_page;
pub(crate) mod health;
pub(crate) mod message;
pub(crate) mod openapi;
pub(crate) mod partitions;
pub(crate) mod records;
pub(crate) mod topics;
pub(crate) mod v3;
pub mod version;
