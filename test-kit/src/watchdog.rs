//! Cleans up after a test that could not do so: killed with SIGKILL, by Ctrl-C, or aborted.
//!
//! `Drop` covers success, failure and panic. For everything else a tiny shell waits on a pipe from this process. The
//! kernel closes the pipe however the process ends, and the shell then kills the process groups it knows
//! and removes their folders. It runs in its own group, so a Ctrl-C at the terminal does not reach it.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Reads lines `p GROUP`, `f GROUP` (forget), `d FOLDER`, `g FOLDER` (forget), and acts on what is left at the end of the input.
/// It uses `kill -s KILL`, since dash does not know `kill -KILL -- -GROUP`.
const SCRIPT: &str = r#"
groups=' '
folders='
'
while IFS= read -r line; do
  what=${line#? }
  case $line in
    'p '*) groups="$groups$what " ;;
    'f '*) case $groups in *" $what "*) groups="${groups%%" $what "*} ${groups#*" $what "}" ;; esac ;;
    'd '*) folders="$folders$what
" ;;
    'g '*) case $folders in *"
$what
"*) folders="${folders%%"
$what
"*}
${folders#*"
$what
"}" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
for group in $groups; do
  tries=0
  while kill -s 0 -- "-$group" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
done
printf '%s' "$folders" | while IFS= read -r folder; do
  case $folder in /*) rm -rf -- "$folder" ;; esac
done
"#;

static PIPE: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();
/// Held while a child is started and not yet watched.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts `command` as the leader of a new process group, which is killed if this process dies without [`forget_group`].
///
/// The watchdog runs before the child does: starting it takes milliseconds, in which this process could end.
///
/// # Errors
/// If the program cannot be started.
pub(crate) fn spawn_watched(command: &mut Command) -> io::Result<Child> {
    PIPE.get_or_init(start);
    let _starting = start_no_child();
    let child = command.process_group(0).spawn()?;
    write(&format!("p {}\n", child.id()));
    Ok(child)
}

/// While the guard lives, no other thread starts a child, and none is started but not watched. For a program that ends while
/// other threads still work: what they start afterwards would outlive it.
pub fn start_no_child() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops watching `group`; its number may be reused by another process.
pub(crate) fn forget_group(group: u32) {
    write(&format!("f {group}\n"));
}

/// Removes `folder` if this process dies without [`forget_folder`].
pub fn watch_folder(folder: &Path) {
    write(&format!("d {}\n", folder.display()));
}

/// Stops watching `folder`.
pub fn forget_folder(folder: &Path) {
    write(&format!("g {}\n", folder.display()));
}

/// Sends one line to the shell. Without a watchdog only the clean-up after a SIGKILL is missing, so nothing fails here.
fn write(line: &str) {
    let Some(pipe) = PIPE.get_or_init(start) else { return };
    if let Ok(mut pipe) = pipe.lock() {
        // A broken pipe means that somebody killed the shell, which is no reason to fail either.
        let _ = pipe.write_all(line.as_bytes());
    }
}

fn start() -> Option<Mutex<ChildStdin>> {
    let mut child = Command::new("sh")
        .args(["-c", SCRIPT])
        // Whoever ends all processes that have one of our variables must not end the one that cleans up after them.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .inspect_err(|error| tracing::warn!(%error, "no watchdog: a killed run will leave its processes behind"))
        .ok()?;
    child.stdin.take().map(Mutex::new)
}
