//! What the commands print: text for people, one JSON object per line for programs.

use std::io::Write;
use std::sync::Mutex;

use serde::Serialize;

use crate::esm::metrics::Counts;

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A line of the output. All except `Ready` give their name in the member `event`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Line {
    /// The outcome of an invocation.
    #[serde(rename = "invocation")]
    Invoked(InvocationLine),
    /// A record that needs no further delivery.
    Record(RecordLine),
    /// Records that cannot be delivered, and what to do.
    Stalled(StalledLine),
    /// Why the command ended, and its counts.
    Summary(SummaryLine),
    /// What became of a dead letter's record.
    Redriven(RedrivenLine),
    /// What became of all dead letters.
    RedriveSummary(RedriveSummaryLine),
    /// An event that was saved.
    Recorded(RecordedLine),
    /// A fault that was made on request.
    Chaos(ChaosLine),
    /// A fault of the embedded brokers that was made on request.
    BrokerChaos(BrokerChaosLine),
    /// Where the metrics are.
    Metrics(MetricsLine),
    /// The brokers answer, and every mapping is a member of its consumer group.
    #[serde(untagged)]
    Ready(ReadyLine),
}

/// Tells a calling program that everything is ready.
#[derive(Debug, Clone, Serialize)]
pub struct ReadyLine {
    /// Always true.
    pub ready: bool,
    /// The addresses of the brokers, as `host:port,...`.
    pub bootstrap_servers: String,
    /// Topics that were created, or are polled.
    pub topics: Vec<String>,
    /// Those of them that are compacted: Kafka refuses records without a key there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compacted: Vec<String>,
    /// What the user should know about this cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The outcome of an invocation.
#[derive(Debug, Clone, Serialize)]
pub struct InvocationLine {
    /// Name of the function.
    pub function: String,
    /// Number of the batch in this process; retries and parts of a split batch keep it.
    pub batch: u64,
    /// How often a part of this batch was sent, including this time.
    pub attempt: u32,
    /// How many records were sent.
    pub records: usize,
    /// Length of the event in bytes.
    pub bytes: usize,
    /// Partitions and offsets, `orders-0@5..9`, comma separated.
    pub offsets: String,
    /// Milliseconds from the request to the last byte of the response.
    pub duration_ms: u64,
    /// `done`, `reported`, `function_error`, `timeout`, `malformed_answer`, `throttled`, `unreachable`.
    pub outcome: &'static str,
    /// How many records will be redelivered.
    #[serde(skip_serializing_if = "is_zero")]
    pub retried: usize,
    /// How many records are given up.
    #[serde(skip_serializing_if = "is_zero")]
    pub given_up: usize,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A record that needs no further delivery.
#[derive(Debug, Clone, Serialize)]
pub struct RecordLine {
    /// Name of the function.
    pub function: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// `done`, `filtered` if no filter keeps it, `dropped`, or `destination` if it was given up and sent to the on-failure destination.
    pub outcome: &'static str,
}

/// Records that cannot be delivered at present, and what to do.
#[derive(Debug, Clone, Serialize)]
pub struct StalledLine {
    /// Name of the function.
    pub function: String,
    pub topic: String,
    /// How many records of the batch wait; those behind them wait, too.
    pub records: usize,
    /// Seconds since the first failure, or since the request.
    pub waiting_s: u64,
    /// The outcome of the last invocation, or `no_answer_yet`.
    pub cause: &'static str,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do.
    pub advice: String,
}

/// Why the command ended, and its counts.
#[derive(Debug, Clone, Serialize)]
pub struct SummaryLine {
    /// `stopped`, `drained`, `records_reached`, `deadline`, `unreachable`.
    pub end: &'static str,
    /// Totals of all mappings.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What became of a dead letter's record.
#[derive(Debug, Clone, Serialize)]
pub struct RedrivenLine {
    /// The dead letter: its place in its topic, or its file.
    pub from: String,
    /// Where the record went, `orders-0@17`, or would go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `sent`, `would_be_sent`, `left`.
    pub outcome: &'static str,
    /// How often it was sent back, including this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrives: Option<u32>,
    /// Why it was left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What became of all dead letters.
#[derive(Debug, Clone, Serialize)]
pub struct RedriveSummaryLine {
    /// Records that were sent back, or would have been.
    pub sent: u64,
    /// Records and letters that were not.
    pub left: u64,
    /// Whether nothing was really sent.
    pub dry_run: bool,
}

/// An event that was saved.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedLine {
    /// The file.
    pub file: String,
    /// How many records it has.
    pub records: usize,
    /// Partitions and offsets, `orders-0@5..9`, comma separated.
    pub offsets: String,
}

/// A fault that was made on request.
#[derive(Debug, Clone, Serialize)]
pub struct ChaosLine {
    /// Name of the function.
    pub function: String,
    /// `duplicate`, `rebalance`, `lost_commit`, `throttle`, `timeout`, `lost_response`.
    pub fault: &'static str,
    pub topic: String,
    pub partition: i32,
    /// The first record of the batch; of a commit, the offset that was to be committed.
    pub offset: i64,
    /// How often the same was tried, including this time.
    pub attempt: u32,
}

/// A fault of the embedded brokers that was made on request.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BrokerChaosLine {
    /// `crash`, `restart`, `leader_move`, `lost_response`, `delay`.
    pub fault: &'static str,
    /// The broker; of a partition whose leader moved, the new one; of several such partitions, the one that led them.
    pub broker: i32,
    /// The partition whose leader moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// How many partitions have another leader since the broker crashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<usize>,
    /// How late the answer comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

/// Where the metrics are.
#[derive(Debug, Clone, Serialize)]
pub struct MetricsLine {
    /// For a scraper on this machine.
    pub url: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Writes lines to one stream, each of them in a single write.
pub struct Reporter {
    format: Format,
    colour: bool,
    with_records: bool,
    stream: Mutex<Box<dyn Write + Send>>,
}

impl Reporter {
    /// A reporter that writes to `stream`. `colour` only affects [`Format::Text`]; `with_records` prints a line for every finished record.
    pub fn new(format: Format, colour: bool, with_records: bool, stream: Box<dyn Write + Send>) -> Self {
        Self { format, colour, with_records, stream: Mutex::new(stream) }
    }

