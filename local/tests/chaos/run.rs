//! One run: brokers with records, the endpoint, the emulator, and kills until everything is committed.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use msk_local::brokers::EmbeddedBrokers;
use msk_test_kit::Process;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::invoke_endpoint::{Act, Consumer, InvokeEndpoint, KillEmulator, Plant, TIMEOUT};
use super::verdict::{Place, Verdict, Written};

const TOPIC: &str = "orders";
const DEAD_LETTERS: &str = "orders.dlq";
pub(crate) const PARTITIONS: i32 = 4;
const KEYS: u32 = 40;
/// How long the brokers may take to answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How often it is looked whether everything is committed.
const LOOK: Duration = Duration::from_millis(100);

/// What is done with how much.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    seed: u64,
    records: usize,
    batch: usize,
    chaos: Value,
    acts: BTreeMap<usize, Act>,
    plant: Option<Plant>,
    /// Longer than any run on a busy machine.
    patience: Duration,
}

impl Story {
    /// 2,000 records, and one kill of the emulator, which costs seven seconds.
    pub(crate) fn short(seed: u64) -> Self {
        let kill = Act::KillEmulatorBeforeAnswer;
        let acts = [(8, Act::KillFunction), (16, kill), (22, Act::StoreDown), (28, Act::KillFunction)];
        let chaos = chaos(seed, json!({"rebalancePercent": 2, "throttlePercent": 10}));
        let patience = Duration::from_secs(180);
        Self { seed, records: 2_000, batch: 50, chaos, acts: acts.into(), plant: None, patience }
    }

    /// 50,000 records and some twenty kills; those of the emulator cost seven seconds each.
    pub(crate) fn long(seed: u64) -> Self {
        const KINDS: [Act; 4] =
            [Act::KillFunction, Act::KillEmulatorBeforeAnswer, Act::KillEmulatorAfterAnswer, Act::StoreDown];
        let mut rng = StdRng::seed_from_u64(seed);
        let mut act = || KINDS[rng.random_range(0..KINDS.len())];
        let acts = (1..24).map(|number| (number * 25, act())).collect();
        let chaos = chaos(seed, json!({"rebalancePercent": 1}));
        Self { seed, records: 50_000, batch: 100, chaos, acts, plant: None, patience: Duration::from_secs(1800) }
    }

    /// A short one with a broken promise, and few faults beside it.
    pub(crate) fn planted(plant: Plant) -> Self {
        let acts = [(4, Act::KillFunction)].into();
        let chaos = json!({"seed": 1, "duplicatePercent": 0, "lostResponsePercent": 0, "rebalancePercent": 0});
        let patience = Duration::from_secs(120);
        Self { seed: 1, records: 400, batch: 20, chaos, acts, plant: Some(plant), patience }
    }
}

/// More of every fault than by default.
fn chaos(seed: u64, percent: Value) -> Value {
    let mut chaos = json!({"seed": seed, "duplicatePercent": 8, "timeoutPercent": 8, "lostResponsePercent": 8});
    chaos.as_object_mut().unwrap().extend(percent.as_object().unwrap().clone());
    chaos
}

/// A run that has ended.
pub(crate) struct Run {
    verdict: Verdict,
    faults: BTreeMap<String, u64>,
    invocations: usize,
    function_kills: usize,
    emulator_kills: usize,
    took: Duration,
}

