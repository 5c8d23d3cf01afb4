//! Clients that POST messages to function environments and record the answers.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::history::{Attempt, History, RecordOutcome};
use crate::lambda::{Environment, HttpAnswer, HttpEvent, InvocationError, InvocationResult};
use crate::summary::{RequestResult, Summary};

/// Keys per client: no other client uses them, so their order depends on that client alone.
const KEYS_PER_CLIENT: u64 = 5;

/// The status of a request in which some records were written and some were not.
const SOME_FAILED: u16 = 207;

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Records in each request.
    pub records: usize,
    /// Time between an answer and the next request.
    pub pause: Duration,
    /// Time from one request of a client to its next, regardless of how long the answer takes; zero for none.
    pub every: Duration,
    /// Number of requests per client.
    pub requests: u64,
    /// Whether an unsuccessful request is retried, with the same `Idempotency-Key`, until it succeeds.
    pub retry: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { records: 1, pause: Duration::from_millis(5), every: Duration::ZERO, requests: u64::MAX, retry: false }
    }
}

/// A run of clients against one topic.
pub struct Load {
    /// What was sent and answered.
    pub history: History,
    topic: String,
    start: Instant,
    answers: Mutex<Vec<RequestResult>>,
    numbers: AtomicU64,
    run: u32,
}

/// The messages of one request.
struct Request {
    client: usize,
    ids: Vec<String>,
    key: String,
    event: Value,
}

impl Load {
    /// A load on `topic`; ids are unique across runs.
    pub fn new(topic: &str) -> Self {
        Self {
            history: History::default(),
            topic: topic.to_owned(),
            start: Instant::now(),
            answers: Mutex::default(),
            numbers: AtomicU64::new(0),
            run: rand::random(),
        }
    }

    /// Runs one client for each environment until `until` completes; requests in flight at that time are still answered.
    pub async fn run_until<T>(&self, environments: &[Environment], plan: Plan, until: impl Future<Output = T>) -> T {
        let stop = AtomicBool::new(false);
        let clients = environments.iter().enumerate().map(|(number, environment)| {
            let stop = &stop;
            async move { self.client(environment, number, plan, stop).await }
        });
        let end = async {
            let result = until.await;
            stop.store(true, Ordering::SeqCst);
            result
        };
        futures_util::future::join(end, join_all(clients)).await.0
    }

    /// Runs one client for each environment until each has sent what the plan says.
    pub async fn run(&self, environments: &[Environment], plan: Plan) {
        let never = AtomicBool::new(false);
        let clients = environments.iter().enumerate();
        join_all(clients.map(|(number, environment)| self.client(environment, number, plan, &never))).await;
    }

    /// All answers so far.
    pub fn answers(&self) -> Vec<RequestResult> {
        self.lock().clone()
    }

    /// Answers to requests sent at `from` or later, counted from the load's start.
    pub fn answers_since(&self, from: Duration) -> Vec<RequestResult> {
        self.lock().iter().filter(|answer| answer.sent_at >= from).cloned().collect()
    }

    /// The time since the load's start.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Statistics of the answers.
    pub fn summary(&self) -> Summary {
        Summary::new(&self.lock())
    }

    /// What did not succeed, if anything: a request without a 2xx, or a record that was not
    /// acknowledged although its request had a 2xx such as 207.
    pub fn shortfall(&self) -> Option<String> {
        let (summary, attempts) = (self.summary(), self.history.attempts());
        let failed = attempts.iter().filter(|attempt| !matches!(attempt.outcome, RecordOutcome::Ok { .. })).count();
        if summary.requests == 0 {
            Some("nothing was sent".to_owned())
        } else if summary.failed > 0 {
            Some(format!("not every request had a 2xx: {summary}"))
        } else {
            let complaint = || format!("{failed} of {} records were not acknowledged: {summary}", attempts.len());
            (failed > 0).then(complaint)
        }
    }

    /// Sends one request of `records` messages as client `client`, with the function's own deadline.
    pub async fn send(&self, environment: &Environment, client: usize, records: usize) -> RequestResult {
        let request = self.request(client, records);
        self.attempt(environment, &request, None).await
    }

    /// As [`Load::send`], one message to the given partition.
    pub async fn send_to(&self, environment: &Environment, client: usize, partition: i32) -> RequestResult {
        let request = self.request_to(client, 1, Some(partition));
        self.attempt(environment, &request, None).await
    }

    /// As [`Load::send`], with `limit` left until the deadline.
    pub async fn send_within(&self, environment: &Environment, client: usize, limit: Duration) -> RequestResult {
        let request = self.request(client, 1);
        self.attempt(environment, &request, Some(limit)).await
    }

