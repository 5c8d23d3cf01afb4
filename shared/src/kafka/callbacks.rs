//! What librdkafka reports and asks for: delivery reports with each message's own status, errors, log lines, and requests for
//! tokens. Everything here runs on the client's polling thread.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::failure::{FailureCause, Persisted, PublishFailure};
use super::iam::TokenSource;
use super::milestones::Milestones;
use super::publish::{NotReady, Readiness};
use super::record::Delivery;
use super::refusal::is_for_content;
use super::reports::{Report, ReportTo};
use super::sabotage::{self, Sabotage};

/// The same error this soon is the same event: librdkafka itself waits longer between two attempts to connect.
const REPEATED: Duration = Duration::from_millis(50);

/// What the polling thread learns about one client.
pub(super) struct Callbacks {
    tokens: Option<TokenSource>,
    started: Instant,
    reached: Reached,
    /// A broker answered, and since then not all of them were reported down.
    connected: AtomicBool,
    /// Since when no broker has answered, if all were reported down; or since when they were looked for again.
    lost_since: Mutex<Option<Instant>>,
    /// Whether all brokers were ever reported down.
    has_lost_brokers: AtomicBool,
    /// How often a broker was forgotten because metadata did not list it.
    brokers_forgotten: AtomicU64,
    /// The idempotent producer has its id.
    producer_id: AtomicBool,
    /// The client asked for a token and got none: librdkafka asks again only 10 s later.
    token_failed: AtomicBool,
    auth_failures: AtomicU64,
    /// How often the producer's epoch was raised: it has 15 bits, and a broker refuses one that begins again at 0.
    epochs_used: AtomicU32,
    /// The newest failure of a connection, while nothing has succeeded since.
    last_connection_error: Mutex<Option<FailureCause>>,
    /// The newest client-wide error.
    newest_error: Mutex<Option<(Code, String, Instant)>>,
}

/// When something happened first, from the start of the client's creation.
#[derive(Default)]
struct Reached {
    created: OnceLock<Duration>,
    token: OnceLock<Duration>,
    first_answer: OnceLock<Duration>,
    producer_id: OnceLock<Duration>,
}

