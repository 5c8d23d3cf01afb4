//! The functions of `functions/`, each in the runtime client of its language behind an Invoke endpoint.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use msk_test_kit::InvokeEndpoint;

use super::support::{beside, variable};

/// Lambda's default. Only `hang` takes longer.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(3);

/// A language with a runtime client of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Node,
    Go,
}

impl Language {
    /// The function `orders` behind an endpoint.
    pub(crate) fn endpoint(self) -> InvokeEndpoint {
        self.endpoint_for("orders.handler")
    }

    /// A handler behind an endpoint.
    pub(crate) fn endpoint_for(self, handler: &'static str) -> InvokeEndpoint {
        InvokeEndpoint::start(TIME_LIMIT, move || self.function(handler))
    }

    /// The command that starts a handler under a Runtime API; the program in Go is always the same.
    pub(crate) fn function(self, handler: &str) -> Command {
        let folder = beside("functions");
        let mut command = match self {
            Self::Python => {
                let mut python = Command::new(variable("PEERS_PYTHON"));
                python.args(["-m", "awslambdaric", handler]);
                // Powertools asks for a name in logs, and nothing else of the environment.
                python.env("POWERTOOLS_SERVICE_NAME", "orders").env("PYTHONDONTWRITEBYTECODE", "1");
                python
            }
            Self::Node => {
                let modules = variable("PEERS_NODE_MODULES");
                let mut node = Command::new("node");
                node.arg(Path::new(&modules).join("aws-lambda-ric/index.mjs")).arg(handler);
                node.env("NODE_PATH", modules);
                node
            }
            Self::Go => Command::new(variable("PEERS_GO")),
        };
        command.env("AWS_REGION", "eu-central-1").env("LAMBDA_TASK_ROOT", &folder).env("_HANDLER", handler);
        command.current_dir(folder).stderr(Stdio::piped());
        command
    }

    /// The command that reads an event from standard input with the language's own types, and prints its records as JSON.
    pub(crate) fn parser(self) -> Command {
        match self {
            Self::Python => {
                let mut python = Command::new(variable("PEERS_PYTHON"));
                python.arg(beside("functions/parsed.py")).env("PYTHONDONTWRITEBYTECODE", "1");
                python
            }
            Self::Node => {
                let mut node = Command::new("node");
                node.arg(beside("functions/parsed.js")).env("NODE_PATH", variable("PEERS_NODE_MODULES"));
                node
            }
            Self::Go => {
                let mut go = Command::new(variable("PEERS_GO"));
                go.arg("parse");
                go
            }
        }
    }
}
