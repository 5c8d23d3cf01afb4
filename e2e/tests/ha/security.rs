//! What must be rejected, and how the function reports it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use msk_e2e::certs::{Authority, BROKER_NAMES, Identity, Validity};
use msk_e2e::client;
use msk_e2e::kafka::cluster::BROKERS;
use msk_e2e::kafka::iam::{self, Statement};
use msk_e2e::kafka::{Cluster, Listener};
use msk_e2e::lambda::{Environment, HttpEvent};
use msk_e2e::load::Load;
use msk_e2e::proxy::tls::Tls;
use msk_e2e::proxy::{Proxy, Wire};
use msk_e2e::token::{TokenDraft, forged};
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use serde_json::json;

use crate::shared_clusters::{ClusterKind, SharedClusters, producer, topic};

/// The function must report a refusal within this.
const REPORTED_WITHIN: Duration = Duration::from_secs(10);

pub(crate) async fn tls_refusals(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "s4").await?;
    let own = cluster.authority();
    let other = Authority::new("another authority")?;
    let refused: [(&str, Option<Identity>, &str); 4] = [
        ("wrong CA", Some(other.server(&BROKER_NAMES, Validity::Current)?), "certificate"),
        ("wrong name", Some(own.server(&["broker.example.org"], Validity::Current)?), "certificate"),
        ("expired", Some(own.server(&BROKER_NAMES, Validity::Expired)?), "certificate"),
        ("plaintext port", None, "PLAINTEXT broker listener"),
    ];
    let mut figures = Vec::new();
    for (what, identity, word) in refused {
        let entry = entry(&cluster, identity.as_ref()).await?;
        let bootstrap = format!("127.0.0.1:{}", entry.port());
        let options = producer(&cluster, &topic, &[("KAFKA_BOOTSTRAP_SERVERS", bootstrap.as_str())]);
        let environment = Environment::start(&options).await?;
        let load = Load::new(&topic);
        let answer = load.send(&environment, 0, 1).await;
        ensure!(answer.status == 503, "{what}: {answer:?}\n{}", environment.log());
        ensure!(answer.persisted.as_deref() == Some("no"), "{what}: {answer:?}");
        ensure!(answer.duration <= REPORTED_WITHIN, "{what}: reported after {:.1?}", answer.duration);
        let named = environment.log().lines().any(|line| line.to_lowercase().contains(&word.to_lowercase()));
        ensure!(named, "{what}: no log line names the cause ({word}):\n{}", environment.log());
        figures.push(format!("{what}: 503 after {:.1?}", answer.duration));
    }
    Ok(figures.join(", "))
}

/// A proxy to the first broker that presents this certificate, or one to its plaintext port.
async fn entry(cluster: &Cluster, identity: Option<&Identity>) -> anyhow::Result<Proxy> {
    let port = |listener| cluster.bound_port(BROKERS[0], listener);
    Ok(match identity {
        Some(identity) => {
            let wire = Wire::KafkaInTls(Tls::new(identity, cluster.authority())?);
            Proxy::start(0, (std::net::Ipv4Addr::LOCALHOST, port(Listener::Iam)?).into(), wire).await?
        }
        None => {
            Proxy::start(0, (std::net::Ipv4Addr::LOCALHOST, port(Listener::Plaintext)?).into(), Wire::Bytes).await?
        }
    })
}