impl Callbacks {
    pub(super) fn new(tokens: Option<TokenSource>) -> Self {
        Self {
            tokens,
            started: Instant::now(),
            reached: Reached::default(),
            connected: AtomicBool::new(false),
            lost_since: Mutex::new(None),
            has_lost_brokers: AtomicBool::new(false),
            brokers_forgotten: AtomicU64::new(0),
            producer_id: AtomicBool::new(false),
            token_failed: AtomicBool::new(false),
            auth_failures: AtomicU64::new(0),
            epochs_used: AtomicU32::new(0),
            last_connection_error: Mutex::new(None),
            newest_error: Mutex::new(None),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// The client exists; it connects in the background.
    pub(super) fn set_created(&self) {
        self.reach(&self.reached.created);
    }

    /// Notes a step, once, and never before the creation: the polling thread may be ahead of the thread that creates the client.
    fn reach(&self, step: &OnceLock<Duration>) {
        self.reached.created.get_or_init(|| self.started.elapsed());
        step.get_or_init(|| self.started.elapsed());
    }

    pub(super) fn set_connected(&self) {
        self.reach(&self.reached.first_answer);
        self.connected.store(true, Ordering::Release);
        *self.lost_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.last_connection_error.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether all brokers were ever reported down.
    pub(super) fn has_lost_brokers(&self) -> bool {
        self.has_lost_brokers.load(Ordering::Acquire)
    }

    /// Whether no broker has answered for `period` since all were reported down; `true` once in each such period.
    pub(super) fn is_lost_for(&self, period: Duration) -> bool {
        let mut lost_since = self.lost_since.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = lost_since.is_some_and(|since| since.elapsed() >= period);
        if is_due {
            *lost_since = Some(Instant::now());
        }
        is_due
    }

    /// How often a broker was forgotten because metadata did not list it.
    pub(super) fn brokers_forgotten(&self) -> u64 {
        self.brokers_forgotten.load(Ordering::Acquire)
    }

    pub(super) fn has_producer_id(&self) -> bool {
        self.producer_id.load(Ordering::Acquire)
            || sabotage::is_on(Sabotage::AcksOne)
            || sabotage::is_on(Sabotage::NoIdempotence)
    }

    fn set_producer_id(&self) {
        // A broker gave it: this can arrive before the metadata that the warm-up asked for.
        self.reach(&self.reached.first_answer);
        self.reach(&self.reached.producer_id);
        self.producer_id.store(true, Ordering::Release);
    }

    pub(super) fn milestones(&self) -> Milestones {
        let Reached { created, token, first_answer, producer_id } = &self.reached;
        Milestones {
            created: created.get().copied(),
            token: token.get().copied(),
            first_answer: first_answer.get().copied(),
            producer_id: producer_id.get().copied(),
        }
    }

    /// Whether the client is left without a token until librdkafka's timer asks for one again.
    pub(super) fn token_failed(&self) -> bool {
        self.token_failed.load(Ordering::Acquire)
    }

    pub(super) fn auth_failures(&self) -> u64 {
        self.auth_failures.load(Ordering::Relaxed)
    }

    /// How often the producer's epoch was raised.
    pub(super) fn epochs_used(&self) -> u32 {
        self.epochs_used.load(Ordering::Relaxed)
    }

    /// The newest connection failure since the last success.
    pub(super) fn last_connection_error(&self) -> Option<FailureCause> {
        *self.last_connection_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `answered`: a broker was asked just now, and did.
    pub(super) fn readiness(&self, answered: bool) -> Readiness {
        let check = |passes: bool, otherwise| if passes { Ok(()) } else { Err(otherwise) };
        let no_answer = match self.last_connection_error() {
            Some(FailureCause::Authentication) => NotReady::CredentialsRefused,
            _ => NotReady::NoBroker,
        };
        Readiness {
            brokers: check(answered, no_answer),
            producer_id: check(self.has_producer_id(), NotReady::NoProducerId),
            token: check(!self.tokens.as_ref().is_some_and(TokenSource::has_expired), NotReady::NoToken),
        }
    }

    /// A producer of rdkafka 0.39 reports each client-wide error twice in a row.
    fn is_repeated(&self, code: Code, reason: &str) -> bool {
        let mut newest = self.newest_error.lock().unwrap_or_else(PoisonError::into_inner);
        let again = newest.as_ref().is_some_and(|(newest, newest_reason, at)| {
            (*newest, newest_reason.as_str()) == (code, reason) && at.elapsed() < REPEATED
        });
        *newest = Some((code, reason.to_owned(), Instant::now()));
        again
    }

    fn note_connection_error(&self, cause: FailureCause) {
        if cause == FailureCause::Authentication {
            self.auth_failures.fetch_add(1, Ordering::Relaxed);
        }
        let mut last = self.last_connection_error.lock().unwrap_or_else(PoisonError::into_inner);
        // A refused credential explains more than the lost connection that follows it.
        if *last != Some(FailureCause::Authentication) {
            *last = Some(cause);
        }
    }
}

impl ClientContext for Callbacks {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", fac, "{message}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", fac, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", fac, "{message}"),
            // Debug lines of the contexts `eos` and `broker`: the state of the idempotent producer, and brokers that are given up.
            RDKafkaLogLevel::Debug => {
                if fac == "DESTROY" && message.contains("Sending TERMINATE") {
                    self.brokers_forgotten.fetch_add(1, Ordering::AcqRel);
                } else if fac == "IDEMPSTATE" {
                    if message.contains("-> Assigned") {
                        self.set_producer_id();
                    } else if message.contains("-> DrainBump") {
                        // After a refused batch: the client keeps its id and raises the epoch itself once nothing is in flight.
                        self.epochs_used.fetch_add(1, Ordering::Relaxed);
                    } else {
                        self.producer_id.store(false, Ordering::Release);
                    }
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if self.is_repeated(code, reason) {
            return;
        }
        if code == Code::AllBrokersDown {
            self.connected.store(false, Ordering::Release);
            self.has_lost_brokers.store(true, Ordering::Release);
            self.lost_since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        }
        let cause = cause_of(code, reason);
        self.note_connection_error(cause);
        tracing::warn!(target: "librdkafka", code = code_name(code), cause = cause.name(), "{reason}");
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let Some(tokens) = &self.tokens else { return Err("no token source".into()) };
        let token = tokens.token();
        self.token_failed.store(token.is_err(), Ordering::Release);
        match token {
            Ok(token) => {
                self.reach(&self.reached.token);
                Ok(OAuthToken {
                    token: token.expose().to_owned(),
                    principal_name: "kafka-cluster".to_owned(),
                    lifetime_ms: token.expires_at_ms(),
                })
            }
            Err(error) => {
                self.note_connection_error(FailureCause::Authentication);
                tracing::error!(error = %error, "no MSK IAM token");
                Err(Box::new(error))
            }
        }
    }
}

/// Client-wide errors come as a transport failure with the cause in words: a refused token closes the connection.
fn cause_of(code: Code, reason: &str) -> FailureCause {
    match FailureCause::from(code) {
        FailureCause::BrokersUnreachable if reason.contains("SASL authentication error") => {
            FailureCause::Authentication
        }
        FailureCause::Other(_) => FailureCause::BrokersUnreachable,
        cause => cause,
    }
}

/// librdkafka's own names, as operators search for them.
fn code_name(code: Code) -> String {
    match code {
        Code::AllBrokersDown => "ALL_BROKERS_DOWN".to_owned(),
        other => format!("{other:?}"),
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = Box<ReportTo>;

    fn delivery(&self, result: &DeliveryResult<'_>, report_to: Box<ReportTo>) {
        let (Ok(message) | Err((_, message))) = result;
        let partition = message.partition();
        let (mut taken_back, mut refused) = (false, None);
        let result = match result {
            Ok(message) => {
                self.set_connected();
                self.set_producer_id();
                Ok(Delivery { partition, offset: message.offset(), timestamp_ms: message.timestamp().to_millis() })
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                let mut cause = FailureCause::from(code);
                taken_back = cause == FailureCause::Fatal || matches!(code, Code::PurgeQueue | Code::PurgeInflight);
                let mut persisted = persisted(code, message);
                // A request that is under way to a broker when librdkafka forgets it counts as not persisted there, though it may
                // have arrived (2.12.1, `rd_kafka_err_action` of `__DESTROY_BROKER`). What is wrong with a record itself, a broker
                // would have refused in each attempt.
                if persisted == Persisted::No
                    && !is_for_content(code)
                    && report_to.brokers_forgotten_before() != self.brokers_forgotten()
                {
                    persisted = Persisted::Unknown;
                }
                refused = Some(code).filter(|code| persisted == Persisted::No && is_for_content(*code));
                // While some broker is connected, the failure of another one's connection explains nothing: the record may
                // have been refused for too few replicas again and again, which librdkafka does not report.
                if cause == FailureCause::TimedOut && persisted == Persisted::No && !self.is_connected() {
                    cause = self.last_connection_error().unwrap_or(cause);
                }
                if cause == FailureCause::NotEnoughReplicas {
                    tracing::warn!(persisted = ?persisted, "a record was refused: too few in-sync replicas");
                }
                Err(PublishFailure { cause, persisted })
            }
        };
        let partition = Some(partition).filter(|partition| *partition >= 0);
        report_to.send(Report { result, partition, taken_back, refused });
    }
}

/// What is known of a failed record. Only librdkafka's own status distinguishes "never left the process" from "may have arrived".
fn persisted(code: Code, message: &BorrowedMessage<'_>) -> Persisted {
    if code == Code::NotEnoughReplicasAfterAppend {
        return Persisted::Unknown;
    }
    if status(message) == rdkafka_sys::bindings::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED {
        Persisted::No
    } else {
        Persisted::Unknown
    }
}

#[expect(unsafe_code, reason = "rdkafka does not wrap rd_kafka_message_status, and only it makes `persisted: no` true")]
fn status(message: &BorrowedMessage<'_>) -> rdkafka_sys::bindings::rd_kafka_msg_status_t {
    // SAFETY: the pointer is valid as long as the borrowed message, and the call only reads from it.
    unsafe { rdkafka_sys::bindings::rd_kafka_message_status(message.ptr()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_reported_twice_counts_once() {
        let callbacks = Callbacks::new(None);
        let refused = |broker: &str| {
            let reason = format!("{broker}: SASL authentication error: Access denied");
            callbacks.error(KafkaError::Global(Code::BrokerTransportFailure), &reason);
        };
        ["b-1", "b-1", "b-2", "b-2"].into_iter().for_each(refused);
        assert_eq!(callbacks.auth_failures(), 2);
    }
}
