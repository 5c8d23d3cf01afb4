//! The files of a new consumer's crate, and its lines in the workspace's manifest.

use anyhow::{Context, Result};

use super::name::ConsumerName;

/// Each file of the crate: its path below the crate's folder, and its text. `NAME` stands for the consumer's name.
const TEMPLATES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.txt")),
    ("src/main.rs", include_str!("template/main.rs.txt")),
    ("src/handler.rs", include_str!("template/handler.rs.txt")),
    ("events/sample.json", include_str!("template/sample.json.txt")),
];

/// The last folder of functions in the list of members; a new one goes behind it.
const MEMBERS: &str = "members = [";
/// The consumer's generic code is compiled in the crate of its handler, and optimised as that crate is.
const OPTIMISED: &str = "msk-consumer.opt-level = 3\n";

/// Paths and texts of the crate's files.
pub(super) fn crate_files(name: &ConsumerName) -> impl Iterator<Item = (&'static str, String)> {
    TEMPLATES.into_iter().map(|(path, text)| (path, text.replace("NAME", name.as_str())))
}

/// The workspace's manifest with the crate in it.
///
/// # Errors
/// When the manifest has been rearranged; the text says what to add by hand.
pub(super) fn manifest_with(manifest: &str, name: &ConsumerName) -> Result<String> {
    let name = name.as_str();
    let by_hand = || {
        format!(
            "the root Cargo.toml is not as expected: add \"functions/{name}\" to `members` and \
             `msk-{name}.opt-level = 3` to [profile.release.package], then make the crate again"
        )
    };
    let (before, rest) = manifest.split_once(MEMBERS).with_context(by_hand)?;
    let (members, after) = rest.split_once(']').with_context(by_hand)?;
    let members = members.trim_end().trim_end_matches(',');
    let (head, tail) = after.split_once(OPTIMISED).with_context(by_hand)?;
    Ok(format!("{before}{MEMBERS}{members}, \"functions/{name}\"]{head}{OPTIMISED}msk-{name}.opt-level = 3\n{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn name(text: &str) -> ConsumerName {
        ConsumerName::parse(text, &[]).unwrap()
    }

    #[test]
    fn no_file_has_a_name_left_to_fill_in() {
        let files: Vec<_> = crate_files(&name("payments")).collect();
        assert!(files.iter().all(|(_, text)| !text.contains("NAME") && text.ends_with('\n')));
        let manifest = &files[0].1;
        assert!(manifest.contains("name = \"msk-payments\"") && manifest.contains("name = \"payments\""));
        serde_json::from_str::<serde_json::Value>(&files[3].1).unwrap();
    }

    #[test]
    fn the_manifest_gets_a_member_and_its_optimisation() {
        let manifest = std::fs::read_to_string(workspace::root().join("Cargo.toml")).unwrap();
        let once = manifest_with(&manifest, &name("payments")).unwrap();
        let twice = manifest_with(&once, &name("order-projection")).unwrap();
        assert!(twice.contains(", \"functions/payments\", \"functions/order-projection\"]\n"), "{twice}");
        for line in ["msk-consumer", "msk-payments", "msk-order-projection", "msk-shared"] {
            assert!(twice.contains(&format!("\n{line}.opt-level = 3\n")), "{line}");
        }
        let added = |text: &str, name: &str| text.replace(&format!(", \"functions/{name}\""), "");
        let without = added(&once, "payments").replace("msk-payments.opt-level = 3\n", "");
        assert_eq!(without, manifest, "nothing else may change");
    }

    #[test]
    fn members_on_lines_of_their_own_are_understood() {
        let manifest =
            "members = [\n    \"shared\",\n    \"xtask\",\n]\n[profile.release.package]\nmsk-consumer.opt-level = 3\n";
        let added = manifest_with(manifest, &name("a")).unwrap();
        assert!(added.starts_with("members = [\n    \"shared\",\n    \"xtask\", \"functions/a\"]\n"), "{added}");
    }

    #[test]
    fn a_manifest_of_another_shape_is_left_alone() {
        for manifest in ["", "members = [\"a\"", "members = []\n"] {
            let error = manifest_with(manifest, &name("payments")).unwrap_err().to_string();
            assert!(error.contains("add \"functions/payments\" to `members`"), "{error}");
        }
    }
}
