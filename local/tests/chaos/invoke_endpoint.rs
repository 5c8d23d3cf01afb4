//! The Invoke endpoint of a run: one execution environment with the consumer, under the Lambda Runtime API, and what happens around
//! its invocations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, post};
use msk_shared::event::{MskEvent, TombstoneStyle};
use msk_test_kit::runtime_api::{Extensions, RuntimeAnswer, RuntimeApi};
use msk_test_kit::{PATIENCE, Process, clean};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::verdict::Place;

/// The function's timeout.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// How often a function that is to be killed in the middle of a batch is looked at: a record takes it less than a millisecond.
const LOOK: Duration = Duration::from_micros(500);

/// Longer than the emulator's pause before it repeats a commit: what is finished is then committed, and a commit that is too far
/// passes what still waits for the environment.
const COMMITTED: Duration = Duration::from_millis(700);

/// Serves one path, and returns its address and the server.
pub(crate) async fn serve(path: &str, handler: MethodRouter) -> (String, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let routes = Router::new().route(path, handler).layer(DefaultBodyLimit::disable());
    (url, tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }))
}

/// What happens around one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// The function is killed when the first effect of the batch has happened.
    KillFunction,
    /// The emulator is killed when the function has answered, and before it learns that.
    KillEmulatorBeforeAnswer,
    /// The emulator is killed while it reads the answer, or commits.
    KillEmulatorAfterAnswer,
    /// The function's store fails as long as the invocation lasts.
    StoreDown,
}

/// A broken promise, which the verdict must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    SkipsARecord,
    ForgetsWhatIsDone,
    ReversesRecords,
    LosesDeadLetters,
}

/// The record that [`Plant::SkipsARecord`] skips.
const SKIPPED: Place = (0, 5);

/// Asks the test to kill the emulator; answered when it is dead.
pub(crate) type KillEmulator = oneshot::Sender<()>;

/// What the environment runs, and with which variables.
pub(crate) struct Consumer {
    pub(crate) brokers: String,
    pub(crate) ordering: &'static str,
    pub(crate) dead_letter: &'static str,
    pub(crate) folder: PathBuf,
}

/// A running endpoint; it ends when this is dropped, and the consumer with it.
pub(crate) struct InvokeEndpoint {
    pub(crate) url: String,
    environment: Arc<Environment>,
    server: tokio::task::JoinHandle<()>,
}

struct Environment {
    consumer: Consumer,
    acts: BTreeMap<usize, Act>,
    plant: Option<Plant>,
    /// Held during an invocation: an environment has one at a time.
    running: tokio::sync::Mutex<Running>,
    invocations: AtomicUsize,
    function_kills: AtomicUsize,
    kill_emulator: mpsc::UnboundedSender<KillEmulator>,
    cut: Mutex<Vec<Place>>,
}

/// A process and its Runtime API: that of a killed one could still give it the next event.
struct Running {
    api: RuntimeApi,
    process: Process,
}

impl InvokeEndpoint {
    pub(crate) async fn start(
        consumer: Consumer,
        acts: BTreeMap<usize, Act>,
        plant: Option<Plant>,
    ) -> (Self, mpsc::UnboundedReceiver<KillEmulator>) {
        let running = tokio::sync::Mutex::new(consumer.start(&consumer.store(plant, 0)));
        let (kill_emulator, kills) = mpsc::unbounded_channel();
        let (invocations, function_kills, cut) = Default::default();
        let environment =
            Environment { consumer, acts, plant, running, invocations, function_kills, kill_emulator, cut };
        let environment = Arc::new(environment);
        let shared = Arc::clone(&environment);
        let handler = move |event: Bytes| {
            let environment = Arc::clone(&shared);
            // A function goes on when its caller has been killed.
            async move { tokio::spawn(async move { environment.invoke(event).await }).await.unwrap() }
        };
        let (url, server) = serve("/2015-03-31/functions/consumer/invocations", post(handler)).await;
        (Self { url, environment, server }, kills)
    }

    pub(crate) fn invocations(&self) -> usize {
        self.environment.invocations.load(Ordering::SeqCst)
    }

    pub(crate) fn function_kills(&self) -> usize {
        self.environment.function_kills.load(Ordering::SeqCst)
    }

    /// Records that the function had at a kill, and no effect of.
    pub(crate) fn cut(&self) -> Vec<Place> {
        self.environment.cut.lock().unwrap().clone()
    }

    /// The effects, in the order in which they happened.
    pub(crate) fn effects(&self) -> Vec<Place> {
        let consumer = &self.environment.consumer;
        let mut stores: Vec<_> =
            (0..=self.function_kills()).map(|kills| consumer.store(self.environment.plant, kills)).collect();
        stores.dedup();
        stores.iter().flat_map(|store| effects(store)).collect()
    }
}

