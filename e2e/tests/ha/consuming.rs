//! The consumer under an event source mapping that repeats, overlaps, goes back and is interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use msk_e2e::folder::TempFolder;
use msk_e2e::kafka::{Cluster, Listener};
use msk_e2e::lambda::Environment;
use msk_e2e::lambda::msk_event::msk_event;
use msk_e2e::load::{Load, Plan};
use msk_e2e::log_reader::{self, StoredRecord};
use msk_e2e::proxy::{Cut, Faults, Loss};
use msk_e2e::{client, functions};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rdkafka::{message::OwnedHeaders, producer::FutureRecord, util::Timeout};
use serde_json::{Value, json};

use crate::availability::wait_for_another_leader;
use crate::faults::nemesis;
use crate::shared_clusters::{CLIENTS, LIMIT, SharedClusters, producers, topic, verdict};

/// Records of one event.
const BATCH: usize = 100;

/// A record's place.
type Place = (i32, i64);

/// Writes `count` JSON messages with ids and keys, past the functions.
pub(crate) async fn write_messages(
    cluster: &Cluster,
    topic: &str,
    values: Vec<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    let producer = client::producer(cluster, Listener::Plaintext)?;
    let sends = values.iter().enumerate().map(|(number, (id, value))| {
        let header = rdkafka::message::Header { key: "idempotency-key", value: Some(id) };
        let headers = OwnedHeaders::new().insert(header);
        let key = format!("key-{}", number % 50);
        let producer = &producer;
        async move {
            let record = FutureRecord::to(topic).key(&key).payload(value).headers(headers);
            producer.send(record, Timeout::Never).await.map(drop).map_err(|(error, _)| error)
        }
    });
    try_join_all(sends).await.context("writing the messages").map(drop)
}

pub(crate) fn message(number: usize) -> (String, Vec<u8>) {
    let id = format!("m-{number}");
    let value = json!({ "id": id }).to_string().into_bytes();
    (id, value)
}

/// Invokes the consumer with one batch; returns the places that it reports as failed.
pub(crate) async fn deliver(environment: &Environment, event: &Value) -> anyhow::Result<BTreeSet<Place>> {
    let invocation = environment.invoke(event).await?;
    let answer: Value = serde_json::from_slice(&invocation.payload)?;
    let mut failed = BTreeSet::new();
    for item in answer["batchItemFailures"].as_array().into_iter().flatten() {
        let identifier = &item["itemIdentifier"];
        let partition = identifier["partition"].as_str().and_then(|name| name.rsplit('-').next());
        let partition = partition.and_then(|number| number.parse().ok());
        let place = partition.zip(identifier["offset"].as_i64());
        failed.insert(place.with_context(|| format!("not an item identifier: {item}"))?);
    }
    Ok(failed)
}

/// How often the handler ran for each place of `topic`, from the default handler's own lines, in their order.
fn effects(log: &str, topic: &str) -> Vec<Place> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_handler = lines.filter(|line| line["message"] == "record" && line["topic"] == topic);
    of_handler
        .filter_map(|line| Some((i32::try_from(line["partition"].as_i64()?).ok()?, line["offset"].as_i64()?)))
        .collect()
}

/// The consumer as it is packaged, and a handler of batches. Scenarios let partitions alternate between them: it takes no longer.
async fn both_kinds(cluster: &Cluster, dead_letter: Option<&str>) -> anyhow::Result<[Environment; 2]> {
    let single = functions::consumer(cluster, Listener::Iam, dead_letter);
    let batches = functions::in_batches(single.clone());
    Ok([Environment::start(&single).await?, Environment::start(&batches).await?])
}

/// The effects in all of them.
fn effects_of_all(environments: &[Environment], topic: &str) -> Vec<Place> {
    environments.iter().flat_map(|environment| effects(&environment.log(), topic)).collect()
}

