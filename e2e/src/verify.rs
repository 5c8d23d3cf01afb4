//! The brokers' token verifier without a broker: thousands of tokens verified in one JVM.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::error::{Error, Result, os_error};
use crate::kafka::distribution::Distribution;
use crate::kafka::iam::IamFiles;

/// Verifies each token with the classes that the brokers use: `ok <principal>`, or the name of the rule it breaks.
///
/// `skipped_rule` switches off one rule, to show that the tests would notice.
///
/// # Errors
/// [`Error::Command`] if Java fails, [`Error::Invalid`] if it prints fewer lines than there are tokens.
pub fn verify_tokens(
    distribution: &Distribution,
    iam: &IamFiles,
    tokens: &[String],
    skipped_rule: Option<&str>,
) -> Result<Vec<String>> {
    let mut java = Command::new("java");
    java.arg("-XX:TieredStopAtLevel=1").args(iam.system_properties());
    java.args(skipped_rule.map(|rule| format!("-Dmsk.e2e.skipped-rule={rule}")));
    java.arg("-cp").arg(distribution.class_path()).arg("msk.e2e.VerifyTokens");
    let mut child = java
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(os_error("starting java"))?;
    let input = tokens.join("\n") + "\n";
    let stdin = child.stdin.take();
    // In a thread: the verifier writes while it is still reading, and both pipes have a limited size.
    let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().map_err(os_error("waiting for java"))?;
    let _ = writer.join();
    if !output.status.success() {
        let detail = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Command { command: "msk.e2e.VerifyTokens".to_owned(), detail });
    }
    let answers: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    if answers.len() == tokens.len() {
        Ok(answers)
    } else {
        Err(Error::Invalid(format!("{} tokens got {} answers", tokens.len(), answers.len())))
    }
}