impl Drop for InvokeEndpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Consumer {
    /// The consumer with the store that outlives it. Its example is built with all tests of the workspace.
    fn start(&self, store: &Path) -> Running {
        let api = RuntimeApi::start(Extensions::Served).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_msk-local")).parent().unwrap().join("examples/file_store");
        assert!(program.exists(), "{} is missing: cargo test --workspace --no-run builds it", program.display());
        let mut command = clean(program.to_str().unwrap());
        command.env("AWS_LAMBDA_RUNTIME_API", api.address().to_string()).env("AWS_LAMBDA_FUNCTION_NAME", "consumer");
        command.env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST").env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128");
        command.env("KAFKA_BOOTSTRAP_SERVERS", &self.brokers).env("KAFKA_AUTH", "none");
        command.env("DEAD_LETTER", self.dead_letter).env("ORDERING", self.ordering);
        command.env("REPORT_BATCH_ITEM_FAILURES", "true").env("LOG_LEVEL", "error").env("STORE_FILE", store);
        Running { process: Process::start("consumer", &mut command), api }
    }

    /// The file of the store; one that forgets has another file after each kill.
    fn store(&self, plant: Option<Plant>, generation: usize) -> PathBuf {
        let number = if plant == Some(Plant::ForgetsWhatIsDone) { generation } else { 0 };
        self.folder.join(format!("{number}.store"))
    }
}

impl Environment {
    async fn invoke(&self, event: Bytes) -> (StatusCode, Bytes) {
        let mut running = self.running.lock().await;
        let number = self.invocations.fetch_add(1, Ordering::SeqCst) + 1;
        let act = self.acts.get(&number).copied();
        let store = self.store();
        let (down, before) = (store.with_extension("down"), length(&store));
        if act == Some(Act::StoreDown) {
            std::fs::write(&down, "").unwrap();
        }
        let request = format!("request-{number}");
        let mut answer = running.api.send(&request, self.planted(&event), SystemTime::now() + TIMEOUT);
        if act == Some(Act::KillFunction) {
            // It may have no effect at all: then it is killed when it has answered.
            while length(&store) == before && answer.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
            return self.killed(&mut running, &event);
        }
        let answered = tokio::time::timeout(PATIENCE, &mut answer).await;
        if act == Some(Act::StoreDown) {
            std::fs::remove_file(&down).unwrap();
        }
        let (status, body) = match answered.expect("the function answers in time").expect("the host runs") {
            RuntimeAnswer::Response(body) => (StatusCode::OK, body),
            RuntimeAnswer::Error(body) => (StatusCode::INTERNAL_SERVER_ERROR, body),
        };
        self.around_the_answer(act).await;
        (status, body)
    }

    async fn around_the_answer(&self, act: Option<Act>) {
        let (dead, is_dead) = oneshot::channel();
        match act {
            Some(Act::KillEmulatorBeforeAnswer) => {
                tokio::time::sleep(COMMITTED).await;
                self.kill_emulator.send(dead).unwrap();
                // The test may have ended.
                let _ = is_dead.await;
            }
            Some(Act::KillEmulatorAfterAnswer) => self.kill_emulator.send(dead).unwrap(),
            _ => {}
        }
    }

    /// Kills the function and starts the next one; answers as AWS does for a function that exits.
    fn killed(&self, running: &mut Running, event: &Bytes) -> (StatusCode, Bytes) {
        running.process.kill();
        let done: BTreeSet<_> = effects(&self.store()).into_iter().collect();
        let sent = places(event);
        self.cut.lock().unwrap().extend(sent.into_iter().filter(|place| !done.contains(place)));
        self.function_kills.fetch_add(1, Ordering::SeqCst);
        *running = self.consumer.start(&self.store());
        let error = json!({"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"});
        (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into())
    }

    fn store(&self) -> PathBuf {
        self.consumer.store(self.plant, self.function_kills.load(Ordering::SeqCst))
    }

    fn planted(&self, event: &Bytes) -> Bytes {
        let parsed = MskEvent::parse(event.clone()).unwrap();
        let mut records: Vec<_> = parsed.records().cloned().collect();
        match self.plant {
            // However often it is delivered.
            Some(Plant::SkipsARecord) => records.retain(|record| (record.partition(), record.offset()) != SKIPPED),
            Some(Plant::ReversesRecords) => records.reverse(),
            _ => return event.clone(),
        }
        let (event_source, event_source_arn) = (parsed.event_source.clone(), parsed.event_source_arn.clone());
        let changed = MskEvent { event_source, event_source_arn, ..MskEvent::new(records) };
        changed.to_json(TombstoneStyle::Omit).into()
    }
}

fn places(event: &Bytes) -> Vec<Place> {
    let event = MskEvent::parse(event.clone()).unwrap();
    event.records().map(|record| (record.partition(), record.offset())).collect()
}

fn length(store: &Path) -> u64 {
    std::fs::metadata(store).map_or(0, |metadata| metadata.len())
}

/// The keys of a store's file: `at:orders-PARTITION@OFFSET:TIMESTAMP`, one a line.
fn effects(store: &Path) -> Vec<Place> {
    let text = std::fs::read_to_string(store).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let place = |line: &str| {
        let (partition, rest) = line.strip_prefix("at:orders-")?.split_once('@')?;
        Some((partition.parse().ok()?, rest.split_once(':')?.0.parse().ok()?))
    };
    whole.lines().map(|line| place(line).unwrap_or_else(|| panic!("not a key: {line}"))).collect()
}
