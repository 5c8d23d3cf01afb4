//! Rules for the guides: whatever they tell a reader to type, set or open must exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use serde_json::Value;

use super::{assert_none, files, read, stack_files, texts};
use crate::deploy_check::settings;
use crate::stages::STAGES;
use crate::{Cli, process, workspace};

/// Files that are created by a reader or by a build.
const MADE_BY_READERS: [&str; 5] = [
    "infra/backend.tf",
    "infra/terraform.tfvars",
    // By `cargo xtask new-consumer`.
    "functions/NAME",
    "functions/payments",
    "functions/projection",
];
/// Folders of the repository: a name in a page that begins with one is a path.
const FOLDERS: [&str; 11] = [
    "bench/",
    "infra/",
    "docs/",
    "functions/",
    "shared/",
    "e2e/",
    "xtask/",
    "events/",
    "local/",
    "test-kit/",
    "build-support/",
];

#[test]
fn every_xtask_command_is_one() {
    let mut problems = Vec::new();
    for (path, text) in texts("md") {
        let shown = blocks(&text, "sh").into_iter().chain(blocks(&text, "console")).flat_map(|block| commands(&block));
        for command in shown.chain(inline(&text)).filter(|command| command.starts_with("cargo xtask ")) {
            if let Some(problem) = not_an_xtask_command(&command) {
                problems.push(format!("{}: `{command}`: {problem}", path.display()));
            }
        }
    }
    assert_none(&problems);
}

/// `None` if clap accepts it and its stages exist; `...` stands for anything.
fn not_an_xtask_command(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().skip(2).collect();
    if words.first().is_some_and(|word| *word == "..." || word.starts_with('<')) {
        return None;
    }
    match Cli::command().try_get_matches_from([&["xtask"], words.as_slice()].concat()) {
        Err(error) if error.use_stderr() => return Some(error.kind().to_string()),
        _ => {}
    }
    let stages = words.iter().skip(1).filter(|word| words[0] == "test" && !word.starts_with('-'));
    let mut unknown = stages.filter(|word| !STAGES.iter().any(|stage| stage.name == **word));
    unknown.next().map(|word| format!("there is no stage {word:?}"))
}

