use super::*;

/// What is packed, in little; the program is any that this machine has.
fn content(folder: &Path) -> PathBuf {
    let content = folder.join("content");
    let file = |name: &str, text: &str| {
        let path = content.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    file("bin/msk-local", "#!/bin/sh\necho msk-local 0.1.0\n");
    file("share/man/man1/msk-local.1", ".TH msk-local 1\n");
    file("share/doc/msk-local/README.md", "# msk-local\n");
    file("share/doc/msk-local/LICENSE-MIT", "MIT\n");
    content
}

fn packed(folder: &Path) -> Distribution {
    let content = content(folder);
    pack(&content, folder, Architecture::X86_64, (2, 28)).unwrap()
}

#[test]
fn the_same_content_gives_the_same_bytes_whenever_and_whoever_packs() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = folders.each_ref().map(|folder| packed(folder.path()));
    // Other times and permissions of the files are not those of the archives.
    let program = folders[1].path().join("content/bin/msk-local");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let again = std::fs::File::options().append(true).open(&program).unwrap();
    again.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    let content = folders[1].path().join("content");
    let third = pack(&content, folders[1].path(), Architecture::X86_64, (2, 28)).unwrap();
    for other in [&second, &third] {
        assert!(std::fs::read(&first.tarball).unwrap() == std::fs::read(&other.tarball).unwrap());
        assert!(std::fs::read(&first.wheel).unwrap() == std::fs::read(&other.wheel).unwrap());
        assert_eq!(first.wheel.file_name(), other.wheel.file_name());
    }
}

#[test]
fn the_tarball_unpacks_into_a_prefix_and_its_sum_holds() {
    let folder = tempfile::tempdir().unwrap();
    let made = packed(folder.path());
    let name = made.tarball.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name, format!("msk-local-{VERSION}-x86_64-linux.tar.gz"));
    let sum = ["--check", "--strict", &format!("{name}.sha256")];
    process::capture(Command::new("sha256sum").args(sum).current_dir(folder.path())).unwrap();
    let prefix = folder.path().join("prefix");
    std::fs::create_dir(&prefix).unwrap();
    let mut tar = Command::new("tar");
    process::capture(tar.arg("-xzf").arg(&made.tarball).args(["--strip-components", "1", "-C"]).arg(&prefix)).unwrap();
    let program = prefix.join("bin").join(PROGRAM);
    assert_eq!(process::capture(&mut Command::new(&program)).unwrap(), "msk-local 0.1.0\n");
    assert!(prefix.join("share/man/man1/msk-local.1").is_file());
}

/// pip is the judge of the wheel: it refuses one whose name, record or tags are wrong.
#[test]
fn pip_installs_the_wheel_without_an_index_and_takes_it_away_again() {
    let folder = tempfile::tempdir().unwrap();
    let made = packed(folder.path());
    let venv = folder.path().join("venv");
    process::capture(Command::new("python3").args(["-m", "venv"]).arg(&venv)).unwrap();
    let pip = |arguments: &[&str]| {
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]).args(arguments);
        process::capture(&mut pip)
    };
    pip(&["install", "--quiet", "--no-index", made.wheel.to_str().unwrap()]).unwrap();
    let program = venv.join("bin").join(PROGRAM);
    assert_eq!(process::capture(&mut Command::new(&program)).unwrap(), "msk-local 0.1.0\n");
    assert!(venv.join("share/man/man1/msk-local.1").is_file());
    let shown = pip(&["show", "--files", "msk-local"]).unwrap();
    assert!(shown.contains("licenses/LICENSE-MIT") && shown.contains("../../../bin/msk-local"), "{shown}");
    pip(&["uninstall", "--quiet", "--yes", "msk-local"]).unwrap();
    assert!(!program.exists());
}

#[test]
fn the_platform_is_the_oldest_glibc_that_the_program_names() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    std::fs::write(&program, b"\0GLIBC_2.2.5\0GLIBC_2.9\0GLIBC_2.28\0see GLIBC_2.99\0").unwrap();
    assert_eq!(glibc_of(&program).unwrap(), (2, 28));
    std::fs::write(&program, b"no program").unwrap();
    assert!(glibc_of(&program).unwrap_err().to_string().contains("names no version of glibc"));
    assert_eq!(platform_tag("x86_64", (2, 28)), "manylinux_2_28_x86_64");
    assert_eq!(platform_tag("aarch64", (2, 17)), "manylinux_2_17_aarch64.manylinux2014_aarch64");
    assert_eq!(platform_tag("x86_64", (2, 14)), "manylinux_2_17_x86_64.manylinux2014_x86_64");
}

#[test]
fn a_version_is_written_as_pypi_writes_it_or_refused() {
    let script = format!("{}\nprint(python_version(sys.argv[1]))", PACK.split("if __name__").next().unwrap());
    let version = |version: &str| process::capture(Command::new("python3").args(["-c", &script, version]));
    assert_eq!(version("0.1.0").unwrap(), "0.1.0\n");
    assert_eq!(version("1.2.0-rc.1").unwrap(), "1.2.0rc1\n");
    assert!(version("1.2.0-nightly").unwrap_err().to_string().contains("root Cargo.toml"));
}
