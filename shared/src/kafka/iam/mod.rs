//! MSK IAM: where AWS credentials come from, and the tokens that are signed with them.

mod credentials;
mod token;

pub use credentials::CredentialsError;
pub use token::{MskToken, TokenError, TokenSource};
