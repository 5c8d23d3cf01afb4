//! AWS without its SDK: where credentials come from, and requests that are signed with them.

mod credentials;
mod region;
mod request_signer;

pub use credentials::CredentialsError;
pub use request_signer::{RequestSigner, SigningError};

#[cfg(feature = "kafka")]
pub(crate) use credentials::CredentialsSource;
#[cfg(feature = "kafka")]
pub(crate) use region::region;
