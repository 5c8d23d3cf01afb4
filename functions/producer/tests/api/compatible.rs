//! `COMPATIBILITY=confluent`: what clients of Confluent's REST Proxy, Strimzi's bridge and Karapace send and `strict` refuses.

use bytes::Bytes;
use msk_shared::kafka::{Header, OutboundRecord};

use crate::calls::{Call, JSON_V2, Scripted, app, app_with};

/// The record that a body becomes in the compatible mode; `strict` refuses it.
async fn only_record(members: &str) -> OutboundRecord {
    let call = Call::records(format!(r#"{{"records":[{{{members}}}]}}"#));
    let publisher = Scripted::default();
    let strict = call.send(&app(publisher.clone())).await;
    assert_eq!((strict.problem(), publisher.records().len()), ((422, 42206), 0), "{members}");
    let answer = call.send(&app_with(&[("COMPATIBILITY", "confluent")], publisher.clone())).await;
    assert_eq!(answer.status, 200, "{members}: {:?}", answer.body);
    publisher.records().remove(0)
}

#[tokio::test]
async fn an_omitted_value_is_a_tombstone() {
    let record = only_record(r#""key":"k""#).await;
    assert_eq!((record.key.as_deref(), record.value), (Some(&b"\"k\""[..]), None));
    assert_eq!(only_record("").await.value, None);
}

#[tokio::test]
async fn whole_numbers_come_in_every_form_and_minus_one_is_none() {
    for (text, partition) in [
        ("0.0", Some(0)),
        ("3.00", Some(3)),
        ("2e0", Some(2)),
        ("\"1\"", Some(1)),
        ("\" 1.0 \"", Some(1)),
        ("-1", None),
        ("-1.0", None),
        ("\"-1\"", None),
    ] {
        assert_eq!(only_record(&format!(r#""value":1,"partition":{text}"#)).await.partition, partition, "{text}");
    }
    for (text, timestamp_ms) in [
        ("1577836800000.0", Some(1_577_836_800_000)),
        ("1.5778368e12", Some(1_577_836_800_000)),
        ("\"1577836800000\"", Some(1_577_836_800_000)),
        ("-1", None),
        ("\"-1\"", None),
    ] {
        assert_eq!(only_record(&format!(r#""value":1,"timestamp":{text}"#)).await.timestamp_ms, timestamp_ms, "{text}");
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored_at_every_depth() {
    let record =
        only_record(r#""vale":2,"value":1,"headers":[{"key":"h","type":"s","value":"YQ=="},{"key":"n"}]"#).await;
    let header = |name: &str, value: Option<&'static [u8]>| Header {
        name: name.to_owned(),
        value: value.map(Bytes::from_static),
    };
    assert_eq!(record.value.as_deref(), Some(&b"1"[..]));
    assert_eq!(record.headers, [header("h", Some(b"a")), header("n", None)]);
}

#[tokio::test]
async fn what_means_nothing_is_refused_in_both_modes() {
    let publisher = Scripted::default();
    let routers = [app(publisher.clone()), app_with(&[("COMPATIBILITY", "confluent")], publisher.clone())];
    for members in [
        r#""value":1,"partition":0.5"#,
        r#""value":1,"partition":-2"#,
        r#""value":1,"partition":"one""#,
        r#""value":1,"partition":"""#,
        r#""value":1,"partition":4294967296.0"#,
        r#""value":1,"partition":[0]"#,
        r#""value":1,"timestamp":0"#,
        r#""value":1,"timestamp":"0.0""#,
        r#""value":1,"timestamp":1e300"#,
        r#""value":1,"timestamp":"yesterday""#,
        r#""value":1,"value_format":"avro""#,
        r#""value":1,"headers":[{"value":"YQ=="}]"#,
        r#""value":1,"headers":[{"key":"x-principal","value":"YQ=="}]"#,
    ] {
        for router in &routers {
            let answer = Call::records(format!(r#"{{"records":[{{{members}}}]}}"#)).send(router).await;
            assert_eq!(answer.problem(), (422, 42206), "{members}");
        }
    }
    assert_eq!(publisher.records(), []);
}

/// npm's `kafka-rest` sends these; by default they are no types of this API.
#[tokio::test]
async fn kafka_rest_v1_is_read_as_v2_and_answered_as_v1() {
    const V1: &str = "application/vnd.kafka.v1+json";
    let publisher = Scripted::default();
    let confluent = app_with(&[("COMPATIBILITY", "confluent")], publisher.clone());
    let body = r#"{"records":[{"value":"dmFsdWU=","key":null,"partition":null}]}"#;
    for (media, value) in [
        (V1, "value"),
        ("application/vnd.kafka.binary.v1+json", "value"),
        ("Application/vnd.kafka.json.v1+JSON; charset=utf-8", "\"dmFsdWU=\""),
    ] {
        for target in ["/topics/orders", "/topics/orders/partitions/1"] {
            let call = Call::post(target, media, body).header("accept", V1);
            let answer = call.send(&confluent).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some(V1)), "{media}: {:?}", answer.body);
            assert_eq!(answer.json()["offsets"][0]["offset"], 0);
            let strict = call.send(&app(Scripted::default())).await;
            assert_eq!(
                (strict.problem(), strict.header("accept-post").map(|it| it.contains("v1"))),
                ((415, 415), Some(false))
            );
        }
        let [first, second] = publisher.records().try_into().unwrap();
        assert_eq!((first.value.as_deref(), second.partition), (Some(value.as_bytes()), Some(1)));
        publisher.clear();
    }
    let refused = Call::post("/topics/orders", V1, "{")
        .header("accept", "application/json, application/vnd.kafka.v1+json; q=0.9");
    let refused = refused.send(&confluent).await;
    assert_eq!((refused.status, refused.header("content-type")), (400, Some(V1)));
    // `POST /messages` is no route of v1.
    assert_eq!(Call::post("/messages", V1, "1").send(&confluent).await.status, 415);
}

/// One rule on every path: a misspelt parameter is named by default, and ignored only on demand.
#[tokio::test]
async fn unknown_query_parameters_are_judged_alike_on_every_path() {
    let strict = app(Scripted::default());
    let confluent = app_with(&[("COMPATIBILITY", "confluent")], Scripted::default());
    let mut posts = 0;
    for (path, methods) in msk_producer::api::router::paths() {
        if !methods.contains(&"POST") {
            continue;
        }
        posts += 1;
        let path = path.replace("{topic}", "orders").replace("{partition}", "0").replace("{cluster}", "c");
        let body = r#"{"records":[{"value":1}],"value":{"type":"JSON","data":1},"entries":[{"id":"1","value":{"type":"JSON","data":1}}]}"#;
        for query in ["?async=true", "?x", "?async=true&user_id=a"] {
            let call = Call::post(format!("{path}{query}"), "application/json", body);
            let answer = call.send(&strict).await;
            assert_eq!((answer.problem(), &answer.json()["errors"][0]["pointer"]), ((422, 42206), &"query".into()));
            let answer = call.send(&confluent).await;
            assert!([200, 207].contains(&answer.status), "{path}{query}: {:?}", answer.body);
        }
    }
    assert!(posts >= 3, "{posts}");
}

#[tokio::test]
async fn other_peers_probes_have_their_names() {
    for router in [app(Scripted::default()), app(Scripted::default().without_brokers())] {
        for (alias, own) in [("/healthy", "/healthz"), ("/_health", "/healthz"), ("/ready", "/readyz")] {
            let (alias, own) = (Call::get(alias).send(&router).await, Call::get(own).send(&router).await);
            assert_eq!((alias.status, alias.body), (own.status, own.body));
        }
    }
}

#[tokio::test]
async fn a_partition_is_found_or_denied_by_what_holds_now() {
    let router = app(Scripted::default());
    let all = Call::get("/topics/orders/partitions").send(&router).await.json();
    for id in 0..4 {
        let one = Call::get(format!("/topics/orders/partitions/{id}")).send(&router).await;
        assert_eq!((one.status, one.json()), (200, all[id].clone()));
    }
    assert_eq!(all[3]["leader"], -1, "no leader now");
    for (target, expected) in [
        ("/topics/orders/partitions/4", (404, 40402)),
        ("/topics/orders/partitions/-1", (404, 40402)),
        ("/topics/orders/partitions/%2B1", (404, 40402)),
        ("/topics/orders/partitions/x", (404, 40402)),
        ("/topics/nothing/partitions/0", (404, 40401)),
        ("/topics/nothing/partitions", (404, 40401)),
        ("/topics/orders/partitions/", (404, 404)),
    ] {
        assert_eq!(Call::get(target).send(&router).await.problem(), expected, "{target}");
    }
    let added = app(Scripted::default().with_partitions_now(Ok(5)));
    assert_eq!(Call::get("/topics/orders/partitions/4").send(&added).await.json()["partition"], 4);
}

#[tokio::test]
async fn the_media_type_of_answers_is_kafka_rest_v2s() {
    let router = app_with(&[("COMPATIBILITY", "confluent")], Scripted::default());
    for call in [
        Call::get("/topics"),
        Call::get("/topics/orders"),
        Call::get("/topics/orders/partitions"),
        Call::get("/topics/orders/partitions/0"),
        Call::post("/topics/orders", JSON_V2, r#"{"records":[{"value":1}]}"#),
    ] {
        let answer = call.send(&router).await;
        assert_eq!(answer.header("content-type"), Some("application/vnd.kafka.v2+json"), "{}", call.target);
    }
}
