//! One execution environment of a function.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use msk_test_kit::Process;
use msk_test_kit::runtime_api::{Extensions, Phase, RuntimeAnswer, RuntimeApi};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::clock::WallClock;
use crate::error::{Error, Result, file_error, os_error};
use crate::folder::{TempFolder, workspace_dir};
use crate::wait::{Look, wait_until};

/// Lambda limits the init phase to 10 s.
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// How a function is started.
#[derive(Clone, Debug)]
pub struct FunctionOptions {
    /// The binary that would be `bootstrap` in the zip.
    pub binary: PathBuf,
    /// Its own variables; those of Lambda are added.
    pub variables: Vec<(String, String)>,
    /// The function timeout, after which the process is killed.
    pub timeout: Duration,
    /// Whether its wall clock can be moved, which requires a preloaded library.
    pub movable_clock: bool,
}

impl FunctionOptions {
    /// A function with the timeout that the infrastructure sets.
    pub fn new(binary: impl Into<PathBuf>, variables: Vec<(String, String)>) -> Self {
        Self { binary: binary.into(), variables, timeout: Duration::from_secs(28), movable_clock: false }
    }

    /// A binary of this workspace: the packaged one that `MSK_E2E_PRODUCER` or `MSK_E2E_CONSUMER` names, otherwise that of the
    /// development profile. Examples, which only tests run, always have that profile.
    pub fn workspace_binary(name: &str) -> PathBuf {
        let packaged = std::env::var_os(format!("MSK_E2E_{}", name.to_uppercase()));
        packaged.map_or_else(|| crate::folder::target_dir().join("debug").join(name), PathBuf::from)
    }
}

/// The result of an invocation, and how long it took.
#[derive(Clone, Debug)]
pub struct InvocationResult {
    /// The bytes of the response.
    pub payload: Bytes,
    /// The time from sending the event to the response.
    pub duration: Duration,
    /// The time left until the deadline when the response arrived.
    pub remaining: Duration,
}

/// Why an invocation has no response from the handler.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// The deadline passed; the environment was killed.
    #[error("no response before the deadline of {0:?}: killed")]
    TimedOut(Duration),
    /// The process ended during the invocation.
    #[error("the function ended during the invocation: {0}")]
    Exited(String),
    /// The handler answered with an error document.
    #[error("the handler failed: {0}")]
    Handler(String),
    /// There is no process any more: it was killed earlier.
    #[error("this environment has ended")]
    Ended,
}

/// A running function that takes one invocation at a time. Dropping it kills the process.
pub struct Environment {
    process: Mutex<Process>,
    api: RuntimeApi,
    clock: Option<WallClock>,
    timeout: Duration,
    init: Duration,
    offset_ms: Mutex<i64>,
    turn: tokio::sync::Mutex<()>,
    requests: AtomicU64,
    folder: TempFolder,
}

impl Environment {
    /// Starts the process and waits until it asks for its first invocation.
    ///
    /// # Errors
    /// [`Error::Exited`] with its log when it ends or reports an init error, [`Error::TimedOut`] after 10 s.
    pub async fn start(options: &FunctionOptions) -> Result<Self> {
        if !options.binary.exists() {
            let path = options.binary.display();
            return Err(Error::Invalid(format!("{path} does not exist: build it first (`cargo build --bin ...`)")));
        }
        let folder = TempFolder::new()?;
        let api = RuntimeApi::start(Extensions::Served).map_err(os_error("the Runtime API's port"))?;
        let clock = if options.movable_clock { Some(WallClock::new()?) } else { None };
        let log = folder.path().join("log");
        let open = || File::options().create(true).append(true).open(&log).map_err(file_error(&log));
        let mut command = Command::new(&options.binary);
        command.env_clear().envs(lambda_variables(&api)).envs(options.variables.iter().cloned());
        command.envs(clock.iter().flat_map(WallClock::environment));
        command.stdin(Stdio::null()).stdout(open()?).stderr(open()?);
        let started = Instant::now();
        let process =
            Process::spawn(name_of(&options.binary), &mut command).map_err(os_error("starting the function"))?;
        let mut environment = Self {
            process: Mutex::new(process),
            api,
            clock,
            timeout: options.timeout,
            init: Duration::ZERO,
            offset_ms: Mutex::new(0),
            turn: tokio::sync::Mutex::new(()),
            requests: AtomicU64::new(0),
            folder,
        };
        environment.wait_for_init().await?;
        environment.init = started.elapsed();
        Ok(environment)
    }

    /// How long the init phase took.
    pub fn init_duration(&self) -> Duration {
        self.init
    }

    /// The process id, for figures such as memory and descriptors.
    pub fn id(&self) -> u32 {
        self.process().id()
    }

    /// Whether the process has ended, so that later invocations cannot be answered.
    pub fn has_ended(&self) -> bool {
        self.process().exit_status().is_some()
    }

    /// Invokes with the function's timeout.
    ///
    /// # Errors
    /// [`InvocationError`] if the handler gave no response.
    pub async fn invoke(&self, event: &Value) -> Result<InvocationResult, InvocationError> {
        self.invoke_within(event, self.timeout).await
    }

