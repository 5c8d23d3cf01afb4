//! The real publisher over embedded brokers, and a second client that reads back what was written.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use msk_producer::config::Config;
use msk_shared::env::EnvReader;
use msk_shared::kafka::KafkaPublisher;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::calls::{Call, HttpAnswer, JSON_V2, try_invoke};

const BINARY: &str = "application/vnd.kafka.binary.v2+json";
const TEXT: &str = "application/vnd.kafka.text.v2+json";
const PARTITIONS: i32 = 4;

/// Embedded brokers and an API over them. The cluster's handle may not change threads, so tests run on one.
pub(crate) struct Cluster {
    brokers: MockCluster<'static, DefaultProducerContext>,
    router: Router,
}

/// A record as the second client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    partition: i32,
    offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    timestamp_ms: Option<i64>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Cluster {
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let brokers = MockCluster::new(3).unwrap();
        brokers.create_topic("orders", PARTITIONS, 3).unwrap();
        let servers = brokers.bootstrap_servers();
        let base = [("KAFKA_BOOTSTRAP_SERVERS", servers.as_str()), ("KAFKA_AUTH", "none"), ("TOPICS", "orders")];
        let env = EnvReader::new(base.into_iter().chain(variables.iter().copied()));
        let app = msk_producer::app::start(env, Instant::now()).await.unwrap();
        Self { brokers, router: app.router }
    }

    pub(crate) async fn send(&self, call: Call) -> HttpAnswer {
        call.send(&self.router).await
    }

    /// Reads until `count` records have come, from the start of every partition; fails after 10 s.
    pub(crate) fn read(&self, count: usize) -> Vec<Read> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers.bootstrap_servers())
            .set("group.id", "second-client")
            .create()
            .unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            partitions.add_partition_offset("orders", partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let mut records = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(10);
        while records.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} records came", records.len());
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message.unwrap();
            let headers = message
                .headers()
                .map(|headers| headers.iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect());
            records.push(Read {
                partition: message.partition(),
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                timestamp_ms: message.timestamp().to_millis(),
                headers: headers.unwrap_or_default(),
            });
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }
}

/// What is kept of a key or value, or the answer's status.
type Kept = Result<Option<&'static [u8]>, u16>;

/// What each way of writing a key or value becomes, by format.
fn matrix() -> Vec<(&'static str, &'static str, Kept)> {
    vec![
        (JSON_V2, "null", Ok(None)),
        (JSON_V2, "\"\"", Ok(Some(b"\"\""))),
        (JSON_V2, "\"null\"", Ok(Some(b"\"null\""))),
        (JSON_V2, "0", Ok(Some(b"0"))),
        (JSON_V2, "false", Ok(Some(b"false"))),
        (JSON_V2, "{}", Ok(Some(b"{}"))),
        (JSON_V2, "[]", Ok(Some(b"[]"))),
        (BINARY, "null", Ok(None)),
        (BINARY, "\"\"", Ok(Some(b""))),
        (BINARY, "\"bnVsbA==\"", Ok(Some(b"null"))),
        (BINARY, "\"MA==\"", Ok(Some(b"0"))),
        (BINARY, "\"AA==\"", Ok(Some(b"\0"))),
        (BINARY, "\"ZmFsc2U=\"", Ok(Some(b"false"))),
        (BINARY, "0", Err(422)),
        (BINARY, "false", Err(422)),
        (TEXT, "null", Ok(None)),
        (TEXT, "\"\"", Ok(Some(b""))),
        (TEXT, "\"null\"", Ok(Some(b"null"))),
        (TEXT, "\"0\"", Ok(Some(b"0"))),
        (TEXT, "\"false\"", Ok(Some(b"false"))),
        (TEXT, "0", Err(422)),
        (TEXT, "false", Err(422)),
    ]
}

