//! An Invoke endpoint before a function that polls a Runtime API: what stands between an event source mapping and a function on
//! Lambda. It has one execution environment, which a crash or a timeout ends and the next invocation starts anew, and answers
//! as AWS's Invoke does.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderName;
use axum::routing::post;
use serde_json::json;
use tokio::sync::Mutex;

use crate::runtime_api::{Extensions, Phase, RUNTIME, RuntimeAnswer, RuntimeApi};
use crate::{PATIENCE, Process};

/// How often the function is looked at while it handles an invocation: nothing else tells that it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A running endpoint; dropping it ends the function.
#[derive(Debug)]
pub struct InvokeEndpoint {
    /// Where it takes invocations.
    pub url: String,
    server: tokio::task::JoinHandle<()>,
}

/// The function behind an endpoint.
struct Hosted {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    time_limit: Duration,
    environment: Mutex<Option<ExecutionEnvironment>>,
    count: AtomicU64,
}

/// A process and the Runtime API that it polls.
struct ExecutionEnvironment {
    api: RuntimeApi,
    process: Process,
}

/// How an invocation ended.
enum InvocationEnd {
    Answered(RuntimeAnswer),
    InitFailed(String),
    Exited(ExitStatus),
    TimedOut,
}

impl InvokeEndpoint {
    /// Serves on a port chosen by the kernel. `command` starts the function, which has `time_limit` for each invocation.
    pub fn start(time_limit: Duration, command: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/2015-03-31/functions/function/invocations", listener.local_addr().unwrap());
        let hosted =
            Hosted { command: Box::new(command), time_limit, environment: Mutex::new(None), count: AtomicU64::new(1) };
        let routes = Router::new()
            .route("/2015-03-31/functions/function/invocations", post(invoke))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::new(hosted));
        let _runtime = RUNTIME.enter();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let server = tokio::spawn(async move {
            // Runs until it is aborted.
            let _ = axum::serve(listener, routes).await;
        });
        Self { url, server }
    }
}

impl Drop for InvokeEndpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Headers = [(HeaderName, &'static str); 1];

async fn invoke(State(hosted): State<Arc<Hosted>>, event: Bytes) -> (Headers, Bytes) {
    let id = format!("request-{}", hosted.count.fetch_add(1, Ordering::Relaxed));
    let mut place = hosted.environment.lock().await;
    let running = place.take().and_then(ExecutionEnvironment::unless_ended);
    let mut environment = running.unwrap_or_else(|| ExecutionEnvironment::start((hosted.command)()));
    let end = environment.handle(&id, event, hosted.time_limit).await;
    if matches!(end, InvocationEnd::Answered(_)) {
        *place = Some(environment);
    }
    let error = |name: &str, message: String| {
        Bytes::from(json!({"errorType": name, "errorMessage": format!("RequestId: {id} Error: {message}")}).to_string())
    };
    let (marked, body) = match end {
        InvocationEnd::Answered(RuntimeAnswer::Response(body)) => (false, body),
        InvocationEnd::Answered(RuntimeAnswer::Error(body)) => (true, body),
        InvocationEnd::InitFailed(document) => (true, document.into()),
        InvocationEnd::Exited(status) => {
            (true, error("Runtime.ExitError", format!("Runtime exited with error: {status}")))
        }
        InvocationEnd::TimedOut => {
            let seconds = hosted.time_limit.as_secs_f64();
            (true, error("Sandbox.Timedout", format!("Task timed out after {seconds:.2} seconds")))
        }
    };
    let header = if marked { ("x-amz-function-error", "Unhandled") } else { ("x-amz-executed-version", "$LATEST") };
    ([(HeaderName::from_static(header.0), header.1)], body)
}

impl ExecutionEnvironment {
    fn start(mut command: Command) -> Self {
        let api = RuntimeApi::start(Extensions::Served).unwrap();
        command.env("AWS_LAMBDA_RUNTIME_API", api.address().to_string());
        command.env("AWS_LAMBDA_FUNCTION_NAME", "function").env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128");
        // AWS's client for Node.js does not start without them.
        command.env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function").env("AWS_LAMBDA_LOG_STREAM_NAME", "1");
        Self { api, process: Process::start("function", &mut command) }
    }

    fn unless_ended(mut self) -> Option<Self> {
        self.process.exit_status().is_none().then_some(self)
    }

    /// Waits for its init, then for the end of the invocation.
    async fn handle(&mut self, id: &str, event: Bytes, time_limit: Duration) -> InvocationEnd {
        let mut phase = self.api.phase();
        let started = async { phase.wait_for(|phase| *phase != Phase::Init).await.map(|phase| phase.clone()) };
        match self.or_exit(started, PATIENCE).await {
            Ok(Ok(Phase::InitFailed { document, .. })) => return InvocationEnd::InitFailed(document),
            Ok(_) => {}
            Err(end) => return end,
        }
        let answer = self.api.send(id, event, SystemTime::now() + time_limit);
        match self.or_exit(answer, time_limit).await {
            Ok(Ok(answer)) => InvocationEnd::Answered(answer),
            Ok(Err(_)) => InvocationEnd::TimedOut,
            Err(end) => end,
        }
    }

    /// What the function does, unless it ends first or takes too long.
    async fn or_exit<T>(&mut self, work: impl Future<Output = T>, limit: Duration) -> Result<T, InvocationEnd> {
        let over = tokio::time::sleep(limit);
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        tokio::pin!(work, over);
        loop {
            tokio::select! {
                // What it posted before it ended counts.
                biased;
                done = &mut work => return Ok(done),
                () = &mut over => return Err(InvocationEnd::TimedOut),
                _ = ticks.tick() => if let Some(status) = self.process.exit_status() {
                    return Err(InvocationEnd::Exited(status));
                }
            }
        }
    }
}