/// Partitions with their records in order.
fn by_partition(records: Vec<StoredRecord>) -> BTreeMap<i32, Vec<StoredRecord>> {
    let mut partitions: BTreeMap<i32, Vec<StoredRecord>> = BTreeMap::new();
    for record in records {
        partitions.entry(record.partition).or_default().push(record);
    }
    partitions.values_mut().for_each(|records| records.sort_by_key(|record| record.offset));
    partitions
}

/// Delivers every partition in batches, one partition to the first environment, the next one to the next.
async fn deliver_all(environments: &[Environment], topic: &str, records: Vec<StoredRecord>) -> anyhow::Result<()> {
    for (records, environment) in by_partition(records).into_values().zip(environments.iter().cycle()) {
        for batch in records.chunks(BATCH) {
            let failed = deliver(environment, &msk_event(topic, batch)).await?;
            ensure!(failed.is_empty(), "{} records failed", failed.len());
        }
    }
    Ok(())
}

pub(crate) async fn retries(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "r9").await?;
    // Short enough that a dead leader is not ridden out: the client has to retry.
    let environments = producers(&cluster, &topic, CLIENTS, &[("DELIVERY_TIMEOUT_MS", "3000")]).await?;
    let load = Load::new(&topic);
    let faults = async {
        let lose = Loss { every: 10, cut: Cut::Strand };
        cluster.proxies().for_each(|proxy| {
            proxy.set(Faults { lose_produce_responses: Some(lose), ..Faults::default() });
        });
        // While all brokers are well, a lost answer is one to a record that was appended: its retry is a duplicate.
        let unknown = || {
            let count = load.summary().with_persisted("unknown");
            std::future::ready(if count > 0 { Ok(()) } else { Err("none".to_owned()) })
        };
        msk_e2e::wait::wait_until("an answer `unknown`", LIMIT, unknown).await?;
        let leader = cluster.admin().leader(&topic, 0).await?;
        cluster.kill(leader)?;
        wait_for_another_leader(&cluster, &topic, leader).await?;
        cluster.restart(leader)?;
        cluster.wait_ready(LIMIT).await?;
        cluster.proxies().for_each(|proxy| proxy.set(Faults::default()));
        if clusters.is_full() {
            nemesis(&cluster, 9, 60).await?;
        }
        anyhow::Ok(())
    };
    let plan = Plan { pause: Duration::from_millis(20), retry: true, ..Plan::default() };
    load.run_until(&environments, plan, faults).await?;
    clusters.heal().await?;
    cluster.admin().wait_in_sync(&topic, 2, LIMIT).await?;
    let records = log_reader::read_topic(&cluster, &topic).await?;
    let ids: BTreeMap<Place, String> =
        records.iter().filter_map(|record| Some(((record.partition, record.offset), record.id()?))).collect();
    let (in_log, distinct) = (ids.len(), ids.values().collect::<BTreeSet<_>>().len());
    let consumer = Environment::start(&functions::consumer(&cluster, Listener::Iam, None)).await?;
    deliver_all(std::slice::from_ref(&consumer), &topic, records).await?;
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for place in effects(&consumer.log(), &topic) {
        *times.entry(ids.get(&place).context("an effect of no record")?.as_str()).or_default() += 1;
    }
    let sent: BTreeSet<String> = load.history.attempts().into_iter().map(|attempt| attempt.id).collect();
    let missing = sent.iter().filter(|id| !times.contains_key(id.as_str())).count();
    let doubled = times.values().filter(|&&count| count > 1).count();
    let summary = load.summary();
    ensure!(summary.with_persisted("unknown") > 0, "no retry was needed: {summary}");
    let repeated = in_log - distinct;
    ensure!(repeated > 0, "no message is in the log more than once, so none had to be recognized: {summary}");
    ensure!(missing == 0 && doubled == 0, "{missing} effects missing, {doubled} doubled: {summary}");
    let figures = verdict(&cluster, &topic, &load).await?;
    Ok(format!("{} messages, {repeated} copies more in the log, each message with one effect; {figures}", sent.len()))
}

