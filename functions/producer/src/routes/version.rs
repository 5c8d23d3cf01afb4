//! `GET /version`: what runs here.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::answer;

#[derive(Debug, Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    revision: &'static str,
    librdkafka: String,
}

/// The revision is that of the build: `cargo xtask package` sets `MSK_REVISION`; a build without it says `unknown`.
const REVISION: Option<&str> = option_env!("MSK_REVISION");

fn this() -> Version {
    Version {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        revision: REVISION.unwrap_or("unknown"),
        librdkafka: rdkafka::util::get_rdkafka_version().1,
    }
}

pub(crate) async fn version() -> Response {
    answer::json(StatusCode::OK, "application/json", &this())
}

/// The same as one line, for `--version`.
pub fn line() -> String {
    let Version { name, version, revision, librdkafka } = this();
    format!("{name} {version} (revision {revision}, librdkafka {librdkafka})")
}
