use std::process::Stdio;
use std::thread;

use super::*;

/// Steady load: a line always waits, and yet the end of a child is seen.
#[test]
fn a_child_that_ended_is_reported_while_others_never_pause() {
    let (sender, lines) = mpsc::channel();
    let log = tempfile::tempfile().unwrap();
    let mut laptop = Laptop { children: Vec::new(), sender, lines, printer: Printer::new(log), looked: Instant::now() };
    for (name, script) in [("busy", "while :; do echo '{}'; sleep 0.01; done"), ("brief", "exit 3")] {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Supervised::spawn(name, &mut command).unwrap();
        lines::forward(&mut child, &laptop.sender).unwrap();
        laptop.children.push(child);
    }
    let (done, error) = mpsc::channel();
    thread::spawn(move || done.send(laptop.serve().unwrap_err().to_string()));
    let error = error.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(error.starts_with("brief ended by itself with exit status: 3"), "{error}");
}