    /// Invokes with `limit` left until the deadline; after it the process is killed, as Lambda does.
    ///
    /// # Errors
    /// [`InvocationError`] if the handler gave no response.
    pub async fn invoke_within(&self, event: &Value, limit: Duration) -> Result<InvocationResult, InvocationError> {
        let _turn = self.turn.lock().await;
        if self.process().exit_status().is_some() {
            return Err(InvocationError::Ended);
        }
        self.thaw();
        let start = Instant::now();
        let deadline = self.now() + limit;
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let request_id = format!("{:08x}-0000-4000-8000-{number:012x}", self.id());
        let payload = Bytes::from(event.to_string());
        let receiver = self.api.send(&request_id, payload, deadline);
        let answer = tokio::select! {
            // A response in time counts even if this task was delayed until after the deadline.
            biased;
            answer = receiver => answer.ok(),
            () = tokio::time::sleep_until((start + limit).into()) => {
                self.kill();
                return Err(InvocationError::TimedOut(limit));
            }
            status = self.ended() => return Err(InvocationError::Exited(status)),
        };
        let duration = start.elapsed();
        match answer {
            Some(RuntimeAnswer::Response(payload)) => {
                Ok(InvocationResult { payload, duration, remaining: limit.saturating_sub(duration) })
            }
            Some(RuntimeAnswer::Error(document)) => {
                Err(InvocationError::Handler(String::from_utf8_lossy(&document).into_owned()))
            }
            None => Err(InvocationError::Ended),
        }
    }

    /// Stops the process once it is waiting for its next invocation, as Lambda freezes an environment.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when it does not become idle.
    pub async fn freeze(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        let mut phase = self.api.phase();
        let idle = tokio::time::timeout(INIT_LIMIT, phase.wait_for(|phase| *phase == Phase::Idle)).await.is_ok();
        if !idle {
            let what = "the function's next call for an invocation".to_owned();
            return Err(Error::TimedOut { what, limit: INIT_LIMIT, last_seen: format!("{:?}", *phase.borrow()) });
        }
        self.process().signal(Signal::SIGSTOP).map_err(os_error("a signal to the function"))?;
        // The signal does not take effect immediately.
        let id = self.id();
        wait_until("the function's stop", INIT_LIMIT, || std::future::ready(is_stopped(id))).await
    }

    /// Moves the wall clock ahead by `ms`. Best done while frozen.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the function was started without a movable clock.
    pub fn advance_clock_ms(&self, ms: i64) -> Result<()> {
        let clock = self.clock.as_ref();
        let clock = clock.ok_or_else(|| Error::Invalid("start the function with `movable_clock`".to_owned()))?;
        let mut offset = self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner);
        *offset += ms;
        clock.set_offset_ms(*offset)
    }

    /// How far the wall clock has been moved in total.
    pub fn clock_offset_ms(&self) -> i64 {
        *self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resumes a frozen process. Invoking the function does this by itself.
    pub fn thaw(&self) {
        // It fails only if the process has ended, which the next step notices.
        let _ = self.process().signal(Signal::SIGCONT);
    }

    /// Sends SIGKILL, as at a deadline.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Sends SIGTERM and waits for the end, as Lambda shuts down an environment (it kills after 2 s; here after `limit`).
    ///
    /// # Errors
    /// [`Error::TimedOut`] when the process still runs after `limit`.
    pub async fn shut_down(&self, limit: Duration) -> Result<()> {
        self.process().signal(Signal::SIGTERM).map_err(os_error("a signal to the function"))?;
        match tokio::time::timeout(limit, self.ended()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::TimedOut {
                what: "the function's end after SIGTERM".to_owned(),
                limit,
                last_seen: "still running".to_owned(),
            }),
        }
    }

    /// Everything the function has printed: log lines and metrics.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// The wall clock as the function sees it.
    fn now(&self) -> SystemTime {
        let offset = self.clock_offset_ms();
        let distance = Duration::from_millis(offset.unsigned_abs());
        if offset < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
    }

    async fn wait_for_init(&self) -> Result<()> {
        let mut phase = self.api.phase();
        let phase = tokio::select! {
            phase = phase.wait_for(|phase| *phase != Phase::Init) => phase.map(|phase| phase.clone()).ok(),
            () = tokio::time::sleep(INIT_LIMIT) => None,
            status = self.ended() => return Err(self.exited(status)),
        };
        match phase {
            Some(Phase::InitFailed { document, .. }) => Err(self.exited(document)),
            Some(_) => Ok(()),
            None => Err(Error::TimedOut {
                what: "the function's first call for an invocation".to_owned(),
                limit: INIT_LIMIT,
                last_seen: self.log(),
            }),
        }
    }

    fn exited(&self, status: String) -> Error {
        Error::Exited { name: self.process().name().to_owned(), status, log_tail: self.log() }
    }

    /// Waits for the process to end; returns its status.
    async fn ended(&self) -> String {
        loop {
            if let Some(status) = self.process().exit_status() {
                return status.to_string();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether every thread of the process is stopped.
fn is_stopped(id: u32) -> Look<()> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).map_err(|error| error.to_string())?;
    for thread in threads.flatten() {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or("State:\tgone");
        if !state.contains("T (stopped)") {
            return Err(state.to_owned());
        }
    }
    Ok(())
}

fn name_of(binary: &Path) -> String {
    binary.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What Lambda sets for every function.
fn lambda_variables(api: &RuntimeApi) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_LAMBDA_RUNTIME_API", api.address().to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", "msk-e2e".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/msk-e2e".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0".to_owned()),
        ("AWS_REGION", crate::kafka::iam::REGION.to_owned()),
        ("AWS_DEFAULT_REGION", crate::kafka::iam::REGION.to_owned()),
        ("LAMBDA_TASK_ROOT", workspace_dir().display().to_string()),
        ("_HANDLER", "bootstrap".to_owned()),
        ("PATH", std::env::var("PATH").unwrap_or_default()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
    ]
}