pub(crate) async fn redelivery(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "c1").await?;
    let count = clusters.choose(5_000, 50_000);
    write_messages(&cluster, &topic, (0..count).map(message).collect()).await?;
    let partitions = by_partition(log_reader::read_topic(&cluster, &topic).await?);
    let consumers = both_kinds(&cluster, None).await?;
    let mut rng = StdRng::seed_from_u64(7);
    let mut delivered = 0;
    for (records, consumer) in partitions.values().zip(consumers.iter().cycle()) {
        let mut at = 0;
        while at < records.len() {
            // Some start too early, some come again at once, and some long after.
            let from = if rng.random_bool(0.2) { at.saturating_sub(rng.random_range(1..BATCH)) } else { at };
            let to = (at + rng.random_range(1..=BATCH)).min(records.len());
            let mut batches: Vec<_> = std::iter::once(from..to).collect();
            if rng.random_bool(0.1) {
                batches.push(from..to);
            }
            if rng.random_bool(0.1) {
                let start = rng.random_range(0..to);
                batches.push(start..(start + BATCH).min(to));
            }
            for batch in batches {
                delivered += batch.len();
                let failed = deliver(consumer, &msk_event(&topic, &records[batch])).await?;
                ensure!(failed.is_empty(), "{} records failed", failed.len());
            }
            at = to;
        }
    }
    let effects = effects_of_all(&consumers, &topic);
    let distinct: BTreeSet<&Place> = effects.iter().collect();
    ensure!(distinct.len() == count, "{} of {count} records had an effect", distinct.len());
    ensure!(effects.len() == count, "{} effects of {count} records", effects.len());
    for partition in partitions.keys() {
        let offsets: Vec<i64> = effects.iter().filter(|place| place.0 == *partition).map(|place| place.1).collect();
        ensure!(offsets.is_sorted(), "effects of partition {partition} are out of order");
    }
    let (mut singly, mut in_batches) = (Vec::new(), Vec::new());
    for (records, half) in partitions.into_values().zip([false, true].into_iter().cycle()) {
        if half { in_batches.push(records) } else { singly.push(records) }
    }
    let singly = crash(&cluster, &topic, singly, 1).await?;
    let in_batches = crash(&cluster, &topic, in_batches, functions::RECORDS_OF_A_CALL).await?;
    Ok(format!(
        "{count} records delivered {delivered} times, half of the partitions to a handler of batches, each with one effect, in \
         order; {singly}; the handler of batches {in_batches}"
    ))
}

/// The process dies in the middle of a batch, which AWS then sends again to a new one. A call of its handler has up to `most`
/// records.
async fn crash(
    cluster: &Cluster,
    topic: &str,
    partitions: Vec<Vec<StoredRecord>>,
    most: usize,
) -> anyhow::Result<String> {
    let lanes = partitions.len();
    let records = partitions.concat();
    let event = msk_event(topic, &records);
    let folder = TempFolder::new()?;
    let store = folder.path().join("store");
    let singly = functions::consumer_with_store(cluster, Listener::Iam, &store);
    let options = if most == 1 { singly } else { functions::in_batches(singly) };
    let first = Environment::start(&options).await?;
    // The store stops in the middle of the batch, so that the kill cannot come too late.
    let (hold, middle) = (store.with_extension("hold"), records.len() / 5);
    std::fs::write(&hold, middle.to_string())?;
    let killed = async {
        let reached = || {
            let done = std::fs::read_to_string(&store).unwrap_or_default().lines().count();
            std::future::ready(if done >= middle { Ok(()) } else { Err(format!("{done}")) })
        };
        msk_e2e::wait::wait_until(&format!("{middle} done records"), LIMIT, reached).await?;
        first.kill();
        anyhow::Ok(())
    };
    let (invoked, killed) = tokio::join!(first.invoke(&event), killed);
    killed?;
    ensure!(invoked.is_err(), "the batch was done before the kill");
    std::fs::remove_file(&hold)?;
    let before = effects(&first.log(), topic);
    let second = Environment::start(&options).await?;
    let failed = deliver(&second, &event).await?;
    ensure!(failed.is_empty(), "{} records failed after the crash", failed.len());
    let after = effects(&second.log(), topic);
    let distinct = before.iter().chain(&after).collect::<BTreeSet<_>>().len();
    ensure!(distinct == records.len(), "{distinct} of {} records had an effect", records.len());
    // One lane for each partition, and in each at most the records of a call between their effects and their entries in the store.
    let twice = before.len() + after.len() - distinct;
    ensure!(twice <= lanes * most, "{twice} effects happened twice, in {lanes} lanes with calls of up to {most}");
    let before = before.len();
    Ok(format!(
        "killed after {before} of {distinct} effects: none lost, {twice} (under way at the kill) happened twice"
    ))
}

