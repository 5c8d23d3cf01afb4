//! Part of stage `e2e`: `cargo lambda watch` and `cargo lambda invoke` used directly.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::process::{self, Supervised};
use crate::tools::CargoLambda;

/// How long until `watch` listens.
const LISTENS_PATIENCE: Duration = Duration::from_secs(30);
/// `watch` builds a function when it is first invoked; here it is already built.
const ANSWER_PATIENCE: Duration = Duration::from_secs(180);
const STOP_PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(50);

/// Invokes both functions with sample events, and calls the producer over HTTP through the workspace's own routes.
pub(super) fn run(bootstrap_servers: &str, port: u16) -> Result<()> {
    let cargo_lambda = CargoLambda::for_watch()?;
    let mut watch = cargo_lambda.command("watch");
    watch
        .args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    watch.env("KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers).env("KAFKA_AUTH", "none").env("TOPICS", "orders");
    let mut watch = Supervised::spawn("cargo lambda watch", &mut watch)?;
    listens(&mut watch, port)?;
    let elsewhere = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port));
    ensure!(
        TcpStream::connect_timeout(&elsewhere, Duration::from_secs(1)).is_err(),
        "`cargo lambda watch` listens on addresses other than 127.0.0.1"
    );

    let answer = invoke(&cargo_lambda, port, "consumer", "msk-several-partitions")?;
    ensure!(answer == json!({ "batchItemFailures": [] }), "the consumer answered {answer}");
    let answer = invoke(&cargo_lambda, port, "producer", "apigw-message-text")?;
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default();
    ensure!(answer["statusCode"] == 200 && body["offset"].is_u64(), "the producer answered {answer}");
    println!("cargo lambda invoke: the consumer handled its batch, the producer wrote offset {}", body["offset"]);

    for (path, member, expected) in [("/healthz", "status", json!("ok")), ("/nowhere/at/all", "error_code", json!(404))]
    {
        let url = format!("http://127.0.0.1:{port}{path}");
        let answer = process::capture(Command::new("curl").args(["-sS", "--max-time", "60", &url]))?;
        let answer: Value =
            serde_json::from_str(&answer).with_context(|| format!("{path}: the response is not JSON: {answer}"))?;
        ensure!(answer[member] == expected, "{path} answered {answer}");
    }
    watch.signal(Signal::SIGINT);
    watch.wait_or_kill(Instant::now() + STOP_PATIENCE);
    Ok(())
}

fn listens(watch: &mut Supervised, port: u16) -> Result<()> {
    let deadline = Instant::now() + LISTENS_PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Some(status) = watch.ended() {
            bail!("`cargo lambda watch` ended with {status}");
        }
        ensure!(Instant::now() < deadline, "`cargo lambda watch` does not listen on port {port}");
        sleep(TICK);
    }
    Ok(())
}

/// The response that `cargo lambda invoke` prints.
fn invoke(cargo_lambda: &CargoLambda, port: u16, function: &str, event: &str) -> Result<Value> {
    let file = format!("events/{event}.json");
    let mut command = cargo_lambda.command("invoke");
    command.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string(), function, "--data-file", &file]);
    let shown = process::display(&command);
    let done =
        process::capture_within(&mut command, ANSWER_PATIENCE).with_context(|| format!("cannot run `{shown}`"))?;
    let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    ensure!(done.status.is_some_and(|status| status.success()), "`{shown}` failed: {stdout}{stderr}");
    serde_json::from_str(stdout.trim()).with_context(|| format!("`{shown}` did not print JSON: {stdout}"))
}
