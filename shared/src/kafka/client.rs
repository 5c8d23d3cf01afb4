//! One librdkafka producer: created, connected, used, and dropped without blocking.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::callbacks::Callbacks;
use super::failure::{FailureCause, PublishFailure};
use super::iam::TokenSource;
use super::partition::Partition;
use super::partitioner::group_by_batch;
use super::record::OutboundRecord;
use super::reports::{Report, ReportTo, Reports};
use crate::names::TopicName;

/// Longest single metadata request; a slow broker leaves time for another.
const METADATA_TRY: Duration = Duration::from_millis(1500);
/// First pause between two metadata requests while the producer id is awaited; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// How long librdkafka has to find a broker again by itself; it tries after some 500 ms.
const LOST: Duration = Duration::from_secs(1);
/// A minute of looking for brokers; the next request has a new client by then.
const BOOTSTRAPS: u32 = 60;
/// Partitions whose leaders are asked at once; a cluster of three brokers has them all among the first few.
const LEADERS_ASKED: usize = 6;
/// Pause between two requests for a topic's metadata that callers cause by naming partitions that are not there: each such
/// caller gets an answer that is true now, and all of them together cost the cluster two requests a second.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long a dropped client may take to send what is left. Nothing should be: every request has answered by then.
const DROP_FLUSH: Duration = Duration::from_secs(2);

/// A producer client. Dropping it never blocks: the native client is destroyed on a thread of its own.
pub(super) struct Client {
    producer: Option<ThreadedProducer<Callbacks>>,
    retired: AtomicBool,
    created: Instant,
    bootstrap_servers: CString,
    /// How often they may be given to librdkafka again: it keeps each list.
    bootstrap_left: AtomicU32,
    partitions: RwLock<HashMap<TopicName, (Partitions, Instant)>>,
    /// When each topic was last asked about anew. Held while that is done, so that it is done once for all who wait.
    asked_anew: tokio::sync::Mutex<HashMap<TopicName, Instant>>,
}

/// A topic's partitions in the order of their numbers.
type Partitions = Arc<[Partition]>;
/// A topic's partitions in a broker's answer, or why the topic cannot be used.
type TopicAnswer = Result<Partitions, PublishFailure>;

/// Why [`Client::connect`] failed.
pub(super) struct NotConnected {
    pub(super) failure: PublishFailure,
    /// Whether the broker that was asked last has answered: then it is the producer id that is missing.
    pub(super) answered: bool,
}

impl From<NotConnected> for PublishFailure {
    fn from(it: NotConnected) -> Self {
        it.failure
    }
}

impl Client {
    pub(super) fn start(config: &ClientConfig, tokens: Option<TokenSource>) -> KafkaResult<Arc<Self>> {
        let producer = ThreadedProducer::from_config_and_context(config, Callbacks::new(tokens))?;
        producer.context().set_created();
        let bootstrap_servers = config.get("bootstrap.servers").unwrap_or_default();
        Ok(Arc::new(Self {
            producer: Some(producer),
            retired: AtomicBool::new(false),
            created: Instant::now(),
            // librdkafka took it as a C string, too.
            bootstrap_servers: CString::new(bootstrap_servers).unwrap_or_default(),
            bootstrap_left: AtomicU32::new(BOOTSTRAPS),
            partitions: RwLock::default(),
            asked_anew: tokio::sync::Mutex::default(),
        }))
    }

    #[expect(clippy::expect_used, reason = "the producer is taken out only by drop")]
    fn producer(&self) -> &ThreadedProducer<Callbacks> {
        self.producer.as_ref().expect("the producer lives as long as its client")
    }

    pub(super) fn callbacks(&self) -> &Callbacks {
        self.producer().context()
    }

    /// librdkafka's own handle, valid as long as the client.
    pub(super) fn native(&self) -> *mut rdkafka_sys::bindings::rd_kafka_t {
        self.producer().client().native_ptr()
    }

    /// The error that ended this client for good, if there is one.
    pub(super) fn fatal_error(&self) -> Option<(Code, String)> {
        self.producer().client().fatal_error()
    }

