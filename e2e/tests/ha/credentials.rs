//! Credentials that end, rotate, and cannot always be had.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use msk_e2e::{
    functions,
    kafka::{Cluster, iam, iam::AccessKey},
    lambda::{Environment, FunctionOptions},
    load::{Load, Plan},
};
use rand::Rng as _;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::stage::{Kind, Stage, ensure_all_succeeded, producer, topic, verdict};

/// How long each access key lives.
const LIFE: Duration = Duration::from_secs(20);

/// How often the endpoint fails, of a thousand questions.
const FAILURES: u32 = 300;

/// From the endpoint's return to the next 2xx: the client alone would wait 10 s.
const RECOVERY: Duration = Duration::from_secs(2);

/// A container credentials endpoint, as ECS and Lambda's managed instances have one, that gives a new key for each life.
struct Endpoint {
    cluster: Arc<Cluster>,
    key: Mutex<Option<(AccessKey, Instant)>>,
    asked: Mutex<(u64, u64)>,
    failures: AtomicU32,
}

impl Endpoint {
    /// The key of this life; a key whose life is over is unknown to the brokers from then on.
    fn key(&self) -> anyhow::Result<(AccessKey, Duration)> {
        let mut current = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((key, since)) = current.as_ref() {
            // A key is not given out for its last moments, as AWS rotates before the end.
            if since.elapsed() < LIFE / 2 {
                return Ok((key.clone(), LIFE - since.elapsed()));
            }
            let (cluster, id, left) = (Arc::clone(&self.cluster), key.id.clone(), LIFE.saturating_sub(since.elapsed()));
            tokio::spawn(async move {
                tokio::time::sleep(left).await;
                cluster.iam().remove_key(&id)
            });
        }
        let key = AccessKey::temporary();
        self.cluster.iam().add_key(&key, iam::PRODUCER_ROLE)?;
        *current = Some((key.clone(), Instant::now()));
        Ok((key, LIFE))
    }
}

async fn answer(State(endpoint): State<Arc<Endpoint>>) -> (StatusCode, String) {
    let fails = rand::rng().random_ratio(endpoint.failures.load(Ordering::Relaxed), 1_000);
    {
        let mut asked = endpoint.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = (asked.0 + 1, asked.1 + u64::from(fails));
    }
    if fails {
        return (StatusCode::INTERNAL_SERVER_ERROR, String::new());
    }
    let Ok((key, left)) = endpoint.key() else { return (StatusCode::INTERNAL_SERVER_ERROR, String::new()) };
    let end = (OffsetDateTime::now_utc() + left).format(&Rfc3339).unwrap_or_default();
    let document = json!({
        "AccessKeyId": key.id, "SecretAccessKey": key.secret, "Token": key.session_token, "Expiration": end,
    });
    (StatusCode::OK, document.to_string())
}

pub(crate) async fn short_lives(stage: &Stage) -> anyhow::Result<String> {
    let cluster = stage.cluster_of(Kind::Kafka3Reauthenticating).await?;
    let topic = topic(&cluster, "r12").await?;
    let endpoint = Arc::new(Endpoint {
        cluster: Arc::clone(&cluster),
        key: Mutex::default(),
        asked: Mutex::default(),
        failures: AtomicU32::new(FAILURES),
    });
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let uri = format!("http://{}/credentials", listener.local_addr()?);
    let routes = Router::new().route("/credentials", get(answer)).with_state(Arc::clone(&endpoint));
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let mut options = producer(&cluster, &topic, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str())]);
    options
        .variables
        .retain(|(name, _)| !cluster.key().environment().iter().any(|(own, _)| own == name && own != "AWS_REGION"));
    let environments = functions::start(&options, 2).await?;
    let load = Load::new(&topic);
    let seconds = stage.choose(60, 600);
    let plan = Plan { pause: Duration::from_millis(20), ..Plan::default() };
    load.run_until(&environments, plan, tokio::time::sleep(Duration::from_secs(seconds))).await;
    let (asked, failed) = *endpoint.asked.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(asked >= seconds / 20, "the endpoint was asked only {asked} times in {seconds} s");
    ensure_all_succeeded(&load)?;
    let figures = verdict(&cluster, &topic, &load).await?;
    drop(environments);
    let silence = silent_endpoint(&endpoint, &cluster, &options).await?;
    server.abort();
    Ok(format!(
        "{seconds} s, keys of {LIFE:?}; {failed} of {asked} questions to the signer failed; {figures}; {silence}"
    ))
}

/// An endpoint that fails from the start: init goes on, requests are told so, and its return is noticed soon.
async fn silent_endpoint(endpoint: &Endpoint, cluster: &Cluster, options: &FunctionOptions) -> anyhow::Result<String> {
    let topic = topic(cluster, "r12").await?;
    let mut options = options.clone();
    options.variables.push(("TOPICS".to_owned(), topic.clone()));
    endpoint.failures.store(1_000, Ordering::Relaxed);
    let environment = Environment::start(&options).await?;
    let load = Load::new(&topic);
    let refused = load.send(&environment, 0, 1).await;
    ensure!(refused.status == 503 && refused.persisted.as_deref() == Some("no"), "without credentials: {refused:?}");
    endpoint.failures.store(0, Ordering::Relaxed);
    let next = load.send(&environment, 0, 1).await;
    ensure!(next.is_success() && next.duration <= RECOVERY, "after the endpoint's return: {next:?}");
    verdict(cluster, &topic, &load).await?;
    let told = refused.duration;
    Ok(format!("an endpoint that is down: 503 after {told:.1?}; back: 200 after {:.1?}", next.duration))
}
