//! The sample events of `events/`, through the default handler.

use msk_consumer::dead_letters::NoSink;
use msk_consumer::idempotency::MemoryStore;
use msk_consumer::lanes::Ordering;
use msk_consumer::{BatchProcessor, DefaultHandler, Outcome, RecordHandler};
use msk_shared::event::Record;
use msk_shared::messages::{AuditEntry, OrderPlaced, PaymentChanged};

use crate::support::{Letters, metric, reported, settings, unbounded};

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name)).unwrap()
}

#[tokio::test]
async fn each_sample_ends_as_the_readme_says() {
    // Done, skipped, dead-lettered, duplicates.
    for (name, done, skipped, dead, duplicates) in [
        ("msk-several-partitions.json", 5, 0, 0, 0),
        ("msk-headers.json", 5, 0, 0, 0),
        ("msk-null-key.json", 3, 0, 0, 0),
        ("msk-tombstone.json", 0, 2, 1, 0),
        ("msk-no-timestamp.json", 2, 0, 0, 0),
        ("msk-poison.json", 3, 0, 1, 0),
        ("msk-undecodable.json", 0, 0, 7, 0),
        ("msk-schema-registry.json", 3, 0, 0, 0),
        ("msk-cloudevents.json", 3, 0, 0, 0),
        ("msk-redelivered.json", 2, 0, 0, 1),
        ("msk-self-managed.json", 2, 0, 0, 0),
        ("msk-empty.json", 0, 0, 0, 0),
    ] {
        let settings = settings(Ordering::Partition, 16);
        let processor = BatchProcessor::new(DefaultHandler, Letters::default(), MemoryStore::default(), settings);
        let processed = processor.process(sample(name), &unbounded()).await;
        assert!(reported(&processed).is_empty(), "{name}");
        let counts = ["RecordsDone", "RecordsSkipped", "DeadLettered", "Duplicates"].map(|m| metric(&processed, m));
        assert_eq!(counts, [done, skipped, dead, duplicates].map(f64::from), "{name}");
    }
}

/// Sample events that packages of others carry: what has the package's folder, the file in it, and how many of its records are
/// done, skipped and dead-lettered. Most samples hold a text that is no JSON, which the default handler calls poison.
const PUBLISHED: [(&str, &str, [u32; 3]); 2] = [
    ("PEERS_AWS_LAMBDA_EVENTS", "src/fixtures/example-kafka-event.json", [0, 0, 1]),
    ("PEERS_AWS_LAMBDA_GO", "events/testdata/kafka-event.json", [0, 0, 1]),
];

#[tokio::test]
#[ignore = "needs the packages; stage `peers` runs it"]
async fn samples_that_others_have_published_are_read() {
    for (package, file, expected) in PUBLISHED {
        let folder = std::env::var(package).expect("run `cargo xtask test peers`");
        let event = std::fs::read(std::path::Path::new(&folder).join(file)).unwrap();
        let settings = settings(Ordering::Partition, 16);
        let processor = BatchProcessor::new(DefaultHandler, Letters::default(), MemoryStore::default(), settings);
        let processed = processor.process(event, &unbounded()).await;
        assert!(reported(&processed).is_empty(), "{file}");
        let counts = ["RecordsDone", "RecordsSkipped", "DeadLettered"].map(|m| metric(&processed, m));
        assert_eq!(counts, expected.map(f64::from), "{file}");
    }
}

/// Reads the sample messages as the types that belong to their schemas.
struct Typed;

impl RecordHandler for Typed {
    async fn handle(&self, record: &Record) -> Outcome {
        let read = match record.topic() {
            "orders" => record.json::<OrderPlaced>().map(drop),
            "payments" => record.json::<PaymentChanged>().map(drop),
            _ => record.json::<AuditEntry>().map(drop),
        };
        read.map_or_else(|error| Outcome::Poison(error.into()), |()| Outcome::Done)
    }
}

#[tokio::test]
async fn the_sample_messages_are_read_as_their_types() {
    for (name, done) in [("msk-several-partitions.json", 5), ("msk-self-managed.json", 2), ("msk-redelivered.json", 2)]
    {
        let settings = settings(Ordering::Partition, 16);
        let processor = BatchProcessor::new(Typed, Letters::default(), MemoryStore::default(), settings);
        let processed = processor.process(sample(name), &unbounded()).await;
        assert_eq!(metric(&processed, "RecordsDone"), f64::from(done), "{name}");
    }
}

#[tokio::test]
async fn a_poison_sample_without_dead_letter_is_reported_with_what_follows() {
    let processor = BatchProcessor::new(DefaultHandler, NoSink, MemoryStore::default(), settings(Ordering::Key, 16));
    let processed = processor.process(sample("msk-poison.json"), &unbounded()).await;
    assert_eq!(reported(&processed), ["orders-0@501", "orders-0@502"], "the other key's record is done");
}

#[tokio::test]
async fn an_event_of_another_kind_fails_the_invocation() {
    let processor =
        BatchProcessor::new(DefaultHandler, NoSink, MemoryStore::default(), settings(Ordering::Partition, 16));
    let processed = processor.process(sample("msk-not-an-msk-event.json"), &unbounded()).await;
    let error = processed.answer.unwrap_err();
    assert!(error.to_string().contains("not an MSK event") && processed.metrics.is_none(), "{error}");
    assert_eq!(lambda_runtime::Diagnostic::from(error).error_type, "NotAnMskEvent");
}
