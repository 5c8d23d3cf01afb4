//! Every command of `docs/LOCAL_DEVELOPMENT.md` runs, in the order of the page, against the functions that the page shows.

use std::path::Path;
use std::process::{Command, Stdio};

use msk_test_kit::Process;
use msk_test_kit::process::Signal;
use serde_json::json;

use super::function::Function;
use super::harness::Harness;
use msk_local::esm::running_mapping::End;

const PAGE: &str = include_str!("../../../docs/LOCAL_DEVELOPMENT.md");
/// What a reader does before: this test is built by the one, stage `dist` does the other.
const BEFORE: [&str; 2] = ["cargo build --bin msk-local", "pip install msk_local-*.whl"];

/// A fenced block: its language, its text, and the code in the line before it, which names its file.
struct Block {
    language: &'static str,
    text: String,
    file: Option<&'static str>,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut lines, mut before) = (PAGE.lines(), "");
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { language, text: text.join("\n"), file: before.split('`').rev().nth(1) });
        } else if !line.is_empty() {
            before = line;
        }
    }
    blocks
}

/// A command, and what the page says of its end.
struct Shown {
    command: String,
    until_ctrl_c: bool,
    code: i32,
}

fn shown(block: &Block) -> Vec<Shown> {
    let lines = block.text.lines().filter(|line| !line.is_empty() && !BEFORE.contains(line));
    lines
        .map(|line| {
            let (command, note) = line.split_once("    # ").unwrap_or((line, ""));
            let code = note.split_once("exit code ").and_then(|(_, rest)| rest.split(':').next()?.parse().ok());
            Shown { command: command.to_owned(), until_ctrl_c: note == "until Ctrl-C", code: code.unwrap_or(0) }
        })
        .collect()
}

fn shell(folder: &Path, command: &str, servers: &str, url: &str) -> Command {
    let mut shell = Command::new("bash");
    let programs = Path::new(env!("CARGO_BIN_EXE_msk-local")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    shell.args(["-euc", command]).current_dir(folder).env("PATH", path).env_remove("RUST_LOG");
    shell.env("BROKERS", servers).env("FUNCTION_URL", url).stdin(Stdio::null());
    shell
}

/// Starts one of the page's functions, and returns its address.
fn start(folder: &Path, program: &str, file: &str) -> (Process, String) {
    let mut command = Command::new(program);
    let process = Process::start(program, command.args([file, "0"]).current_dir(folder).stderr(Stdio::piped()));
    let url = process.text_line("http");
    (process, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_guide_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for block in blocks().iter().filter(|block| block.language != "sh") {
        std::fs::write(folder.join(block.file.unwrap()), &block.text).unwrap();
    }
    let harness = Harness::start(3);
    harness.brokers.create_topic(&"orders.dlq:1".parse().unwrap()).unwrap();
    harness.send(0, Some(b"a"), Some(br#"{"order": 1}"#), &[]).await;
    let (function, url) = start(folder, "python3", "serve.py");
    let servers = harness.brokers.bootstrap_servers().to_owned();
    let mut commands = 0;
    for shown in blocks().iter().filter(|block| block.language == "sh").flat_map(shown) {
        if shown.command.contains(" record ") || shown.command.contains(" drain ") {
            // One that the function refuses.
            harness.send(1, Some(b"b"), Some(b"no order"), &[]).await;
        }
        commands += 1;
        let mut command = shell(folder, &shown.command, &servers, &url);
        if shown.until_ctrl_c {
            let mut running = Process::start(&shown.command, &mut command);
            running.text_line("ready");
            running.signal(Signal::SIGINT).unwrap();
            assert_eq!(running.end().code(), Some(0), "{}", shown.command);
        } else {
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(shown.code), "{}: {output:?}", shown.command);
        }
    }
    assert!(commands >= 15, "only {commands} commands were found");
    drop(function);
    // What was refused came back once.
    let works = Function::start(|_, _| super::function::Reply::ok()).await;
    let members = json!({"Local": {"kafkaOptions": {}}});
    let mut mapping = harness.mapping(&works, &members);
    mapping.consumer_group = "after-the-guide".to_owned();
    assert_eq!(harness.drain(mapping).await, End::Drained);
    let events: Vec<_> = works.invocations().into_iter().map(|received| received.event).collect();
    let redriven = |event: &msk_shared::event::MskEvent| {
        event.records().filter(|record| record.header_text("x-redrive-count") == Some("1")).count()
    };
    assert!(events.iter().map(redriven).sum::<usize>() >= 1, "nothing was sent back");
}

/// The guide's function for Node answers as the one for Python does.
#[test]
#[ignore = "needs Node.js: run `cargo xtask test peers`"]
fn the_guides_function_for_node_names_the_failed_record() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for block in blocks().iter().filter(|block| block.language == "js") {
        std::fs::write(folder.join(block.file.unwrap()), &block.text).unwrap();
    }
    let (_function, url) = start(folder, "node", "serve.mjs");
    for (value, code) in [(r#"{"order": 1}"#, 0), ("no order", 4)] {
        let command = format!(
            "msk-local esm render --topics orders --value '{value}' > event.json; msk-local esm replay event.json \
             --report-batch-item-failures --invoke-url \"$FUNCTION_URL\""
        );
        let output = shell(folder, &command, "", &url).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}
