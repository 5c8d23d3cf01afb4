//! What the cluster reports about itself, queried through the brokers' internal listener and never through a fault proxy.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::config::BrokerId;
use crate::error::{Error, Result, kafka_error};
use crate::wait::wait_until;

/// Limit of one query to one broker; a stopped broker costs this much before the next one is queried.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Limit for creating a topic, including on brokers that have only just started.
const CREATION_TIMEOUT: Duration = Duration::from_secs(20);

/// Failed questions in a row after which a new client asks: one that was told of no broker, as while all are fenced, has
/// none left to ask and does not begin again (librdkafka issue 5301). Not after one: a broker that starts is slow.
const FAILURES: u32 = 3;

/// A resumed broker hears from the controller again within its fetch wait of 500 ms plus a reconnection.
const SETTLED: Duration = Duration::from_secs(2);

/// A partition as the cluster's metadata shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub id: i32,
    /// The broker that takes writes; none during an election.
    pub leader: Option<BrokerId>,
    /// All brokers that should have a replica of it.
    pub replicas: Vec<BrokerId>,
    /// The brokers whose replica is in sync.
    pub in_sync: Vec<BrokerId>,
}

impl Partition {
    /// Whether it has a leader and at least `replicas` replicas in sync.
    fn is_in_sync(&self, replicas: usize) -> bool {
        self.leader.is_some() && self.in_sync.len() >= replicas
    }
}

/// Queries and commands to the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    config: ClientConfig,
    asking: Arc<Mutex<Asking>>,
}

