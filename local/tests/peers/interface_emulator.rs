//! AWS's runtime interface emulator as a process of its own, with a function in its runtime client behind it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use msk_test_kit::{PATIENCE, Process};

use super::support::variable;

/// How long an invocation may take, with the start of a function that has ended before it.
pub(crate) const TIMEOUT_SECONDS: u32 = 6;
/// How often an emulator that starts is asked for a connection.
const LOOK: Duration = Duration::from_millis(10);

/// The emulator. What it starts is in a process group of its own, and ends when its Runtime API is gone.
pub(crate) struct InterfaceEmulator {
    pub(crate) url: String,
    pub(crate) process: Process,
    port: u16,
}

impl InterfaceEmulator {
    /// Starts it on free ports; the command is the one that starts the function.
    pub(crate) fn start(function: &Command) -> Self {
        let [port, runtime_api] = free_ports();
        let url = format!("http://127.0.0.1:{port}/2015-03-31/functions/function/invocations");
        Self { url, process: started(port, runtime_api, function), port }
    }

    /// Starts it anew behind the same URL. The Runtime API has another port, where nothing of the one before it can call.
    pub(crate) fn start_again(&mut self, function: &Command) {
        let [runtime_api, _] = free_ports();
        self.process = started(self.port, runtime_api, function);
    }
}

/// Chosen by the kernel, and free again for the emulator, which chooses none itself.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn started(port: u16, runtime_api: u16, function: &Command) -> Process {
    let mut command = Command::new(variable("PEERS_RIE"));
    command.arg("--runtime-interface-emulator-address").arg(format!("127.0.0.1:{port}"));
    command.arg("--runtime-api-address").arg(format!("127.0.0.1:{runtime_api}"));
    command.arg(function.get_program()).args(function.get_args());
    command.envs(function.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("AWS_LAMBDA_FUNCTION_TIMEOUT", TIMEOUT_SECONDS.to_string());
    if let Some(folder) = function.get_current_dir() {
        command.current_dir(folder);
    }
    let mut process = Process::start("aws-lambda-rie", command.stderr(Stdio::piped()));
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(process.exit_status().is_none(), "the emulator ended: {:?}", process.rest());
        assert!(begun.elapsed() < PATIENCE, "the emulator does not listen");
        std::thread::sleep(LOOK);
    }
    process
}
