//! AWS's rules for a function's answer (<https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html>, and for the
//! rules that it shares with other streams <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>).

use msk_shared::event::{BatchResponse, Mistake, MskEvent, Record, RecordFault, Verdict, judge};

use crate::event_of;

fn batch() -> MskEvent {
    MskEvent::new(
        [("orders", 0, 5), ("orders", 0, 6), ("orders", 1, 5), ("a-b", 0, 9)].map(|(t, p, o)| Record::new(t, p, o)),
    )
}

fn answer(items: &str) -> Verdict {
    judge(&batch(), format!(r#"{{"batchItemFailures":[{items}]}}"#).as_bytes())
}

fn mistake(verdict: Verdict) -> String {
    match verdict {
        Verdict::RetryAll(mistake) => mistake.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn empty_answers_mean_that_all_is_done() {
    for body in [
        "",
        " \n",
        "null",
        "{}",
        "[]",
        r#"{"batchItemFailures":[]}"#,
        r#"{"batchItemFailures":null}"#,
        r#"{"other":1}"#,
    ] {
        assert_eq!(judge(&batch(), body.as_bytes()), Verdict::AllDone, "{body:?}");
    }
}

#[test]
fn named_records_are_failed_in_the_events_order_and_once() {
    let verdict = answer(
        r#"{"itemIdentifier":{"partition":"a-b-0","offset":9}},{"itemIdentifier":{"partition":"orders-0","offset":6,"x":1}},
           {"itemIdentifier":{"partition":"orders-0","offset":6}}"#,
    );
    let Verdict::Failed(ids) = verdict else { panic!("{verdict:?}") };
    assert_eq!(ids.iter().map(ToString::to_string).collect::<Vec<_>>(), ["orders-0@6", "a-b-0@9"]);
}

#[test]
fn a_malformed_answer_retries_all_and_the_message_names_the_mistake() {
    for (items, message) in [
        (r#"{"itemIdentifier":{"partition":"orders-0","offset":7}}"#, "no offset 7 in partition \"orders-0\""),
        (r#"{"itemIdentifier":{"partition":"orders-2","offset":5}}"#, "no partition \"orders-2\""),
        (r#"{"itemIdentifier":{"partition":"0","offset":5}}"#, "no partition \"0\""),
        (r#"{"itemIdentifier":"orders-0@5"}"#, "is a JSON string; for Kafka it must be an object"),
        (r#"{"itemIdentifier":""}"#, "is a JSON string"),
        (
            r#"{"itemIdentifier":{"topic-partition":"orders-0","offset":5}}"#,
            "\"topic-partition\"; name it \"partition\"",
        ),
        (r#"{"itemIdentifier":null}"#, "itemIdentifier is null"),
        (r#"{}"#, "[0] has no itemIdentifier"),
        (r#"{"itemIdentifier":{}}"#, "partition must be the string"),
        (r#"{"itemIdentifier":{"partition":0,"offset":5}}"#, "partition must be the string"),
        (r#"{"itemIdentifier":{"partition":"","offset":5}}"#, "partition must be the string"),
        (r#"{"itemIdentifier":{"partition":"orders-0","offset":"5"}}"#, "offset must be a whole number, not a string"),
        (r#"{"itemIdentifier":{"partition":"orders-0"}}"#, "offset must be a whole number"),
        (r#"{"itemIdentifier":{"partition":"orders-0","offset":5.5}}"#, "offset must be a whole number"),
        (r#"{"itemIdentifier":{"partition":"orders-0","offset":5.0}}"#, "offset must be a whole number"),
        (r#"{"ItemIdentifier":{"partition":"orders-0","offset":5}}"#, "[0] has no itemIdentifier"),
        ("7", "[0] is a JSON number, not an object"),
        (
            r#"{"itemIdentifier":{"partition":"orders-0","offset":5}},{"itemIdentifier":null}"#,
            "batchItemFailures[1].itemIdentifier is null",
        ),
    ] {
        let text = mistake(answer(items));
        assert!(text.contains(message), "{items}: {text}");
    }
    for (body, message) in [
        ("{", "not JSON"),
        ("\"ok\"", "a JSON string, not an object"),
        ("true", "a JSON boolean, not an object"),
        ("<html><body>502 Bad Gateway</body></html>", "not JSON"),
        ("\u{feff}{}", "not JSON"),
        (r#""{\"batchItemFailures\":[]}""#, "a JSON string, not an object"),
        ("[1]", "a JSON array, not an object"),
        (r#"{"batchItemFailures":{}}"#, "batchItemFailures is a JSON object, not an array"),
    ] {
        let text = mistake(judge(&batch(), body.as_bytes()));
        assert!(text.contains(message), "{body}: {text}");
    }
    let utf_16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(mistake(judge(&batch(), &utf_16)).contains("not JSON"));
}

#[test]
fn our_own_response_has_aws_s_shape_and_is_judged_as_it_was_meant() {
    let event = batch();
    let response =
        BatchResponse::reporting(&event, |index, record| index == 1 || record.is_ok_and(|it| it.topic() == "a-b"))
            .unwrap();
    let json = serde_json::to_string(&response).unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":6}},"#,
            r#"{"itemIdentifier":{"partition":"a-b-0","offset":9}}]}"#
        )
    );
    let failed: Vec<_> = response.failed().cloned().collect();
    assert_eq!(judge(&event, json.as_bytes()), Verdict::Failed(failed));
    assert_eq!((response.len(), response.is_empty()), (2, false));
    assert_eq!(serde_json::to_string(&BatchResponse::all_done()).unwrap(), r#"{"batchItemFailures":[]}"#);
}

#[test]
fn a_failed_record_without_coordinates_cannot_be_reported() {
    let event = event_of(&[r#"{"topic":"t","partition":0,"offset":1}"#, "5"]);
    let error = BatchResponse::reporting(&event, |_, _| true).unwrap_err();
    assert_eq!((error.position, error.fault), (2, RecordFault::NotAnObject));
    assert_eq!(BatchResponse::reporting(&event, |index, _| index == 0).unwrap().len(), 1);
}

#[test]
fn a_long_partition_name_is_shortened_in_the_message() {
    let verdict = answer(&format!(r#"{{"itemIdentifier":{{"partition":"{}","offset":5}}}}"#, "x".repeat(10_000)));
    assert!(
        matches!(&verdict, Verdict::RetryAll(Mistake::UnknownPartition { partition, .. }) if partition.len() == 260)
    );
}
