//! No code: the features that all commands of this workspace compile its dependencies with are in `Cargo.toml`.
