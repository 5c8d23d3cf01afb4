//! MSK IAM: the tokens with which a client proves who it is.

mod token;

pub use token::{MskToken, TokenError, TokenSource};