pub(crate) async fn missing_permissions(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "s5").await?;
    let on_cluster = |actions: &[&str]| Statement::allow(actions, &[iam::cluster_arn()]);
    let on_topic = |actions: &[&str], topic: &str| Statement::allow(actions, &[iam::topic_arn(topic)]);
    let policies = [
        ("Connect", vec![on_cluster(&["WriteDataIdempotently"]), on_topic(&["DescribeTopic", "WriteData"], &topic)]),
        ("WriteDataIdempotently", vec![on_cluster(&["Connect"]), on_topic(&["DescribeTopic", "WriteData"], &topic)]),
        ("WriteData", vec![on_cluster(&["Connect", "WriteDataIdempotently"]), on_topic(&["DescribeTopic"], &topic)]),
        // The permissions of another topic: the right to write to this one is missing.
        (
            "WriteData",
            vec![
                on_cluster(&["Connect", "WriteDataIdempotently"]),
                on_topic(&["DescribeTopic", "WriteData"], "another-topic"),
            ],
        ),
    ];
    let mut figures = Vec::new();
    for (missing, policy) in policies {
        cluster.iam().set_policy(iam::PRODUCER_ROLE, policy)?;
        let environment = Environment::start(&producer(&cluster, &topic, &[])).await?;
        let load = Load::new(&topic);
        let answer = load.send(&environment, 0, 1).await;
        let log = environment.log();
        ensure!(
            answer.status == 503 && answer.persisted.as_deref() == Some("no"),
            "without {missing}: {answer:?}\n{log}"
        );
        // A broker that refuses a connection does not say why: to a client it looks like an invalid token.
        let word = if missing == "Connect" { "authentication" } else { missing };
        // One name begins like the other.
        let named = log.split(word).skip(1).any(|rest| !rest.starts_with("Idempotently"));
        ensure!(named, "without {missing}: no log line names it:\n{log}");
        ensure!(log.contains("AuthFailures"), "without {missing}: no metric:\n{log}");
        figures.push(format!("without {missing}: 503 after {:.1?}", answer.duration));
    }
    Ok(figures.join(", "))
}

/// Text that must not appear in a log, wherever it was put in.
const CANARY: &str = "canary-7f3a9c";

pub(crate) async fn clean_logs(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let topic = topic(&cluster, "s3").await?;
    let environment = Environment::start(&producer(&cluster, &topic, &[])).await?;
    let mut answers = 0;
    let hostile = ["\r\n{\"level\":\"INFO\"}", "\u{1b}[31m", "\0", "\u{202e}\u{2066}", "\u{85}\u{2028}"];
    let long = "x".repeat(1 << 20);
    for text in hostile.iter().copied().chain([long.as_str()]) {
        for event in events_with(&format!("{CANARY}{text}"), &topic) {
            let invocation = environment.invoke(&event.build()).await;
            ensure!(invocation.is_ok(), "no answer: {:?}", invocation.err());
            answers += 1;
        }
    }
    let log = environment.log();
    let broken = log.lines().find(|line| serde_json::from_str::<serde_json::Value>(line).is_err());
    ensure!(broken.is_none(), "a line is no JSON: {broken:?}");
    let key = cluster.key();
    let secrets = [Some(CANARY), Some(key.secret.as_str()), key.session_token.as_deref(), Some("aHR0cHM6Ly9rYWZrYS")];
    for (number, secret) in secrets.into_iter().flatten().enumerate() {
        let leak =
            log.lines().find(|line| line.contains(secret)).map(|line| line.chars().take(600).collect::<String>());
        ensure!(leak.is_none(), "secret {number} is in the log: {leak:?}");
    }
    ensure!(!log.chars().any(|c| c == '\u{1b}' || c == '\0' || c == '\u{202e}'), "a control character is in the log");
    ensure!(log.contains("\"request\""), "nothing was logged at all");
    Ok(format!("{answers} requests with hostile text, {} log lines, all JSON, no secret in any", log.lines().count()))
}

/// Requests with `text` in every place a caller can fill.
fn events_with(text: &str, topic: &str) -> Vec<HttpEvent> {
    let json = "application/vnd.kafka.json.v2+json";
    let records = |records: serde_json::Value| HttpEvent::post_records(topic, &json!({ "records": records }));
    vec![
        records(json!([{"key": text, "value": text}])),
        records(json!([{"value": {text: text}, "headers": [{"key": "h", "value_utf8": text}]}])),
        records(json!([{"value": 1, text: 1}])),
        records(json!([{"value": 1, "partition": text}])),
        records(json!([{"value": 1}])).header("idempotency-key", text).header("traceparent", text),
        records(json!([{"value": 1}])).header("x-any", text).header("user-agent", text),
        HttpEvent::new("POST", &format!("/topics/{text}")).header("content-type", json).text("{\"records\":[]}"),
        HttpEvent::new("POST", &format!("/topics/{topic}")).header("content-type", text).text(text),
        HttpEvent::new("POST", &format!("/topics/{topic}")).header("content-type", json).text(text),
        HttpEvent::new("GET", &format!("/{text}")),
        HttpEvent::new(text, "/healthz"),
    ]
}

