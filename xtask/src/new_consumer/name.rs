//! Which names a consumer can have: AWS, Terraform and cargo each have a say.

use anyhow::{Result, bail, ensure};

use crate::members::Member;

/// `infra/variables-consumers.tf` says why: with the variable `name` before it, it is the name of a role.
const MAX_LETTERS: usize = 30;
/// Names of other parts of the deployment, as `infra/variables-consumers.tf` lists them.
const OTHER_PARTS: [&str; 12] = [
    "api",
    "bastion",
    "brokers",
    "clients",
    "endpoints",
    "flow-log",
    "grafana",
    "internet",
    "producer",
    "s3",
    "scraper",
    "sessions",
];
/// Folders of cargo's own beside the programs that it builds. <https://doc.rust-lang.org/cargo/reference/cargo-targets.html>
const CARGO_FOLDERS: [&str; 4] = ["build", "deps", "examples", "incremental"];

/// A name that Lambda, Terraform and cargo take, and that nothing else has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConsumerName(String);

impl ConsumerName {
    /// # Errors
    /// When the name cannot be one, or something in the workspace has it; the text says which rule it breaks.
    pub(super) fn parse(name: &str, workspace: &[Member]) -> Result<Self> {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_inner) && !name.ends_with('-'),
            "`{name}` cannot be a consumer's name: use lower-case letters, digits and hyphens, begin with a letter and do \
             not end with a hyphen (it becomes part of function, role and alarm names)"
        );
        ensure!(
            name.len() <= MAX_LETTERS,
            "`{name}` has {} letters, and a consumer's name at most {MAX_LETTERS}: it becomes part of a role's name",
            name.len()
        );
        if OTHER_PARTS.contains(&name) {
            bail!("`{name}` names another part of the deployment: choose another name");
        }
        if CARGO_FOLDERS.contains(&name) {
            bail!("cargo builds no program called `{name}`, because it has a folder of that name: choose another name");
        }
        if name == "for" {
            bail!("`for` begins an expression in Terraform's language: choose another name");
        }
        let package = format!("msk-{name}");
        for member in workspace {
            if member.package == package {
                bail!("the crate {package} exists already, in {}: choose another name", member.folder.display());
            }
            if member.programs.iter().any(|program| program == name) {
                bail!("{} has a program called `{name}` already: choose another name", member.folder.display());
            }
        }
        Ok(Self(name.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{members, workspace};

    fn refused(name: &str) -> String {
        ConsumerName::parse(name, &members::all().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn names_are_what_lambda_terraform_and_cargo_take() {
        let members = members::all().unwrap();
        let longest = "a".repeat(MAX_LETTERS);
        for name in ["a", "payments", "order-projection", "v2", "a--b", &longest] {
            assert_eq!(ConsumerName::parse(name, &members).unwrap().as_str(), name);
        }
        for name in ["", "Payments", "2nd", "-a", "a-", "a_b", "a.b", "a b", "../a", "a/b", "a\0", "결제", "é"] {
            assert!(refused(name).contains("lower-case letters"), "{name}: {}", refused(name));
        }
        let longer = "a".repeat(MAX_LETTERS + 1);
        assert!(refused(&longer).contains("has 31 letters, and a consumer's name at most 30"));
    }

    #[test]
    fn names_of_something_else_are_refused_with_its_place() {
        assert!(refused("producer").contains("another part of the deployment"));
        assert!(refused("for").contains("Terraform's language"));
        assert!(refused("build").contains("cargo builds no program called `build`"));
        for (name, place) in [("consumer", "functions/consumer"), ("shared", "shared"), ("test-kit", "test-kit")] {
            assert!(refused(name).contains(&format!("the crate msk-{name} exists already, in {place}:")), "{name}");
        }
        for (name, place) in [("msk-local", "local"), ("xtask", "xtask")] {
            assert!(refused(name).contains(&format!("{place} has a program called `{name}` already")), "{name}");
        }
    }

    /// What passes here must pass there: the name is an entry of `consumers`.
    #[test]
    fn the_rules_are_those_of_the_variable() {
        let variable = std::fs::read_to_string(workspace::root().join("infra/variables-consumers.tf")).unwrap();
        assert!(variable.contains(&format!("[a-z]([a-z0-9-]{{0,{}}}[a-z0-9])?", MAX_LETTERS - 2)));
        let parts = format!("[{}]", OTHER_PARTS.map(|part| format!("\"{part}\"")).join(", "));
        assert!(variable.contains(&parts), "{parts}");
    }
}
