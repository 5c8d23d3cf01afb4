//! What librdkafka tells the publisher: delivery reports with each message's own status, errors, log lines, and
//! requests for tokens. Everything here runs on the client's polling thread.

use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::oneshot;

use super::failure::{FailureCause, Persisted, PublishFailure};
use super::record::Delivery;
use super::sabotage::{self, Sabotage};
use super::token::TokenSource;
use super::{Milestones, PublishResult, Readiness};

/// The same error this soon is the same event: librdkafka itself waits longer between two attempts to connect.
const TOLD_AGAIN: Duration = Duration::from_millis(50);

/// What the polling thread learns about one client.
pub(super) struct Context {
    tokens: Option<TokenSource>,
    started: Instant,
    reached: Reached,
    /// A broker answered, and since then not all of them were reported down.
    connected: AtomicBool,
    /// The idempotent producer has its id.
    producer_id: AtomicBool,
    /// The client asked for a token and got none: it asks again only 10 s later.
    token_failed: AtomicBool,
    auth_failures: AtomicU64,
    /// The newest failure of a connection, while nothing has succeeded since.
    trouble: Mutex<Option<(FailureCause, Instant)>>,
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

impl Context {
    pub(super) fn new(tokens: Option<TokenSource>) -> Self {
        Self {
            tokens,
            started: Instant::now(),
            reached: Reached::default(),
            connected: AtomicBool::new(false),
            producer_id: AtomicBool::new(false),
            token_failed: AtomicBool::new(false),
            auth_failures: AtomicU64::new(0),
            trouble: Mutex::new(None),
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

    /// Writes a step down, once, and never before the creation: the polling thread may be further than the thread that
    /// creates the client.
    fn reach(&self, step: &OnceLock<Duration>) {
        self.reached.created.get_or_init(|| self.started.elapsed());
        step.get_or_init(|| self.started.elapsed());
    }

    /// A broker answered.
    pub(super) fn set_connected(&self) {
        self.reach(&self.reached.first_answer);
        self.connected.store(true, Ordering::Release);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn has_producer_id(&self) -> bool {
        self.producer_id.load(Ordering::Acquire)
            || sabotage::is_on(Sabotage::AcksOne)
            || sabotage::is_on(Sabotage::NoIdempotence)
    }

    fn set_producer_id(&self) {
        // A broker gave it: this can be seen before the metadata that the warm-up asked for.
        self.reach(&self.reached.first_answer);
        self.reach(&self.reached.producer_id);
        self.producer_id.store(true, Ordering::Release);
    }

    /// How long each step of becoming ready took.
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

    /// The newest connection failure since the last success.
    pub(super) fn trouble(&self) -> Option<FailureCause> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).map(|(cause, _)| cause)
    }

    /// Each check's outcome as `/readyz` shows it. `answered`: a broker was asked just now, and did.
    pub(super) fn readiness(&self, answered: bool) -> Readiness {
        let yes_or = |yes: bool, otherwise: &str| if yes { "ok".to_owned() } else { otherwise.to_owned() };
        let brokers = match self.trouble() {
            Some(FailureCause::Authentication) => "the cluster refuses the function's credentials",
            _ => "no broker answers",
        };
        let token = match &self.tokens {
            None => "ok".to_owned(),
            Some(tokens) => yes_or(!tokens.has_expired(), "no valid MSK IAM token"),
        };
        let checks = [
            ("brokers", yes_or(answered, brokers)),
            ("producer_id", yes_or(self.has_producer_id(), "no producer id acquired yet")),
            ("token", token),
        ];
        Readiness { checks: checks.into() }
    }

    /// A producer of rdkafka 0.39 tells each client-wide error twice in a row.
    fn is_told_again(&self, code: Code, reason: &str) -> bool {
        let mut newest = self.newest_error.lock().unwrap_or_else(PoisonError::into_inner);
        let again = newest.as_ref().is_some_and(|(newest, newest_reason, at)| {
            (*newest, newest_reason.as_str()) == (code, reason) && at.elapsed() < TOLD_AGAIN
        });
        *newest = Some((code, reason.to_owned(), Instant::now()));
        again
    }

    fn note_trouble(&self, cause: FailureCause) {
        if matches!(cause, FailureCause::Authentication) {
            self.auth_failures.fetch_add(1, Ordering::Relaxed);
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // A refused credential explains more than the lost connection that follows it.
        if !matches!(*trouble, Some((FailureCause::Authentication, _))) || cause == FailureCause::Authentication {
            *trouble = Some((cause, Instant::now()));
        }
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", fac, "{message}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", fac, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", fac, "{message}"),
            // Debug lines of the context `eos`: only the state of the idempotent producer is of use.
            RDKafkaLogLevel::Debug => {
                if fac == "IDEMPSTATE" {
                    if message.contains("-> Assigned") {
                        self.set_producer_id();
                    } else {
                        self.producer_id.store(false, Ordering::Release);
                    }
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if self.is_told_again(code, reason) {
            return;
        }
        if code == Code::AllBrokersDown {
            self.connected.store(false, Ordering::Release);
        }
        let cause = cause_of(code, reason);
        self.note_trouble(cause);
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
                self.note_trouble(FailureCause::Authentication);
                tracing::error!(error = %error, "no MSK IAM token");
                Err(Box::new(error))
            }
        }
    }
}

/// Client-wide errors come as a transport failure with the cause in words: a refused token closes the connection.
fn cause_of(code: Code, reason: &str) -> FailureCause {
    match FailureCause::of(code) {
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

/// What became of one record, and which partition it was meant for (negative: none yet).
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) result: PublishResult,
    pub(super) partition: i32,
    /// The client gave it up, because of a purge or a fatal error.
    pub(super) taken_back: bool,
}

/// Where one record's report goes.
pub(super) type ReportTo = oneshot::Sender<Report>;

impl ProducerContext for Context {
    type DeliveryOpaque = Box<ReportTo>;

