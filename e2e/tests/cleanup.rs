//! A rig that is killed leaves no process and no folder behind, whatever kills it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests fail by panicking")]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use msk_e2e::{folder::TempFolder, process::Process};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Set in the rig that is to be killed: this test binary, started again.
const ROLE: &str = "MSK_E2E_TEST_VICTIM";

#[test]
fn a_killed_rig_leaves_nothing_behind() {
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM, Signal::SIGABRT] {
        let (mut rig, process, folder) = start_victim();
        assert!(process.exists() && folder.exists());
        kill(Pid::from_raw(i32::try_from(rig.id()).unwrap()), signal).unwrap();
        rig.wait().unwrap();
        wait_until_gone(&process);
        wait_until_gone(&folder);
    }
}

/// Not a test of its own: what [`a_killed_rig_leaves_nothing_behind`] starts and kills.
#[test]
fn victim() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    // Forgotten ones must not be touched, and must not disturb the list.
    drop(Process::spawn("ended before", Command::new("sleep").arg("100")).unwrap());
    drop(TempFolder::new().unwrap());
    let folder = TempFolder::new().unwrap();
    std::fs::write(folder.path().join("file"), "content").unwrap();
    let stopped = Process::spawn("stopped", Command::new("sleep").arg("100")).unwrap();
    stopped.signal(Signal::SIGSTOP).unwrap();
    let _second = Process::spawn("second", Command::new("sleep").arg("100")).unwrap();
    println!("victim {} {}", stopped.id(), folder.path().display());
    std::thread::sleep(Duration::from_secs(60));
}

fn start_victim() -> (std::process::Child, PathBuf, PathBuf) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "victim", "--nocapture"]).env(ROLE, "1").stdout(Stdio::piped());
    let mut rig = command.spawn().unwrap();
    let mut lines = BufReader::new(rig.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.find_map(|line| {
        let (_, rest) = line.split_once("victim ")?;
        let (id, folder) = rest.split_once(' ')?;
        Some((Path::new("/proc").join(id), PathBuf::from(folder)))
    });
    let Some((process, folder)) = told else {
        panic!("the victim ended early: {:?}", rig.wait());
    };
    (rig, process, folder)
}

fn wait_until_gone(path: &Path) {
    let start = Instant::now();
    while path.exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "{} is still there", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}
