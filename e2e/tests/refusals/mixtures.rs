//! Any mixture of good and bad records, from one request or many at once, against the log.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use msk_e2e::kafka::Cluster;
use msk_e2e::log_reader;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::server::Server;

const TOPIC: &str = "mixtures";
const ROUNDS: usize = 6;
/// Of a round: what a busy machine writes well within a request's time.
const MAX_RECORDS: usize = 1_000;

/// What makes a record bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    NoKey,
    Old,
    Large,
}

/// One record and what it was answered.
struct Sent {
    id: String,
    /// The place in the order of its request and key.
    lane: Option<(usize, String)>,
    flaws: Vec<Flaw>,
    result: Value,
}

pub(crate) async fn good_and_bad_records(cluster: &Cluster, server: &Server) {
    let seed: u64 = std::env::var("MSK_E2E_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("mixtures: MSK_E2E_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let started = Instant::now();
    let (mut sent, mut slowest) = (Vec::new(), Duration::ZERO);
    for round in 0..ROUNDS {
        let requests = plan(&mut rng, round);
        let (answered, took) = tokio::task::block_in_place(|| send(server, requests));
        sent.extend(answered);
        slowest = slowest.max(took);
    }
    let log = log_reader::read_topic(cluster, TOPIC).await.unwrap();
    let mut places: HashMap<String, (i64, i64)> = HashMap::new();
    for record in &log {
        let place = (i64::from(record.partition), record.offset);
        assert_eq!(places.insert(record.id().unwrap(), place), None, "written twice");
    }
    let (mut written, mut final_ones, mut overtaken) = (0, 0, 0);
    for record in &sent {
        match judge(record, places.get(&record.id)) {
            Judged::Written => written += 1,
            Judged::Final => final_ones += 1,
            Judged::Overtaken => overtaken += 1,
        }
    }
    assert_eq!(written, log.len(), "every record of the log was acknowledged");
    ensure_order(&sent);
    println!(
        "mixtures: {} records in {:.1?}, {written} written, {final_ones} refused for good, {overtaken} good ones kept back \
         for the order; slowest request {slowest:.1?}",
        sent.len(),
        started.elapsed()
    );
    assert!(overtaken * 10 <= written, "records are kept back only rarely");
}

/// The requests of one round: one large one, many small ones, or something between, with few or many bad records.
fn plan(rng: &mut StdRng, round: usize) -> Vec<Vec<(Value, Sent)>> {
    let requests = *[1, 1, 2, 8, 32, rng.random_range(1..=32)].choose(rng).unwrap();
    let most = (MAX_RECORDS / requests).clamp(1, 500);
    let share = *[0.0, 0.01, 0.1, 0.5, 1.0].choose(rng).unwrap();
    let request = |rng: &mut StdRng, request: usize| {
        let count = *[1, most, rng.random_range(1..=most)].choose(rng).unwrap();
        let keys = *[1, 5, 1_000].choose(rng).unwrap();
        (0..count).map(|index| record(rng, round * 100 + request, index, keys, share)).collect()
    };
    (0..requests).map(|number| request(rng, number)).collect()
}

fn record(rng: &mut StdRng, request: usize, index: usize, keys: usize, share: f64) -> (Value, Sent) {
    let id = format!("{request}-{index}");
    let mut flaws = Vec::new();
    if rng.random_bool(share) {
        flaws.push(*[Flaw::NoKey, Flaw::Old, Flaw::Large].choose(rng).unwrap());
        let other = *[Flaw::NoKey, Flaw::Old, Flaw::Large].choose(rng).unwrap();
        if rng.random_bool(0.2) && !flaws.contains(&other) {
            flaws.push(other);
        }
    }
    let length = if flaws.contains(&Flaw::Large) { 3_000 } else { rng.random_range(0..300) };
    let mut record = json!({ "value": { "id": id, "fill": "msk-e2e-fill".repeat(length / 12) } });
    let key = format!("{request}-{}", rng.random_range(0..keys));
    let lane = (!flaws.contains(&Flaw::NoKey)).then(|| (request, key.clone()));
    if lane.is_some() {
        record["key"] = json!(key);
    }
    if flaws.contains(&Flaw::Old) {
        record["timestamp"] = json!(1_000_000);
    } else if rng.random_bool(0.1) {
        record["timestamp"] = json!(now_ms());
    }
    (record, Sent { id, lane, flaws, result: Value::Null })
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Sends all requests at once; the time is that of the slowest.
fn send(server: &Server, requests: Vec<Vec<(Value, Sent)>>) -> (Vec<Sent>, Duration) {
    thread::scope(|scope| {
        let clients: Vec<_> = requests
            .into_iter()
            .map(|request| {
                scope.spawn(move || {
                    let started = Instant::now();
                    let (records, mut sent): (Vec<Value>, Vec<Sent>) = request.into_iter().unzip();
                    let answer = server.post(TOPIC, &records);
                    assert_eq!(answer.results().len(), sent.len());
                    for (sent, result) in sent.iter_mut().zip(answer.results()) {
                        sent.result = result.clone();
                    }
                    (sent, started.elapsed())
                })
            })
            .collect();
        let answered: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        let slowest = answered.iter().map(|(_, took)| *took).max().unwrap_or_default();
        (answered.into_iter().flat_map(|(sent, _)| sent).collect(), slowest)
    })
}

enum Judged {
    Written,
    Final,
    Overtaken,
}

fn judge(record: &Sent, place: Option<&(i64, i64)>) -> Judged {
    let Sent { id, flaws, result, .. } = record;
    let what = format!("{id} {flaws:?}: {result}, in the log: {place:?}");
    if flaws.is_empty() && result["error_code"].is_null() {
        let answered = result["partition"].as_i64().zip(result["offset"].as_i64());
        assert_eq!(answered.as_ref(), place, "{what}");
        return Judged::Written;
    }
    assert_eq!(place, None, "{what}");
    assert_eq!(result["persisted"], "no", "{what}");
    let message = result["message"].as_str().unwrap();
    if flaws.is_empty() {
        // The one case in which a good record may be left to its sender.
        assert_eq!((&result["error_code"], &result["retriable"]), (&json!(50302), &json!(true)), "{what}");
        assert!(message.contains("to keep the order"), "{what}");
        return Judged::Overtaken;
    }
    assert_eq!(result["retriable"], false, "{what}");
    let reasons = flaws.iter().map(|flaw| match flaw {
        Flaw::NoKey => "compacted",
        Flaw::Old => "timestamp",
        Flaw::Large => "max.message.bytes",
    });
    assert!(reasons.into_iter().any(|reason| message.contains(reason)), "its own reason: {what}");
    Judged::Final
}

/// Records of one request and key stand in the log as they stood in the request.
fn ensure_order(sent: &[Sent]) {
    let mut last: BTreeMap<&(usize, String), i64> = BTreeMap::new();
    for record in sent {
        if let (Some(lane), Some(offset)) = (&record.lane, record.result["offset"].as_i64())
            && let Some(before) = last.insert(lane, offset)
        {
            assert!(before < offset, "{} stands before an earlier record of its key", record.id);
        }
    }
}
