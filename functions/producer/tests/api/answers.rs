//! The shapes of answers, and the status of every outcome. The shapes are snapshots: what they show is the contract.

use std::time::Duration;

use msk_shared::kafka::{Delivery, FailureCause, Persisted, PublishFailure, PublishResult};
use rdkafka::types::RDKafkaErrorCode;

use crate::calls::{Call, HttpAnswer, Scripted, app, app_with, not_sent, try_invoke};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn two() -> Call {
    Call::records(r#"{"records":[{"key":1,"value":1},{"value":2}]}"#)
}

fn unknown(cause: FailureCause) -> PublishFailure {
    PublishFailure { cause, persisted: Persisted::Unknown }
}

fn written(offset: i64) -> PublishResult {
    Ok(Delivery { partition: 0, offset, timestamp_ms: Some(1_760_000_000_000) })
}

/// A publisher that plays these results.
fn playing(results: Vec<PublishResult>) -> Scripted {
    Scripted::new(move |_, index| results[index])
}

#[tokio::test]
async fn the_shapes_of_answers() {
    let good = app(Scripted::default());
    let shown = [
        ("records_written", two().invoke(&good, false).await),
        ("message_written", Call::post("/messages", "application/json", "1").invoke(&good, false).await),
        ("topics", Call::get("/topics").invoke(&good, false).await),
        ("topic", Call::get("/topics/strict.topic").invoke(&good, false).await),
        ("partitions", Call::get("/topics/orders/partitions").invoke(&good, false).await),
        ("partition", Call::get("/topics/orders/partitions/1").invoke(&good, false).await),
        ("health", Call::get("/healthz").invoke(&good, false).await),
        ("ready", Call::get("/readyz").invoke(&good, false).await),
        ("options", Call::new("OPTIONS", "/topics/orders").invoke(&good, false).await),
        ("method_not_allowed", Call::new("PUT", "/topics/orders").invoke(&good, false).await),
        ("route_not_found", Call::get("/nowhere").invoke(&good, false).await),
        ("topic_not_found", Call::get("/topics/nothing").header("traceparent", TRACE).invoke(&good, false).await),
        ("invalid", Call::records(r#"{"records":[{"vale":1}]}"#).invoke(&good, false).await),
        ("too_large", Call::records(" ".repeat(4_194_305)).invoke(&good, false).await),
    ];
    for (name, answer) in shown {
        insta::assert_snapshot!(name, answer.shown());
    }
    let not_ready = app(Scripted::default().without_brokers());
    insta::assert_snapshot!("not_ready", Call::get("/readyz").invoke(&not_ready, false).await.shown());
}

#[tokio::test]
async fn the_shapes_of_failures() {
    let partly = app(playing(vec![written(17), Err(unknown(FailureCause::TimedOut))]));
    insta::assert_snapshot!("partly_written", two().invoke(&partly, false).await.shown());
    let none = app(playing(vec![
        Err(not_sent(FailureCause::BrokersUnreachable)),
        Err(unknown(FailureCause::NotEnoughReplicas)),
    ]));
    insta::assert_snapshot!("none_written", two().invoke(&none, false).await.shown());
    let message = Call::post("/messages", "application/json", "1");
    insta::assert_snapshot!("message_not_written", message.invoke(&none, false).await.shown());
    let large = app(Scripted::failing(not_sent(FailureCause::RecordTooLarge)));
    insta::assert_snapshot!("too_large_for_the_cluster", two().invoke(&large, false).await.shown());
    let message = Call::post("/messages", "application/json", "1234567");
    insta::assert_snapshot!("message_too_large_for_the_cluster", message.invoke(&large, false).await.shown());
}

/// Status, `error_code`, retriable, persisted and `Retry-After` of a request whose records all fail alike.
type Reported = (u16, u64, bool, String, bool);

async fn reported(failure: PublishFailure) -> Reported {
    let answer = two().send(&app(Scripted::failing(failure))).await;
    let (status, error_code) = answer.problem();
    let body = answer.json();
    let results = body["offsets"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        assert_eq!(result["error_code"], error_code, "{body}");
        assert_eq!(result["error"], result["message"], "{body}");
        assert_eq!((&result["retriable"], &result["persisted"]), (&body["retriable"], &body["persisted"]), "{body}");
        assert!(result["partition"].is_null() && result["offset"].is_null(), "{body}");
    }
    let persisted = body["persisted"].as_str().unwrap().to_owned();
    (status, error_code, body["retriable"] == true, persisted, answer.header("retry-after").is_some())
}

/// Every cause there is.
const CAUSES: [FailureCause; 20] = [
    FailureCause::NoTimeLeft,
    FailureCause::CircuitOpen,
    FailureCause::QueueFull,
    FailureCause::Throttled,
    FailureCause::RecordTooLarge,
    FailureCause::TopicMissing,
    FailureCause::PartitionMissing,
    FailureCause::BrokersUnreachable,
    FailureCause::NotEnoughReplicas,
    FailureCause::TimedOut,
    FailureCause::Authentication,
    FailureCause::TopicAuthorization,
    FailureCause::ClusterAuthorization,
    FailureCause::Fatal,
    FailureCause::KeyMissing,
    FailureCause::TimestampOutOfRange,
    FailureCause::Rejected,
    FailureCause::BatchRefused,
    FailureCause::Overtaken,
    FailureCause::Other(RDKafkaErrorCode::Unknown),
];

#[tokio::test]
async fn each_cause_has_its_status() {
    for cause in CAUSES {
        let (status, error_code, retriable, retry_after) = match cause {
            FailureCause::QueueFull | FailureCause::Throttled => (429, 42901, true, true),
            FailureCause::RecordTooLarge => (413, 413, false, false),
            FailureCause::PartitionMissing => (404, 40402, false, false),
            FailureCause::KeyMissing | FailureCause::TimestampOutOfRange | FailureCause::Rejected => {
                (422, 42206, false, false)
            }
            _ => (503, 50302, true, true),
        };
        let expected = (status, error_code, retriable, "no".to_owned(), retry_after);
        assert_eq!(reported(not_sent(cause)).await, expected, "{cause:?}");
        // What may have been written is a 504 whatever the cause.
        assert_eq!(reported(unknown(cause)).await, (504, 50003, true, "unknown".to_owned(), false), "{cause:?}");
    }
}

#[tokio::test]
async fn the_most_severe_failure_decides_the_status() {
    let most_severe_first = [
        unknown(FailureCause::TimedOut),
        not_sent(FailureCause::NotEnoughReplicas),
        not_sent(FailureCause::QueueFull),
        not_sent(FailureCause::RecordTooLarge),
        not_sent(FailureCause::Rejected),
    ];
    for (index, most_severe) in most_severe_first.iter().enumerate() {
        for other in &most_severe_first[index..] {
            for pair in [[most_severe, other], [other, most_severe]] {
                let results = pair.into_iter().map(|failure| Err(*failure)).collect();
                let answer = two().send(&app(playing(results))).await;
                assert_eq!(answer.status, reported(*most_severe).await.0, "{pair:?}");
                let unknown = pair.iter().any(|f| f.persisted == Persisted::Unknown);
                assert_eq!(answer.json()["persisted"], if unknown { "unknown" } else { "no" }, "{pair:?}");
            }
        }
    }
}

#[tokio::test]
async fn confluent_mode_answers_200_with_the_failures_in_the_body() {
    let confluent = |publisher| app_with(&[("COMPATIBILITY", "confluent")], publisher);
    let none = confluent(Scripted::failing(unknown(FailureCause::TimedOut)));
    let answer = two().send(&none).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["offsets"][1]["error_code"], 50003);
    let partly = confluent(playing(vec![written(1), Err(not_sent(FailureCause::QueueFull))]));
    assert_eq!(two().send(&partly).await.status, 200);
    // A message's answer has no form for a failure: its status stays honest.
    assert_eq!(Call::post("/messages", "application/json", "1").send(&none).await.status, 504);
}

#[tokio::test]
async fn a_cluster_that_cannot_tell_its_partitions_is_a_503() {
    for cause in [FailureCause::TopicMissing, FailureCause::BrokersUnreachable, FailureCause::NoTimeLeft] {
        let publisher = Scripted::default().with_partitions(Err(not_sent(cause)));
        let router = app(publisher.clone());
        let named = Call::records(r#"{"records":[{"value":1,"partition":0}]}"#);
        let lists = ["/topics/orders", "/topics/orders/partitions", "/topics/orders/partitions/0"].map(Call::get);
        for call in lists.into_iter().chain([named]) {
            let answer = call.send(&router).await;
            assert_eq!(answer.problem(), (503, 50302), "{cause:?}");
            assert_eq!(answer.json()["persisted"], "no");
        }
        assert_eq!(publisher.records(), []);
        // A request that names no partition does not ask.
        assert_eq!(two().send(&router).await.status, 200);
    }
}

#[tokio::test]
async fn a_partition_is_denied_only_when_the_cluster_has_just_said_so() {
    let to_partition_4 = [
        Call::records(r#"{"records":[{"value":1,"partition":4}]}"#),
        Call::post("/topics/orders/partitions/4", "application/json", r#"{"records":[{"value":1}]}"#),
        Call::post("/messages", "application/json", "1").header("kafka-partition", "4"),
    ];
    for call in to_partition_4 {
        let stale = || Scripted::default().with_partitions(Ok(4));
        let added = stale().with_partitions_now(Ok(5));
        assert_eq!(call.send(&app(added.clone())).await.status, 200, "a partition added since metadata came");
        assert_eq!(added.records()[0].partition, Some(4));
        let denied = call.send(&app(stale().with_partitions_now(Ok(4)))).await;
        assert_eq!(denied.problem(), (404, 40402));
        let unknown =
            call.send(&app(stale().with_partitions_now(Err(not_sent(FailureCause::BrokersUnreachable))))).await;
        assert_eq!(unknown.problem(), (503, 50302), "nobody knows whether it is there: not final");
    }
}

#[tokio::test]
async fn the_v2_media_type_carries_the_same_document_when_asked_for() {
    let router = app(Scripted::default());
    let call = Call::records("{}");
    let problem = call.invoke(&router, false).await;
    for accept in ["application/vnd.kafka.v2+json", "text/html, Application/vnd.kafka.v2+JSON;q=0.5"] {
        let v2 = call.clone().header("accept", accept).invoke(&router, false).await;
        assert_eq!(v2.header("content-type"), Some("application/vnd.kafka.v2+json"));
        assert_eq!((v2.status, v2.json()), (problem.status, problem.json()));
    }
    let other = call.header("accept", "application/json").invoke(&router, false).await;
    assert_eq!(other.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn head_and_options_behave() {
    let router = app(Scripted::default());
    for target in ["/topics", "/topics/orders", "/healthz", "/readyz", "/version"] {
        let get = Call::get(target).send(&router).await;
        let head = Call::new("HEAD", target).send(&router).await;
        assert_eq!((get.status, head.status, head.body.len()), (200, 200, 0), "{target}");
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{target}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{target}");
    }
    let missing = Call::new("HEAD", "/topics/nothing").send(&router).await;
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    for (path, methods) in msk_producer::api::router::paths() {
        let target = path.replace("{topic}", "orders").replace("{partition}", "0").replace("{cluster}", "c");
        let options = Call::new("OPTIONS", &target).send(&router).await;
        assert_eq!((options.status, options.body.len()), (204, 0), "{target}");
        let allow = options.header("allow").unwrap().to_owned();
        let refused = Call::new("DELETE", &target).send(&router).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some(allow.as_str())), "{target}");
        for method in methods {
            assert!(allow.contains(method), "{target}: {allow}");
            // The handler is there: neither 404 for the route nor 405.
            let call = Call::new(method, &target).body("1").header("content-type", "application/json");
            let answer = call.send(&router).await;
            assert!(![404, 405].contains(&answer.status), "{method} {target}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn a_publisher_that_breaks_the_deadline_is_not_waited_for() {
    let publisher = Scripted::default().with_delay(Duration::from_secs(3600));
    // An answer leaves 400 ms before the deadline: 0.3 s to spare for busy cores.
    let left = Duration::from_millis(1_000);
    let started = std::time::Instant::now();
    let answer = try_invoke(&app(publisher), &two().event(false).to_string(), left).await.unwrap();
    assert!(started.elapsed() <= Duration::from_millis(900), "{:?}", started.elapsed());
    assert_eq!(answer.problem(), (504, 50003));
    assert_eq!(answer.json()["persisted"], "unknown");
}

#[tokio::test]
async fn a_panic_is_a_500_in_the_apis_form() {
    let broken = app(Scripted::new(|_, _| panic!("injected")));
    for call in [two(), Call::post("/messages", "application/json", "1")] {
        let answer: HttpAnswer = call.send(&broken).await;
        assert_eq!(answer.problem(), (500, 500));
        // The publisher had the records: their delivery results are lost with the panic.
        let body = answer.json();
        assert_eq!((&body["persisted"], &body["retriable"]), (&"unknown".into(), &true.into()));
    }
    let broken = app(Scripted::default().without_partitions());
    let body = Call::get("/topics/orders").send(&broken).await.json();
    assert_eq!((&body["persisted"], &body["retriable"]), (&"no".into(), &false.into()), "a GET writes nothing");
}

#[tokio::test]
async fn a_message_has_places_of_its_own() {
    let router = app(Scripted::default());
    let binary_only = app_with(&[("TOPICS", r#"{"orders":{"formats":["binary"]}}"#)], Scripted::default());
    let message = |topic: &str, length| {
        let body = format!("\"{}\"", "x".repeat(length));
        Call::post(format!("/messages?topic={topic}"), "application/json", body)
    };
    let nowhere = message("orders", 1).header("kafka-partition", "4");
    for (router, call, pointer, detail) in [
        (&router, message("strict.topic", 1), "Kafka-Key", "Kafka-Key: missing"),
        (&router, nowhere, "Kafka-Partition", "Kafka-Partition: does not exist"),
        (&router, message("orders", 1_000_001), "", "the record has 1000003 bytes"),
        (&binary_only, message("orders", 1), "", "this topic does not accept the format json"),
    ] {
        let answer = call.send(router).await;
        let body = answer.json();
        assert_eq!(body["errors"][0]["pointer"], pointer, "{body}");
        assert!(body["detail"].as_str().unwrap().starts_with(detail), "{body}");
        assert_eq!(body["validation_errors"][0], body["detail"], "{body}");
        assert!(body["index"].is_null(), "{body}");
    }
}

#[tokio::test]
async fn the_version_names_what_runs() {
    let body = Call::get("/version").send(&app(Scripted::default())).await.json();
    assert_eq!(body["name"], "msk-producer");
    assert!(body["librdkafka"].as_str().unwrap().starts_with("2."), "{body}");
    assert!(body["version"].is_string(), "{body}");
    assert_eq!(body["revision"], env!("MSK_REVISION"), "{body}");
}
