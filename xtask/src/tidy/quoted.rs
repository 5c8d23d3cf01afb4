//! Rules for what the guides quote: tables, figures and addresses are those of their source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

use super::{assert_none, read, texts};
use crate::deploy_check::machine::Machine;
use crate::deploy_check::settings::{self, Settings};
use crate::{process, workspace};

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

#[test]
fn the_guide_to_upgrades_has_the_versions_of_the_configuration() {
    let locals = settings::blocks(&workspace::root().join("infra"), "locals").expect("infra/ can be read");
    let single = |block: Value| if let Value::Array(blocks) = block { blocks } else { vec![block] };
    let versions = locals.into_iter().flat_map(single).find_map(|block| block.get("kafka_end_of_support").cloned());
    let versions = object(&versions.expect("infra/locals.tf has the table"));
    let page = read("docs/UPGRADE.md");
    let table = page.split("kafka-versions -->").nth(1).expect("docs/UPGRADE.md marks its table");
    let rows: Vec<&str> =
        table.lines().filter(|row| row.starts_with("| `") && row.as_bytes()[3].is_ascii_digit()).collect();
    assert_eq!(rows.len(), versions.len(), "docs/UPGRADE.md and infra/locals.tf list different versions");
    let missing = versions.iter().filter_map(|(version, date)| {
        let row = format!("| `{version}` | {}", date.as_str().unwrap_or("no date published"));
        (!rows.iter().any(|found| found.starts_with(&row))).then(|| format!("docs/UPGRADE.md lacks a row {row:?}"))
    });
    assert_none(&missing.collect::<Vec<_>>());
}

/// The file of the teardown takes the protection off everything that has it, and off nothing else.
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

/// The profiles of docs/COST.md are those that Terraform would deploy.
#[test]
fn the_profiles_of_the_cost_table_are_those_deployed() {
    let prices: Value = serde_json::from_str(&read("docs/tools/prices.json")).expect("docs/tools/prices.json is JSON");
    // A folder without somebody's own terraform.tfvars, and no TF_VAR_ either.
    let bare = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in stack_files() {
        std::fs::write(bare.path().join(path.file_name().unwrap_or_default()), text).expect("a copy");
    }
    let nothing_set = Machine { environment: BTreeMap::new() };
    for (name, profile) in object(&prices["profiles"]) {
        let file = profile["var_file"].as_str().map(|file| workspace::root().join(file));
        // `express` has no file: its settings are the difference that the page names.
        let settings = object(&profile["settings"]);
        let deployed = Settings::read(bare.path(), file.as_slice(), &nothing_set).expect("the variables can be read");
        for (variable, default) in object(&prices["defaults"]) {
            let counted = if file.is_some() { settings.get(&variable).unwrap_or(&default) } else { &default };
            let counted = Some(counted).filter(|value| !value.is_null());
            assert_eq!(deployed.value(&variable), counted, "docs/tools/prices.json, profile {name}: {variable}");
        }
    }
}

/// Members that an object leaves out have the defaults that its type gives them.
#[test]
fn the_assumed_sizes_are_the_defaults_of_the_configuration() {
    let prices: Value = serde_json::from_str(&read("docs/tools/prices.json")).expect("docs/tools/prices.json is JSON");
    let types = read("infra/variables.tf") + &read("infra/variables-app.tf");
    let members =
        [("size_gib", "storage_gib"), ("volume_gib", "bastion_volume_gib"), ("instance_type", "bastion_instance_type")];
    for (member, assumption) in members {
        let assumed = &prices["assumptions"][assumption];
        let line = types.lines().find(|line| line.trim().starts_with(member) && line.contains("optional("));
        let line = line.unwrap_or_default();
        assert!(line.contains(&format!(", {assumed})")), "{assumption} is {assumed}, and infra/ says {line:?}");
    }
}

/// `10.4 s (R2)` in a guide stands in row R2 of docs/reliability.md.
#[test]
fn quoted_measurements_are_those_measured() {
    const GUIDE: &str = "docs/MSK_HA_SETUP_GUIDE.md";
    let (measured, guide) = (read("docs/reliability.md"), read(GUIDE));
    let quotes: Vec<(&str, &str)> = guide.match_indices(" s (R").map(|(at, _)| quote(&guide, at)).collect();
    assert!(quotes.len() >= 5, "the failure table quotes {quotes:?}");
    let wrong = quotes.iter().filter(|(figure, row)| {
        let mut rows = measured.lines().filter(|line| line.starts_with(&format!("| {row} |")));
        !rows.any(|line| line.contains(&format!(" {figure} s ")))
    });
    let says =
        |(figure, row): &(&str, &str)| format!("{GUIDE}: {figure} s ({row}): docs/reliability.md says otherwise");
    assert_none(&wrong.map(says).collect::<Vec<_>>());
}

/// Figure and scenario around ` s (`, which begins at `at`.
fn quote(text: &str, at: usize) -> (&str, &str) {
    let figure = text[..at].rsplit(|letter: char| !letter.is_ascii_digit() && letter != '.').next();
    let row = text[at + " s (".len()..].split(')').next();
    (figure.unwrap_or_default(), row.unwrap_or_default())
}

/// The files of the main stack.
fn stack_files() -> impl Iterator<Item = (PathBuf, String)> {
    texts("tf").into_iter().filter(|(path, _)| path.parent() == Some(Path::new("infra")))
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_else(|| panic!("{value} is no object"))
}
