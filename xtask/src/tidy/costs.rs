//! The cost table counts what Terraform would deploy.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{read, stack_files};
use crate::deploy_check::machine::Machine;
use crate::deploy_check::settings::Settings;
use crate::workspace;

#[test]
fn the_profiles_of_the_cost_table_are_those_deployed() {
    let prices: Value = serde_json::from_str(&read("docs/tools/prices.json")).expect("docs/tools/prices.json is JSON");
    // A folder without anybody's own terraform.tfvars, and without TF_VAR_ variables.
    let bare = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in stack_files() {
        std::fs::write(bare.path().join(path.file_name().unwrap_or_default()), text).expect("a copy");
    }
    let nothing_set = Machine { environment: BTreeMap::new() };
    for (name, profile) in object(&prices["profiles"]) {
        let file = profile["var_file"].as_str().map(|file| workspace::root().join(file));
        // `express` has no file: its settings are those that the page lists.
        let settings = object(&profile["settings"]);
        let deployed = Settings::read(bare.path(), file.as_slice(), &nothing_set).expect("the variables can be read");
        for (variable, default) in object(&prices["defaults"]) {
            let counted = if file.is_some() { settings.get(&variable).unwrap_or(&default) } else { &default };
            let counted = Some(counted).filter(|value| !value.is_null());
            assert_eq!(deployed.value(&variable), counted, "docs/tools/prices.json, profile {name}: {variable}");
        }
    }
}

/// Members that an object omits have the defaults of its type.
#[test]
fn the_assumed_sizes_are_the_defaults_of_the_configuration() {
    let prices: Value = serde_json::from_str(&read("docs/tools/prices.json")).expect("docs/tools/prices.json is JSON");
    let types = read("infra/variables.tf") + &read("infra/variables-cluster.tf") + &read("infra/variables-app.tf");
    let members =
        [("size_gib", "storage_gib"), ("volume_gib", "bastion_volume_gib"), ("instance_type", "bastion_instance_type")];
    for (member, assumption) in members {
        let assumed = &prices["assumptions"][assumption];
        let line = types.lines().find(|line| line.trim().starts_with(member) && line.contains("optional("));
        let line = line.unwrap_or_default();
        assert!(line.contains(&format!(", {assumed})")), "{assumption} is {assumed}, and infra/ says {line:?}");
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_else(|| panic!("{value} is not an object"))
}
