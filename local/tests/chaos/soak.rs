//! Memory over time: batches of every size, without an end.

use std::process::Command;
use std::time::{Duration, Instant};

use msk_local::brokers::EmbeddedBrokers;
use msk_test_kit::Process;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;

use super::invoke_endpoint::serve;
use super::run::PARTITIONS;

/// How long records are written; the variable `MSK_CHAOS_SOAK_SECONDS` makes it shorter.
const LONG: u64 = 600;
/// The first part of it, in which memory may still grow: caches, buffers and the allocator's arenas fill.
const WARM_UP: f64 = 0.2;
/// KiB that the largest reading after the warm-up may be above the largest one in it. The lines that the emulator prints are not
/// kept by it, and a record that was kept would cost some 100 MiB in ten minutes.
const GROWTH_KIB: u64 = 8 * 1024;
/// Between two bursts of records.
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes: cargo xtask test chaos"]
async fn memory_is_flat_over_ten_minutes() {
    let seconds = std::env::var("MSK_CHAOS_SOAK_SECONDS").map_or(LONG, |text| text.parse().unwrap());
    let brokers = EmbeddedBrokers::start(&[format!("orders:{PARTITIONS}").parse().unwrap()]).unwrap();
    let (url, endpoint) = serve("/", axum::routing::post(async || "null")).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mapping.json");
    let mapping = json!({
        "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON", "BatchSize": 100,
        "Local": {
            "invokeUrl": url, "bootstrapServers": brokers.bootstrap_servers(), "metricsPort": 0,
            "chaos": {"seed": 1, "rebalancePercent": 0}, "retryBackoffSeconds": 0.01,
        },
    });
    std::fs::write(&config, mapping.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["--format", "json", "esm", "run", config.to_str().unwrap(), "--system-log", "/dev/null"]);
    let mut emulator = Process::start("msk-local", &mut command);
    let metrics = emulator.line(|line| line["event"] == "metrics")["url"].as_str().unwrap().to_owned();
    emulator.line(|line| line["ready"] == true);
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", brokers.bootstrap_servers()).create().unwrap();
    let (started, mut readings, mut records) = (Instant::now(), Vec::new(), 0_u64);
    while started.elapsed() < Duration::from_secs(seconds) {
        let burst = [1, 10, 100, 300][(records % 4) as usize] + 1;
        let sent: Vec<_> = (0..burst)
            .map(|number| {
                let record =
                    FutureRecord::<str, _>::to("orders").partition(number % PARTITIONS).payload("{\"order\":1}");
                producer.send_result(record).map_err(|(error, _)| error).unwrap()
            })
            .collect();
        for delivered in sent {
            delivered.await.unwrap().map_err(|(error, _)| error).unwrap();
        }
        records += burst as u64;
        readings.push((started.elapsed().as_secs_f64() / seconds as f64, emulator.memory_kib()));
        tokio::time::sleep(PAUSE).await;
    }
    let page =
        tokio::task::spawn_blocking(move || ureq::get(&metrics).call().unwrap().body_mut().read_to_string().unwrap());
    let page = page.await.unwrap();
    emulator.terminate();
    assert_eq!(emulator.end().code(), Some(0));
    endpoint.abort();
    let most = |later: bool| {
        let part = readings.iter().filter(|(at, _)| (*at > WARM_UP) == later).map(|(_, kib)| *kib);
        part.max().unwrap()
    };
    let (warm, later) = (most(false), most(true));
    println!("{records} records in {seconds} s; at most {warm} KiB in the first fifth, {later} KiB later");
    assert!(page.contains("CommittedEventCount{"), "{page}");
    assert!(later <= warm + GROWTH_KIB, "{warm} KiB grew to {later} KiB");
}