#[tokio::test]
async fn null_empty_zero_and_false_stay_apart_in_every_format_as_key_and_as_value() {
    let cluster = Cluster::start(&[]).await;
    let mut expected = Vec::new();
    for (media, key, key_bytes) in matrix() {
        for (_, value, value_bytes) in matrix().into_iter().filter(|(format, ..)| *format == media) {
            // Partition 1 throughout: a record without key would go anywhere, and order says which is which.
            let body = format!(r#"{{"records":[{{"key":{key},"value":{value},"partition":1}}]}}"#);
            let answer = cluster.send(Call::post("/topics/orders", media, body)).await;
            match (key_bytes, value_bytes) {
                (Ok(key), Ok(value)) => {
                    assert_eq!(answer.status, 200, "{media} {key:?} {value:?}: {:?}", answer.body);
                    assert_eq!(answer.json()["offsets"][0]["offset"], expected.len(), "{:?}", answer.body);
                    expected.push((key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec)));
                }
                _ => assert_eq!(answer.status, 422, "{media} {key} {value}: {:?}", answer.body),
            }
        }
    }
    let read: Vec<_> = cluster.read(expected.len()).into_iter().map(|record| (record.key, record.value)).collect();
    assert_eq!(read, expected);
    println!("{} combinations read back byte by byte", read.len());
}

