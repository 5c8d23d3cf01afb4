//! Rules for the documentation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{assert_none, files, texts};
use crate::workspace;

#[test]
fn every_relative_link_leads_somewhere() {
    let mut problems = Vec::new();
    for (path, text) in texts("md") {
        for target in links(&text).filter(|target| is_relative(target)) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = path.parent().unwrap_or(Path::new(""));
            let found = workspace::root().join(if file.is_empty() { path.clone() } else { folder.join(file) });
            if !found.exists() {
                problems.push(format!("{}: {target} does not exist", path.display()));
            } else if !anchor.is_empty() && !has_anchor(&found, anchor) {
                problems.push(format!("{}: {target} does not match any heading there", path.display()));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_index_of_the_docs_is_complete() {
    let index = std::fs::read_to_string(workspace::root().join("docs/README.md")).expect("docs/README.md exists");
    let linked: BTreeSet<&str> = links(&index).map(|target| target.split('#').next().unwrap_or(target)).collect();
    let pages =
        files().into_iter().filter(|path| path.starts_with("docs") && path.extension().is_some_and(|e| e == "md"));
    let missing = pages.filter_map(|path| {
        let name = path.strip_prefix("docs").ok()?.to_str()?.to_owned();
        (name != "README.md" && !linked.contains(name.as_str()))
            .then(|| format!("docs/README.md has no link to {name}"))
    });
    assert_none(&missing.collect::<Vec<_>>());
}

/// Whatever a reader may copy must be the same in both languages.
#[test]
fn both_readmes_show_the_same_commands_and_output() {
    let blocks = |name: &str| code_blocks(&std::fs::read_to_string(workspace::root().join(name)).expect("a README"));
    let (english, korean) = (blocks("README.md"), blocks("README.ko.md"));
    assert!(!english.is_empty());
    assert_eq!(english, korean);
}

/// Targets of `[text](target)` and `![text](target)`, outside code blocks.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines()
        .filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            in_code ^= fence;
            !in_code && !fence
        })
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target.trim()))
}

fn is_relative(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:")
}

/// True if the page has a heading with this anchor, as GitHub generates them.
fn has_anchor(page: &PathBuf, anchor: &str) -> bool {
    let text = std::fs::read_to_string(page).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .any(|heading| slug(heading.trim_start_matches('#')) == anchor)
}

fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

/// The fenced blocks, without those that draw pictures (their words are translated).
fn code_blocks(text: &str) -> Vec<String> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks.filter(|block| !block.starts_with("mermaid")).map(str::to_owned).collect()
}

#[test]
fn links_in_code_are_no_links() {
    let text = "see [a](a.md) and ![b](b.svg)\n```\n[c](c.md)\n```\n[d](d.md#e)";
    assert_eq!(links(text).collect::<Vec<_>>(), ["a.md", "b.svg", "d.md#e"]);
}

#[test]
fn anchors_are_made_as_github_makes_them() {
    assert_eq!(slug(" What it is, in two sentences"), "what-it-is-in-two-sentences");
    assert_eq!(slug(" `cargo xtask up`"), "cargo-xtask-up");
}
