//! Records that will never succeed, and handlers that panic.

use msk_consumer::dead_letters::NoSink;
use msk_consumer::idempotency::MemoryStore;
use msk_consumer::lanes::Ordering;
use msk_consumer::{BatchProcessor, DefaultHandler};
use msk_shared::event::Record;

use crate::kinds::{ByKind, HandlerKind};
use crate::support::{
    Act, Kept, Letters, Scripted, Store, body, metric, partition, processor_by, reported, settings, unbounded,
};

fn header<'a>(letter: &'a Kept, name: &str) -> &'a [u8] {
    letter.headers.iter().find(|header| header.name == name).unwrap().value.as_deref().unwrap()
}

#[tokio::test]
async fn a_poison_record_goes_to_the_dead_letter_and_blocks_nothing() {
    for kind in HandlerKind::ONCE {
        let processor =
            processor_by(kind, Scripted::new(&[("t-0@1", &[Act::Poison])]), settings(Ordering::Partition, 16));
        let processed = processor.process(body(partition(0, 4)), &unbounded()).await;
        assert!(reported(&processed).is_empty());
        assert_eq!(processor.handler().effects(), ["t-0@0", "t-0@2", "t-0@3"]);
        let letters = processor.dead_letters().kept();
        assert_eq!(letters.len(), 1);
        assert_eq!((letters[0].id.as_str(), letters[0].reason, letters[0].attempts), ("t-0@1", "rejected", 1));
        assert_eq!(letters[0].error, "planned poison");
        assert_eq!((letters[0].key.as_deref(), letters[0].value.as_deref()), (Some(&b"k"[..]), Some(&b"{}"[..])));
        assert_eq!((header(&letters[0], "x-dlq-topic"), header(&letters[0], "x-dlq-offset")), (&b"t"[..], &b"1"[..]));
    }
}

#[tokio::test]
async fn a_panic_is_poison_of_that_record_alone_and_its_text_goes_nowhere() {
    for kind in HandlerKind::ONCE {
        let processor =
            processor_by(kind, Scripted::new(&[("t-0@1", &[Act::Panic])]), settings(Ordering::Partition, 2));
        let processed = processor.process(body(partition(0, 3).chain(partition(1, 3))), &unbounded()).await;
        assert!(reported(&processed).is_empty());
        assert_eq!(processor.handler().effects().len(), 5);
        let letters = processor.dead_letters().kept();
        assert_eq!((letters.len(), letters[0].reason), (1, "panic"));
        assert!(!format!("{letters:?}").contains("secret"));
        assert_eq!(metric(&processed, "RecordsPoisoned"), 1.0);
        assert_eq!(metric(&processed, "DecodeErrors"), 0.0);
    }
}

#[tokio::test]
async fn without_a_dead_letter_poison_is_a_failure_that_comes_again() {
    for kind in HandlerKind::ONCE {
        let handler = Scripted::new(&[("t-0@1", &[Act::Poison])]);
        let handler = ByKind::new(kind, handler, Ordering::Partition);
        let processor = BatchProcessor::new(handler, NoSink, Store::default(), settings(Ordering::Partition, 16));
        let processed = processor.process(body(partition(0, 3)), &unbounded()).await;
        assert_eq!(reported(&processed), ["t-0@1", "t-0@2"]);
        assert_eq!((metric(&processed, "RecordsPoisoned"), metric(&processed, "DeadLettered")), (1.0, 0.0));
    }
}

