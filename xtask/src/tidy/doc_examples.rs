//! What a published crate offers is shown in use: each of its public types, traits and functions has an example, which is
//! compiled and, where it can, run with the tests. The compiler's lint `unreachable_pub` sees to it that `pub` means public. Methods,
//! variants, constants and aliases are shown by the examples of their types, as `rustdoc --show-coverage` counts, which only nightly
//! compilers have.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{assert_none, texts};

/// Items that need an example.
const SHOWN: [&str; 5] = ["fn", "struct", "enum", "trait", "union"];
/// Words that may stand between `pub` and those.
const QUALIFIERS: [&str; 3] = ["async", "const", "unsafe"];
/// What may follow the fence of an example that is compiled.
const COMPILED: [&str; 4] = ["rust", "no_run", "should_panic", "compile_fail"];

#[test]
fn every_public_item_of_a_published_crate_has_an_example() {
    let manifests = texts("toml").into_iter().filter(|(path, text)| path.ends_with("Cargo.toml") && is_published(text));
    let folders: Vec<_> = manifests.filter_map(|(path, _)| Some(path.parent()?.join("src"))).collect();
    assert!(!folders.is_empty(), "no manifest says `publish = true`");
    let mut problems = Vec::new();
    for (path, text) in texts("rs") {
        if folders.iter().any(|folder| path.starts_with(folder)) {
            problems.extend(without_example(&path, &text));
        }
    }
    assert_none(&problems);
}

fn is_published(manifest: &str) -> bool {
    manifest.lines().any(|line| line == "publish = true")
}

fn without_example(path: &Path, text: &str) -> Vec<String> {
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut problems = Vec::new();
    // The lines of documentation since the last item.
    let mut docs = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                // `//!` is of what it stands in.
                let is_inner = at.checked_sub(1).is_some_and(|before| is_bang(&tokens[before]));
                docs.extend(doc_line(group.stream()).filter(|_| !is_inner));
            }
            // The end of an item: its body, or what follows its name.
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => docs.clear(),
            TokenTree::Punct(punct) if punct.as_char() == ';' => docs.clear(),
            TokenTree::Ident(word) if word == "pub" => {
                if let Some((kind, name)) = public_item(&tokens[at + 1..])
                    && !has_example(&docs)
                {
                    let path = path.display();
                    problems.push(format!("{path}: {kind} {name}: show its use in an example, or make it less public"));
                }
            }
            _ => {}
        }
    }
    problems
}

fn is_bang(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!')
}

/// The text of `doc = "..."`, which is what a `///` becomes.
fn doc_line(attribute: TokenStream) -> Option<String> {
    let mut tokens = attribute.into_iter();
    let (Some(TokenTree::Ident(word)), Some(_), Some(TokenTree::Literal(text))) =
        (tokens.next(), tokens.next(), tokens.next())
    else {
        return None;
    };
    (word == "doc").then(|| text.to_string().trim_matches('"').trim().to_owned())
}

/// The kind and the name of the item whose tokens follow `pub`, if it needs an example; `pub(crate)` and `pub(super)` need none.
fn public_item(tokens: &[TokenTree]) -> Option<(String, String)> {
    let mut words = tokens.iter().map_while(|token| match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    });
    let kind = words.find(|word| !QUALIFIERS.contains(&word.as_str()))?;
    SHOWN.contains(&kind.as_str()).then_some((kind, words.next()?))
}

fn has_example(docs: &[String]) -> bool {
    // Fences come in pairs, and only one that opens may say what is in it.
    let mut fences = docs.iter().filter_map(|line| line.strip_prefix("```"));
    let is_compiled =
        |info: &str| info.split(',').all(|word| word.is_empty() || word.starts_with("E0") || COMPILED.contains(&word));
    fences.next().is_some_and(is_compiled) || fences.skip(1).step_by(2).any(is_compiled)
}

#[test]
fn an_item_without_an_example_is_told_from_one_with_it() {
    let source = "//! ```\n//! module();\n//! ```\n\npub fn first() {}\n/// Text.\n///\n/// ```no_run\n/// run();\n/// ```\n#[derive(Debug)]\npub struct Shown(u8);\n\
                  /// Text.\n#[derive(Debug)]\npub struct Bare { pub size: u8 }\n\
                  impl Bare { pub fn method(&self) {} }\n\
                  /// ```text\n/// a picture\n/// ```\npub async fn pictured() {}\n\
                  pub(crate) fn own() {}\nfn private() {}\npub use other::Thing;\npub mod inner;\npub type Alias = Bare;\n\
                  /// ```\n/// t();\n/// ```\npub trait Last {}";
    let found = without_example(Path::new("a.rs"), source);
    let named = |name: &str| found.iter().filter(|problem| problem.contains(name)).count();
    assert_eq!((found.len(), named("fn first"), named("struct Bare"), named("fn pictured")), (3, 1, 1, 1), "{found:?}");
}
