//! `cargo xtask new-consumer NAME`: a further consumer, as a crate that builds, runs in `up`, and is packaged at once.
//!
//! | Module | Contains |
//! |---|---|
//! | [`name`] | which names are possible |
//! | [`files`] | the crate's files, and its lines in the workspace's manifest |

mod files;
mod name;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::{members, process, workspace};
use name::ConsumerName;

/// Write a further consumer into functions/NAME: its handler, a sample event and a test; and print what to do with it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Name of its folder, its program and its entry in Terraform's `consumers`: lower-case letters, digits and hyphens.
    name: String,
}

/// Writes the crate and adds it to the workspace.
pub(crate) fn run(options: &Options) -> Result<()> {
    let name = ConsumerName::parse(&options.name, &members::all()?)?;
    // The lock file names every crate of the workspace, and all other commands want it unchanged.
    let lock = || process::capture(&mut process::cargo(&["update", "--workspace", "--offline"])).map(drop);
    add(&workspace::root(), &name, lock)?;
    print!("{}", next_steps(&name));
    Ok(())
}

/// All of it or nothing: half a crate would stop every other command.
fn add(root: &Path, name: &ConsumerName, lock: impl FnOnce() -> Result<()>) -> Result<()> {
    let manifest = root.join("Cargo.toml");
    let old = fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let new = files::manifest_with(&old, name)?;
    let folder = root.join("functions").join(name.as_str());
    ensure!(!folder.exists(), "functions/{} exists already: remove it, or choose another name", name.as_str());

    let added = write_crate(&folder, name).and_then(|()| {
        fs::write(&manifest, new).with_context(|| format!("cannot write {}", manifest.display()))?;
        lock()
    });
    if added.is_err() {
        // What cannot be taken back is no news after the first error.
        let _ = fs::write(&manifest, old);
        let _ = fs::remove_dir_all(&folder);
    }
    added
}

fn write_crate(folder: &Path, name: &ConsumerName) -> Result<()> {
    for (path, text) in files::crate_files(name) {
        let file = folder.join(path);
        let parent = file.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// What the user reads: where the handler is, and the commands up to a plan.
fn next_steps(name: &ConsumerName) -> String {
    let consumer = name.as_str();
    let entry = terraform_entry(name);
    format!(
        "functions/{consumer} is there. Your code goes into functions/{consumer}/src/handler.rs; its test reads events/sample.json:

  cargo test --workspace --bin {consumer}

Try it (the records of each topic go to both consumers, each with a consumer group of its own):

  cargo xtask up --consumers consumer,{consumer}

Deploy it: this in infra/terraform.tfvars, then the commands. docs/02_TERRAFORM_DEPLOY.md says what else an entry can have.

{entry}
  cargo xtask package --arm64
  cargo xtask deploy-check
  terraform -chdir=infra plan
"
    )
}

/// Both consumers read every topic, so the new one has names of its own for its groups and dead letters.
fn terraform_entry(name: &ConsumerName) -> String {
    let consumer = name.as_str();
    format!(
        "consumers = {{
  consumer = {{}}
  {consumer} = {{
    consumer_group    = \"{{name}}-{{consumer}}-{{topic}}\"
    dead_letter_topic = \"{{topic}}.{{consumer}}.dlq\"
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plan of this very entry is tested in `infra/tests/consumers.tftest.hcl`.
    #[test]
    fn the_entry_is_the_one_that_is_planned() {
        let name = ConsumerName::parse("payments", &[]).unwrap();
        let tests = fs::read_to_string(workspace::root().join("infra/tests/consumers.tftest.hcl")).unwrap();
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeeze(&tests).contains(&squeeze(&terraform_entry(&name))), "{}", terraform_entry(&name));
        assert!(hcl::from_str::<serde_json::Value>(&terraform_entry(&name)).is_ok());
    }

    #[test]
    fn the_next_steps_name_the_consumer() {
        let steps = next_steps(&ConsumerName::parse("payments", &[]).unwrap());
        for line in ["up --consumers consumer,payments\n", "--bin payments\n", "functions/payments/src/handler.rs"] {
            assert!(steps.contains(line), "{line}");
        }
    }

    /// A workspace with one function.
    fn workspace_with_a_function() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("functions/consumer")).unwrap();
        fs::copy(workspace::root().join("Cargo.toml"), root.path().join("Cargo.toml")).unwrap();
        root
    }

    #[test]
    fn the_crate_has_its_files_and_its_place_in_the_workspace() {
        let root = workspace_with_a_function();
        add(root.path(), &ConsumerName::parse("payments", &[]).unwrap(), || Ok(())).unwrap();
        for file in ["Cargo.toml", "src/main.rs", "src/handler.rs", "events/sample.json"] {
            assert!(root.path().join("functions/payments").join(file).is_file(), "{file}");
        }
        assert!(fs::read_to_string(root.path().join("Cargo.toml")).unwrap().contains("\"functions/payments\""));
    }

    #[test]
    fn what_fails_leaves_everything_as_it_was() {
        let root = workspace_with_a_function();
        let manifest = || fs::read_to_string(root.path().join("Cargo.toml")).unwrap();
        let before = manifest();
        let failing = || anyhow::bail!("the disk is full");
        let error = add(root.path(), &ConsumerName::parse("payments", &[]).unwrap(), failing).unwrap_err();
        assert_eq!(error.to_string(), "the disk is full");
        assert_eq!((manifest(), root.path().join("functions/payments").exists()), (before.clone(), false));

        // A folder that is no crate of the workspace, such as the rest of one.
        let rest = root.path().join("functions/payments/notes.md");
        fs::create_dir_all(rest.parent().unwrap()).unwrap();
        fs::write(&rest, "mine").unwrap();
        let error = add(root.path(), &ConsumerName::parse("payments", &[]).unwrap(), || Ok(())).unwrap_err();
        assert!(error.to_string().contains("functions/payments exists already"), "{error}");
        assert_eq!((manifest(), fs::read_to_string(rest).unwrap()), (before, "mine".to_owned()));
    }
}
