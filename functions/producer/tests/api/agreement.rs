//! What the producer takes as JSON, the consumer reads, and reads as the same.

use msk_shared::event::{DecodeError, Message, Record};
use proptest::prelude::*;
use proptest::sample::select;

use crate::arbitrary::{judge, like, run};
use crate::calls::{Call, JSON_V2, Scripted, app};

/// JSON at its limits: numbers around the largest float, escapes whole and in half, CloudEvents true and false, and texts
/// that are no JSON.
fn json_text() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        like("-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?"),
        like("-?1\\.7976931348623(1[0-9]{3}|[0-9]{1,6})e308"),
        (290_usize..320, like("[0-9]{1,3}")).prop_map(|(zeros, digits)| format!("1{digits}{}", "0".repeat(zeros))),
    ];
    let string = prop::collection::vec(
        prop_oneof![
            like("\\PC{0,4}").prop_map(|text| serde_json::to_string(&text).unwrap().trim_matches('"').to_owned()),
            like("\\\\u[0-9a-fA-F]{4}"),
            select(vec!["\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\ud83d\\n", "\\u00", "\\x", "\u{feff}", "\u{1}"])
                .prop_map(str::to_owned),
        ],
        0..3,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()));
    let event = (select(vec!["1.0", "0.3", ""]), select(vec!["1", ""])).prop_map(|(version, id)| {
        format!(r#"{{"specversion":"{version}","id":"{id}","source":"/s","type":"t","time":7,"data":1}}"#)
    });
    let leaf = prop_oneof![
        3 => number,
        3 => string.clone(),
        1 => select(vec!["null", "true", "false", "NaN", "Infinity", ""]).prop_map(str::to_owned),
        1 => event,
    ];
    let tree = leaf.prop_recursive(3, 8, 3, move |inner| {
        let member = (string.clone(), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..3).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    let nested = (prop_oneof![4 => 0_usize..2, 1 => 120_usize..132], any::<bool>());
    (tree, nested, select(vec!["", "", "\u{feff}", " "])).prop_map(|(text, (levels, objects), before)| {
        let (open, close) = if objects { ("{\"a\":", "}") } else { ("[", "]") };
        format!("{before}{}{text}{}", open.repeat(levels), close.repeat(levels))
    })
}

#[test]
fn what_the_producer_takes_the_consumer_reads() {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    run("bodies for both functions", 8_000, (json_text(), any::<bool>()), |runtime, (text, message), shares| {
        publisher.clear();
        let call = match message {
            true => Call::post("/messages", "application/json", text.clone()),
            false => Call::post("/topics/orders", JSON_V2, format!("{{\"records\":[{{\"value\":{text}}}]}}")),
        };
        let answer = runtime.block_on(call.send(&router));
        shares.note(Some(&answer));
        judge(&answer)?;
        for sent in publisher.records() {
            let record = Record::new("orders", 0, 1).with_value(sent.value.clone());
            let read = record.message();
            prop_assert!(read.is_ok(), "{}: {:?}", text, read);
            let is_null = sent.value.is_none();
            prop_assert_eq!(is_null, matches!(read, Ok(Message::Tombstone)), "{}", text);
        }
        Ok(())
    });
}

/// What is wrong with a text has the same name in both functions.
#[tokio::test]
async fn both_functions_call_a_fault_by_its_name() {
    let router = app(Scripted::default());
    let deep = "[".repeat(129);
    for (text, name) in [
        ("1e400", "out of range"),
        (r#"{"a":-1e999}"#, "out of range"),
        (r#""\ud800""#, "unpaired surrogate"),
        (r#"{"a":"\udc00"}"#, "unpaired surrogate"),
        (&deep, "nesting deeper than 128 levels"),
    ] {
        let answer = Call::post("/messages", "application/json", text).send(&router).await;
        assert_eq!(answer.problem(), (400, 400));
        let says = answer.json()["detail"].to_string();
        assert!(says.contains(name), "{says}");
        let error = Record::new("orders", 0, 1).with_value(Some(text.as_bytes().to_vec())).message().unwrap_err();
        assert!(matches!(error, DecodeError::Unreadable { .. }) && error.to_string().contains(name), "{error}");
    }
}
