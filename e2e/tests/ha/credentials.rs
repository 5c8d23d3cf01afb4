//! Credentials that expire, rotate, and are not always available.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use msk_e2e::functions;
use msk_e2e::kafka::cluster::BROKERS;
use msk_e2e::kafka::iam::{self, AccessKey};
use msk_e2e::kafka::{Cluster, Listener};
use msk_e2e::lambda::{Environment, FunctionOptions};
use msk_e2e::load::{Load, Plan};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::shared_clusters::{ClusterKind, SharedClusters, ensure_all_succeeded, producer, topic, verdict};

/// How long each access key is valid.
const LIFE: Duration = Duration::from_secs(20);

/// How many of a thousand requests the endpoint fails: the first, and then every third or fourth.
const FAILURES: u64 = 300;

/// From the endpoint's return to the next 2xx: the client alone would wait 10 s.
const RECOVERY: Duration = Duration::from_secs(2);

/// A container credentials endpoint, as ECS and Lambda's managed instances have one, which issues a new key for each lifetime.
struct Endpoint {
    cluster: Arc<Cluster>,
    key: Mutex<Option<(AccessKey, Instant)>>,
    asked: Mutex<Asked>,
    failures: AtomicU64,
}

/// Requests to the endpoint, and those that failed.
#[derive(Clone, Copy, Default)]
struct Asked {
    times: u64,
    failed: u64,
}

impl Endpoint {
    /// Counts a request; returns whether it fails. The failures are spread evenly, not at random, so that every few
    /// requests have one.
    fn fails(&self) -> bool {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let fails = asked.times * failures % 1_000 < failures;
        *asked = Asked { times: asked.times + 1, failed: asked.failed + u64::from(fails) };
        fails
    }

    fn asked(&self) -> Asked {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of the current lifetime; the brokers no longer know an expired key.
    fn key(&self) -> anyhow::Result<(AccessKey, Duration)> {
        let mut current = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((key, since)) = current.as_ref() {
            // A key is not issued shortly before it expires, as AWS rotates earlier.
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
    if endpoint.fails() {
        return (StatusCode::INTERNAL_SERVER_ERROR, String::new());
    }
    let Ok((key, left)) = endpoint.key() else { return (StatusCode::INTERNAL_SERVER_ERROR, String::new()) };
    let end = (OffsetDateTime::now_utc() + left).format(&Rfc3339).unwrap_or_default();
    let document = json!({
        "AccessKeyId": key.id, "SecretAccessKey": key.secret, "Token": key.session_token, "Expiration": end,
    });
    (StatusCode::OK, document.to_string())
}

pub(crate) async fn short_lives(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster_of(ClusterKind::Kafka3Reauthenticating).await?;
    let topic = topic(&cluster, "r12").await?;
    let endpoint = Arc::new(Endpoint {
        cluster: Arc::clone(&cluster),
        key: Mutex::default(),
        asked: Mutex::default(),
        failures: AtomicU64::new(FAILURES),
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
    let seconds = clusters.choose(60, 600);
    let plan = Plan { pause: Duration::from_millis(20), ..Plan::default() };
    let before = Renewals::seen(&endpoint, &cluster)?;
    load.run_until(&environments, plan, tokio::time::sleep(Duration::from_secs(seconds))).await;
    let renewals = Renewals::seen(&endpoint, &cluster)?.since(&before);
    renewals.ensure_enough(seconds, environments.len())?;
    ensure_all_succeeded(&load)?;
    let figures = verdict(&cluster, &topic, &load).await?;
    drop(environments);
    let silence = silent_endpoint(&endpoint, &cluster, &options).await?;
    server.abort();
    Ok(format!("{seconds} s, keys of {LIFE:?}; {renewals}; {figures}; {silence}"))
}

/// Evidence that keys and tokens really were renewed.
struct Renewals {
    asked: Asked,
    /// Tokens presented on open connections, by broker.
    shown: Vec<u64>,
    /// The expiry times of the tokens that the brokers' verifier has accepted.
    ends: BTreeSet<String>,
}

impl Renewals {
    /// All so far.
    fn seen(endpoint: &Endpoint, cluster: &Cluster) -> anyhow::Result<Self> {
        let mut seen = Self { asked: endpoint.asked(), shown: Vec::new(), ends: BTreeSet::new() };
        for id in BROKERS {
            seen.shown.push(cluster.proxy(id, Listener::Iam)?.stats().reauthentications);
            let log = cluster.log(id)?;
            let accepted = log.lines().filter(|line| line.contains("MSK IAM token accepted"));
            let ends = accepted.filter_map(|line| line.rsplit_once("expires="));
            seen.ends.extend(ends.map(|(_, end)| end.to_owned()));
        }
        Ok(seen)
    }

    /// Only what came after `before`: init also requests and authenticates, which does not count here.
    fn since(mut self, before: &Self) -> Self {
        self.asked.times -= before.asked.times;
        self.asked.failed -= before.asked.failed;
        self.shown.iter_mut().zip(&before.shown).for_each(|(now, before)| *now -= before);
        self.ends.retain(|end| !before.ends.contains(end));
        self
    }

    fn ensure_enough(&self, seconds: u64, environments: usize) -> anyhow::Result<()> {
        let lives = seconds / LIFE.as_secs();
        ensure!(self.asked.times >= lives, "a key lives {LIFE:?}, and in {seconds} s {self}");
        ensure!(self.asked.failed > 0, "the signer never failed: {self}");
        // Each environment has a connection to each broker, and no token outlives its key.
        let least = lives * environments as u64;
        ensure!(self.shown.iter().all(|shown| *shown >= least), "not {least} for each broker: {self}");
        ensure!(self.ends.len() as u64 >= lives, "not {lives} tokens: {self}");
        Ok(())
    }
}

impl fmt::Display for Renewals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, shown, ends } = self;
        write!(
            formatter,
            "{} of {} questions to the signer failed; {shown:?} times a new token on an open connection, by broker; \
             {} different tokens accepted",
            asked.failed,
            asked.times,
            ends.len()
        )
    }
}

/// An endpoint that fails from the start: init succeeds, requests report the failure, and its return is noticed soon.
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
    let took = refused.duration;
    Ok(format!("an endpoint that is down: 503 after {took:.1?}; back: 200 after {:.1?}", next.duration))
}