/// A filter pattern is case-sensitive, and one that matches no line finds nothing without any error.
#[test]
fn every_text_looked_for_in_a_log_is_one_that_is_logged() {
    /// Levels, Lambda's own status of an invocation, and a term of librdkafka.
    const NOT_OURS: [&str; 4] = ["ERROR", "WARN", "timeout", "SASL"];
    let ours = |path: &PathBuf| path.starts_with("functions") || path.starts_with("shared");
    let sources: String = texts("rs").into_iter().filter(|(path, _)| ours(path)).map(|(_, text)| text).collect();
    let mut problems = Vec::new();
    for (path, text) in texts("md") {
        let patterns = text.split("--filter-pattern '").skip(1).filter_map(|rest| rest.split('\'').next());
        for word in patterns.flat_map(|pattern| pattern.split('"').skip(1).step_by(2)) {
            if !NOT_OURS.contains(&word) && !sources.contains(word) {
                problems.push(format!("{}: no source logs {word:?}", path.display()));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_block_of_shell_lines_is_valid_shell() {
    let mut problems = Vec::new();
    for (path, text) in texts("md") {
        for block in blocks(&text, "sh") {
            let read_only = process::capture(Command::new("bash").args(["-n", "-c", &block]));
            problems.extend(read_only.err().map(|error| format!("{}: {error:#}", path.display())));
        }
    }
    assert_none(&problems);
}

#[test]
fn every_terraform_output_and_variable_is_one() {
    let outputs = names("output");
    let variables = names("variable");
    assert!(outputs.contains("publish_example") && outputs.contains("dashboards") && variables.contains("region"));
    let mut problems = Vec::new();
    for (path, text) in texts("md") {
        let mut check = |marker: &str, known: &BTreeSet<String>| {
            for name in following(&text, marker).filter(|name| !known.contains(*name)) {
                problems.push(format!("{}: `{marker}{name}`: infra/ has none with that name", path.display()));
            }
        };
        check("terraform output ", &outputs);
        check("output -raw ", &outputs);
        check("output -json ", &outputs);
        check("-var ", &variables);
        check("TF_VAR_", &variables);
    }
    assert_none(&problems);
}

#[test]
fn every_setting_shown_is_a_variable_or_its_member() {
    let types = types();
    let mut problems = Vec::new();
    for (path, text) in texts("md").into_iter().filter(|(path, _)| path.starts_with("docs")) {
        for block in blocks(&text, "hcl") {
            let settings: Value = match hcl::from_str(&block) {
                Ok(settings) => settings,
                Err(error) => {
                    problems.push(format!("{}: {error}:\n{block}", path.display()));
                    continue;
                }
            };
            for (name, value) in settings.as_object().into_iter().flatten() {
                match types.iter().find(|(variable, _)| variable == name) {
                    None => problems.push(format!("{}: no variable {name}", path.display())),
                    Some((_, kind)) => problems.extend(
                        unknown_members(value, kind)
                            .iter()
                            .map(|member| format!("{}: {name} has no member {member}", path.display())),
                    ),
                }
            }
        }
    }
    assert_none(&problems);
}

/// Members of an object that its type does not have. Keys of maps may be anything.
fn unknown_members(value: &Value, kind: &str) -> Vec<String> {
    let members = value.as_object().into_iter().flatten();
    let kind = kind.trim_start_matches("${");
    // The outermost type alone: an object may have maps of objects among its members.
    if let Some(inner) = kind.strip_prefix("map(").filter(|inner| inner.starts_with("object(")) {
        return members.flat_map(|(_, value)| unknown_members(value, inner)).collect();
    }
    if !kind.starts_with("object(") {
        return Vec::new();
    }
    let has =
        |name: &str| kind.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name);
    members.filter(|(name, _)| !has(name)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn the_entries_of_the_consumers_guide_are_planned() {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let planned = squeeze(&read("infra/tests/consumers_guide.tftest.hcl"));
    let entries = blocks(&read("docs/CONSUMER.md"), "hcl");
    let missing = entries.iter().filter(|entry| !planned.contains(&squeeze(entry)));
    assert_none(&missing.cloned().collect::<Vec<_>>());
    assert!(entries.len() >= 3);
}

#[test]
fn every_path_in_a_guide_is_there() {
    let mut problems = Vec::new();
    for (path, text) in texts("md") {
        for code in inline(&text) {
            let is_path = |code: &str| {
                (code.ends_with(".rs") || FOLDERS.iter().any(|folder| code.starts_with(folder)))
                    && code.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter))
            };
            let made = MADE_BY_READERS.contains(&code.as_str());
            if is_path(&code) && !made && !workspace::root().join(&code).exists() && !is_short_for_a_path(&code) {
                problems.push(format!("{}: `{code}` does not exist", path.display()));
            }
        }
    }
    assert_none(&problems);
}

/// `shared/event.rs` in a crate's own page may mean a file further down; the end of a path counts.
fn is_short_for_a_path(code: &str) -> bool {
    files().iter().any(|file| file.ends_with(code))
}

#[test]
fn every_alarm_named_in_a_guide_is_one() {
    let is_of_alarms = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("alarms"));
    let table: String = stack_files().filter(|(path, _)| is_of_alarms(path)).map(|(_, text)| text).collect();
    let mut problems = Vec::new();
    for (path, text) in texts("md").into_iter().filter(|(path, _)| path.starts_with("docs")) {
        let italics = text.split(['\n', ' ', '(']).filter_map(|word| {
            let name = word.strip_prefix('*')?.split('*').next()?;
            (name.contains('-') && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'))
                .then_some(name)
        });
        for name in italics {
            // A consumer's rows stand in the table without its name.
            let is_row = |name: &str| table.contains(&format!(" {name} = {{"));
            if !is_row(name) && !name.strip_prefix("consumer-").is_some_and(is_row) {
                problems.push(format!("{}: *{name}* is not a row of infra/alarms*.tf", path.display()));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn generated_tables_are_up_to_date() {
    let runs = [
        ["infra/tests/tools/documents.py", "infra", "docs/TERRAFORM_REFERENCE.md"].as_slice(),
        ["docs/tools/cost.py"].as_slice(),
    ];
    let stale = runs.into_iter().filter_map(|arguments| {
        let mut script = Command::new("python3");
        process::capture(script.args(arguments).current_dir(workspace::root())).err().map(|error| format!("{error:#}"))
    });
    assert_none(&stale.collect::<Vec<_>>());
}

/// The teardown's file removes the protection from everything that has it, and from nothing else.
#[test]
fn the_teardown_lifts_each_protection() {
    let mut protected = BTreeSet::new();
    for (_, text) in stack_files() {
        for resource in text.split("\nresource ").skip(1) {
            let own = resource.lines().take_while(|line| *line != "}");
            if own.into_iter().any(|line| line.trim().starts_with("prevent_destroy = true")) {
                protected.insert(resource.split(" {").next().unwrap_or_default().to_owned());
            }
        }
    }
    let guide = read("docs/02_TERRAFORM_DEPLOY.md");
    let file = guide.split("teardown_override.tf <<'EOF'\n").nth(1).and_then(|rest| rest.split("EOF\n").next());
    let file = file.expect("docs/02_TERRAFORM_DEPLOY.md writes the file");
    let resource = |line: &str| Some(line.trim().strip_prefix("resource ")?.strip_suffix(" {")?.to_owned());
    let lifted: BTreeSet<String> = file.lines().filter_map(resource).collect();
    assert!(!protected.is_empty());
    assert_eq!(lifted, protected);
}

/// Names of the blocks of one kind in both stacks.
fn names(kind: &str) -> BTreeSet<String> {
    declared(kind).into_iter().map(|(name, _)| name).collect()
}

/// The variables of both stacks with their types.
fn types() -> Vec<(String, String)> {
    let of = |body: &Value| body.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    declared("variable").into_iter().map(|(name, body)| (name, of(&body))).collect()
}

fn declared(kind: &str) -> Vec<(String, Value)> {
    let stacks = ["infra", "infra/grafana"].map(|stack| workspace::root().join(stack));
    let blocks = stacks.iter().flat_map(|stack| settings::blocks(stack, kind).expect("infra/ can be read"));
    blocks.flat_map(|block| block.as_object().cloned().unwrap_or_default()).collect()
}

/// The identifiers after each occurrence of `marker`.
fn following<'a>(text: &'a str, marker: &str) -> impl Iterator<Item = &'a str> {
    let starts = text.match_indices(marker).map(|(at, found)| at + found.len()).collect::<Vec<_>>();
    starts.into_iter().filter_map(move |start| {
        let rest = &text[start..];
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let name = &rest[..end];
        (name.starts_with(|letter: char| letter.is_ascii_lowercase())).then_some(name)
    })
}

/// The commands of a block of shell lines: without prompts and comments, split at `&&` and `|`.
fn commands(block: &str) -> Vec<String> {
    let lines = block.lines().map(|line| line.trim().trim_start_matches("$ "));
    let parts = lines.flat_map(|line| {
        line.split(" #").next().unwrap_or_default().split([';', '|']).flat_map(|part| part.split("&&"))
    });
    parts.map(|part| part.trim().to_owned()).collect()
}

/// Texts between single backticks, outside fenced blocks.
fn inline(text: &str) -> Vec<String> {
    let prose: Vec<&str> = text.split("```").step_by(2).collect();
    prose
        .iter()
        .flat_map(|part| part.lines())
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// The fenced blocks in one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fenced = text.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).map(str::to_owned).collect()
}

#[test]
fn commands_are_told_from_what_stands_around_them() {
    let block = "$ cargo xtask up --port 1   # why\ncargo xtask deploy-check --offline && terraform plan\n";
    assert_eq!(commands(block), ["cargo xtask up --port 1", "cargo xtask deploy-check --offline", "terraform plan"]);
    assert_eq!(inline("a `b c` d\n```sh\n`no`\n```\n`e`"), ["b c", "e"]);
    assert_eq!(not_an_xtask_command("cargo xtask deploy-check --offline"), None);
    assert!(not_an_xtask_command("cargo xtask fly").is_some());
    assert!(not_an_xtask_command("cargo xtask up --prot 1").is_some());
    assert!(not_an_xtask_command("cargo xtask test nope").is_some());
}

#[test]
fn members_are_checked_at_each_level() {
    let (map, object) =
        ("${map(object({ config = optional(map(string)) }))}", "${object({ size = optional(number, 1) })}");
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(unknown_members(&value(r#"{"orders": {"config": {"a.b": "1"}}}"#), map), Vec::<String>::new());
    assert_eq!(unknown_members(&value(r#"{"orders": {"confg": 1}}"#), map), ["confg"]);
    assert_eq!(unknown_members(&value(r#"{"sise": 1}"#), object), ["sise"]);
}
