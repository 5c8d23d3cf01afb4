//! The command line.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, which shows every word as written")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use msk_local::esm::document::MappingDocument;
use msk_local::output::Format;
use msk_shared::topic_spec::TopicSpec;

use crate::chaos_flags::BrokerChaosFlags;
use crate::mapping_flags::{Auth, MappingFlags, name_and_value};
use crate::version;

const EXIT_CODES: &str = "Exit codes: 0 done (or stopped with Ctrl-C while running), 1 error, 2 wrong usage, \
3 `drain` reached its deadline, 4 `drain` gave up records (dropped, or sent to the destination), `replay` had an event that failed, or \
`redrive` left something, 5 `drain` or `replay` never reached the function, 130 a command that ends by itself was interrupted.";

/// A laptop-sized MSK: embedded brokers and AWS's event source mapping.
#[derive(Debug, Parser)]
// A repeated flag counts as given last, so that an alias of a shell can hold defaults.
#[command(name = "msk-local", version = version::text(), after_help = EXIT_CODES, disable_help_subcommand = true, args_override_self = true)]
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
    /// Run three embedded brokers until Ctrl-C. All is in memory, and the newest 64 MiB of records are kept.
    Brokers(BrokersArgs),
    /// Run brokers and one event source mapping per topic, in one process, until Ctrl-C.
    Up(Box<UpArgs>),
    /// The event source mapping of one topic.
    #[command(subcommand)]
    Esm(EsmCommand),
    /// Print a script with which a shell completes commands and flags; the shell sources it.
    Completions(CompletionsArgs),
    /// Print a page of the manual, or write all of them; `man -l FILE` shows one.
    Man(ManArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum EsmCommand {
    /// Poll the topic and invoke the function until Ctrl-C.
    Run(Box<MappingArgs>),
    /// Deliver all records of the topic, then stop; the exit code tells the result.
    Drain(Box<DrainArgs>),
    /// Print the events that the mapping would send now, one a line, and change nothing; without brokers a sample event.
    Render(Box<RenderArgs>),
    /// Save the events that the mapping would send now, and change nothing.
    Record(Box<RecordArgs>),
    /// Send saved events to the function, each once.
    Replay(Box<ReplayArgs>),
    /// Send dead letters back to the topics they came from.
    Redrive(Box<RedriveArgs>),
    /// Check a configuration against AWS's ranges and mode rules.
    Validate(Box<MappingArgs>),
    /// Check a function's response to an event against AWS's rules.
    CheckResponse(CheckResponseArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command whose page is printed, `esm drain`; without one the page of the program.
    pub(crate) command: Vec<String>,
    /// Write the pages of all commands into this folder instead.
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BrokersArgs {
    /// Topics to create, `NAME` or `NAME:PARTITIONS`, comma separated; `:compact` behind one that is compacted.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS")]
    pub(crate) topics: Vec<TopicSpec>,
    #[command(flatten)]
    pub(crate) chaos: BrokerChaosFlags,
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
    pub(crate) chaos: BrokerChaosFlags,
    #[command(flatten)]
    pub(crate) mapping: MappingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct MappingArgs {
    /// The mapping as JSON, YAML or TOML: the members of AWS's CreateEventSourceMapping, plus a block `Local`; or what
    /// `aws lambda get-event-source-mapping`, `list-event-source-mappings`, an SDK or `terraform show -json` prints; or a template
    /// of CloudFormation, AWS SAM or the Serverless Framework. `-` reads standard input. The flags below override it.
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
pub(crate) struct RenderArgs {
    #[command(flatten)]
    pub(crate) mapping: MappingArgs,
    /// Read at most this many records.
    #[arg(long, value_name = "N")]
    pub(crate) max_records: Option<u64>,
    #[command(flatten)]
    pub(crate) sample: SampleFlags,
}

/// What a sample event holds; only without brokers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sample event (without --bootstrap-servers)")]
pub(crate) struct SampleFlags {
    /// Value of each record [default: {}].
    #[arg(long, conflicts_with_all = ["bootstrap_servers", "tombstone"])]
    pub(crate) value: Option<String>,
    /// Records without a value.
    #[arg(long, conflicts_with = "bootstrap_servers")]
    pub(crate) tombstone: bool,
    /// Key of each record [default: none].
    #[arg(long, conflicts_with = "bootstrap_servers")]
    pub(crate) key: Option<String>,
    /// A header of each record; repeatable.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = name_and_value, conflicts_with = "bootstrap_servers")]
    pub(crate) headers: Vec<(String, String)>,
    /// Partition of the records.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..), value_name = "N")]
    pub(crate) partition: i32,
    /// Offset of the first record.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..), value_name = "N")]
    pub(crate) offset: i64,
    /// How many records, 1 to 10000.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000), value_name = "N")]
    pub(crate) count: u16,
}

impl SampleFlags {
    /// Whether a flag says what the records hold: then no brokers are asked, not even those of a self-managed cluster's mapping.
    pub(crate) fn is_given(&self) -> bool {
        self.value.is_some() || self.tombstone || self.key.is_some() || !self.headers.is_empty()
    }
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    pub(crate) mapping: MappingArgs,
    /// Folder for the files, one for each event, named by topic, partition and offset of its first record. They hold what the
    /// records hold.
    #[arg(long, default_value = "events")]
    pub(crate) folder: PathBuf,
    /// Read at most this many records.
    #[arg(long, value_name = "N")]
    pub(crate) max_records: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Files with one event each; `-` reads standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) events: Vec<PathBuf>,
    /// The mapping, as for `esm run`; its topic does not matter.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: MappingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    /// Failure documents of SQS, SNS or S3 destinations: a document, a list of them, or what `aws sqs receive-message`
    /// prints; `-` reads standard input.
    #[arg(value_name = "FILE", required_unless_present = "from_topic", conflicts_with = "from_topic")]
    pub(crate) documents: Vec<PathBuf>,
    /// A dead-letter topic: the consumer's own letters, and failure documents of Kafka destinations.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) from_topic: Option<String>,
    /// Brokers, `HOST:PORT,...`.
    #[arg(long, required = true)]
    pub(crate) bootstrap_servers: String,
    /// Sign in with MSK IAM, with the region and the credentials of the environment.
    #[arg(long, value_name = "MECHANISM")]
    pub(crate) auth: Option<Auth>,
    /// A librdkafka property, for clusters that need more than an address; repeatable.
    #[arg(long = "kafka-option", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) kafka_options: Vec<(String, String)>,
    /// How often a record may be sent back altogether; the header `x-redrive-count` counts.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) max_redrives: u32,
    /// Read at most this many dead letters.
    #[arg(long, value_name = "N")]
    pub(crate) max_records: Option<u64>,
    /// Begin at the oldest dead letter of the topic, not behind those that an earlier redrive has read.
    #[arg(long)]
    pub(crate) from_beginning: bool,
    /// Only say what would be sent.
    #[arg(long)]
    pub(crate) dry_run: bool,
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