#[tokio::test]
async fn headers_timestamps_and_message_fields_are_read_back_as_sent() {
    let cluster = Cluster::start(&[]).await;
    let body = r#"{"records":[{"key":"k","key_format":"string","value":{"a":1.0},"partition":2,"timestamp":1700000000001,
        "headers":[{"key":"b","value":"/wA="},{"key":"a","value_utf8":"ü"},{"key":"b","value":null},{"key":"e","value":""}]}]}"#;
    let answer = cluster.send(Call::records(body)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let message = Call::post("/messages?key=k", "application/json", "[1, 2]")
        .header("kafka-partition", "3")
        .header("traceparent", parent)
        .header("idempotency-key", "id-1");
    let answer = cluster.send(message).await;
    assert_eq!((answer.status, &answer.json()["partition"]), (200, &3.into()), "{:?}", answer.body);
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let read = cluster.read(2);
    assert_eq!(
        read[0],
        Read {
            partition: 2,
            offset: 0,
            key: Some(b"k".to_vec()),
            value: Some(br#"{"a":1.0}"#.to_vec()),
            timestamp_ms: Some(1_700_000_000_001),
            headers: vec![
                header("b", Some(b"\xff\0")),
                header("a", Some("ü".as_bytes())),
                header("b", None),
                header("e", Some(b"")),
            ],
        }
    );
    assert_eq!((read[1].key.as_deref(), read[1].value.as_deref()), (Some(&b"k"[..]), Some(&b"[1,2]"[..])));
    assert_eq!(
        read[1].headers,
        [header("traceparent", Some(parent.as_bytes())), header("idempotency-key", Some(b"id-1"))]
    );
    // Its own time; the answer's is the one that the embedded brokers make up.
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!(read[1].timestamp_ms.is_some_and(|ms| (now_ms - 60_000..=now_ms).contains(&ms)), "{:?}", read[1]);
}

#[tokio::test]
async fn a_batch_keeps_its_order_per_key_and_each_result_stands_at_its_records_place() {
    let cluster = Cluster::start(&[]).await;
    let records: Vec<String> =
        (0..500).map(|n| format!(r#"{{"key":"k{}","value":{n},"key_format":"string"}}"#, n % 7)).collect();
    let answer = cluster.send(Call::records(format!(r#"{{"records":[{}]}}"#, records.join(",")))).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let body = answer.json();
    let offsets = body["offsets"].as_array().unwrap();
    let read = cluster.read(500);
    for (index, result) in offsets.iter().enumerate() {
        let at = |r: &&Read| result["partition"] == r.partition && result["offset"] == r.offset;
        let record = read.iter().find(at).unwrap();
        assert_eq!(record.value.as_deref(), Some(index.to_string().as_bytes()));
        assert_eq!(record.key.as_deref(), Some(format!("k{}", index % 7).as_bytes()));
    }
    for key in 0..7 {
        let key = format!("k{key}").into_bytes();
        let of_key: Vec<&Read> = read.iter().filter(|r| r.key.as_ref() == Some(&key)).collect();
        assert!(of_key.iter().all(|r| r.partition == of_key[0].partition), "one key, one partition");
        let number = |r: &Read| String::from_utf8(r.value.clone().unwrap()).unwrap().parse::<u32>().unwrap();
        assert!(of_key.windows(2).all(|pair| number(pair[0]) < number(pair[1])), "order per key");
    }
}

#[tokio::test]
async fn topic_details_and_readiness_ask_the_cluster() {
    let cluster = Cluster::start(&[]).await;
    let details = cluster.send(Call::get("/topics/orders")).await;
    assert_eq!(details.json()["partitions"].as_array().map(Vec::len), Some(4), "{:?}", details.body);
    let partitions = cluster.send(Call::get("/topics/orders/partitions")).await.json();
    for (id, partition) in partitions.as_array().unwrap().iter().enumerate() {
        assert_eq!(partition["partition"], id, "{partitions}");
        let replicas = partition["replicas"].as_array().unwrap();
        assert!(replicas.len() == 3 && replicas.iter().all(|replica| replica["in_sync"] == true), "{partitions}");
        let leaders: Vec<_> = replicas.iter().filter(|replica| replica["leader"] == true).collect();
        assert!(leaders.len() == 1 && leaders[0]["broker"] == partition["leader"], "{partitions}");
    }
    let ready = cluster.send(Call::get("/readyz")).await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &true.into()), "{:?}", ready.body);
    let warm_up = &ready.json()["warm_up"];
    assert_eq!(warm_up["ready"], true, "{:?}", ready.body);
    let steps = ["created_ms", "first_answer_ms", "producer_id_ms"].map(|name| warm_up[name].as_u64());
    assert!(steps.iter().all(Option::is_some) && steps.is_sorted(), "{warm_up}");
    assert!(warm_up["token_ms"].is_null(), "without IAM there is no token: {warm_up}");
    let beyond = cluster.send(Call::records(r#"{"records":[{"value":1,"partition":4}]}"#)).await;
    assert_eq!(beyond.problem(), (404, 40402));
}

/// Injected for every try that the publisher may make.
fn often(error: RDKafkaRespErr) -> Vec<RDKafkaRespErr> {
    vec![error; 100]
}

#[tokio::test]
async fn what_the_broker_refuses_is_reported_as_the_table_says() {
    let cases = [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 413, 413, "no"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 503, 50302, "no"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, 422, 42206, "no"),
    ];
    for (error, status, error_code, persisted) in cases {
        let cluster = Cluster::start(&[("DELIVERY_TIMEOUT_MS", "3000")]).await;
        cluster.brokers.request_errors(RDKafkaApiKey::Produce, &often(error));
        let answer = cluster.send(Call::records(r#"{"records":[{"value":1}]}"#)).await;
        assert_eq!(answer.problem(), (status, error_code), "{error:?}: {:?}", answer.body);
        assert_eq!(answer.json()["persisted"], persisted, "{error:?}");
    }
}

#[tokio::test]
async fn too_few_replicas_is_a_503_and_passes_without_restart() {
    let cluster = Cluster::start(&[("DELIVERY_TIMEOUT_MS", "2000")]).await;
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    cluster.brokers.request_errors(RDKafkaApiKey::Produce, &often(error));
    let call = Call::records(r#"{"records":[{"value":1}]}"#);
    let answer = cluster.send(call.clone()).await;
    assert_eq!((answer.problem(), &answer.json()["persisted"]), ((503, 50302), &"no".into()), "{:?}", answer.body);
    assert!(answer.header("retry-after").is_some());
    cluster.brokers.clear_request_errors(RDKafkaApiKey::Produce);
    let answer = cluster.send(call).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    // What was answered `persisted: no` is nowhere.
    assert_eq!(cluster.read(1).len(), 1);
    assert_eq!(answer.json()["offsets"][0]["offset"], 0);
}

#[tokio::test]
async fn dead_brokers_are_a_503_or_504_before_the_deadline_and_returned_ones_a_200() {
    let cluster = Cluster::start(&[("DELIVERY_TIMEOUT_MS", "3000")]).await;
    let call = Call::records(r#"{"records":[{"value":1},{"value":2}]}"#);
    assert_eq!(cluster.send(call.clone()).await.status, 200);
    for broker in 1..=3 {
        cluster.brokers.broker_down(broker).unwrap();
    }
    let left = Duration::from_secs(8);
    let started = Instant::now();
    let answer = try_invoke(&cluster.router, &call.event(false).to_string(), left).await.unwrap();
    assert!(started.elapsed() < left - Duration::from_millis(300), "{:?}", started.elapsed());
    let (status, error_code) = answer.problem();
    assert!([(503, 50302), (504, 50003)].contains(&(status, error_code)), "{:?}", answer.body);
    let unknown = status == 504;
    assert_eq!(answer.json()["persisted"] == "unknown", unknown, "{:?}", answer.body);
    for broker in 1..=3 {
        cluster.brokers.broker_up(broker).unwrap();
    }
    let answer = cluster.send(call).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    println!("all brokers down: {status} after {:?}", started.elapsed());
}

#[tokio::test]
async fn a_cluster_that_is_down_at_init_does_not_fail_it() {
    let started = Instant::now();
    let env = EnvReader::new([
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("KAFKA_AUTH", "none"),
        ("TOPICS", "orders"),
        ("DELIVERY_TIMEOUT_MS", "2000"),
    ]);
    let router = msk_producer::app::start(env, started).await.unwrap().router;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(Call::get("/healthz").send(&router).await.status, 200);
    let ready = Call::get("/readyz").send(&router).await;
    assert_eq!((ready.status, &ready.json()["checks"]["brokers"] != "ok"), (503, true), "{:?}", ready.body);
    let warm_up = &ready.json()["warm_up"];
    assert!(warm_up["created_ms"].is_u64() && warm_up["duration_ms"].is_u64(), "{warm_up}");
    let steps = ["token_ms", "first_answer_ms", "producer_id_ms"].map(|name| warm_up.get(name));
    assert_eq!(steps, [Some(&serde_json::Value::Null); 3], "no step was reached: {warm_up}");
    let answer = Call::records(r#"{"records":[{"value":1}]}"#).send(&router).await;
    assert_eq!((answer.problem(), &answer.json()["persisted"]), ((503, 50302), &"no".into()), "{:?}", answer.body);
}

#[tokio::test]
async fn with_less_than_two_seconds_left_nothing_is_sent() {
    let cluster = Cluster::start(&[]).await;
    let call = Call::records(r#"{"records":[{"value":1}]}"#);
    for left_ms in [500, 1000, 1900] {
        let left = Duration::from_millis(left_ms);
        let started = Instant::now();
        let answer = try_invoke(&cluster.router, &call.event(false).to_string(), left).await.unwrap();
        assert_eq!((answer.problem(), &answer.json()["persisted"]), ((503, 50302), &"no".into()), "{left_ms}");
        assert!(started.elapsed() < left, "{left_ms}");
    }
    let answer =
        try_invoke(&cluster.router, &call.event(false).to_string(), Duration::from_millis(2500)).await.unwrap();
    assert_eq!((answer.status, &answer.json()["offsets"][0]["offset"]), (200, &0.into()), "{:?}", answer.body);
}

#[tokio::test]
async fn a_topic_that_is_listed_but_missing_is_a_503() {
    let cluster = Cluster::start(&[("TOPICS", "orders,ghost"), ("DELIVERY_TIMEOUT_MS", "3000")]).await;
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.brokers.topic_error("ghost", error).unwrap();
    let named = r#"{"records":[{"value":1,"partition":0}]}"#;
    let lists = ["/topics/ghost", "/topics/ghost/partitions", "/topics/ghost/partitions/0"].map(Call::get);
    for call in lists.into_iter().chain([Call::post("/topics/ghost", JSON_V2, named)]) {
        let answer = cluster.send(call).await;
        assert_eq!(answer.problem(), (503, 50302), "{:?}", answer.body);
    }
}

/// The settings of the contract reach the client: this fails when `Config` forgets one.
#[test]
fn the_publisher_gets_its_topics_and_its_timeout() {
    let env = EnvReader::new([
        ("KAFKA_BOOTSTRAP_SERVERS", "b:9092"),
        ("KAFKA_AUTH", "none"),
        ("TOPICS", "a,b"),
        ("DELIVERY_TIMEOUT_MS", "4000"),
    ]);
    let settings = Config::from_env(env).unwrap().publisher_settings();
    assert_eq!(settings.delivery_timeout.get(), 4000);
    assert_eq!(settings.topics.iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(settings.kafka.bootstrap_servers, "b:9092");
    assert!(KafkaPublisher::start(settings).is_ok());
}
