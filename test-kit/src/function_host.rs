//! A function that polls a Runtime API, driven by a synchronous test.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::runtime_api::{Extensions, Phase, RUNTIME, RuntimeAnswer, RuntimeApi};
use crate::{PATIENCE, Process};

/// The request id of every invocation.
pub const REQUEST_ID: &str = "request-7";
/// How long after the test sends an invocation its deadline is.
const TIME_LIMIT: Duration = Duration::from_secs(25);

/// What the function posted as the result of an invocation.
#[derive(Debug)]
pub struct Posted {
    /// `response` or `error`.
    pub kind: &'static str,
    /// The JSON that was posted.
    pub body: Value,
}

/// An invocation that was sent and is not answered yet.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<RuntimeAnswer>);

impl Pending {
    /// Whether the function has not yet posted anything.
    pub fn is_waiting(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits for the function to post a result.
    pub fn posted(self) -> Posted {
        let posted = RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, self.0).await });
        let (kind, body) = match posted.expect("an answer in time").expect("the host runs") {
            RuntimeAnswer::Response(body) => ("response", body),
            RuntimeAnswer::Error(body) => ("error", body),
        };
        Posted { kind, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }
}

/// A Runtime API for one function, served until this is dropped.
#[derive(Debug)]
pub struct FunctionHost {
    api: RuntimeApi,
}

impl FunctionHost {
    /// Serves on a port chosen by the kernel.
    pub fn start(extensions: Extensions) -> Self {
        Self { api: RuntimeApi::start(extensions).unwrap() }
    }

    /// Starts the function under this host.
    pub fn function(&self, mut command: Command) -> Process {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_owned();
        command.env("AWS_LAMBDA_RUNTIME_API", self.api.address().to_string());
        command.env("AWS_LAMBDA_FUNCTION_NAME", &name).env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128");
        Process::start(name.to_string_lossy(), &mut command)
    }

    /// Waits for the function to report that it cannot start: the report's error type and its JSON.
    pub fn start_fault(&self) -> (Option<String>, Value) {
        let mut phase = self.api.phase();
        let failed = async { phase.wait_for(|phase| matches!(phase, Phase::InitFailed { .. })).await.unwrap().clone() };
        match RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, failed).await }) {
            Ok(Phase::InitFailed { error_type, document }) => (error_type, serde_json::from_str(&document).unwrap()),
            other => panic!("no report in time: {other:?}"),
        }
    }

    /// Sends an event without waiting for an answer.
    pub fn send(&self, event: impl Into<String>) -> Pending {
        self.send_as(REQUEST_ID, event)
    }

    /// Sends an event with a request id of its own, for functions that handle several at a time.
    pub fn send_as(&self, request_id: &str, event: impl Into<String>) -> Pending {
        Pending(self.api.send(request_id, event.into().into(), SystemTime::now() + TIME_LIMIT))
    }

    /// Sends an event and waits for the function to post a result.
    pub fn invoke(&self, event: impl Into<String>) -> Posted {
        self.send(event).posted()
    }
}
