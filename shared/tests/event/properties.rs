//! No event, however odd, panics; what is accepted keeps its meaning.

use std::cell::Cell;

use msk_shared::event::{
    BatchResponse, Header, MskEvent, Record, SchemaMetadata, TimestampType, TombstoneStyle, Verdict, judge,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::string::{RegexGeneratorStrategy, string_regex};
use proptest::test_runner::{Config, TestRunner};

/// Runs `check` on `cases` values and says how many it accepted (`true`) and refused. Neither may be none.
fn shares<S: Strategy>(name: &str, cases: u32, strategy: &S, check: impl Fn(S::Value) -> Result<bool, TestCaseError>) {
    let (accepted, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(strategy, |value| {
            let side = if check(value)? { &accepted } else { &refused };
            side.set(side.get() + 1);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let (accepted, refused) = (accepted.get(), refused.get());
    eprintln!("{name}: {cases} cases, {accepted} accepted, {refused} refused");
    assert!(accepted > cases / 100 && refused > cases / 100, "{name}: one side is nearly empty");
}

/// Texts of a pattern, which is read once: a text that stands for its strategy itself is parsed anew for each value.
fn like(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).unwrap()
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("orders".to_owned()), Just("a-b-0".to_owned()), like("[a-z.]{1,8}")]
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => vec(any::<u8>(), 0..most), 1 => Just(b"{\"id\":\"o-1\"}".to_vec())]
}

prop_compose! {
    fn header()(name in like("\\PC{0,6}"), value in option::of(vec(any::<u8>(), 0..6))) -> Header {
        Header { name, value: value.map(Into::into) }
    }
}

prop_compose! {
    fn schema()(data_format in like("[A-Z]{4}"), schema_id in like("[0-9a-f-]{1,36}")) -> SchemaMetadata {
        SchemaMetadata { data_format, schema_id }
    }
}

prop_compose! {
    fn record()(
        topic in name(),
        partition in 0..3_i32,
        offset in prop_oneof![0..50_i64, Just(i64::MAX)],
        timestamp in prop_oneof![Just(-1_i64), 0..2_000_000_000_000_i64],
        append in any::<bool>(),
        key in option::of(bytes(20)),
        value in option::of(bytes(100)),
        headers in vec(header(), 0..4),
        schemas in (option::weighted(0.1, schema()), option::weighted(0.1, schema())),
    ) -> Record {
        let kind = if append { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
        Record::new(topic, partition, offset)
            .with_timestamp(timestamp, kind)
            .with_key(key)
            .with_value(value)
            .with_headers(headers)
            .with_schemas(schemas.0, schemas.1)
    }
}

fn event() -> impl Strategy<Value = MskEvent> {
    (vec(record(), 0..6), option::of(like("[a-z:/0-9]{0,20}"))).prop_map(|(records, arn)| MskEvent {
        event_source_arn: arn.clone(),
        bootstrap_servers: arn,
        ..MskEvent::new(records)
    })
}

fn style() -> impl Strategy<Value = TombstoneStyle> {
    prop_oneof![Just(TombstoneStyle::Omit), Just(TombstoneStyle::Null)]
}

/// Uses every accessor: none may panic. What is written of it is read as the same.
fn exercise(event: &MskEvent) -> Result<(), TestCaseError> {
    for record in event.records() {
        let _ = (record.key(), record.value(), record.headers(), record.text(), record.message(), record.cloud_event());
        let _ = (record.json::<serde_json::Value>(), record.header("traceparent"), record.id().to_string());
        prop_assert!(record.offset() >= 0 && record.partition() >= 0 && !record.topic().is_empty());
    }
    for broken in event.entries().filter_map(Result::err) {
        let _ = (broken.key(), broken.value(), broken.headers(), broken.header("traceparent"), broken.id().to_string());
        let id = broken.id();
        prop_assert!(id.topic.is_none() || id.partition.is_none() || id.offset.is_none());
    }
    if event.entries().all(|record| record.is_ok()) {
        let again =
            MskEvent::parse(event.to_json(TombstoneStyle::Omit)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(again.records().collect::<Vec<_>>(), event.records().collect::<Vec<_>>());
    }
    Ok(())
}

fn accepted(body: Vec<u8>) -> Result<bool, TestCaseError> {
    match MskEvent::parse(body) {
        Ok(event) => exercise(&event).map(|()| true),
        Err(error) => {
            prop_assert!(error.to_string().len() < 300, "{}", error);
            Ok(false)
        }
    }
}

/// One damage to a text.
#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, &'static str),
    /// Puts something else in the place of a member's value.
    Replace(&'static str, &'static str),
}

const ODD: [&str; 10] =
    ["null", "-1", "1e400", "[]", "{}", "\"\"", "true", "\"\\u0000\"", "[[[[[[]]]]]]", "99999999999999999999"];

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    let members =
        ["topic", "partition", "offset", "timestamp", "timestampType", "headers", "records", "eventSource", "value"];
    prop_oneof![
        1 => (index(), 1..=255_u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => index().prop_map(Damage::Cut),
        1 => (index(), 1..20_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        1 => (index(), prop::sample::select(&ODD[..])).prop_map(|(at, text)| Damage::Insert(at, text)),
        4 => (prop::sample::select(members.to_vec()), prop::sample::select(&ODD[..]))
            .prop_map(|(member, text)| Damage::Replace(member, text)),
    ]
}

fn apply(text: &mut Vec<u8>, damage: &Damage) {
    match damage {
        _ if text.is_empty() => {}
        Damage::Flip(at, bits) => {
            let at = at.index(text.len());
            text[at] ^= bits;
        }
        Damage::Cut(at) => text.truncate(at.index(text.len())),
        Damage::Remove(at, length) => {
            let from = at.index(text.len());
            text.drain(from..text.len().min(from + length));
        }
        Damage::Insert(at, odd) => {
            let at = at.index(text.len());
            text.splice(at..at, odd.bytes());
        }
        Damage::Replace(member, odd) => {
            let name = format!("\"{member}\":");
            let Some(start) = text.windows(name.len()).position(|part| part == name.as_bytes()) else { return };
            let start = start + name.len();
            let mut values = serde_json::Deserializer::from_slice(&text[start..]).into_iter::<serde::de::IgnoredAny>();
            if matches!(values.next(), Some(Ok(_))) {
                let end = start + values.byte_offset();
                text.splice(start..end, odd.bytes());
            }
        }
    }
}

#[test]
fn damaged_events_never_panic() {
    let strategy = (event(), style(), vec(damage(), 1..4));
    shares("damaged events", 20_000, &strategy, |(event, style, damages)| {
        let mut text = event.to_json(style);
        damages.iter().for_each(|damage| apply(&mut text, damage));
        accepted(text)
    });
}

/// Any JSON, with the event's own member names among its names.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let names = prop::sample::select(vec![
        "records",
        "t-0",
        "topic",
        "partition",
        "offset",
        "value",
        "headers",
        "eventSource",
        "key",
        "timestamp",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (0..9_i64).prop_map(Into::into),
        Just("aws:kafka".into()),
        like("[A-Za-z0-9+/=]{0,8}").prop_map(Into::into),
        like("\\PC{0,8}").prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec((names.clone(), inner), 0..6).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ]
    })
}

