//! The command line.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, which shows every word as written")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use msk_local::esm::document::MappingDocument;
use msk_local::output::Format;
use msk_shared::topic_spec::TopicSpec;

use crate::mapping_flags::MappingFlags;

const EXIT_CODES: &str = "Exit codes: 0 done (or stopped with Ctrl-C while running), 1 error, 2 wrong usage, \
3 `drain` reached its deadline, 4 `drain` gave up records (dropped, or sent to the destination), 5 `drain` never reached the function, 130 `drain` was interrupted.";

/// A laptop-sized MSK: embedded brokers and AWS's event source mapping.
#[derive(Debug, Parser)]
// A repeated flag counts as given last, so that an alias of a shell can hold defaults.
#[command(name = "msk-local", version, after_help = EXIT_CODES, disable_help_subcommand = true, args_override_self = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How results are printed on standard output: text, or one JSON object per line.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Log to standard error what the emulator does; RUST_LOG selects more.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run three embedded brokers until Ctrl-C.
    Brokers(BrokersArgs),
    /// Run brokers and one event source mapping per topic, in one process, until Ctrl-C.
    Up(Box<UpArgs>),
    /// The event source mapping of one topic.
    #[command(subcommand)]
    Esm(EsmCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum EsmCommand {
    /// Poll the topic and invoke the function until Ctrl-C.
    Run(Box<MappingArgs>),
    /// Deliver all records of the topic, then stop; the exit code tells the result.
    Drain(Box<DrainArgs>),
    /// Check a configuration against AWS's ranges and mode rules.
    Validate(Box<MappingArgs>),
    /// Check a function's response to an event against AWS's rules.
    CheckResponse(CheckResponseArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BrokersArgs {
    /// Topics to create, `NAME` or `NAME:PARTITIONS`, comma separated; `:compact` behind one that is compacted.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS")]
    pub(crate) topics: Vec<TopicSpec>,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// The mapping as for `esm run`, here for every topic of `--topics`; without `--topics` for its own one.
    pub(crate) config: Option<PathBuf>,
    /// Topics to create and deliver, `NAME` or `NAME:PARTITIONS`, comma separated; `:compact` behind one that is compacted.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS", required_unless_present = "config")]
    pub(crate) topics: Vec<TopicSpec>,
    /// Topics to create only, for example for dead letters.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS")]
    pub(crate) other_topics: Vec<TopicSpec>,
    /// Functions, comma separated, instead of --function-name: each has a mapping of every topic, and consumer groups of its own.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", conflicts_with_all = ["function_name", "consumer_group_id"])]
    pub(crate) functions: Vec<String>,
    #[command(flatten)]
    pub(crate) mapping: MappingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct MappingArgs {
    /// The mapping as JSON or YAML: the members of AWS's CreateEventSourceMapping, plus a block `Local`; or what
    /// `aws lambda get-event-source-mapping`, `list-event-source-mappings` or an SDK prints. `-` reads standard input.
    /// The flags below override it.
    pub(crate) config: Option<PathBuf>,
    /// The topic to poll; of a list of mappings, the one to take.
    #[arg(long, visible_alias = "topic", value_name = "TOPIC")]
    pub(crate) topics: Option<String>,
    /// Only warn about settings that AWS would reject.
    #[arg(long)]
    pub(crate) lenient: bool,
    #[command(flatten)]
    pub(crate) flags: MappingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) mapping: MappingArgs,
    /// Stop once this many records are committed.
    #[arg(long, value_name = "N")]
    pub(crate) max_records: Option<u64>,
    /// Stop after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    pub(crate) deadline: f64,
}

#[derive(Debug, Args)]
pub(crate) struct CheckResponseArgs {
    /// File with the function's response; `-` reads standard input.
    pub(crate) response: PathBuf,
    /// File with the event that the function was sent.
    #[arg(long)]
    pub(crate) event: PathBuf,
}

impl MappingArgs {
    /// The configuration file, with the flags applied.
    pub(crate) fn document(&self) -> anyhow::Result<MappingDocument> {
        self.flags.document(self.config.as_deref(), self.topics.as_deref())
    }
}
