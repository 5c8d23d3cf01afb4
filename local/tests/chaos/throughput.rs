//! Records a second and peak memory, by the size of batches.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::routing::post;
use msk_local::brokers::EmbeddedBrokers;
use msk_test_kit::Process;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use tokio::sync::{Notify, mpsc};

use super::invoke_endpoint::serve;
use super::run::PARTITIONS;

/// Bytes of each value; all records together stay below what the brokers keep.
const VALUE_BYTES: usize = 500;
/// Sizes of batches, and how many records are delivered in them.
const CASES: [(usize, usize); 3] = [(1, 5_000), (100, 50_000), (1_000, 50_000)];

/// Far longer than any case takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one case took.
struct Figures {
    took: Duration,
    peak_kib: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: cargo xtask test chaos"]
async fn batches_carry_more_records_a_second_than_single_ones() {
    let mut rates = Vec::new();
    for (batch_size, records) in CASES {
        let Figures { took, peak_kib } = drain(batch_size, records).await;
        let rate = records as f64 / took.as_secs_f64();
        println!("batches of {batch_size}: {rate:.0} records/s, at most {peak_kib} KiB");
        rates.push(rate);
    }
    // Wide: an invocation costs what a hundred records do, and more.
    assert!(rates[1] > 2.0 * rates[0], "{rates:?}");
}

/// From the start of `esm drain` to the last record, with a function that does nothing. `MSK_LOCAL_BIN` is another build to measure.
async fn drain(batch_size: usize, records: usize) -> Figures {
    let brokers = EmbeddedBrokers::start(&[format!("orders:{PARTITIONS}").parse().unwrap()]).unwrap();
    write(&brokers, records).await;
    let (all, mut all_delivered) = mpsc::channel(1);
    let (delivered, measured) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (counted, held) = (Arc::clone(&delivered), Arc::clone(&measured));
    let function = async move |event: String| {
        let count = event.matches("\"offset\":").count();
        if counted.fetch_add(count, Ordering::SeqCst) + count >= records {
            // The emulator is looked at before it ends.
            let _ = all.send(Instant::now()).await;
            held.notified().await;
        }
        "null"
    };
    let (url, endpoint) = serve("/", post(function)).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mapping.json");
    let mapping = json!({
        "FunctionName": "fn", "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON", "BatchSize": batch_size,
        "Local": {"invokeUrl": url, "bootstrapServers": brokers.bootstrap_servers()},
    });
    std::fs::write(&config, mapping.to_string()).unwrap();
    let program = std::env::var("MSK_LOCAL_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_msk-local").to_owned());
    let mut command = Command::new(program);
    command.args(["--format", "json", "esm", "drain", config.to_str().unwrap()]);
    let started = Instant::now();
    let mut emulator = Process::start("msk-local", &mut command);
    let ended = tokio::time::timeout(PATIENCE, all_delivered.recv()).await.expect("not delivered in time").unwrap();
    let peak_kib = emulator.peak_memory_kib();
    measured.notify_one();
    let code = tokio::task::spawn_blocking(move || emulator.end().code()).await.unwrap();
    endpoint.abort();
    assert_eq!((code, delivered.load(Ordering::SeqCst)), (Some(0), records));
    Figures { took: ended - started, peak_kib }
}

async fn write(brokers: &EmbeddedBrokers, records: usize) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers.bootstrap_servers()).set("linger.ms", "5");
    let producer: FutureProducer = config.create().unwrap();
    let value = format!("{{\"order\":\"{}\"}}", "o".repeat(VALUE_BYTES - 12));
    let mut sent = Vec::new();
    for number in 0..records {
        let record = FutureRecord::<str, _>::to("orders").partition(number as i32 % PARTITIONS).payload(&value);
        sent.push(producer.send_result(record).map_err(|(error, _)| error).unwrap());
    }
    for delivered in sent {
        delivered.await.unwrap().map_err(|(error, _)| error).unwrap();
    }
}
