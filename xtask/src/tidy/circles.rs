//! Data flows one way: inside a crate, no file imports, directly or indirectly, a file that imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::imports::{Imports, imports};
use super::{assert_none, files};
use crate::workspace;

/// Folders whose circles have yet to be removed.
const LATER: [&str; 0] = [];

#[test]
fn no_file_imports_itself_by_a_circle() {
    let mut problems = Vec::new();
    let read = |path: &Path| std::fs::read_to_string(workspace::root().join(path)).ok();
    for root in
        files().iter().filter(|path| is_crate_root(path) && !LATER.iter().any(|folder| path.starts_with(folder)))
    {
        let imports = imports(root, &read);
        problems.extend(circles(&imports).iter().map(|circle| shown(circle, &imports)));
    }
    assert_none(&problems);
}

fn is_crate_root(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("src"))
        && path.file_name().is_some_and(|name| name == "lib.rs" || name == "main.rs")
}

/// Groups of files that all reach each other.
fn circles(imports: &Imports) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        imports.keys().map(|(from, _)| (from, reachable(from, imports))).collect();
    let groups = reached.iter().filter(|(file, reached)| reached.contains(*file)).map(|(file, own)| {
        let back = |other: &&&PathBuf| reached.get(**other).is_some_and(|reached| reached.contains(*file));
        own.iter().filter(back).map(|path| (*path).clone()).collect::<BTreeSet<_>>()
    });
    groups.collect::<BTreeSet<_>>().into_iter().collect()
}

fn reachable<'a>(from: &PathBuf, imports: &'a Imports) -> BTreeSet<&'a PathBuf> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        for (_, to) in imports.keys().filter(|(from, _)| from == file) {
            if found.insert(to) {
                next.push(to);
            }
        }
    }
    found
}

fn shown(circle: &BTreeSet<PathBuf>, imports: &Imports) -> String {
    let inside = imports.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
    let arrows = inside.map(|((from, to), names)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("\n  {} -> {}: {}", from.display(), to.display(), names.join(", "))
    });
    format!("{} files import each other in a circle:{}", circle.len(), arrows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "mod a; mod b; pub use a::Item; #[cfg(test)] mod tests { use super::b; }";

    fn found(sources: &[(&str, &str)]) -> Vec<usize> {
        let read =
            |path: &Path| sources.iter().find(|(name, _)| path == Path::new(name)).map(|(_, text)| (*text).to_owned());
        circles(&imports(Path::new("lib.rs"), &read)).iter().map(BTreeSet::len).collect()
    }

    #[test]
    fn a_circle_is_found_by_every_way_to_import() {
        for (a, b) in [
            ("use super::b::x; pub struct Item;", "use crate::a::Item;"),
            ("pub struct Item; fn f() { crate::b::x() }", "use {super::a::{self, Item}};"),
            ("use crate::b; pub struct Item; fn f() { b::x() }", "use super::Item as Other;"),
            ("pub fn f() { json!({\"b\": super::b::x()}) } pub struct Item;", "fn g(item: crate::Item) {}"),
        ] {
            assert_eq!(found(&[("lib.rs", PARENT), ("a.rs", a), ("b.rs", b)]), [2], "{a} | {b}");
        }
    }

    #[test]
    fn a_parent_that_only_hands_on_its_children_is_in_no_circle() {
        let b = "use crate::Item; #[cfg(test)] mod tests { use crate::c; }";
        let sources = [("lib.rs", PARENT), ("a.rs", "pub struct Item; // use crate::b"), ("b.rs", b)];
        assert_eq!(found(&sources), Vec::<usize>::new());
        // It is in one when it uses them, and they use what is its own.
        let parent = "mod a; use a::Item; pub const LIMIT: u8 = 1; fn f(item: Item) {}";
        assert_eq!(found(&[("lib.rs", parent), ("a.rs", "pub struct Item([u8; super::LIMIT]);")]), [2]);
    }

    #[test]
    fn modules_are_found_in_folders() {
        let sources = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; mod c;"),
            ("a/b.rs", "mod d; use super::c::*;"),
            ("a/c.rs", "use crate::a::b::d::Deep;"),
            ("a/b/d.rs", "use super::super::c; pub struct Deep;"),
        ];
        assert_eq!(found(&sources), [2]);
    }
}
