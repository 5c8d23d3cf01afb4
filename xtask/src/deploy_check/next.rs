//! What to type if nothing is missing.

use std::path::{Component, Path, PathBuf};

/// The next commands for a user in the folder `here`. `given` is the configuration's folder as the user wrote it, if at all.
pub(super) fn commands(here: &Path, given: Option<&Path>, infra: &Path, var_files: &[PathBuf]) -> String {
    let (here, infra) = (real(here, here), real(here, infra));
    let folder = given.map_or_else(|| relative(&here, &infra), Path::to_owned);
    let files = var_files.iter().map(|file| {
        // An absolute path stays as it is.
        let file = if file.is_absolute() { file.clone() } else { relative(&infra, &real(&here, file)) };
        format!(" -var-file={}", quoted(&file))
    });
    format!("cd {} && terraform init && terraform plan{}", quoted(&folder), files.collect::<String>())
}

/// The absolute path without symbolic links in its folders: after `cd` through a link, `..` is the parent of its target.
fn real(here: &Path, path: &Path) -> PathBuf {
    let full = here.join(path);
    if full.is_dir() {
        return full.canonicalize().unwrap_or(full);
    }
    match (full.parent().and_then(|folder| folder.canonicalize().ok()), full.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => full,
    }
}

/// The path relative to a folder, both absolute.
fn relative(folder: &Path, path: &Path) -> PathBuf {
    let shared = folder.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path.components().skip(shared)).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

/// Quoted for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_alphanumeric() || "/._-+=:@%".contains(c)) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    fn place() -> TempDir {
        let place = TempDir::new().unwrap();
        for folder in ["infra/examples", "my files", "docs"] {
            fs::create_dir_all(place.path().join(folder)).unwrap();
        }
        for file in ["infra/examples/dev.tfvars", "my files/it's.tfvars"] {
            fs::write(place.path().join(file), "").unwrap();
        }
        place
    }

    #[test]
    fn without_options_it_is_the_way_to_the_repositorys_folder() {
        let place = place();
        let infra = place.path().join("infra");
        let at = |here: &str| commands(&place.path().join(here), None, &infra, &[]);
        assert_eq!(at(""), "cd infra && terraform init && terraform plan");
        assert_eq!(at("docs"), "cd ../infra && terraform init && terraform plan");
        assert_eq!(at("infra"), "cd . && terraform init && terraform plan");
    }

    #[test]
    fn the_options_given_are_in_it() {
        let place = place();
        let infra = Path::new("../infra");
        let files = ["../infra/examples/dev.tfvars", "/etc/all.tfvars"].map(PathBuf::from);
        let shown = commands(&place.path().join("docs"), Some(infra), infra, &files);
        assert_eq!(
            shown,
            "cd ../infra && terraform init && terraform plan -var-file=examples/dev.tfvars -var-file=/etc/all.tfvars"
        );
    }

    /// A shell follows the way, also through a link and a name with a blank and a quote.
    #[test]
    fn the_files_are_found_from_the_folder() {
        let place = place();
        std::os::unix::fs::symlink("../infra/examples", place.path().join("docs/linked")).unwrap();
        let files = [PathBuf::from("my files/it's.tfvars")];
        let shown = commands(place.path(), Some(Path::new("docs/linked")), Path::new("docs/linked"), &files);
        let script = shown.replace("terraform init", "true").replace("terraform plan -var-file=", "test -f ");
        let status = Command::new("sh").args(["-c", &script]).current_dir(place.path()).status().unwrap();
        assert!(status.success(), "{shown}");
    }
}
