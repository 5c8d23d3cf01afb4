//! An idempotency store that outlives the process: completed keys are in a file, one per line, as they would be in a table. While a
//! file of that name with the extension `down` exists, the store fails; while one with the extension `hold` exists, it completes no
//! more keys than the number in that file.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use msk_consumer::idempotency::{Claim, IdempotencyKey, IdempotencyStore, StoreError};

/// How often a held completion checks whether it may proceed.
const HELD: Duration = Duration::from_millis(20);

/// Runs the consumer, and reports why it cannot run. Not to the log: it may not be set up yet.
pub(crate) async fn report(run: impl Future<Output = Result<(), String>>) -> ExitCode {
    match run.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the consumer cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Completed keys in a file; claims in memory only, so that those of a killed process are free at once.
pub(crate) struct FileStore {
    path: PathBuf,
    down: PathBuf,
    hold: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    done: HashSet<String>,
    claimed: HashSet<String>,
}

impl FileStore {
    /// The store in the file that `STORE_FILE` names.
    pub(crate) fn from_env() -> Result<Self, String> {
        let path = std::env::var_os("STORE_FILE")
            .ok_or("STORE_FILE is missing: set it to the path of the idempotency store's file")?;
        Self::open(path.into()).map_err(|error| format!("STORE_FILE: {error}"))
    }

    fn open(path: PathBuf) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(&path)?;
        let text = fs::read_to_string(&path)?;
        // A kill can leave an incomplete last line: that key was not acknowledged as done, and the next must not be appended to it.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        let done = text[..whole].lines().map(str::to_owned).collect();
        let (down, hold) = (path.with_extension("down"), path.with_extension("hold"));
        Ok(Self { path, down, hold, state: Mutex::new(State { file, done, claimed: HashSet::new() }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether as many keys are completed as the `hold` file allows.
    fn is_held(&self) -> bool {
        let most = fs::read_to_string(&self.hold).ok().and_then(|text| text.trim().parse().ok());
        most.is_some_and(|most: usize| self.state().done.len() >= most)
    }

    fn with_state<T>(&self, act: impl FnOnce(&mut State) -> std::io::Result<T>) -> Result<T, StoreError> {
        if self.down.exists() {
            return Err(StoreError("it is down".to_owned()));
        }
        act(&mut self.state()).map_err(|error| StoreError(format!("{}: {error}", self.path.display())))
    }
}

impl IdempotencyStore for FileStore {
    async fn claim(&self, key: &IdempotencyKey, _lease: Duration) -> Result<Claim, StoreError> {
        self.with_state(|state| {
            Ok(if state.done.contains(key.as_str()) {
                Claim::Done
            } else if state.claimed.insert(key.to_string()) {
                Claim::Free
            } else {
                Claim::InProgress
            })
        })
    }

    async fn complete(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        while self.is_held() {
            tokio::time::sleep(HELD).await;
        }
        self.with_state(|state| {
            state.file.write_all(format!("{key}\n").as_bytes())?;
            state.claimed.remove(key.as_str());
            state.done.insert(key.to_string());
            Ok(())
        })
    }

    async fn release(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        self.with_state(|state| {
            state.claimed.remove(key.as_str());
            Ok(())
        })
    }
}