    async fn client(&self, environment: &Environment, number: usize, plan: Plan, stop: &AtomicBool) {
        let mut due = tokio::time::Instant::now();
        for _ in 0..plan.requests {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let request = self.request(number, plan.records);
            let mut answer = self.attempt(environment, &request, None).await;
            while plan.retry && !answer.is_success() && answer.failure.is_none() {
                tokio::time::sleep(plan.pause).await;
                answer = self.attempt(environment, &request, None).await;
            }
            if answer.failure.is_some() && environment.has_ended() {
                break;
            }
            tokio::time::sleep(plan.pause).await;
            due += plan.every;
            tokio::time::sleep_until(due).await;
        }
    }

    fn request(&self, client: usize, records: usize) -> Request {
        self.request_to(client, records, None)
    }

    fn request_to(&self, client: usize, records: usize, partition: Option<i32>) -> Request {
        let first = self.numbers.fetch_add(records as u64, Ordering::Relaxed);
        let ids: Vec<String> = (0..records as u64).map(|index| format!("{:08x}-{}", self.run, first + index)).collect();
        let key = format!("{:08x}-{client}-{}", self.run, first % KEYS_PER_CLIENT);
        let mut values: Vec<Value> =
            ids.iter().map(|id| json!({"key": key, "key_format": "string", "value": {"id": id}})).collect();
        if let Some(partition) = partition {
            values.iter_mut().for_each(|value| value["partition"] = partition.into());
        }
        let event = HttpEvent::post_records(&self.topic, &json!({ "records": values }));
        // One key for a message, whatever else changes: the consumer recognizes repetitions by it.
        let event = event.header("idempotency-key", &ids[0]).build();
        Request { client, ids, key, event }
    }

    async fn attempt(&self, environment: &Environment, request: &Request, limit: Option<Duration>) -> RequestResult {
        let sent_at = self.start.elapsed();
        let sent = self.history.tick();
        let start = Instant::now();
        let result = match limit {
            Some(limit) => environment.invoke_within(&request.event, limit).await,
            None => environment.invoke(&request.event).await,
        };
        let answered = self.history.tick();
        let mut body = self.read(result, sent_at, start.elapsed());
        body.0.client = request.client;
        for (index, id) in request.ids.iter().enumerate() {
            self.history.record(Attempt {
                id: id.clone(),
                key: request.key.clone(),
                index,
                sent,
                answered,
                outcome: outcome(&body.0, &body.1, index),
            });
        }
        self.lock().push(body.0.clone());
        body.0
    }

