//! Raw librdkafka: a process that writes the same records with the same guarantees and nothing around them. It is the floor:
//! librdkafka as the functions link it, in its settings that answer soonest.
//!
//! Reports are polled by a thread of their own (`ThreadedProducer`), which costs a wake-up of the caller for each request.
//! Polling in the caller's thread would save it, but the crate's `poll` returns only at its deadline, not with a report.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use serde::{Deserialize, Serialize};

use crate::child_process::{ChildProcess, clean};
use crate::payloads;

/// The argument that makes this program the child.
pub(crate) const COMMAND: &str = "raw-producer";
/// The most requests that are outstanding at once.
const MAX_OUTSTANDING: usize = 64;
/// Longer than any record may wait for its acknowledgement.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long fetching the topic's metadata may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The guarantees and latencies that the functions have; what else they set bounds memory and retries.
const PROPERTIES: [(&str, &str); 9] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("max.in.flight.requests.per.connection", "5"),
    ("linger.ms", "0"),
    ("partitioner", "murmur2_random"),
    ("allow.auto.create.topics", "false"),
    // Otherwise the producer id, and so the first record, waits for a timer of 500 ms (librdkafka 2.10 and newer).
    ("enable.sparse.connections", "false"),
    ("enable.metrics.push", "false"),
    ("message.timeout.ms", "20000"),
];

/// Requests to make.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct RawRequests {
    /// Records of each.
    pub(crate) records: usize,
    /// How many are unanswered at any time.
    pub(crate) outstanding: usize,
    pub(crate) until: Until,
}

/// When no further request is made.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Until {
    Requests(usize),
    Milliseconds(u64),
}

/// The parent's end of the child.
#[derive(Debug)]
pub(crate) struct RawProducer {
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl RawProducer {
    /// Starts the child.
    pub(crate) fn start(bootstrap: &str, topic: &str) -> Result<(ChildProcess, Self)> {
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let mut command: Command = clean(program);
        command.args([COMMAND, bootstrap, topic]);
        let mut process = ChildProcess::talking(command)?;
        let pipes = (process.child.stdin.take(), process.child.stdout.take());
        let (Some(stdin), Some(stdout)) = pipes else { return Err(anyhow!("the child has no pipes")) };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop);
        });
        Ok((process, Self { stdin, lines }))
    }

    /// Makes requests and returns how long each took.
    pub(crate) fn make(&mut self, requests: RawRequests) -> Result<Vec<Duration>> {
        let mut line = serde_json::to_string(&requests)?;
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).context("it has ended")?;
        let limit = PATIENCE * if let Until::Requests(count) = requests.until { 1 + count as u32 / 100 } else { 2 };
        let line =
            self.lines.recv_timeout(limit).map_err(|_| anyhow!("it did not answer within {limit:?}, or has ended"))?;
        let micros: Vec<f64> = serde_json::from_str(&line).with_context(|| line.clone())?;
        Ok(micros.into_iter().map(|micros| Duration::from_secs_f64(micros / 1e6)).collect())
    }
}

/// The child: reads [`RawRequests`] from standard input, one JSON a line, and answers each with its durations in microseconds.
pub(crate) fn serve(bootstrap: &str, topic: &str) -> Result<()> {
    let (sender, done) = channel();
    let remaining = (0..MAX_OUTSTANDING).map(|_| AtomicUsize::new(0)).collect();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("client.id", "msk-bench-raw");
    PROPERTIES.iter().for_each(|(name, value)| _ = config.set(*name, *value));
    let producer = config.create_with_context(Reports { remaining, done: sender }).context("librdkafka")?;
    let records = (0..payloads::DISTINCT_RECORDS).map(|n| (payloads::key(n), payloads::value(n))).collect();
    let mut client = Client { producer, done, topic: topic.to_owned(), records, next: 0 };
    client.connect()?;
    for line in std::io::stdin().lock().lines() {
        let durations = client.make(serde_json::from_str(&line?)?)?;
        let micros: Vec<f64> = durations.iter().map(|took| took.as_secs_f64() * 1e6).collect();
        println!("{}", serde_json::to_string(&micros)?);
    }
    Ok(())
}

/// Counts the reports of each request in flight. A request is a slot, whose number comes back with each report.
struct Reports {
    remaining: Vec<AtomicUsize>,
    done: Sender<Result<usize, String>>,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: usize) {
        let is_last = self.remaining.get(slot).is_some_and(|left| left.fetch_sub(1, Ordering::AcqRel) == 1);
        let report = match result {
            Err((error, _)) => Err(error.to_string()),
            Ok(_) if is_last => Ok(slot),
            Ok(_) => return,
        };
        // Nobody listens at the end of the process.
        let _ = self.done.send(report);
    }
}

struct Client {
    producer: ThreadedProducer<Reports>,
    done: Receiver<Result<usize, String>>,
    topic: String,
    /// Keys and values, prepared before the clock runs, as the requests of the functions are.
    records: Vec<(String, String)>,
    /// The number of the next record.
    next: usize,
}

impl Client {
    /// Twice: the first answer tells of the brokers, the second makes librdkafka ask for a producer id without its timer.
    fn connect(&self) -> Result<()> {
        for _ in 0..2 {
            let found = self.producer.client().fetch_metadata(Some(&self.topic), CONNECT).context("no metadata")?;
            let partitions = found.topics().iter().map(|topic| topic.partitions().len()).sum::<usize>();
            anyhow::ensure!(partitions > 0, "there is no topic `{}`: create it first", self.topic);
        }
        Ok(())
    }

    fn make(&mut self, requests: RawRequests) -> Result<Vec<Duration>> {
        anyhow::ensure!((1..=MAX_OUTSTANDING).contains(&requests.outstanding), "outstanding: 1 to {MAX_OUTSTANDING}");
        let begun = Instant::now();
        let goes_on = |sent| match requests.until {
            Until::Requests(count) => sent < count,
            Until::Milliseconds(limit) => begun.elapsed() < Duration::from_millis(limit),
        };
        let mut started = vec![begun; requests.outstanding];
        let (mut sent, mut durations) = (0, Vec::new());
        let mut free: Vec<usize> = (0..requests.outstanding).collect();
        loop {
            while goes_on(sent)
                && let Some(slot) = free.pop()
            {
                started[slot] = Instant::now();
                self.send(slot, requests.records)?;
                sent += 1;
            }
            if durations.len() == sent {
                return Ok(durations);
            }
            let slot =
                self.done.recv_timeout(PATIENCE).context("no report in time")?.map_err(|error| anyhow!(error))?;
            durations.push(started[slot].elapsed());
            free.push(slot);
        }
    }

    fn send(&mut self, slot: usize, count: usize) -> Result<()> {
        self.producer.context().remaining[slot].store(count, Ordering::Release);
        for _ in 0..count {
            let (key, value) = &self.records[self.next % self.records.len()];
            let record = BaseRecord::with_opaque_to(&self.topic, slot).key(key).payload(value);
            self.producer.send(record).map_err(|(error, _)| error).context("a record was refused")?;
            self.next += 1;
        }
        Ok(())
    }
}
