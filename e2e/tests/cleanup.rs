//! A killed test bed leaves no processes or folders behind, however it was killed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests fail by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use msk_e2e::folder::TempFolder;
use msk_test_kit::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Set in the test bed that is to be killed, which is this test binary, started again.
const ROLE: &str = "MSK_E2E_TEST_VICTIM";

#[test]
fn a_killed_test_bed_leaves_nothing_behind() {
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM, Signal::SIGABRT] {
        let (mut victim, process, folder) = start_victim();
        assert!(process.exists() && folder.exists());
        kill(Pid::from_raw(i32::try_from(victim.id()).unwrap()), signal).unwrap();
        victim.wait().unwrap();
        wait_until_gone(&process);
        wait_until_gone(&folder);
    }
}

/// The first download takes minutes: a stop request is noticed meanwhile, and Maven ends too.
#[test]
fn brokers_stopped_during_the_download_leave_no_maven_behind() {
    for signal in [Some(Signal::SIGTERM), Some(Signal::SIGINT), None] {
        let place = TempFolder::new().unwrap();
        let (mut brokers, maven) = start_a_download(place.path());
        match signal {
            Some(signal) => kill(Pid::from_raw(i32::try_from(brokers.id()).unwrap()), signal).unwrap(),
            // The end of standard input, which is a pipe from here.
            None => drop(brokers.stdin.take()),
        }
        wait_until_gone(&Path::new("/proc").join(brokers.id().to_string()).join("exe"));
        assert!(brokers.wait().unwrap().success());
        wait_until_gone(&maven);
    }
}

/// `msk-e2e-brokers` with a target folder without Apache Kafka, and with a Maven that never ends.
fn start_a_download(place: &Path) -> (std::process::Child, PathBuf) {
    let id = place.join("maven.id");
    let script = format!("printf '#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}; sleep 300\n' > mvn", id.display());
    // Written by a separate process: Linux does not start a program that another thread's child could still write to.
    let mut writer = Command::new("sh");
    writer.args(["-c", &format!("{script}; chmod 755 mvn")]).current_dir(place);
    assert!(writer.status().unwrap().success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-e2e-brokers"));
    command.args(["--topics", "orders"]).env("CARGO_TARGET_DIR", place).stdin(Stdio::piped());
    command.env("PATH", format!("{}:/usr/bin:/bin", place.display()));
    let brokers = command.spawn().unwrap();
    let start = Instant::now();
    let maven = loop {
        if let Ok(text) = std::fs::read_to_string(&id) {
            break Path::new("/proc").join(text.trim());
        }
        assert!(start.elapsed() < Duration::from_secs(20), "no download after 20 s");
        std::thread::sleep(Duration::from_millis(20));
    };
    (brokers, maven)
}

/// Not a separate test: this is what [`a_killed_test_bed_leaves_nothing_behind`] starts and kills.
#[test]
fn victim() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    // Forgotten ones must not be touched, and must not affect the list.
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
    let mut victim = command.spawn().unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let started = lines.find_map(|line| {
        let (_, rest) = line.split_once("victim ")?;
        let (id, folder) = rest.split_once(' ')?;
        Some((Path::new("/proc").join(id), PathBuf::from(folder)))
    });
    let Some((process, folder)) = started else {
        panic!("the victim ended early: {:?}", victim.wait());
    };
    (victim, process, folder)
}

fn wait_until_gone(path: &Path) {
    let start = Instant::now();
    while path.exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "{} is still there", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}
