//! Pinned tools from package registries, kept under `target/tools`.
