//! `GET /version`: the running version.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::api::answer;

#[derive(Debug, Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    revision: &'static str,
    librdkafka: String,
}

/// The commit that was built, or the value of `MSK_REVISION` at build time; `unknown` if the source is not in a git repository.
const REVISION: &str = env!("MSK_REVISION");

fn this() -> Version {
    Version {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        revision: REVISION,
        librdkafka: rdkafka::util::get_rdkafka_version().1,
    }
}

pub(crate) async fn version() -> Response {
    answer::json(StatusCode::OK, answer::JSON, &this())
}

/// The version as one line, for `--version`.
pub fn line() -> String {
    let Version { name, version, revision, librdkafka } = this();
    format!("{name} {version} (revision {revision}, librdkafka {librdkafka})")
}