    /// The evaluated answer, and its document.
    fn read(
        &self,
        result: Result<InvocationResult, InvocationError>,
        sent_at: Duration,
        took: Duration,
    ) -> (RequestResult, Value) {
        let mut answer = RequestResult { sent_at, duration: took, ..RequestResult::default() };
        let invocation = match result {
            Ok(invocation) => invocation,
            Err(error) => {
                answer.failure = Some(error.to_string());
                return (answer, Value::Null);
            }
        };
        answer.remaining = invocation.remaining;
        let Some(http) = HttpAnswer::parse(&invocation.payload) else {
            answer.failure = Some("the payload is not a valid response to API Gateway".to_owned());
            return (answer, Value::Null);
        };
        let document = http.json();
        answer.status = http.status;
        answer.retriable = document["retriable"].as_bool();
        answer.persisted = document["persisted"].as_str().map(str::to_owned);
        answer.detail = document["detail"].as_str().map(str::to_owned);
        (answer, document)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<RequestResult>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the answer says about its record `index`: the record's own result, otherwise that of the whole document. A success must give the
/// position of every record, except for individually failed ones, which only a 207 has and which say what is known about them.
fn outcome(answer: &RequestResult, document: &Value, index: usize) -> RecordOutcome {
    let result = &document["offsets"][index];
    let own = result["persisted"].as_str().filter(|_| !result["error_code"].is_null());
    let place = result["partition"].as_i64().zip(result["offset"].as_i64()).filter(|_| result["error_code"].is_null());
    let persisted = match (answer.is_success(), place) {
        (true, Some((partition, offset))) => {
            return RecordOutcome::Ok { partition: i32::try_from(partition).unwrap_or(-1), offset };
        }
        (true, None) => own.filter(|_| answer.status == SOME_FAILED),
        (false, _) => own.or(answer.persisted.as_deref()).or(Some("unknown")),
    };
    match persisted {
        Some("no") => RecordOutcome::No,
        Some("unknown") => RecordOutcome::Unknown,
        _ if answer.is_success() => RecordOutcome::Placeless,
        // Whatever it says, it does not say that nothing was written.
        _ => RecordOutcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, persisted: Option<&str>) -> RequestResult {
        RequestResult { status, persisted: persisted.map(str::to_owned), ..RequestResult::default() }
    }

    #[test]
    fn each_record_has_its_own_outcome() {
        let document = json!({"offsets": [
            {"partition": 3, "offset": 17, "error_code": null},
            {"partition": null, "offset": null, "error_code": 50302, "persisted": "no"},
            {"partition": null, "offset": null, "error_code": 50003, "persisted": "unknown"},
        ]});
        let outcomes: Vec<RecordOutcome> = (0..4).map(|index| outcome(&answer(207, None), &document, index)).collect();
        let written = RecordOutcome::Ok { partition: 3, offset: 17 };
        assert_eq!(outcomes, [written, RecordOutcome::No, RecordOutcome::Unknown, RecordOutcome::Placeless]);
        // Of a request that failed as a whole, none is acknowledged, whatever stands in the list.
        let outcomes: Vec<RecordOutcome> =
            (1..4).map(|index| outcome(&answer(503, Some("no")), &document, index)).collect();
        assert_eq!(outcomes, [RecordOutcome::No, RecordOutcome::Unknown, RecordOutcome::No]);
        assert_eq!(outcome(&answer(504, Some("unknown")), &document, 0), RecordOutcome::Unknown);
    }

    #[test]
    fn a_whole_document_speaks_for_its_records() {
        assert_eq!(outcome(&answer(503, Some("no")), &json!({}), 0), RecordOutcome::No);
        assert_eq!(outcome(&answer(504, Some("unknown")), &json!({}), 0), RecordOutcome::Unknown);
        assert_eq!(outcome(&answer(503, Some("perhaps")), &json!({}), 0), RecordOutcome::Unknown);
        assert_eq!(outcome(&answer(0, None), &Value::Null, 0), RecordOutcome::Unknown);
    }

    #[test]
    fn a_success_without_a_place_for_the_record_is_neither_ok_nor_unknown() {
        let failed = json!({"partition": null, "offset": null, "error_code": 50302, "persisted": "no"});
        let without_a_place = [
            (200, Value::Null),
            (202, json!({})),
            (200, json!({"offsets": []})),
            (200, json!({"offsets": [{"partition": 3, "offset": null}]})),
            (200, json!({"offsets": [{"partition": null, "offset": 17}]})),
            (200, json!({"offsets": [{"partition": 3, "offset": 17, "error_code": 50302}]})),
            (200, json!({"offsets": [failed]})),
            (207, json!({"offsets": [{"persisted": "unknown"}]})),
            (207, json!({"offsets": [{"error_code": 50302}]})),
            (207, json!({"offsets": [{"error_code": 50302, "persisted": "perhaps"}]})),
        ];
        for (status, document) in without_a_place {
            let outcomes = [None, Some("no"), Some("unknown")].map(|word| outcome(&answer(status, word), &document, 0));
            assert!(
                outcomes.iter().all(|outcome| *outcome == RecordOutcome::Placeless),
                "{status} {document}: {outcomes:?}"
            );
        }
    }

    #[test]
    fn a_run_succeeds_only_with_a_2xx_for_every_request_and_a_place_for_every_record() {
        let written = RecordOutcome::Ok { partition: 0, offset: 0 };
        let cases = [
            (200, vec![written.clone()], None),
            (503, vec![RecordOutcome::No], Some("not every request had a 2xx: 2 requests, 1 non-2xx")),
            (207, vec![written.clone(), RecordOutcome::No], Some("1 of 3 records were not acknowledged")),
            (207, vec![RecordOutcome::Unknown, written], Some("1 of 3 records were not acknowledged")),
            (200, vec![RecordOutcome::Placeless], Some("1 of 2 records were not acknowledged")),
        ];
        assert_eq!(Load::new("topic").shortfall().as_deref(), Some("nothing was sent"));
        for (status, outcomes, complaint) in cases {
            let load = Load::new("topic");
            note(&load, 200, &[RecordOutcome::Ok { partition: 0, offset: 0 }]);
            note(&load, status, &outcomes);
            let said = load.shortfall();
            assert_eq!(said.is_some(), complaint.is_some(), "{status} {outcomes:?}: {said:?}");
            assert!(said.unwrap_or_default().contains(complaint.unwrap_or_default()), "{status} {outcomes:?}");
        }
    }

    /// A request that was answered with `status` and these outcomes of its records.
    fn note(load: &Load, status: u16, outcomes: &[RecordOutcome]) {
        load.lock().push(answer(status, None));
        for (index, outcome) in outcomes.iter().enumerate() {
            let (sent, answered, id) = (load.history.tick(), load.history.tick(), index.to_string());
            let attempt = Attempt { id, key: String::new(), index, sent, answered, outcome: outcome.clone() };
            load.history.record(attempt);
        }
    }
}