impl Run {
    pub(crate) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Runs until every record is committed.
    pub(crate) async fn to_the_end(story: &Story) -> Self {
        let started = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        let topics = [format!("{TOPIC}:{PARTITIONS}"), format!("{DEAD_LETTERS}:1"), "elsewhere:1".to_owned()];
        let brokers = EmbeddedBrokers::start(&topics.map(|topic| topic.parse().unwrap())).unwrap();
        let servers = brokers.bootstrap_servers().to_owned();
        let written = produce(&servers, story).await;
        let lost_letters = story.plant == Some(Plant::LosesDeadLetters);
        let consumer = Consumer {
            brokers: servers.clone(),
            ordering: if story.seed.is_multiple_of(2) { "key" } else { "partition" },
            dead_letter: if lost_letters { "kafka:elsewhere" } else { "kafka:orders.dlq" },
            folder: folder.path().to_owned(),
        };
        let (endpoint, kills) = InvokeEndpoint::start(consumer, story.acts.clone(), story.plant).await;
        let config = folder.path().join("mapping.json");
        std::fs::write(&config, mapping(story, &servers, &endpoint.url).to_string()).unwrap();
        let mut emulators = Emulators::start(config.to_str().unwrap());
        let all = committed_when_done(&servers, &written);
        let ended = tokio::time::timeout(story.patience, emulators.run_until(all, kills)).await;
        assert!(ended.is_ok(), "not committed after {:?}: {}", story.patience, emulators.last_lines());
        let (faults, emulator_kills) = emulators.stop();
        let dead_letters = tokio::task::spawn_blocking(move || dead_letters(&servers)).await.unwrap();
        let verdict = Verdict { written, effects: endpoint.effects(), dead_letters, cut: endpoint.cut() };
        let (invocations, function_kills) = (endpoint.invocations(), endpoint.function_kills());
        // A run without what it is about would prove nothing. The emulator's last kill may come when all is committed.
        let reached = |wanted: &[Act]| story.acts.range(..=invocations).filter(|(_, act)| wanted.contains(act)).count();
        assert_eq!(function_kills, reached(&[Act::KillFunction]));
        let kills = reached(&[Act::KillEmulatorBeforeAnswer, Act::KillEmulatorAfterAnswer]);
        assert!((kills.saturating_sub(1)..=kills).contains(&emulator_kills), "{emulator_kills} of {kills}");
        assert!(story.plant.is_some() || !faults.is_empty(), "the emulator made no fault");
        Self { verdict, faults, invocations, function_kills, emulator_kills, took: started.elapsed() }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invocations, function_kills, emulator_kills, took, faults, verdict } = self;
        let letters = verdict.dead_letters.len();
        write!(
            f,
            "{took:.1?}, {invocations} invocations, {function_kills} kills of the function, {emulator_kills} of the emulator, \
             {letters} dead letters, faults {faults:?}"
        )
    }
}

/// The mapping as a file.
fn mapping(story: &Story, servers: &str, url: &str) -> Value {
    json!({
        "FunctionName": "consumer", "Topics": [TOPIC], "StartingPosition": "TRIM_HORIZON", "BatchSize": story.batch,
        "FunctionResponseTypes": ["ReportBatchItemFailures"], "ProvisionedPollerConfig": {"MinimumPollers": 2},
        "Local": {
            "invokeUrl": url, "bootstrapServers": servers, "retryBackoffSeconds": 0.01, "maxRetryBackoffSeconds": 0.1,
            "functionTimeoutSeconds": 2 * TIMEOUT.as_secs(), "maxConcurrency": 1, "chaos": story.chaos,
            // A killed emulator's partitions are free again after so long, the least that brokers allow.
            "kafkaOptions": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 300},
        },
    })
}

/// Writes the records: one in a hundred is poison, and each key has a partition.
async fn produce(servers: &str, story: &Story) -> Vec<Written> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", "0")
        .create()
        .unwrap();
    let mut rng = StdRng::seed_from_u64(story.seed);
    let sent: Vec<_> = (0..story.records)
        .map(|number| {
            let (key, poison) = (rng.random_range(0..KEYS), rng.random_bool(0.01));
            let value = if poison { format!("order {number}") } else { format!("{{\"order\":{number}}}") };
            let (name, partition) = (format!("key-{key}"), key as i32 % PARTITIONS);
            let record = FutureRecord::to(TOPIC).partition(partition).key(&name).payload(&value);
            (key, poison, producer.send_result(record).map_err(|(error, _)| error).unwrap())
        })
        .collect();
    let mut written = Vec::new();
    for (key, poison, delivered) in sent {
        let delivered = tokio::time::timeout(ANSWER, delivered).await.unwrap().unwrap();
        let delivery = delivered.map_err(|(error, _)| error).unwrap();
        written.push(Written { place: (delivery.partition, delivery.offset), key, poison });
    }
    written
}