struct Asking {
    /// A consumer that never subscribes: librdkafka's lightest client with a metadata call.
    client: Arc<BaseConsumer>,
    /// Failed questions in a row.
    failures: u32,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// Asks through `bootstrap`, which is the internal listener but in tests of this client.
    ///
    /// # Errors
    /// [`Error::Kafka`] when librdkafka does not take the addresses.
    pub fn new(bootstrap: &str) -> Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            // The brokers that receive these queries are being killed: retry soon.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "300")
            .set("socket.timeout.ms", "1500")
            .set("log_level", "0");
        let asking = Asking { client: asking_client(&config)?, failures: 0 };
        Ok(Self { config, asking: Arc::new(Mutex::new(asking)) })
    }

    /// The brokers that are alive and unfenced.
    ///
    /// # Errors
    /// [`Error::Kafka`] when no broker answers.
    pub async fn brokers(&self) -> Result<Vec<BrokerId>> {
        let metadata = self.metadata(None).await?;
        let mut ids: Vec<BrokerId> = metadata.brokers().iter().filter_map(|broker| id(broker.id())).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The partitions of `topic`, by number.
    ///
    /// # Errors
    /// [`Error::Kafka`] when no broker answers, [`Error::Invalid`] when there is no such topic.
    pub async fn partitions(&self, topic: &str) -> Result<Vec<Partition>> {
        let metadata = self.metadata(Some(topic)).await?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        let found = found.ok_or_else(|| Error::Invalid(format!("the cluster has no topic {topic}")))?;
        let ids = |ids: &[i32]| ids.iter().copied().filter_map(id).collect();
        let mut partitions: Vec<Partition> = found
            .partitions()
            .iter()
            .map(|partition| Partition {
                id: partition.id(),
                leader: id(partition.leader()),
                replicas: ids(partition.replicas()),
                in_sync: ids(partition.isr()),
            })
            .collect();
        partitions.sort_by_key(|partition| partition.id);
        Ok(partitions)
    }

    /// The leader of one partition.
    ///
    /// # Errors
    /// As [`Admin::partitions`]; also [`Error::Invalid`] while there is no leader.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<BrokerId> {
        let partitions = self.partitions(topic).await?;
        let found = partitions.iter().find(|found| found.id == partition);
        found
            .and_then(|found| found.leader)
            .ok_or_else(|| Error::Invalid(format!("partition {topic}-{partition} has no leader now")))
    }

    /// Creates a topic with replication factor 3 and waits until every replica is in sync.
    pub async fn create_topic(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            self.config.create().map_err(kafka_error("creating the test bed's admin client"))?;
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(3));
        for (key, value) in config {
            new = new.set(key, value);
        }
        // Both are needed: without the second one, the client gives up the whole request after its `socket.timeout.ms`.
        let options = AdminOptions::new()
            .operation_timeout(Some(CREATION_TIMEOUT))
            .request_timeout(Some(CREATION_TIMEOUT + QUESTION_TIMEOUT));
        let what = format!("creating topic {topic}");
        let results = admin.create_topics([&new], &options).await.map_err(kafka_error(&what))?;
        for result in results {
            if let Err((_, code)) = result {
                return Err(Error::Kafka { what, source: rdkafka::error::KafkaError::AdminOp(code) });
            }
        }
        self.wait_in_sync(topic, 3, Duration::from_secs(30)).await
    }

    /// Adds partitions to a topic, up to `total`, and waits until every replica is in sync.
    ///
    /// # Errors
    /// [`Error::Kafka`], [`Error::TimedOut`] with the last state seen.
    pub async fn add_partitions(&self, topic: &str, total: usize) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            self.config.create().map_err(kafka_error("creating the test bed's admin client"))?;
        let what = format!("adding partitions to {topic}");
        let options = AdminOptions::new().request_timeout(Some(CREATION_TIMEOUT));
        let more = NewPartitions::new(topic, total);
        let results = admin.create_partitions([&more], &options).await.map_err(kafka_error(&what))?;
        for result in results {
            if let Err((_, code)) = result {
                return Err(Error::Kafka { what, source: rdkafka::error::KafkaError::AdminOp(code) });
            }
        }
        let of_all = format!("{total} partitions of {topic} in sync");
        wait_until(&of_all, CREATION_TIMEOUT, || async {
            match self.partitions(topic).await {
                Ok(seen) if seen.len() == total && seen.iter().all(|partition| partition.is_in_sync(3)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Limits how fast a broker copies what it has missed to `bytes_per_second`; `None` removes the limit. Only
    /// topics with `follower.replication.throttled.replicas` are limited, and only until the broker is in sync.
    ///
    /// # Errors
    ///
    /// [`Error::Kafka`].
    pub async fn throttle_follower(&self, id: BrokerId, bytes_per_second: Option<u32>) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            self.config.create().map_err(kafka_error("creating the test bed's admin client"))?;
        let rate = bytes_per_second.map(|rate| rate.to_string());
        let mut config = AlterConfig::new(ResourceSpecifier::Broker(id.into()));
        if let Some(rate) = &rate {
            config = config.set("follower.replication.throttled.rate", rate);
        }
        let what = format!("throttling broker {id}");
        let options = AdminOptions::new().request_timeout(Some(CREATION_TIMEOUT));
        let results = admin.alter_configs([&config], &options).await.map_err(kafka_error(&what))?;
        for result in results {
            if let Err((_, code)) = result {
                return Err(Error::Kafka { what, source: rdkafka::error::KafkaError::AdminOp(code) });
            }
        }
        Ok(())
    }

    /// Waits until every partition of `topic` has a leader and at least `replicas` replicas in sync.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the last state seen.
    pub async fn wait_in_sync(&self, topic: &str, replicas: usize, limit: Duration) -> Result<()> {
        let what = format!("{replicas} in-sync replicas of every partition of {topic}");
        self.wait_partitions(&what, topic, limit, |partition| partition.is_in_sync(replicas)).await
    }

    /// As [`Admin::wait_in_sync`], after a broker was stopped and resumed: it answers with what it knew before until the
    /// controller has told it what happened in the meantime. So the state must be seen in every answer for a while.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the last state seen.
    pub async fn wait_settled(&self, topic: &str, replicas: usize, limit: Duration) -> Result<()> {
        let since = Cell::new(None::<Instant>);
        let what = format!("{replicas} in-sync replicas of every partition of {topic}, for {SETTLED:?}");
        wait_until(&what, limit, || async {
            match self.partitions(topic).await {
                Ok(partitions) if partitions.iter().all(|partition| partition.is_in_sync(replicas)) => {
                    let start = since.get().unwrap_or_else(Instant::now);
                    since.set(Some(start));
                    let held = start.elapsed();
                    if held >= SETTLED { Ok(()) } else { Err(format!("in sync for {held:?}")) }
                }
                other => {
                    since.set(None);
                    Err(format!("{other:?}"))
                }
            }
        })
        .await
    }

    /// Waits until `holds` for every partition of `topic`; `what` names it in the error.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the last state seen.
    pub async fn wait_partitions(
        &self,
        what: &str,
        topic: &str,
        limit: Duration,
        holds: impl Fn(&Partition) -> bool,
    ) -> Result<()> {
        wait_until(what, limit, || async {
            match self.partitions(topic).await {
                Ok(partitions) if partitions.iter().all(&holds) => Ok(()),
                Ok(partitions) => Err(format!("{partitions:?}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// Waits until exactly these brokers are alive.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the last state seen.
    pub async fn wait_brokers(&self, expected: &[BrokerId], limit: Duration) -> Result<()> {
        wait_until(&format!("live brokers {expected:?}"), limit, || async {
            match self.brokers().await {
                Ok(brokers) if brokers == expected => Ok(()),
                Ok(brokers) => Err(format!("{brokers:?}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    async fn metadata(&self, topic: Option<&str>) -> Result<rdkafka::metadata::Metadata> {
        let (config, asking) = (self.config.clone(), Arc::clone(&self.asking));
        let topic = topic.map(str::to_owned);
        // librdkafka's metadata call blocks, and so does the end of a client.
        let answer = tokio::task::spawn_blocking(move || {
            let lock = || asking.lock().unwrap_or_else(PoisonError::into_inner);
            let client = Arc::clone(&lock().client);
            let answer = client.fetch_metadata(topic.as_deref(), QUESTION_TIMEOUT);
            let mut asking = lock();
            asking.failures = if answer.is_ok() { 0 } else { asking.failures + 1 };
            if asking.failures >= FAILURES {
                *asking = Asking { client: asking_client(&config)?, failures: 0 };
            }
            answer.map_err(kafka_error("asking for metadata"))
        });
        answer.await.map_err(|error| Error::Invalid(format!("metadata call: {error}")))?
    }
}

fn asking_client(config: &ClientConfig) -> Result<Arc<BaseConsumer>> {
    config.create().map(Arc::new).map_err(kafka_error("creating the test bed's Kafka client"))
}

fn id(raw: i32) -> Option<BrokerId> {
    BrokerId::try_from(raw).ok()
}
