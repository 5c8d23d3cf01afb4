/* Deliberately empty: see .cargo/config.toml. */
