//! Between Lambda and the batch: init, and one invocation after the other.

use std::process::ExitCode;

use lambda_runtime::{Context, Diagnostic};
use msk_shared::env::{EnvError, EnvReader};
use msk_shared::executor;
use msk_shared::runtime::{RuntimeError, report_start};
use msk_shared::telemetry::init_logs;

use crate::batch::{BatchProcessor, InvocationContext};
use crate::batch_handler::BatchHandler;
use crate::config::{Config, DeadLetterSettings};
use crate::dead_letters::DeadLetterSink;
use crate::idempotency::{IdempotencyStore, MemoryStore};

/// Why the function cannot start, or must stop. An unreachable cluster is not a reason.
///
/// ```
/// use msk_consumer::runtime::RunError;
/// use msk_consumer::{DefaultHandler, run};
///
/// # msk_shared::executor::with_threads(1)?.block_on(async {
/// assert!(matches!(run(DefaultHandler).await, Err(RunError::NotOnLambda)));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Environment variables are missing or invalid.
    #[error(transparent)]
    Environment(#[from] EnvError),
    /// There is no Lambda Runtime API.
    #[error("the consumer runs on AWS Lambda; to run it locally, use `cargo xtask up` or `cargo lambda watch`")]
    NotOnLambda,
    /// The system has no thread or file descriptor left.
    #[error("the consumer cannot start its threads: {0}")]
    Executor(#[from] std::io::Error),
    /// The Kafka client for dead letters cannot be created.
    #[cfg(feature = "dead-letter-kafka")]
    #[error(transparent)]
    Kafka(#[from] msk_shared::kafka::StartError),
    /// No more invocations can be received.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// A consumer's whole `main`: [`run`] on an executor with as many threads as the function's memory pays for, and a log line when
/// it cannot run. Up to 1,769 MB that is one thread: a handler that computes for long delays the other lanes of its batch.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     msk_consumer::main(msk_consumer::DefaultHandler)
/// }
/// ```
pub fn main(handler: impl BatchHandler) -> ExitCode {
    main_with(|_| Some(handler))
}

/// Like [`main`], for a handler that is made from the environment: what is wrong with its variables is reported together with
/// what is wrong with the consumer's own, to Lambda and in the log. `make` returns `None` if it has noted a problem.
///
/// ```no_run
/// use msk_consumer::{Outcome, RecordHandler};
/// use msk_shared::event::Record;
///
/// struct Audit {
///     department: String,
/// }
///
/// impl RecordHandler for Audit {
///     async fn handle(&self, _record: &Record) -> Outcome {
///         Outcome::Done
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     msk_consumer::main_with(|env| {
///         let department = env.required("APP_DEPARTMENT", "the department whose records are audited")?;
///         Some(Audit { department })
///     })
/// }
/// ```
pub fn main_with<H: BatchHandler>(make: impl FnOnce(&mut EnvReader) -> Option<H>) -> ExitCode {
    start_logs();
    let ran = executor::with_threads(executor::cpus()).map_err(RunError::from);
    match ran.and_then(|executor| executor.block_on(launch(make, MemoryStore::default()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.to_string(), "the consumer cannot run");
            ExitCode::FAILURE
        }
    }
}

/// Runs the consumer with a handler until Lambda ends the process, with configuration from the environment, the dead-letter sink
/// that `DEAD_LETTER` names, and a [`MemoryStore`] against duplicates within one execution environment.
///
/// ```no_run
/// use msk_consumer::runtime::RunError;
/// use msk_consumer::{DefaultHandler, run};
///
/// /// With threads of your own choice: as many calls of blocking libraries wait at once.
/// #[tokio::main(worker_threads = 8)]
/// async fn main() -> Result<(), RunError> {
///     run(DefaultHandler).await
/// }
/// ```
///
/// # Errors
/// [`RunError`]
pub async fn run(handler: impl BatchHandler) -> Result<(), RunError> {
    run_with(handler, MemoryStore::default()).await
}

/// Like [`run`], with your own store: one shared by all environments also detects what another environment has done.
///
/// ```no_run
/// use msk_consumer::DefaultHandler;
/// use msk_consumer::idempotency::MemoryStore;
///
/// # async fn start() -> Result<(), msk_consumer::runtime::RunError> {
/// // Remembers more than the last batch; a store of your own remembers for all environments.
/// msk_consumer::run_with(DefaultHandler, MemoryStore::new(100_000)).await
/// # }
/// ```
///
/// # Errors
/// [`RunError`]
pub async fn run_with(handler: impl BatchHandler, store: impl IdempotencyStore) -> Result<(), RunError> {
    start_logs();
    launch(|_| Some(handler), store).await
}

async fn launch<H: BatchHandler>(
    make: impl FnOnce(&mut EnvReader) -> Option<H>,
    store: impl IdempotencyStore,
) -> Result<(), RunError> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        read(make)?;
        return Err(RunError::NotOnLambda);
    }
    serve(report_start(start(make, store).await).await?).await
}

/// The handler and the configuration, with the problems of both together.
fn read<H>(make: impl FnOnce(&mut EnvReader) -> Option<H>) -> Result<(H, Config), EnvError> {
    let mut env = EnvReader::from_process();
    let config = Config::read(&mut env);
    let handler = make(&mut env);
    env.finish(handler.map(|handler| (handler, config)))
}

/// A wrong `LOG_LEVEL` is reported with everything else that is wrong.
fn start_logs() {
    init_logs(EnvReader::from_process().parsed("LOG_LEVEL").unwrap_or_default());
}

/// From the environment to what processes batches.
async fn start<H: BatchHandler, S: IdempotencyStore>(
    make: impl FnOnce(&mut EnvReader) -> Option<H>,
    store: S,
) -> Result<BatchProcessor<H, impl DeadLetterSink, S>, RunError> {
    let (handler, config) = read(make)?;
    tracing::info!(
        report_batch_item_failures = config.batch.report_batch_item_failures,
        ordering = ?config.batch.ordering,
        concurrency = config.batch.concurrency.get(),
        dead_letter = config.dead_letter.is_some(),
        "consumer starts"
    );
    let dead_letters = connect(config.dead_letter).await?;
    Ok(BatchProcessor::new(handler, dead_letters, store, config.batch))
}

/// Answers invocations with `processor` until Lambda ends the process.
///
/// ```no_run
/// use msk_consumer::dead_letters::NoSink;
/// use msk_consumer::idempotency::MemoryStore;
/// use msk_consumer::runtime::{RunError, serve};
/// use msk_consumer::{BatchProcessor, BatchSettings, DefaultHandler};
///
/// // With settings that are not read from the environment.
/// # async fn start() -> Result<(), RunError> {
/// let settings = BatchSettings { report_batch_item_failures: true, ..BatchSettings::default() };
/// serve(BatchProcessor::new(DefaultHandler, NoSink, MemoryStore::default(), settings)).await
/// # }
/// ```
///
/// # Errors
/// [`RunError::Runtime`]
pub async fn serve<H: BatchHandler, D: DeadLetterSink, S: IdempotencyStore>(
    processor: BatchProcessor<H, D, S>,
) -> Result<(), RunError> {
    let processor = &processor;
    let function = move |payload, context: Context| async move {
        let invocation = InvocationContext::new(&context.request_id, context.deadline());
        let processed = processor.process(payload, &invocation).await;
        if let Some(metrics) = processed.metrics {
            metrics.emit();
        }
        processed.answer.map_err(Diagnostic::from)
    };
    match msk_shared::runtime::serve(function).await? {}
}

#[cfg(feature = "dead-letter-kafka")]
async fn connect(settings: Option<DeadLetterSettings>) -> Result<Option<impl DeadLetterSink>, RunError> {
    use std::time::Duration;

    use msk_shared::kafka::{KafkaPublisher, PublisherSettings};

    use crate::dead_letters::KafkaSink;

    /// Lambda's init phase ends after 10 s; a cluster that is down must not use it up.
    const WARM_UP: Duration = Duration::from_secs(3);

    let Some(DeadLetterSettings { topic, kafka }) = settings else { return Ok(None) };
    let topics = topic.fixed().into_iter().collect();
    let publisher =
        KafkaPublisher::start(PublisherSettings { topics, ..PublisherSettings::new(kafka, "msk-consumer") })?;
    publisher.warm_up(WARM_UP).await.log("the dead-letter cluster", "DEAD_LETTER");
    Ok(Some(KafkaSink::new(publisher, topic)))
}

/// Without the feature, the configuration rejects `DEAD_LETTER`, so there is never a sink.
#[cfg(not(feature = "dead-letter-kafka"))]
async fn connect(_none: Option<DeadLetterSettings>) -> Result<Option<crate::dead_letters::NoSink>, RunError> {
    Ok(None)
}