/// Values that no handler can use, by kind.
const POISON: [(&str, &[u8]); 5] = [
    ("no JSON", b"{\"id\":"),
    ("no UTF-8", &[0xff, 0xfe, 0x00]),
    ("empty", b""),
    ("a word", b"hello"),
    ("deep", b"[[[[[[[[[[[[[[[["),
];

pub(crate) async fn poison(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "c2").await?;
    let dead = format!("{topic}.dlq");
    cluster.admin().create_topic(&dead, 1, &[]).await?;
    let count = clusters.choose(5_000, 50_000);
    let values = (0..count).map(|number| {
        let (id, good) = message(number);
        let value = if number % 100 == 50 { POISON[number / 100 % POISON.len()].1.to_vec() } else { good };
        (id, value)
    });
    write_messages(&cluster, &topic, values.collect()).await?;
    let records = log_reader::read_topic(&cluster, &topic).await?;
    let bad: BTreeSet<Place> =
        records.iter().filter(|record| record.id().is_none()).map(|record| (record.partition, record.offset)).collect();
    ensure!(bad.len() == count / 100, "{} poison records", bad.len());
    let consumers = both_kinds(&cluster, Some("{topic}.dlq")).await?;
    deliver_all(&consumers, &topic, records).await?;
    let done: BTreeSet<Place> = effects_of_all(&consumers, &topic).into_iter().collect();
    ensure!(done.len() == count - bad.len(), "{} of {} good records had an effect", done.len(), count - bad.len());
    for consumer in &consumers {
        ensure!(!effects(&consumer.log(), &topic).is_empty(), "one of the two has handled nothing");
        ensure!(!consumer.log().contains("panicked"), "a panic:\n{}", consumer.log());
    }
    let letters = letters(&cluster, &dead).await?;
    ensure!(letters.iter().all(|(_, reason)| !reason.is_empty()), "a letter without a reason");
    let places: Vec<Place> = letters.iter().map(|(place, _)| *place).collect();
    ensure!(places.len() == bad.len(), "{} letters for {} poison records", places.len(), bad.len());
    ensure!(places.into_iter().collect::<BTreeSet<_>>() == bad, "letters name other records");
    let reasons: BTreeSet<&str> = letters.iter().map(|(_, reason)| reason.as_str()).collect();
    Ok(format!(
        "{count} records, {} poison, half of the partitions to a handler of batches, each in the dead letter once ({reasons:?}); \
         no good one lost",
        bad.len()
    ))
}