pub(crate) async fn forged_tokens(clusters: &SharedClusters) -> anyhow::Result<String> {
    forged_tokens_on(clusters, ClusterKind::Kafka3).await
}

pub(crate) async fn forged_tokens_on_kafka_4(clusters: &SharedClusters) -> anyhow::Result<String> {
    forged_tokens_on(clusters, ClusterKind::Kafka4).await
}

/// Presents each token to a broker, which must reject it and log the rule.
async fn forged_tokens_on(clusters: &SharedClusters, kind: ClusterKind) -> anyhow::Result<String> {
    let cluster = clusters.cluster_of(kind).await?;
    let now = time::OffsetDateTime::now_utc();
    let genuine = TokenDraft::genuine(cluster.key(), now, 900).token();
    ensure!(connects(&cluster, &genuine).await?, "the genuine token was refused");
    let forged = forged::all(cluster.key(), now);
    // Text outside of base64url does not even fit into the SASL message.
    let sendable =
        |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b));
    let mut rules = BTreeSet::new();
    let mut shown = 0;
    for forged in forged.iter().filter(|forged| sendable(&forged.token)) {
        let before = refusals(&cluster, forged.rule)?;
        ensure!(!connects(&cluster, &forged.token).await?, "accepted: {}", forged.name);
        ensure!(refusals(&cluster, forged.rule)? > before, "{} was not refused by {}", forged.name, forged.rule);
        rules.insert(forged.rule);
        shown += 1;
    }
    Ok(format!("{shown} forged tokens refused by {} rules, each named in the broker's log", rules.len()))
}

/// How often the brokers have named this rule.
fn refusals(cluster: &Cluster, rule: &str) -> anyhow::Result<usize> {
    let line = format!("MSK IAM token refused: rule={rule} ");
    Ok(BROKERS.map(|id| cluster.log(id)).into_iter().collect::<Result<Vec<_>, _>>()?.concat().matches(&line).count())
}

/// Whether a client with this very token gets through to a broker.
async fn connects(cluster: &Cluster, token: &str) -> anyhow::Result<bool> {
    let bootstrap = format!("127.0.0.1:{}", cluster.bound_port(BROKERS[0], Listener::Iam)?);
    let mut settings = client::settings(cluster, Listener::Iam);
    settings.set("bootstrap.servers", bootstrap).set("log_level", "0").set("reconnect.backoff.ms", "10000");
    let verdict = Arc::new(Mutex::new(None));
    let context = OneToken { token: token.to_owned(), verdict: Arc::clone(&verdict) };
    let client: BaseProducer<OneToken> = settings.create_with_context(context)?;
    let asked = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        while start.elapsed() < REPORTED_WITHIN {
            client.poll(Duration::from_millis(20));
            if client.client().fetch_metadata(None, Duration::from_millis(100)).is_ok() {
                return Some(true);
            }
            if let Some(verdict) = *verdict.lock().unwrap_or_else(PoisonError::into_inner) {
                return Some(verdict);
            }
        }
        None
    });
    asked.await?.context("the broker neither took nor refused the token")
}

/// Provides one token and remembers that it was rejected.
struct OneToken {
    token: String,
    verdict: Arc<Mutex<Option<bool>>>,
}

impl ClientContext for OneToken {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let lifetime_ms = (time::OffsetDateTime::now_utc().unix_timestamp() + 900) * 1_000;
        Ok(OAuthToken { token: self.token.clone(), principal_name: "kafka-cluster".to_owned(), lifetime_ms })
    }

    fn error(&self, error: KafkaError, _reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(false);
        }
    }
}

impl ProducerContext for OneToken {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::producer::DeliveryResult<'_>, (): ()) {}
}
