//! Completions for shells and the pages of the manual, both made of the command line as it is parsed.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::{Cli, ManArgs};

/// `completions SHELL`.
pub(crate) fn completions(shell: Shell) -> Result<ExitCode> {
    let script = |name: &str| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), name, &mut script);
        script
    };
    if shell != Shell::Bash {
        return print(&script("msk-local"));
    }
    // With a hyphen in the program's name bash would complete nothing behind the first command (clap#6421). The name itself stands
    // only where the function is registered.
    let text = String::from_utf8_lossy(&script("msk_local")).replace(" msk_local\n", " msk-local\n");
    print(text.as_bytes())
}

/// `man`.
pub(crate) fn pages(args: &ManArgs) -> Result<ExitCode> {
    let mut program = Cli::command();
    // Gives each command its full name, `msk-local-esm-drain`.
    program.build();
    let Some(folder) = &args.folder else { return print(&page(find(&program, &args.command)?)?) };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    write_pages(&program, folder)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command and those of its own commands.
fn write_pages(command: &clap::Command, folder: &Path) -> Result<()> {
    let file = folder.join(format!("{}.1", full_name(command)));
    std::fs::write(&file, page(command)?).with_context(|| format!("cannot write {}", file.display()))?;
    command.get_subcommands().try_for_each(|inner| write_pages(inner, folder))
}

fn find<'a>(program: &'a clap::Command, words: &[String]) -> Result<&'a clap::Command> {
    words.iter().try_fold(program, |command, word| {
        command.find_subcommand(word).with_context(|| {
            let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
            let of = command.get_bin_name().unwrap_or_default();
            match names.as_slice() {
                [] => format!("`{of}` has no commands of its own: leave `{word}` out"),
                names => format!("`{of}` has no command `{word}`; it has: {}", names.join(", ")),
            }
        })
    })
}

fn page(command: &clap::Command) -> Result<Vec<u8>> {
    let mut roff = Vec::new();
    let source = concat!("msk-local ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).title(full_name(command)).manual("msk-local").source(source).render(&mut roff)?;
    Ok(roff)
}

fn full_name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// A reader that has seen enough, such as `head`, is no error.
fn print(text: &[u8]) -> Result<ExitCode> {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(ExitCode::SUCCESS),
    }
}