    /// Marks the client as not to be used for new requests.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(super) fn age(&self) -> Duration {
        self.created.elapsed()
    }

    /// Messages waiting or in flight.
    pub(super) fn queue_depth(&self) -> u64 {
        u64::try_from(self.producer().in_flight_count()).unwrap_or(0)
    }

    /// Waits for the last report. If all brokers are lost meanwhile, they are looked for.
    pub(super) async fn wait_for(self: &Arc<Self>, reports: &Reports, topic: Option<&TopicName>) {
        let mut complete = std::pin::pin!(reports.complete());
        while tokio::time::timeout(LOST, &mut complete).await.is_err() {
            if self.callbacks().is_lost_for(LOST) {
                tokio::select! {
                    () = &mut complete => return,
                    answered = self.fetch_metadata(topic.cloned(), METADATA_TRY) => if answered.is_err() {
                        self.add_bootstrap_servers();
                    },
                }
            }
        }
    }

    /// Begins again where a new client would. A broker that knows of no other, as while the controller fences all of them,
    /// makes librdkafka 2.12.1 forget every broker, and its own new start can end with none (its issue 5301).
    #[expect(unsafe_code, reason = "rdkafka does not wrap rd_kafka_brokers_add")]
    fn add_bootstrap_servers(&self) {
        let take = |left: u32| left.checked_sub(1);
        if self.bootstrap_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return;
        }
        // SAFETY: the client and the text outlive the call, which copies the text.
        let added =
            unsafe { rdkafka_sys::bindings::rd_kafka_brokers_add(self.native(), self.bootstrap_servers.as_ptr()) };
        tracing::warn!(added, "no broker answers the Kafka client; it is given its bootstrap servers again");
    }

    /// Enqueues all records, those of a broker and partition one behind the other, in order; never blocks.
    ///
    /// A broker's thread sends what is there when it wakes up, and while five records of a partition are under way it sends no
    /// more of that partition, but asks again and again (librdkafka 2.12.1, `rd_kafka_toppar_producer_serve`). A request whose
    /// partitions take turns pays for that with many batches and with a thread that never sleeps.
    pub(super) fn enqueue(&self, records: &[OutboundRecord]) -> Reports {
        let (reports, report_to) = Reports::for_records(records.len(), self.callbacks().brokers_forgotten());
        let mut records: Vec<_> = records.iter().zip(report_to).collect();
        if let [(first, _), _, ..] = records.as_slice()
            && let Some((partitions, _)) = self.known_partitions(&first.topic)
        {
            group_by_batch(&mut records, &partitions);
        }
        let prepared: Vec<_> =
            records.into_iter().filter_map(|(record, report_to)| prepare(record, report_to)).collect();
        prepared.into_iter().for_each(|record| self.send(record));
        reports
    }

    fn send(&self, record: PreparedRecord<'_>) {
        if let Err((error, record)) = self.producer().send(record) {
            let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
            // Refused by the local queue: it never left the process.
            record.delivery_opaque.send(Report::not_sent(FailureCause::from(code)));
        }
    }

    /// Takes back whatever can be taken back, for every request on this client. Each record's report says whether it may have
    /// been written.
    /// The client must not be used again: what is in flight is not recalled, so sequence numbers may be off.
    pub(super) fn purge(&self) {
        self.retire();
        self.producer().purge(PurgeConfig::default().queue().inflight());
    }

    /// Connects: fetches metadata until a broker has answered and the producer id is there, or until `bound` has passed.
    /// A metadata answer is also what makes librdkafka ask for the id without waiting for its 500 ms timer. What it says about
    /// the topic does not matter here: one topic that is missing must not make the cluster look dead to the others.
    pub(super) async fn connect(self: &Arc<Self>, topics: &[TopicName], bound: Duration) -> Result<(), NotConnected> {
        let until = Instant::now() + bound;
        let mut pause = PAUSE_MIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let fetched = self.fetch_metadata(topics.first().cloned(), left.min(METADATA_TRY)).await;
            if fetched.is_err() && self.callbacks().is_lost_for(LOST) {
                self.add_bootstrap_servers();
            }
            if fetched.is_ok() && self.callbacks().has_producer_id() {
                return Ok(());
            }
            if let Some((code, _)) = self.fatal_error() {
                let failure = PublishFailure::not_sent(FailureCause::from(code));
                return Err(NotConnected { failure, answered: fetched.is_ok() });
            }
            if until.saturating_duration_since(Instant::now()) <= pause {
                let cause = self.callbacks().last_connection_error().unwrap_or(FailureCause::BrokersUnreachable);
                return Err(NotConnected { failure: PublishFailure::not_sent(cause), answered: fetched.is_ok() });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Asks the cluster about a topic, or about all when there is none, on a blocking thread. Fails when no broker answers.
    async fn fetch_metadata(
        self: &Arc<Self>,
        topic: Option<TopicName>,
        bound: Duration,
    ) -> Result<TopicAnswer, PublishFailure> {
        let client = Arc::clone(self);
        let fetched = tokio::task::spawn_blocking(move || client.fetch_metadata_blocking(topic, bound)).await;
        fetched.unwrap_or(Err(PublishFailure::not_sent(FailureCause::Other(Code::Fail))))
    }

    fn fetch_metadata_blocking(
        &self,
        topic: Option<TopicName>,
        bound: Duration,
    ) -> Result<TopicAnswer, PublishFailure> {
        // Zero would mean "return at once", without asking.
        let bound = bound.max(Duration::from_millis(10));
        let metadata =
            self.producer().client().fetch_metadata(topic.as_ref().map(TopicName::as_str), bound).map_err(|error| {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                let cause = match FailureCause::from(code) {
                    FailureCause::TimedOut | FailureCause::BrokersUnreachable => {
                        self.callbacks().last_connection_error().unwrap_or(FailureCause::BrokersUnreachable)
                    }
                    cause => cause,
                };
                PublishFailure::not_sent(cause)
            })?;
        self.callbacks().set_connected();
        let Some(topic) = topic else { return Ok(Ok(Arc::default())) };
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic.as_str()) else {
            return Ok(Err(PublishFailure::not_sent(FailureCause::TopicMissing)));
        };
        if let Some(error) = found.error() {
            let cause = FailureCause::from(Code::from(error));
            // A leader election leaves the partitions in place.
            if cause != FailureCause::BrokersUnreachable || found.partitions().is_empty() {
                return Ok(Err(PublishFailure::not_sent(cause)));
            }
        }
        let partitions: Partitions = Partition::all_of(found).into();
        let mut known = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(topic, (Arc::clone(&partitions), Instant::now()));
        Ok(Ok(partitions))
    }

    /// Partitions of a topic, from memory when younger than `max_age`.
    pub(super) async fn partitions(
        self: &Arc<Self>,
        topic: &TopicName,
        max_age: Duration,
        bound: Duration,
    ) -> Result<Partitions, PublishFailure> {
        match self.known_partitions(topic) {
            Some((partitions, seen)) if seen.elapsed() < max_age => Ok(partitions),
            _ => self.fetch_metadata(Some(topic.clone()), bound).await?,
        }
    }

    /// Partitions of a topic by metadata that was asked for after this call began.
    pub(super) async fn partitions_now(
        self: &Arc<Self>,
        topic: &TopicName,
        bound: Duration,
    ) -> Result<Partitions, PublishFailure> {
        let called = Instant::now();
        let asking = async {
            let mut asked_anew = self.asked_anew.lock().await;
            let last = asked_anew.get(topic).copied();
            if let (Some(asked), Some((partitions, seen))) = (last, self.known_partitions(topic))
                && called <= asked
                && asked <= seen
            {
                return Ok(partitions);
            }
            if let Some(asked) = last {
                tokio::time::sleep_until((asked + ASK_AGAIN).into()).await;
            }
            asked_anew.insert(topic.clone(), Instant::now());
            let left = bound.saturating_sub(called.elapsed());
            self.fetch_metadata(Some(topic.clone()), left).await?
        };
        let unreachable = PublishFailure::not_sent(FailureCause::BrokersUnreachable);
        tokio::time::timeout(bound, asking).await.unwrap_or(Err(unreachable))
    }

    fn known_partitions(&self, topic: &TopicName) -> Option<(Partitions, Instant)> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).get(topic).cloned()
    }

    /// Whether any leader of a topic's partitions answers within `bound`; of a topic never seen, none.
    pub(super) async fn any_leader_answers(self: &Arc<Self>, topic: &TopicName, bound: Duration) -> bool {
        let Some((partitions, _)) = self.known_partitions(topic) else { return false };
        let ask = |partition: &Partition| Box::pin(self.leader_answers(topic.clone(), partition.id, bound));
        let mut asked: FuturesUnordered<_> = partitions.iter().take(LEADERS_ASKED).map(ask).collect();
        while let Some(answers) = asked.next().await {
            if answers {
                return true;
            }
        }
        false
    }

    /// Whether a partition's leader answers within `bound`: it is asked for its offsets, which needs no right beyond
    /// describing the topic.
    pub(super) async fn leader_answers(self: &Arc<Self>, topic: TopicName, partition: i32, bound: Duration) -> bool {
        let client = Arc::clone(self);
        let ask = move || client.producer().client().fetch_watermarks(topic.as_str(), partition, bound).is_ok();
        tokio::task::spawn_blocking(ask).await.unwrap_or(false)
    }

    /// Sends what is queued, bounded. Blocks.
    pub(super) fn flush(&self, bound: Duration) -> Result<(), KafkaError> {
        self.producer().flush(bound)
    }
}

