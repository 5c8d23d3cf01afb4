//! Completions and the manual, judged by the programs that read them.

use std::path::Path;
use std::process::{Command, Output};

/// Each shell, and how it parses a script without running it.
const SHELLS: [(&str, &[&str]); 5] = [
    ("bash", &["bash", "-n"]),
    ("elvish", &["elvish", "-compileonly"]),
    ("fish", &["fish", "--no-execute"]),
    // It can only run it: the script registers a function.
    ("powershell", &["pwsh", "-NoProfile", "-File"]),
    ("zsh", &["zsh", "-n"]),
];

fn msk_local(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_msk-local")).args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = msk_local(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the program prints; `None` where it is not installed.
fn run(program: &[&str], file: &Path) -> Option<Output> {
    Command::new(program[0]).args(&program[1..]).arg(file).output().ok()
}

#[test]
#[expect(clippy::print_stderr, reason = "who runs the tests must know what was not run")]
fn the_completions_of_each_shell_are_what_that_shell_reads() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, parser) in SHELLS {
        let script = printed(&["completions", shell]);
        for word in ["check-response", "maximum-retry-attempts", "completions"] {
            assert!(script.contains(word), "{shell} knows no {word}");
        }
        let file = folder.path().join(shell).with_extension("ps1");
        std::fs::write(&file, script).unwrap();
        match run(parser, &file) {
            Some(output) => assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}"),
            None => eprintln!("{} is not installed: its completions were not parsed", parser[0]),
        }
    }
    let unknown = msk_local(&["completions", "csh"]);
    let text = String::from_utf8(unknown.stderr).unwrap();
    assert!(unknown.status.code() == Some(2) && text.contains("powershell"), "{text}");
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let cases = [
        ("msk-local esm dr", "drain"),
        ("msk-local esm drain --maximum-retry", "--maximum-retry-attempts"),
        ("msk-local esm check-response --ev", "--event"),
        ("msk-local --format js", "json"),
    ];
    for (line, completed) in cases {
        // As bash calls the function: the words of the line, the one at the cursor, and the one before it.
        let script = format!(
            "source <(\"$MSK_LOCAL\" completions bash); COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _msk_local msk-local \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let mut bash = Command::new("bash");
        let output = bash.args(["-c", &script]).env("MSK_LOCAL", env!("CARGO_BIN_EXE_msk-local")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), completed, "{line}: {output:?}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "who runs the tests must know what was not run")]
fn every_command_has_a_page_that_the_formatter_takes_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    printed(&["man", "--folder", pages.to_str().unwrap()]);
    let mut files: Vec<_> = std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let names: Vec<_> = files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
    for name in ["msk-local", "msk-local-up", "msk-local-esm", "msk-local-esm-drain", "msk-local-esm-check-response"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    let drain = printed(&["man", "esm", "drain"]);
    assert_eq!(drain, std::fs::read_to_string(pages.join("msk-local-esm-drain.1")).unwrap());
    for file in &files {
        let Some(output) = run(&["groff", "-man", "-ww", "-Tascii", "-P-cbou"], file) else {
            return eprintln!("groff is not installed: the pages were not formatted");
        };
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {output:?}", file.display());
        assert!(String::from_utf8_lossy(&output.stdout).contains("SYNOPSIS"), "{}", file.display());
    }
}

#[test]
fn a_page_that_is_not_there_names_those_that_are() {
    let output = msk_local(&["man", "esm", "drian"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("`msk-local esm` has no command `drian`"), "{text}");
    assert!(text.contains("drain"), "{text}");
}

#[test]
fn the_version_names_librdkafka() {
    let version = printed(&["--version"]);
    assert!(version.starts_with(concat!("msk-local ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    assert!(version.contains("librdkafka 2."), "{version}");
}