#[test]
fn arbitrary_events_never_panic() {
    let wrapped =
        |value: serde_json::Value| serde_json::json!({"eventSource": "aws:kafka", "records": {"t-0": [value]}});
    let strategy = prop_oneof![
        1 => vec(any::<u8>(), 0..64),
        2 => any_json().prop_map(|json| json.to_string().into_bytes()),
        3 => any_json().prop_map(move |json| wrapped(json).to_string().into_bytes()),
        1 => any_json().prop_map(|json| serde_json::json!({"records": json}).to_string().into_bytes()),
    ];
    shares("arbitrary events", 20_000, &strategy, accepted);
}

#[test]
fn a_valid_event_is_read_as_it_was_written_and_answered_in_valid_identifiers() {
    let strategy = (event(), style(), vec(any::<bool>(), 6));
    let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
    let check = |(event, style, failed): (MskEvent, TombstoneStyle, Vec<bool>)| {
        prop_assert_eq!(MskEvent::parse(event.to_json(style)), Ok(event.clone()));
        let response = BatchResponse::reporting(&event, |index, _| failed[index]).unwrap();
        match judge(&event, &serde_json::to_vec(&response).unwrap()) {
            Verdict::AllDone => prop_assert!(response.is_empty()),
            Verdict::Failed(ids) => prop_assert!(response.failed().all(|id| ids.contains(id)) && !ids.is_empty()),
            Verdict::RetryAll(mistake) => prop_assert!(false, "{}", mistake),
        }
        Ok(())
    };
    TestRunner::new(config).run(&strategy, check).unwrap();
}
