//! Stage `dist`: what a team without Rust does with the wheel, in a script of theirs.

use std::process::{Command, Stdio};
use std::time::Duration;

use msk_test_kit::Process;

use super::runtimes::Language;
use super::support::{beside, variable};

#[test]
#[ignore = "needs the wheel installed; stage `dist` runs it"]
fn a_topic_is_drained_into_a_python_function_with_every_exit_code() {
    let function = Language::Python.endpoint();
    let mut script = Command::new("bash");
    script.arg(beside("drain.sh")).env("FUNCTION_URL", &function.url).env("PYTHON", variable("PEERS_PYTHON"));
    // The one that pip has installed, not that of this build.
    script.env("PATH", format!("{}:{}", variable("MSK_LOCAL_BIN"), std::env::var("PATH").unwrap()));
    let mut process = Process::start("drain.sh", script.env_remove("RUST_LOG").stderr(Stdio::piped()));
    // The deadlines in the script add up to 136 s.
    let status = process.end_within(Duration::from_secs(180)).expect("drain.sh ends");
    let lines = process.rest();
    assert!(status.success(), "{status}:\n{}", lines.join("\n"));
    let said: Vec<_> = lines.iter().filter(|line| line.starts_with("exit code ")).map(String::as_str).collect();
    assert_eq!(
        said,
        ["exit code 0: drained", "exit code 4: given up", "exit code 3: deadline", "exit code 5: unreachable"]
    );
}