/// A record as librdkafka takes it.
type PreparedRecord<'a> = BaseRecord<'a, [u8], [u8], Box<ReportTo>>;

/// `None` if the record was refused.
fn prepare(record: &OutboundRecord, report_to: ReportTo) -> Option<PreparedRecord<'_>> {
    // A NUL would panic inside rdkafka; the functions refuse it before, with a better text.
    if record.headers.iter().any(|header| header.name.contains('\0')) {
        report_to.send(Report::not_sent(FailureCause::Rejected));
        return None;
    }
    let mut prepared = BaseRecord::with_opaque_to(record.topic.as_str(), Box::new(report_to));
    prepared.partition = record.partition;
    prepared.key = record.key.as_deref();
    prepared.payload = record.value.as_deref();
    prepared.timestamp = record.timestamp_ms;
    if !record.headers.is_empty() {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for header in &record.headers {
            headers = headers.insert(KafkaHeader { key: &header.name, value: header.value.as_deref() });
        }
        prepared.headers = Some(headers);
    }
    Some(prepared)
}

impl Drop for Client {
    fn drop(&mut self) {
        let Some(producer) = self.producer.take() else { return };
        // Destroying a client joins its threads, which may wait for a socket: never on an async thread.
        let destroy = move || {
            let _ = producer.flush(DROP_FLUSH);
            drop(producer);
        };
        if let Err(error) = std::thread::Builder::new().name("kafka-client-drop".into()).spawn(destroy) {
            tracing::error!(error = %error, "no thread to drop a Kafka client on");
        }
    }
}
