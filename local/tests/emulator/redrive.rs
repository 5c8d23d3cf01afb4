//! Dead letters go back to the topics they came from.

use std::path::PathBuf;
use std::process::Command;

use msk_local::esm::running_mapping::End;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::{Harness, TIMEOUT, TOPIC};
use super::registry::{Registry, framed};

const DEAD: &str = "orders.dlq";

/// What `msk-local esm redrive` ended with: its code, its lines, its errors.
fn redrive(harness: &Harness, arguments: &[&str]) -> (i32, Vec<Value>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["--format", "json", "esm", "redrive", "--bootstrap-servers", harness.brokers.bootstrap_servers()]);
    let output = command.args(arguments).env_remove("RUST_LOG").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), lines, String::from_utf8(output.stderr).unwrap())
}

fn harness() -> Harness {
    let harness = Harness::start(2);
    harness.brokers.create_topic(&format!("{DEAD}:1").parse().unwrap()).unwrap();
    harness
}

/// Lets every record fail once and go to this destination.
async fn give_up(harness: &Harness, destination: &str, folder: &std::path::Path) {
    let function = Function::start(|_, _| Reply::error()).await;
    let members = json!({
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": destination}},
        "Local": {"destinationFolder": folder},
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
}

/// What the mapping delivers next: key, value, redrives, and the place of each record.
async fn delivered(harness: &Harness) -> Vec<(Option<Vec<u8>>, Option<Vec<u8>>, Option<String>, String)> {
    let function = Function::start(|_, _| Reply::ok()).await;
    assert_eq!(harness.drain(harness.mapping(&function, &json!({}))).await, End::Drained);
    let events: Vec<_> = function.invocations().into_iter().map(|received| received.event).collect();
    let records = events.iter().flat_map(|event| event.records());
    records
        .map(|record| {
            let bytes = |bytes: Option<std::borrow::Cow<'_, [u8]>>| bytes.map(|bytes| bytes.into_owned());
            let redrives = record.header_text("x-redrive-count").map(str::to_owned);
            (bytes(record.key().unwrap()), bytes(record.value().unwrap()), redrives, record.id().to_string())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lambdas_kafka_documents_go_back_until_they_were_sent_too_often() {
    let harness = harness();
    let folder = tempfile::tempdir().unwrap();
    harness.send(1, Some(b"key"), Some(b"\xff\x00"), &[("own", None)]).await;
    for round in 1..=3 {
        give_up(&harness, &format!("kafka://{DEAD}"), folder.path()).await;
        let (code, lines, errors) = redrive(&harness, &["--from-topic", DEAD, "--max-redrives", "2"]);
        let [line, summary] = lines.as_slice() else { panic!("{round}: {lines:?} {errors}") };
        assert_eq!(line["from"], format!("{DEAD}-0@{}", round - 1));
        if round < 3 {
            assert_eq!((code, &line["outcome"], &line["redrives"]), (0, &json!("sent"), &json!(round)), "{line}");
            assert_eq!(line["to"], format!("{TOPIC}-1@{round}"), "the partition it was in");
            assert_eq!((&summary["sent"], &summary["left"]), (&json!(1), &json!(0)));
        } else {
            assert_eq!((code, &line["outcome"]), (4, &json!("left")), "{line}");
            assert!(line["detail"].as_str().unwrap().contains("--max-redrives"), "{line}");
        }
    }
    // What is read once is not read again, unless that is asked for.
    assert_eq!(redrive(&harness, &["--from-topic", DEAD]).1.len(), 1);
    let (code, lines, _) = redrive(&harness, &["--from-topic", DEAD, "--from-beginning", "--dry-run"]);
    assert_eq!((code, lines.len()), (0, 4));
    assert!(lines[..3].iter().all(|line| line["outcome"] == "would_be_sent"), "{lines:?}");
    assert_eq!(delivered(&harness).await.len(), 0, "nothing was sent by a dry run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumers_letters_go_back_as_the_records_they_were() {
    let harness = harness();
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", harness.brokers.bootstrap_servers()).create().unwrap();
    let letter = |topic: &'static str, partition: &'static str| {
        [("own", "1"), ("x-dlq-reason", "rejected"), ("x-dlq-topic", topic), ("x-dlq-partition", partition)]
            .into_iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
    };
    for headers in [letter("nowhere", "0"), letter(TOPIC, "1"), letter(TOPIC, "9"), letter(DEAD, "0")] {
        let record = FutureRecord::<[u8], [u8]>::to(DEAD).key(b"k").payload(b"not json \xff").headers(headers);
        producer.send(record, TIMEOUT).await.unwrap();
    }
    producer.send(FutureRecord::<[u8], [u8]>::to(DEAD).payload(b"something else"), TIMEOUT).await.unwrap();
    let (code, lines, errors) = redrive(&harness, &["--from-topic", DEAD]);
    assert_eq!((code, lines.len()), (4, 6), "{lines:?} {errors}");
    let missing = lines[0]["detail"].as_str().unwrap();
    assert!(missing.contains("`nowhere` does not exist"), "one that cannot go keeps no other: {missing}");
    let lines = &lines[1..];
    assert_eq!(lines[0]["to"], "orders-1@0");
    assert_eq!((&lines[1]["outcome"], &lines[2]["outcome"]), (&json!("sent"), &json!("left")));
    assert!(lines[2]["detail"].as_str().unwrap().contains("without end"), "{}", lines[2]);
    assert!(lines[3]["detail"].as_str().unwrap().contains("x-dlq-topic"), "{}", lines[3]);
    assert_eq!((&lines[4]["sent"], &lines[4]["left"]), (&json!(2), &json!(3)));
    let back = delivered(&harness).await;
    assert_eq!(back.len(), 2);
    for (key, value, redrives, _) in &back {
        assert_eq!((key.as_deref(), value.as_deref()), (Some(b"k".as_slice()), Some(b"not json \xff".as_slice())));
        assert_eq!(redrives.as_deref(), Some("1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_queues_and_buckets_go_back_from_their_files() {
    for service in ["sqs", "s3"] {
        let harness = harness();
        let folder = tempfile::tempdir().unwrap();
        harness.produce(0, 2).await;
        harness.produce(1, 1).await;
        give_up(&harness, &format!("arn:aws:{service}:eu-west-1:123456789012:dead"), folder.path()).await;
        let files: Vec<PathBuf> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let mut files: Vec<String> = files.into_iter().map(|path| path.to_str().unwrap().to_owned()).collect();
        if service == "sqs" {
            // As a queue's reader prints them.
            let mut bodies: Vec<_> =
                files.iter().map(|file| json!({"Body": std::fs::read_to_string(file).unwrap()})).collect();
            // A queue may have messages of others.
            bodies.insert(0, json!({"Body": "hello"}));
            let received = folder.path().join("received.json");
            std::fs::write(&received, json!({"Messages": bodies}).to_string()).unwrap();
            files = vec![received.to_str().unwrap().to_owned()];
        }
        let arguments: Vec<&str> = files.iter().map(String::as_str).collect();
        let (code, lines, errors) = redrive(&harness, &arguments);
        let foreign = usize::from(service == "sqs");
        assert_eq!((code, lines.len()), (4 * foreign as i32, 4 + foreign), "{service}: {lines:?} {errors}");
        if foreign > 0 {
            let from = lines[0]["from"].as_str().unwrap();
            assert!(from.ends_with("received.json, message 1") && lines[0]["outcome"] == "left", "{lines:?}");
        }
        let mut back: Vec<_> = delivered(&harness).await.into_iter().map(|(.., place)| place).collect();
        back.sort_unstable();
        assert_eq!(back, ["orders-0@2", "orders-0@3", "orders-1@1"], "{service}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_whose_records_are_gone_are_told() {
    let harness = harness();
    harness.produce(0, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("document.json");
    let span = |first: &str, last: &str| json!({"firstRecordOffset": first, "lastRecordOffset": last});
    let info = json!({"orders-0": span("1", "4"), "orders-7": span("0", "0")});
    std::fs::write(&file, json!({"KafkaBatchInfo": {"recordsInfo": info}}).to_string()).unwrap();
    let (code, lines, errors) = redrive(&harness, &[file.to_str().unwrap()]);
    let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str().unwrap_or("summary")).collect();
    assert_eq!((code, outcomes.as_slice()), (4, ["left", "sent", "left", "summary"].as_slice()), "{errors}");
    assert!(lines[0]["detail"].as_str().unwrap().starts_with("3 of its records are gone"), "{}", lines[0]);
    let (code, _, errors) = redrive(&harness, &["--from-topic", "missing"]);
    assert!(code == 1 && errors.contains("topic `missing` does not exist"), "{errors}");
}

/// What a schema registry's conversion has made of a record is not what its topic had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_record_goes_back_as_it_is_in_its_topic() {
    let (harness, registry) = (harness(), Registry::start().await);
    registry.add(1, None, "\"string\"", &json!([]));
    let value = framed(1, b"\x04hi");
    harness.send(1, Some(b"key"), Some(&value), &[]).await;
    let function = Function::start(|_, _| Reply::error()).await;
    let config = json!({
        "SchemaRegistryURI": registry.url, "EventRecordFormat": "JSON", "SchemaValidationConfigs": [{"Attribute": "VALUE"}],
    });
    let members = json!({
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": format!("kafka://{DEAD}")}},
        "AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": config},
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    let (_, letter) = harness.read(DEAD, 1).await.remove(0);
    assert_eq!(letter["payload"]["records"]["orders-1"][0]["value"], "ImhpIg==");
    let (code, lines, errors) = redrive(&harness, &["--from-topic", DEAD]);
    assert_eq!((code, &lines[0]["to"]), (0, &json!("orders-1@1")), "{lines:?} {errors}");
    let back = delivered(&harness).await;
    assert_eq!(back[0].1.as_deref(), Some(value.as_slice()));
}
