//! Which file of a crate imports which, read from the tokens of its sources; re-exports are followed to where an item is
//! defined. Code under `#[cfg(test)]` is ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Imports from one file to another, each with the paths as written in the source.
pub(super) type Imports = BTreeMap<(PathBuf, PathBuf), BTreeSet<String>>;

/// The longest chain of re-exports; a longer one is a loop.
const MAX_REEXPORTS: usize = 16;
/// The keywords that precede an item's name.
const ITEM_KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "trait", "const", "static", "type", "macro_rules"];

/// The imports between the files below `root`, a `lib.rs` or `main.rs`. `read` returns the text of a file that exists.
pub(super) fn imports(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Imports {
    let mut tree = Tree::default();
    tree.add(root.to_owned(), root.parent().unwrap_or(Path::new("")).to_owned(), Vec::new(), read);
    let mut imports = Imports::new();
    for (own, module) in tree.modules.iter().enumerate() {
        for (here, path) in &module.source.references {
            if let Some(found) = tree.resolve(here, path, 0).filter(|found| *found != own) {
                let files = (module.file.clone(), tree.modules[found].file.clone());
                imports.entry(files).or_default().insert(path.join("::"));
            }
        }
    }
    imports
}

/// A path in the crate: the names of its modules, empty for the root.
type ModulePath = Vec<String>;

#[derive(Default)]
struct Tree {
    modules: Vec<Module>,
    by_path: BTreeMap<ModulePath, usize>,
}

/// A module with its own file.
struct Module {
    file: PathBuf,
    source: Source,
}

/// What a source file declares and uses.
#[derive(Default)]
struct Source {
    /// Modules with files: where they are declared, and their names.
    children: Vec<(ModulePath, String)>,
    /// Top-level items.
    items: BTreeSet<String>,
    /// Names that a `use` brings into scope, with the place and what they stand for.
    names: BTreeMap<String, (ModulePath, Vec<String>)>,
    globs: Vec<(ModulePath, Vec<String>)>,
    /// Names that a `pub use` re-exports, with the place and what they stand for.
    reexports: Vec<(String, ModulePath, Vec<String>)>,
    /// Paths that are used, and the places.
    references: Vec<(ModulePath, Vec<String>)>,
    /// Identifiers outside of `use` declarations.
    words: BTreeSet<String>,
}

impl Tree {
    /// Reads `file` and the modules that it declares, whose files are in `folder`.
    fn add(&mut self, file: PathBuf, folder: PathBuf, path: ModulePath, read: &dyn Fn(&Path) -> Option<String>) {
        let Some(text) = read(&file) else { return };
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut source = Source::default();
        source.read(&tokens.into_iter().collect::<Vec<_>>(), &path, true);
        // A parent that only re-exports what its children define does not import them.
        let reexports = std::mem::take(&mut source.reexports);
        source.references.extend(reexports.into_iter().filter_map(|(name, here, target)| {
            let is_child =
                source.children.iter().any(|(_, child)| target.iter().find(|word| *word != "self") == Some(child));
            (!is_child || source.words.contains(&name)).then_some((here, target))
        }));
        let children = source.children.clone();
        self.by_path.insert(path, self.modules.len());
        self.modules.push(Module { file, source });
        for (parent, name) in children {
            let (flat, nested) = (folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs"));
            let child = [parent, vec![name.clone()]].concat();
            let file = if read(&flat).is_some() { flat } else { nested };
            self.add(file, folder.join(name), child, read);
        }
    }

    /// The module whose file holds this place; a module without a file is part of its parent's.
    fn module_at(&self, here: &[String]) -> Option<usize> {
        (0..=here.len()).rev().find_map(|length| self.by_path.get(&here[..length]).copied())
    }

    /// The module that defines what `path`, written in module `here`, refers to. `None` for anything outside this crate.
    fn resolve(&self, here: &[String], path: &[String], depth: usize) -> Option<usize> {
        if depth > MAX_REEXPORTS {
            return None;
        }
        let mut base = here.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            first => {
                let source = &self.modules[self.module_at(here)?].source;
                let is_known = self.by_path.contains_key(&[here, &[first.to_owned()]].concat());
                if !is_known && !source.names.contains_key(first) {
                    return None;
                }
            }
        }
        while rest.first().is_some_and(|first| first == "super") {
            base.pop();
            rest = &rest[1..];
        }
        self.descend(base, rest, depth)
    }

    fn descend(&self, mut base: ModulePath, path: &[String], depth: usize) -> Option<usize> {
        let mut rest = path;
        loop {
            let module = self.module_at(&base)?;
            let Some((first, more)) = rest.split_first() else { return Some(module) };
            let source = &self.modules[module].source;
            base.push(first.clone());
            if self.by_path.contains_key(&base) {
                rest = more;
                continue;
            }
            base.pop();
            if source.items.contains(first) {
                return Some(module);
            }
            if let Some((at, target)) = source.names.get(first).filter(|(_, target)| target != rest) {
                return self.resolve(at, &[target, more].concat(), depth + 1);
            }
            let through_glob = source.globs.iter().find_map(|(at, target)| {
                let found = self.resolve(at, &[target.as_slice(), rest].concat(), depth + 1)?;
                let defines = &self.modules[found].source;
                defines.items.contains(first).then_some(found)
            });
            return Some(through_glob.unwrap_or(module));
        }
    }
}

impl Source {
    fn read(&mut self, tokens: &[TokenTree], here: &[String], is_top: bool) {
        let mut at = 0;
        while at < tokens.len() {
            let word = ident(tokens, at);
            if is_cfg_test(tokens, at) {
                at = item_end(tokens, at + 2);
            } else if word.as_deref() == Some("use") && !is_punct(tokens, at + 1, '<') {
                let end = (at..tokens.len()).find(|at| is_punct(tokens, *at, ';')).unwrap_or(tokens.len());
                let is_public =
                    at > 0 && (ident(tokens, at - 1).as_deref() == Some("pub") || is_group(&tokens[at - 1]));
                self.read_use(&tokens[at + 1..end], here, is_public);
                at = end;
            } else if word.as_deref() == Some("mod") && ident(tokens, at + 1).is_some() {
                let name = ident(tokens, at + 1).unwrap_or_default();
                match tokens.get(at + 2) {
                    Some(TokenTree::Group(body)) => {
                        let inner: Vec<_> = body.stream().into_iter().collect();
                        self.read(&inner, &[here, &[name]].concat(), false);
                    }
                    _ => self.children.push((here.to_vec(), name)),
                }
                at += 2;
            } else if let Some(word) = word {
                if is_top && ITEM_KEYWORDS.contains(&word.as_str()) {
                    let skip = usize::from(is_punct(tokens, at + 1, '!'));
                    self.items.extend(ident(tokens, at + 1 + skip));
                }
                let mut path = vec![word];
                while is_path_separator(tokens, at + 1)
                    && let Some(next) = ident(tokens, at + 3)
                {
                    path.push(next);
                    at += 3;
                }
                self.words.extend(path.first().cloned());
                if path.len() > 1 {
                    self.references.push((here.to_vec(), path));
                }
            } else if let Some(TokenTree::Group(group)) = tokens.get(at) {
                self.read(&group.stream().into_iter().collect::<Vec<_>>(), here, false);
            }
            at += 1;
        }
    }

    fn read_use(&mut self, tokens: &[TokenTree], here: &[String], is_public: bool) {
        let mut found = Vec::new();
        use_tree(tokens, &[], &mut found);
        for (path, name) in found {
            match name.as_str() {
                "*" => self.globs.push((here.to_vec(), path.clone())),
                name => _ = self.names.insert(name.to_owned(), (here.to_vec(), path.clone())),
            }
            match is_public {
                true => self.reexports.push((name, here.to_vec(), path)),
                false => self.references.push((here.to_vec(), path)),
            }
        }
    }
}

/// The paths of a `use`, each with the name it introduces, `*` for everything in a module.
fn use_tree(tokens: &[TokenTree], prefix: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let mut path = prefix.to_vec();
    let mut name = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                let branches = inner.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','));
                return branches.filter(|branch| !branch.is_empty()).for_each(|branch| use_tree(branch, &path, found));
            }
            TokenTree::Punct(punct) if punct.as_char() == '*' => name = Some("*".to_owned()),
            TokenTree::Ident(word) if *word == "as" => {
                name = ident(tokens, at + 1);
                break;
            }
            TokenTree::Ident(word) if *word == "self" && !path.is_empty() => {}
            TokenTree::Ident(word) => path.push(word.to_string()),
            _ => {}
        }
    }
    let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
    found.push((path, name));
}

fn ident(tokens: &[TokenTree], at: usize) -> Option<String> {
    let Some(TokenTree::Ident(word)) = tokens.get(at) else { return None };
    Some(word.to_string())
}

fn is_punct(tokens: &[TokenTree], at: usize, wanted: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens, at, ':') && is_punct(tokens, at + 1, ':')
}

/// The `(crate)` of `pub(crate)`.
fn is_group(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
}

fn is_cfg_test(tokens: &[TokenTree], at: usize) -> bool {
    let attribute = tokens.get(at + 1).filter(|_| is_punct(tokens, at, '#'));
    attribute.is_some_and(|attribute| attribute.to_string().replace(' ', "") == "[cfg(test)]")
}

/// The last token of the item that begins at `at`.
fn item_end(tokens: &[TokenTree], at: usize) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    (at..tokens.len()).find(|at| ends(&tokens[*at])).unwrap_or(tokens.len())
}