/// Every kind of poison among good records: each in the dead letter once, with its cause, its coordinates and its bytes as received.
#[tokio::test]
async fn each_kind_of_poison_is_kept_once_with_cause_and_coordinates() {
    let kinds: [(&str, &str, &str, &[u8]); 9] = [
        ("broken base64", r#""value":"*broken*""#, "not base64", b"*broken*"),
        ("another type", r#""value":17"#, "base64 string or null", b"17"),
        ("bytes", r#""value":"//79""#, "not JSON", b"\xff\xfe\xfd"),
        ("text", r#""value":"aGk=""#, "not JSON", b"hi"),
        ("cut JSON", r#""value":"eyJhIjo=""#, "not JSON", b"{\"a\":"),
        ("empty", r#""value":"""#, "not JSON", b""),
        ("headers", r#""value":"e30=","headers":[{"a":[999]}]"#, "headers must be", b"{}"),
        ("half an event", r#""value":"e30=","headers":[{"ce_specversion":[49,46,48]}]"#, "`id` is missing", b"{}"),
        ("an event's version", r#""value":"e30=","headers":[{"ce_specversion":[57]}]"#, "specversion", b"{}"),
    ];
    let mut records = Vec::new();
    for (index, (_, members, ..)) in kinds.iter().enumerate() {
        records.push(format!(r#"{{"topic":"t","partition":0,"offset":{},"value":"e30="}}"#, index * 2));
        records.push(format!(r#"{{"topic":"t","partition":0,"offset":{},"key":"aw==",{members}}}"#, index * 2 + 1));
    }
    let event = format!(r#"{{"eventSource":"aws:kafka","records":{{"t-0":[{}]}}}}"#, records.join(","));
    for kind in HandlerKind::ONCE {
        let processor = BatchProcessor::new(
            ByKind::new(kind, DefaultHandler, Ordering::Partition),
            Letters::default(),
            MemoryStore::default(),
            settings(Ordering::Partition, 16),
        );
        for round in 0..2 {
            let processed = processor.process(event.clone(), &unbounded()).await;
            assert!(reported(&processed).is_empty());
            let expected = if round == 0 { (9.0, 9.0, 9.0, 0.0) } else { (0.0, 0.0, 0.0, 18.0) };
            let [poisoned, kept, errors, duplicates] =
                ["RecordsPoisoned", "DeadLettered", "DecodeErrors", "Duplicates"].map(|name| metric(&processed, name));
            assert_eq!((poisoned, kept, errors, duplicates), expected, "round {round}");
        }
        let letters = processor.dead_letters().kept();
        assert_eq!(letters.len(), kinds.len(), "once each");
        for (index, ((kind, _, cause, value), letter)) in kinds.iter().zip(&letters).enumerate() {
            assert_eq!(letter.id, format!("t-0@{}", index * 2 + 1), "{kind}");
            assert_eq!(letter.reason, "undecodable", "{kind}");
            assert!(letter.error.contains(cause), "{kind}: {}", letter.error);
            assert_eq!(letter.value.as_deref(), Some(*value), "{kind}");
            assert_eq!(letter.key.as_deref(), Some(&b"k"[..]), "{kind}");
        }
    }
}

#[tokio::test]
async fn a_record_without_coordinates_is_poison_and_spares_the_others() {
    let event = r#"{"records":{"t-0":[{"topic":"t","partition":0,"offset":1,"value":"e30="},7,{"topic":"t","partition":0,"value":"e30="}]}}"#;
    let processor =
        BatchProcessor::new(DefaultHandler, Letters::default(), Store::default(), settings(Ordering::Partition, 16));
    let processed = processor.process(event, &unbounded()).await;
    assert!(reported(&processed).is_empty());
    let errors: Vec<String> = processor.dead_letters().kept().into_iter().map(|letter| letter.error).collect();
    assert_eq!(errors, ["the record is not a JSON object", "the record has no valid offset"]);

    processor.dead_letters().set_down(true);
    let error = processor.process(event, &unbounded()).await.answer.unwrap_err();
    assert!(error.to_string().contains("record 2 of the event failed and cannot be reported individually"), "{error}");
}

#[tokio::test]
async fn tombstones_are_skipped_and_not_poison() {
    let processor =
        BatchProcessor::new(DefaultHandler, Letters::default(), Store::default(), settings(Ordering::Partition, 16));
    let processed = processor.process(body([Record::new("t", 0, 1)]), &unbounded()).await;
    assert!(reported(&processed).is_empty());
    assert_eq!((metric(&processed, "RecordsSkipped"), metric(&processed, "RecordsPoisoned")), (1.0, 0.0));
}
