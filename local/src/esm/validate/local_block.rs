//! The block `Local`: how brokers and function are reached on this machine.

use std::time::Duration;

use super::super::endpoint_url;
use super::super::mapping::{EventSource, LocalSettings, RESERVED_KAFKA_OPTIONS, SystemLogTarget};
use super::super::setting_flags::setting;
use super::{EMULATED_FUNCTION, FUNCTION_NAME, Validator, aws_limits};

const DEFAULT_INVOKE_URL: &str = "http://127.0.0.1:9000/2015-03-31/functions/{FunctionName}/invocations";
const DEFAULT_TIMEOUT_SECONDS: f64 = 60.0;
/// A container starts within it, and who forgot the function learns it soon.
const DEFAULT_STARTUP_GRACE_SECONDS: f64 = 60.0;
const ONE_DAY_SECONDS: f64 = 86_400.0;

impl Validator<'_> {
    pub(super) fn local(&mut self, function: &str, source: &EventSource) -> LocalSettings {
        let block = &self.document.local;
        let invoke_url = self.invoke_url(function);
        for reserved in RESERVED_KAFKA_OPTIONS.iter().filter(|name| block.kafka_options.contains_key(**name)) {
            self.error("Local.kafkaOptions", format!("`{reserved}` is set by the emulator itself; remove it"));
        }
        let most = block.max_concurrency.map(|most| self.range("Local.maxConcurrency", Some(most), 1, 1..=10_000));
        let emulated = invoke_url.ends_with(&format!("/functions/{EMULATED_FUNCTION}/invocations"));
        let function_timeout = self.function_timeout();
        let grace = block.startup_grace_seconds;
        LocalSettings {
            bootstrap_servers: block.bootstrap_servers.clone().or_else(|| source.bootstrap_servers()),
            kafka_options: block.kafka_options.clone(),
            invoke_url,
            ca_file: block.ca_file.clone(),
            max_concurrency: most.and_then(|most| usize::try_from(most).ok()).or(emulated.then_some(1)),
            function_timeout,
            first_invocation_timeout: self.seconds(
                "Local.firstInvocationTimeoutSeconds",
                block.first_invocation_timeout_seconds,
                function_timeout.as_secs_f64(),
                0.001..=ONE_DAY_SECONDS,
            ),
            startup_grace: self.seconds(
                "Local.startupGraceSeconds",
                grace,
                DEFAULT_STARTUP_GRACE_SECONDS,
                0.0..=ONE_DAY_SECONDS,
            ),
            metrics_port: block.metrics_port.and_then(|port| {
                let port = self.range("Local.metricsPort", Some(port), 0, 0..=i64::from(u16::MAX));
                u16::try_from(port).ok()
            }),
            system_log: match &block.system_log {
                None => SystemLogTarget::StandardError,
                Some(path) if path.as_os_str() == "-" => SystemLogTarget::StandardOutput,
                Some(path) => SystemLogTarget::File(path.clone()),
            },
            chaos: self.chaos(),
        }
    }

    /// What AWS documents for Kafka is a warning in a lenient run: Lambda's own maximum has grown.
    fn function_timeout(&mut self) -> Duration {
        const MEMBER: &str = "Local.functionTimeoutSeconds";
        let longest = aws_limits::LONGEST_INVOCATION_SECONDS;
        let given = self.document.local.function_timeout_seconds;
        let timeout = self.seconds(MEMBER, given, DEFAULT_TIMEOUT_SECONDS, 0.001..=longest);
        if timeout.as_secs_f64() > aws_limits::FUNCTION_TIMEOUT_SECONDS {
            let (member, most) = (setting(MEMBER), aws_limits::FUNCTION_TIMEOUT_SECONDS);
            let given = timeout.as_secs_f64();
            self.aws_rejects(format!("{member}: {given} is more than the {most} seconds that AWS takes for Kafka"));
        }
        timeout
    }

    fn invoke_url(&mut self, function: &str) -> String {
        let given = self.document.local.invoke_url.as_deref().unwrap_or(DEFAULT_INVOKE_URL);
        let url = given.replace(FUNCTION_NAME, function);
        if let Err(problem) = endpoint_url::parse(&url) {
            self.error("Local.invokeUrl", problem);
        }
        url
    }
}
