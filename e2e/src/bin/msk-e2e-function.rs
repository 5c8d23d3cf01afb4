//! A Lambda function for the test bed's own tests: does what the event says, to test the host that runs it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::var_os("FAIL_INIT").is_some() {
        return Err("asked to fail during init".into());
    }
    let started = Instant::now();
    lambda_runtime::run(service_fn(move |event| handle(event, started))).await
}

async fn handle(event: LambdaEvent<Value>, started: Instant) -> Result<Value, Error> {
    match event.payload["do"].as_str() {
        Some("sleep") => {
            tokio::time::sleep(Duration::from_millis(event.payload["ms"].as_u64().unwrap_or_default())).await;
            Ok(json!("slept"))
        }
        Some("exit") => std::process::exit(3),
        Some("fail") => Err("asked to fail".into()),
        Some("clocks") => Ok(json!({
            "wall_ms": SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis(),
            "monotonic_ms": started.elapsed().as_millis(),
            "deadline_ms": event.context.deadline,
        })),
        _ => Ok(event.payload),
    }
}