/// The emulator's processes, one after the other.
struct Emulators {
    config: String,
    running: Process,
    kills: usize,
    faults: BTreeMap<String, u64>,
}

impl Emulators {
    fn start(config: &str) -> Self {
        let running = emulator(config);
        Self { config: config.to_owned(), running, kills: 0, faults: BTreeMap::new() }
    }

    /// Kills the emulator whenever the endpoint asks for it, and starts the next one, until `done`.
    async fn run_until(
        &mut self,
        done: impl Future<Output = ()>,
        mut kills: tokio::sync::mpsc::UnboundedReceiver<KillEmulator>,
    ) {
        tokio::pin!(done);
        loop {
            tokio::select! {
                () = &mut done => return,
                Some(dead) = kills.recv() => {
                    self.running.kill();
                    // It may have asked only for the kill.
                    let _ = dead.send(());
                    self.kills += 1;
                    self.count_faults();
                    self.running = emulator(&self.config);
                }
            }
        }
    }

    fn count_faults(&mut self) {
        for line in self.running.json_lines().iter().filter(|line| line["event"] == "chaos") {
            *self.faults.entry(line["fault"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }

    fn last_lines(&self) -> String {
        let lines = self.running.json_lines();
        lines.iter().rev().take(10).map(|line| format!("\n{line}")).collect()
    }

    /// Ends the last one; all faults and kills.
    fn stop(mut self) -> (BTreeMap<String, u64>, usize) {
        self.running.terminate();
        assert_eq!(self.running.end().code(), Some(0));
        self.count_faults();
        (self.faults, self.kills)
    }
}

fn emulator(config: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["--format", "json", "esm", "run", config]).env_remove("RUST_LOG");
    Process::start("msk-local", &mut command)
}

/// Ends when the group has committed every record.
async fn committed_when_done(servers: &str, written: &[Written]) {
    let mut ends = BTreeMap::new();
    for (partition, offset) in written.iter().map(|written| written.place) {
        let end = ends.entry(partition).or_insert(0);
        *end = (offset + 1).max(*end);
    }
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", format!("msk-local.consumer.{TOPIC}"))
        .create()
        .unwrap();
    let client = std::sync::Arc::new(client);
    loop {
        let (client, wanted) = (std::sync::Arc::clone(&client), ends.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let mut list = TopicPartitionList::new();
            for partition in wanted.keys() {
                list.add_partition(TOPIC, *partition);
            }
            let committed = client.committed_offsets(list, ANSWER).unwrap();
            committed.elements().iter().all(|found| found.offset() == Offset::Offset(wanted[&found.partition()]))
        });
        if asked.await.unwrap() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Where the records of all dead letters came from.
fn dead_letters(servers: &str) -> Vec<Place> {
    let reader: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "reader").create().unwrap();
    let (_, end) = reader.fetch_watermarks(DEAD_LETTERS, 0, ANSWER).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(DEAD_LETTERS, 0, Offset::Beginning).unwrap();
    reader.assign(&list).unwrap();
    let mut places = Vec::new();
    while (places.len() as i64) < end {
        let letter = reader.poll(ANSWER).expect("a dead letter in time").unwrap();
        let header = |name: &str| {
            let headers = letter.headers().unwrap();
            let found = headers.iter().find(|header| header.key == name).and_then(|header| header.value).unwrap();
            std::str::from_utf8(found).unwrap().parse::<i64>().unwrap()
        };
        assert_eq!(letter.topic(), DEAD_LETTERS);
        places.push((header("x-dlq-partition") as i32, header("x-dlq-offset")));
    }
    places
}
