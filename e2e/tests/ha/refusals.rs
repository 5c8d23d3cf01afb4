//! Refused batches while brokers restart: good records are written, bad ones are refused for good, order holds.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::join_all;
use msk_e2e::history::{Attempt, History, RecordOutcome};
use msk_e2e::kafka::Cluster;
use msk_e2e::kafka::cluster::BROKERS;
use msk_e2e::lambda::{Environment, HttpAnswer, HttpEvent};
use msk_e2e::log_reader;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use crate::shared_clusters::{CLIENTS, LIMIT, PARTITIONS, SharedClusters, producers};

/// Takes no record without a key, older than a day, or above 2,000 bytes.
const STRICT: &[(&str, &str)] =
    &[("cleanup.policy", "compact"), ("max.message.bytes", "2000"), ("message.timestamp.before.max.ms", "86400000")];

/// Of a request, at most.
const RECORDS: usize = 40;

/// What the answers said, over all clients.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    written: usize,
    refused: usize,
    overtaken: usize,
    passing: usize,
    longest: Duration,
    wrong: Vec<String>,
}

pub(crate) async fn refusals_during_restarts(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = format!("r23-{:08x}", rand::random::<u32>());
    cluster.admin().create_topic(&topic, PARTITIONS, STRICT).await?;
    let environments = producers(&cluster, &topic, CLIENTS, &[]).await?;
    let history = History::default();
    let requests = clusters.choose(500, 5_000) / CLIENTS;
    let clients = environments.iter().enumerate().map(|(client, environment)| {
        let (history, topic) = (&history, topic.as_str());
        async move { send(environment, history, topic, client, requests).await }
    });
    let (tallies, restarts) = tokio::join!(join_all(clients), restart_all(&cluster, &topic, clusters.choose(1, 6)));
    restarts?;
    let mut total = Tally::default();
    for tally in tallies {
        total.add(tally?);
    }
    ensure!(total.wrong.is_empty(), "wrong answers: {:?}", &total.wrong[..total.wrong.len().min(5)]);
    ensure!(total.refused > 0 && total.written > 0, "nothing was refused, or nothing written: {total:?}");
    cluster.admin().wait_in_sync(&topic, 2, LIMIT).await?;
    let verdict = history.check(&log_reader::find_messages(&cluster, &topic).await?);
    ensure!(verdict.is_valid(), "the history is not valid: {verdict}; {verdict:?}");
    let Tally { requests, written, refused, overtaken, passing, longest, .. } = total;
    Ok(format!(
        "{requests} requests: {written} records written, {refused} refused for good, {overtaken} kept back for the order, \
         {passing} to be retried for other reasons; longest {longest:.1?}; {verdict}"
    ))
}

/// As an operator does, and MSK: the next broker only when all replicas are in sync again.
async fn restart_all(cluster: &Cluster, topic: &str, rounds: usize) -> anyhow::Result<()> {
    for id in (0..rounds).flat_map(|_| BROKERS) {
        cluster.terminate(id).await?;
        cluster.restart(id)?;
        cluster.wait_ready(LIMIT).await?;
        cluster.admin().wait_in_sync(topic, 3, LIMIT).await?;
    }
    Ok(())
}

async fn send(
    environment: &Environment,
    history: &History,
    topic: &str,
    client: usize,
    requests: usize,
) -> anyhow::Result<Tally> {
    let mut rng = StdRng::seed_from_u64(client as u64);
    let mut tally = Tally::default();
    for number in 0..requests {
        let records = request(&mut rng, &format!("{client}-{number}"));
        let values: Vec<&Value> = records.iter().map(|record| &record.value).collect();
        let event = HttpEvent::post_records(topic, &json!({ "records": values })).build();
        let sent = history.tick();
        let started = Instant::now();
        let invocation = environment.invoke(&event).await?;
        let answered = history.tick();
        tally.longest = tally.longest.max(started.elapsed());
        let Some(answer) = HttpAnswer::parse(&invocation.payload) else { anyhow::bail!("no answer to API Gateway") };
        let document = answer.json();
        for (index, record) in records.into_iter().enumerate() {
            let result = &document["offsets"][index];
            let outcome = tally.note(&record, result);
            let Record { id, key, .. } = record;
            history.record(Attempt { id, key, index, sent, answered, outcome });
        }
        tally.requests += 1;
    }
    Ok(tally)
}

/// A record of a request.
struct Record {
    id: String,
    key: String,
    is_bad: bool,
    value: Value,
}

fn request(rng: &mut StdRng, name: &str) -> Vec<Record> {
    let share = *[0.0, 0.05, 0.5, 1.0].choose(rng).unwrap_or(&0.0);
    let record = |index: usize| {
        let (id, key) = (format!("{name}-{index}"), format!("{name}-{}", rng.random_range(0..10)));
        let mut value = json!({ "key": key, "value": { "id": id } });
        let is_bad = rng.random_bool(share);
        match rng.random_range(0..3) {
            0 if is_bad => value["key"] = Value::Null,
            1 if is_bad => value["timestamp"] = json!(1_000_000),
            _ if is_bad => value["value"]["fill"] = json!("x".repeat(3_000)),
            _ => {}
        }
        Record { id, key, is_bad, value }
    };
    (0..RECORDS).map(record).collect()
}

impl Tally {
    fn note(&mut self, record: &Record, result: &Value) -> RecordOutcome {
        let place = result["partition"].as_i64().zip(result["offset"].as_i64());
        let is_retriable = result["retriable"].as_bool();
        match (place, record.is_bad, is_retriable) {
            (Some((partition, offset)), false, _) => {
                self.written += 1;
                return RecordOutcome::Ok { partition: i32::try_from(partition).unwrap_or(-1), offset };
            }
            (None, true, Some(false)) => self.refused += 1,
            (None, _, Some(true)) if is_overtaken(result) => self.overtaken += 1,
            // A broker was away for longer than the request's time.
            (None, _, Some(true)) => self.passing += 1,
            _ => self.wrong.push(format!("{} (bad: {}): {result}", record.id, record.is_bad)),
        }
        if result["persisted"] == "no" { RecordOutcome::No } else { RecordOutcome::Unknown }
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.written += other.written;
        self.refused += other.refused;
        self.overtaken += other.overtaken;
        self.passing += other.passing;
        self.longest = self.longest.max(other.longest);
        self.wrong.extend(other.wrong);
    }
}

fn is_overtaken(result: &Value) -> bool {
    result["message"].as_str().is_some_and(|message| message.contains("to keep the order"))
}