    /// Whether every finished record gets a line.
    pub fn wants_records(&self) -> bool {
        self.with_records
    }

    /// Writes a line. If nobody reads the stream any more, the line is lost and work continues.
    pub fn line(&self, line: &Line) {
        let text = match self.format {
            // These types always serialise.
            Format::Json => serde_json::to_string(line).unwrap_or_default(),
            Format::Text => self.text(line),
        };
        let mut stream = self.stream.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = writeln!(stream, "{text}").and_then(|()| stream.flush());
    }

    fn text(&self, line: &Line) -> String {
        match line {
            Line::Ready(ready) => {
                let note = ready.note.as_deref().map(|note| format!("\n{}", self.dim(note))).unwrap_or_default();
                let topics = ready.topics.join(", ");
                format!("{} {} (topics: {topics}){note}", self.good("ready"), ready.bootstrap_servers)
            }
            Line::Invoked(line) => self.invocation(line),
            Line::Record(line) => {
                let outcome = match line.outcome {
                    "done" => self.good("done"),
                    "filtered" => self.dim("filtered"),
                    other => self.bad(other),
                };
                format!("{}-{}@{} {outcome}", line.topic, line.partition, line.offset)
            }
            Line::Stalled(line) => self.stalled(line),
            Line::Redriven(line) => self.redriven(line),
            Line::RedriveSummary(line) => {
                let sent = if line.dry_run { "would be sent back" } else { "sent back" };
                format!("{} records {sent}, {} left", line.sent, line.left)
            }
            Line::Chaos(line) => {
                let (topic, partition, offset) = (&line.topic, line.partition, line.offset);
                let fault = self.bad(line.fault);
                format!("chaos {fault} {topic}-{partition}@{offset} (attempt {})", line.attempt)
            }
            Line::BrokerChaos(line) => self.broker_chaos(line),
            Line::Metrics(line) => format!("metrics {}", line.url),
            Line::Recorded(line) => format!("{} {} records {}", self.good(&line.file), line.records, line.offsets),
            Line::Summary(line) => {
                let counts = &line.counts;
                let filtered = match counts.filtered_out_event_count {
                    0 => String::new(),
                    count => format!(" {count} filtered out,"),
                };
                format!(
                    "{}: {} records polled,{filtered} {} committed, {} sent to the destination, {} dropped; {} invocations, {} failed",
                    line.end,
                    counts.polled_event_count,
                    counts.committed_event_count,
                    counts.on_failure_destination_delivered_event_count,
                    counts.dropped_event_count,
                    counts.invocations,
                    counts.invoke_error_count
                )
            }
        }
    }

    fn broker_chaos(&self, line: &BrokerChaosLine) -> String {
        let mut text = format!("chaos {} broker {}", self.bad(line.fault), line.broker);
        if let (Some(topic), Some(partition)) = (&line.topic, line.partition) {
            text.push_str(&format!(" leads {topic}-{partition}"));
        }
        if let Some(moved) = line.moved {
            text.push_str(&format!(" led {moved} partitions, now others do"));
        }
        if let Some(delay_ms) = line.delay_ms {
            text.push_str(&format!(" ({delay_ms} ms)"));
        }
        text
    }

    fn stalled(&self, line: &StalledLine) -> String {
        let StalledLine { function, topic, records, waiting_s, cause, .. } = line;
        let waiting = self.bad("waiting");
        // The detail stands on the invocation's own line.
        let advice = self.dim(&line.advice);
        format!("{waiting} {waiting_s} s: {records} records of {topic} for {function} ({cause})\n  {advice}")
    }

    fn redriven(&self, line: &RedrivenLine) -> String {
        let outcome = if line.outcome == "left" { self.bad(line.outcome) } else { self.good(line.outcome) };
        let to = line.to.as_deref().map(|to| format!(" -> {to}")).unwrap_or_default();
        let redrives = line.redrives.map(|redrives| format!(" (redrive {redrives})")).unwrap_or_default();
        let detail = line.detail.as_deref().map(|detail| format!("\n  {}", self.dim(detail))).unwrap_or_default();
        format!("{} {outcome}{to}{redrives}{detail}", line.from)
    }

    fn invocation(&self, line: &InvocationLine) -> String {
        let outcome = if line.outcome == "done" { self.good(line.outcome) } else { self.bad(line.outcome) };
        let mut text = format!(
            "{} {outcome} {} records {} ({} bytes, {} ms, attempt {})",
            line.function, line.records, line.offsets, line.bytes, line.duration_ms, line.attempt
        );
        if line.retried > 0 {
            text.push_str(&format!(", {} to be redelivered", line.retried));
        }
        if line.given_up > 0 {
            text.push_str(&format!(", {} given up", line.given_up));
        }
        if let Some(detail) = &line.detail {
            text.push_str(&format!("\n  {}", self.dim(detail)));
        }
        text
    }

    fn good(&self, text: &str) -> String {
        self.painted(text, "32")
    }

    fn bad(&self, text: &str) -> String {
        self.painted(text, "31")
    }

    fn dim(&self, text: &str) -> String {
        self.painted(text, "2")
    }

    fn painted(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
