//! `cargo xtask needs`: what is installed and what is missing for each stage; installs it on request.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, Result, bail};

use super::{CURL, Install, NATIVE_BUILD, Need, PYTHON_VENV, debian};
use crate::stages::STAGES;

/// The needs of `cargo xtask up`, with embedded brokers and the `curl` command it prints.
const UP: &[Need] = &[NATIVE_BUILD, PYTHON_VENV, CURL];

/// Show what this machine has and lacks, for everything that runs by default or for the named stages. Exits with 0 if nothing is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Stages of `cargo xtask test`, or `up`; by default `up` and every stage that is not on demand.
    #[arg(value_name = "STAGE")]
    names: Vec<String>,
    /// Install what is missing with apt-get, on Debian and Ubuntu. At a terminal it asks first; elsewhere it requires `--yes`.
    #[arg(long)]
    install: bool,
    /// Install without asking.
    #[arg(long, requires = "install")]
    yes: bool,
}

/// A need, and what requires it.
struct Row {
    need: &'static Need,
    /// `up` and names of stages.
    by: Vec<&'static str>,
}

/// Prints the table, and installs what is missing on request.
pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = rows(&options.names)?;
    let missing = print(&rows);
    if missing.is_empty() {
        println!("\nnothing is missing");
        return Ok(());
    }
    if !options.install {
        bail!(
            "{} of {} are missing; `cargo xtask needs --install` installs what apt-get has",
            missing.len(),
            rows.len()
        );
    }
    let packages = debian::packages(missing.iter().map(|need| need.install))?;
    if !packages.is_empty() {
        let command = debian::Command::install(&packages);
        println!("\nto run: {command}");
        if !options.yes && !agreed()? {
            bail!("nothing was installed");
        }
        command.run()?;
    }
    // Checked once more, because a package may contain a different version than required.
    match missing.iter().find_map(|need| need.complaint()) {
        Some(complaint) => bail!("{complaint}"),
        None => {
            println!("\nnothing is missing now");
            Ok(())
        }
    }
}

/// Asks at the terminal.
fn agreed() -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("nothing was installed: there is no terminal to ask at; pass `--yes` to agree");
    }
    print!("Run it? [y/N] ");
    std::io::stdout().flush().context("cannot write to the terminal")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("cannot read from the terminal")?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Each need once, with everything that requires it, in the order of `up` and the table of stages.
fn rows(names: &[String]) -> Result<Vec<Row>> {
    let all = || std::iter::once(("up", UP, false)).chain(STAGES.iter().map(|it| (it.name, it.needs, it.on_demand)));
    if let Some(unknown) = names.iter().find(|name| !all().any(|(known, ..)| known == name.as_str())) {
        bail!(
            "there is no stage {unknown:?}; the choices are {}",
            all().map(|(name, ..)| name).collect::<Vec<_>>().join(", ")
        );
    }
    let mut rows: Vec<Row> = Vec::new();
    for (name, needs, on_demand) in all() {
        let wanted = if names.is_empty() { !on_demand } else { names.iter().any(|it| it == name) };
        for need in needs.iter().filter(|_| wanted) {
            match rows.iter_mut().find(|row| row.need.name == need.name) {
                Some(row) => row.by.push(name),
                None => rows.push(Row { need, by: vec![name] }),
            }
        }
    }
    Ok(rows)
}

/// Prints a row for each need, and returns those that are missing.
fn print(rows: &[Row]) -> Vec<&'static Need> {
    let mut missing = Vec::new();
    println!("{:<40} {:<8} for", "need", "");
    for Row { need, by } in rows {
        let problem = (need.problem)();
        let word = if problem.is_some() { "MISSING" } else { "there" };
        println!("{:<40} {word:<8} {}", need.name, by.join(", "));
        if let Some(problem) = problem {
            let how = match need.install {
                Install::Packages(_) => "to install",
                Install::ByHand(_) => "to install by hand",
            };
            println!("    {problem}; {how}: {}", need.install);
            missing.push(*need);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.need.name).collect()
    }

    #[test]
    fn without_names_the_needs_are_those_of_the_two_commands() {
        let rows = rows(&[]).unwrap();
        let java = rows.iter().find(|row| row.need.name.starts_with("Java")).unwrap();
        assert_eq!(java.by, ["rig", "ha", "sabotage"]);
        assert!(rows[0].by.contains(&"up") && rows[0].by.contains(&"unit"));
        assert!(!names(&rows).iter().any(|name| name.contains("Prometheus")), "a stage on demand is named");
    }

    #[test]
    fn a_need_is_listed_once_and_only_for_what_was_named() {
        let rows = rows(&["unit".to_owned(), "monitoring".to_owned()]).unwrap();
        assert_eq!(rows[0].by, ["unit", "monitoring"]);
        assert!(names(&rows).contains(&"Prometheus and its node exporter"));
        assert!(!names(&rows).contains(&"Terraform 1.11"));
        assert!(super::rows(&["fmt".to_owned()]).unwrap().is_empty());
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list() {
        let error = rows(&["units".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("\"units\"") && error.contains("up, fmt, lint"), "{error}");
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(["y\n", "Y", " yes \n"].iter().all(|answer| is_yes(answer)));
        assert!(["", "\n", "n\n", "yea", "ye s"].iter().all(|answer| !is_yes(answer)));
    }
}