pub(crate) async fn dead_letter_down(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "c4").await?;
    let dead = format!("{topic}.dlq");
    cluster.admin().create_topic(&dead, 1, &[]).await?;
    let mut values: Vec<(String, Vec<u8>)> = (0..20).map(message).collect();
    values[10].1 = b"poison".to_vec();
    write_messages(&cluster, &topic, values).await?;
    let records = log_reader::read_topic(&cluster, &topic).await?;
    let bad = records.iter().find(|record| record.id().is_none()).context("no poison")?.clone();
    let event = msk_event(&topic, &records);
    let consumer = Environment::start(&functions::consumer(&cluster, Listener::Iam, Some("{topic}.dlq"))).await?;
    for proxy in cluster.proxies() {
        proxy.set(Faults { refuse: true, ..Faults::default() });
        proxy.cut(Cut::Reset);
    }
    let failed = deliver(&consumer, &event).await?;
    let later = |place: &Place| place.0 == bad.partition && place.1 >= bad.offset;
    ensure!(failed.contains(&(bad.partition, bad.offset)), "the poison record was not reported: {failed:?}");
    ensure!(failed.iter().all(later), "records were reported that had nothing to do with it: {failed:?}");
    cluster.proxies().for_each(|proxy| proxy.set(Faults::default()));
    let mut left: Vec<StoredRecord> =
        records.iter().filter(|record| failed.contains(&(record.partition, record.offset))).cloned().collect();
    let mut tries = 0;
    while !left.is_empty() {
        ensure!(tries < 20, "the dead letter did not recover");
        tries += 1;
        let failed = deliver(&consumer, &msk_event(&topic, &left)).await?;
        left.retain(|record| failed.contains(&(record.partition, record.offset)));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let effects = effects(&consumer.log(), &topic);
    let distinct: BTreeSet<&Place> = effects.iter().collect();
    ensure!(distinct.len() == 19 && effects.len() == 19, "{} effects of 19 good records", effects.len());
    let letters = letters(&cluster, &dead).await?;
    ensure!(letters.iter().any(|(place, _)| *place == (bad.partition, bad.offset)), "no letter: {letters:?}");
    ensure!(letters.len() == 1, "{} letters for one record", letters.len());
    Ok(format!(
        "{} of 20 reported while it was down, the rest done; {tries} deliveries after, one letter",
        failed.len()
    ))
}

/// Without its store nothing is handled; with it again each record is, once.
pub(crate) async fn store_down(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "c4").await?;
    write_messages(&cluster, &topic, (0..200).map(message).collect()).await?;
    let records = log_reader::read_topic(&cluster, &topic).await?;
    let event = msk_event(&topic, &records);
    let folder = TempFolder::new()?;
    let store = folder.path().join("store");
    let consumer = Environment::start(&functions::consumer_with_store(&cluster, Listener::Iam, &store)).await?;
    std::fs::write(store.with_extension("down"), "")?;
    let failed = deliver(&consumer, &event).await?;
    ensure!(failed.len() == records.len(), "{} of {} were reported", failed.len(), records.len());
    ensure!(effects(&consumer.log(), &topic).is_empty(), "a record was handled that could not be claimed");
    std::fs::remove_file(store.with_extension("down"))?;
    for _ in 0..2 {
        let failed = deliver(&consumer, &event).await?;
        ensure!(failed.is_empty(), "{} records failed with the store back", failed.len());
    }
    let effects = effects(&consumer.log(), &topic);
    let distinct = effects.iter().collect::<BTreeSet<_>>().len();
    ensure!(distinct == records.len() && effects.len() == distinct, "{} effects of {distinct} records", effects.len());
    Ok(format!("all {distinct} reported while it was down, none handled; then each had one effect, in two deliveries"))
}

/// The dead letters of a topic: whose they are, and why.
async fn letters(cluster: &Cluster, dead: &str) -> anyhow::Result<Vec<(Place, String)>> {
    let records = log_reader::read_topic(cluster, dead).await?;
    let letters = records.iter().map(|record| {
        let text = |name: &str| {
            let header = record.headers.iter().find(|(found, _)| found == name)?;
            String::from_utf8(header.1.clone()?).ok()
        };
        let place = text("x-dlq-partition")?.parse().ok().zip(text("x-dlq-offset")?.parse().ok())?;
        Some((place, text("x-dlq-reason")?))
    });
    letters.collect::<Option<_>>().context("a letter without coordinates or reason")
}