    fn delivery(&self, result: &DeliveryResult<'_>, report_to: Box<ReportTo>) {
        let (Ok(message) | Err((_, message))) = result;
        let partition = message.partition();
        let mut taken_back = false;
        let result = match result {
            Ok(message) => {
                self.set_connected();
                self.set_producer_id();
                Ok(Delivery { partition, offset: message.offset(), timestamp_ms: message.timestamp().to_millis() })
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                let mut cause = FailureCause::of(code);
                taken_back = cause == FailureCause::Fatal || matches!(code, Code::PurgeQueue | Code::PurgeInflight);
                let persisted = persisted(code, message);
                // While some broker is connected, the failure of another one's connection explains nothing: the record may
                // have been refused for too few replicas again and again, which librdkafka does not say.
                if cause == FailureCause::TimedOut && persisted == Persisted::No && !self.is_connected() {
                    cause = self.trouble().unwrap_or(cause);
                }
                if cause == FailureCause::NotEnoughReplicas {
                    tracing::warn!(persisted = ?persisted, "a record was refused: too few in-sync replicas");
                }
                Err(PublishFailure { cause, persisted })
            }
        };
        // The request may have given up waiting; it has then answered `unknown`.
        let _ = report_to.send(Report { result, partition, taken_back });
    }
}

/// What is known of a failed record. Only librdkafka's own status tells "never left the process" from "may have arrived".
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
    fn an_error_that_is_told_twice_counts_once() {
        let context = Context::new(None);
        let refused = |broker: &str| {
            let reason = format!("{broker}: SASL authentication error: Access denied");
            context.error(KafkaError::Global(Code::BrokerTransportFailure), &reason);
        };
        ["b-1", "b-1", "b-2", "b-2"].into_iter().for_each(refused);
        assert_eq!(context.auth_failures(), 2);
    }
}
