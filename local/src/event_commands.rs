//! The commands about single events and dead letters: `render`, `record`, `replay`, `redrive`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use msk_local::esm::document::MappingDocument;
use msk_local::esm::event_reader::{RenderedEvent, read_events, sample_event};
use msk_local::esm::iam;
use msk_local::esm::mapping::Mapping;
use msk_local::esm::redrive::{Cluster, RedriveOptions, Redriven, redrive_documents, redrive_topic};
use msk_local::esm::replay::{Replay, Replayed};
use msk_local::esm::running_mapping::Shared;
use msk_local::esm::validate::Strictness;
use msk_local::output::{Line, RecordedLine};
use msk_shared::event::{Header, MskEvent, Record, TimestampType};
use serde_json::Value;

use crate::cli::{MappingArgs, RecordArgs, RedriveArgs, RenderArgs, ReplayArgs, SampleFlags};
use crate::input;
use crate::mapping_flags::Auth;
use crate::terminal::{GAVE_UP, INTERRUPTED, Printer, Signals, UNREACHABLE, checked};

/// Whatever reads from a topic without a function has no name for one.
const ANY_FUNCTION: &str = "function";

/// `esm render`.
pub(crate) async fn render(stop: &mut Signals, args: &RenderArgs) -> Result<ExitCode> {
    let mapping = mapping_without_function(&args.mapping)?;
    if mapping.local.bootstrap_servers.is_none() || args.sample.is_given() {
        let event =
            sample_event(&mapping, sample_records(&mapping, &args.sample)).map_err(|problem| anyhow!(problem))?;
        print(&event)?;
        return Ok(ExitCode::SUCCESS);
    }
    read(stop, mapping, args.max_records, |event| print(&event.json)).await
}

/// `esm record`.
pub(crate) async fn record(printer: &Printer, stop: &mut Signals, args: &RecordArgs) -> Result<ExitCode> {
    let mapping = mapping_without_function(&args.mapping)?;
    let (reporter, folder) = (printer.reporter(false), args.folder.clone());
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    read(stop, mapping, args.max_records, move |event| {
        let path = folder.join(format!("{}.json", event.first));
        std::fs::write(&path, &event.json).with_context(|| format!("{} cannot be written", path.display()))?;
        let RenderedEvent { records, offsets, .. } = event;
        reporter.line(&Line::Recorded(RecordedLine { file: path.display().to_string(), records, offsets }));
        Ok(())
    })
    .await
}

/// Reads on a thread of its own, because the client blocks; a signal does not wait for it.
async fn read(
    stop: &mut Signals,
    mapping: Mapping,
    most: Option<u64>,
    sink: impl FnMut(RenderedEvent) -> Result<()> + Send + 'static,
) -> Result<ExitCode> {
    let reading = tokio::task::spawn_blocking(move || read_events(&mapping, most, sink));
    match stop.or(reading).await {
        None => Ok(ExitCode::from(INTERRUPTED)),
        Some(read) => {
            if read?? == 0 {
                tracing::warn!("there is nothing that the consumer group has not committed");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn mapping_without_function(args: &MappingArgs) -> Result<Mapping> {
    let mut document = args.document()?;
    document.function_name.get_or_insert_with(|| ANY_FUNCTION.to_owned());
    checked(&document, if args.lenient { Strictness::Lenient } else { Strictness::Strict })
}

fn sample_records(mapping: &Mapping, flags: &SampleFlags) -> Vec<Record> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let value = if flags.tombstone { None } else { Some(flags.value.clone().unwrap_or_else(|| "{}".to_owned())) };
    let headers: Vec<_> = flags
        .headers
        .iter()
        .map(|(name, value)| Header { name: name.clone(), value: Some(value.clone().into()) })
        .collect();
    (0..i64::from(flags.count))
        .map(|number| {
            Record::new(mapping.topic.as_str(), flags.partition, flags.offset.saturating_add(number))
                .with_key(flags.key.clone())
                .with_value(value.clone())
                .with_headers(headers.clone())
                .with_timestamp(now, TimestampType::CreateTime)
        })
        .collect()
}

/// One line on standard output; whoever reads it may have enough of it.
fn print(event: &[u8]) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(event).and_then(|()| output.write_all(b"\n")).context("standard output cannot be written")
}

/// `esm replay`.
pub(crate) async fn replay(printer: &Printer, stop: &mut Signals, args: &ReplayArgs) -> Result<ExitCode> {
    let mut events = Vec::with_capacity(args.events.len());
    for path in &args.events {
        let text = input::read(path)?;
        let event = MskEvent::parse(text.clone()).with_context(|| format!("{} is not an MSK event", path.display()))?;
        events.push((event, text));
    }
    let mapping = replay_mapping(args, &events)?;
    let shared = Arc::new(Shared::new(printer.reporter(false)));
    let mut replay = Replay::new(&mapping, shared)?;
    let mut code = ExitCode::SUCCESS;
    for (event, text) in events {
        match stop.or(replay.send(&event, text)).await {
            None => return Ok(ExitCode::from(INTERRUPTED)),
            Some(Replayed::Done) => {}
            Some(Replayed::Failed) => code = ExitCode::from(GAVE_UP),
            Some(Replayed::Unreachable) => {
                let url = mapping.local.shown_url();
                tracing::error!(
                    url,
                    "the function never answered; start it, or correct --invoke-url (Local.invokeUrl)"
                );
                return Ok(ExitCode::from(UNREACHABLE));
            }
        }
    }
    Ok(code)
}

fn replay_mapping(args: &ReplayArgs, events: &[(MskEvent, Vec<u8>)]) -> Result<Mapping> {
    let topic = events.iter().find_map(|(event, _)| Some(event.records().next()?.topic().to_owned()));
    let mut document: MappingDocument = args.flags.document(args.config.as_deref(), None)?;
    if document.topics.is_none() {
        document.topics = Some(vec![topic.unwrap_or_else(|| "none".to_owned())]);
    }
    // One invocation: AWS's modes do not matter.
    document.provisioned_poller_config.get_or_insert_default();
    checked(&document, Strictness::Lenient)
}

/// `esm redrive`.
pub(crate) async fn redrive(printer: &Printer, stop: &mut Signals, args: &RedriveArgs) -> Result<ExitCode> {
    let options = RedriveOptions {
        max_redrives: args.max_redrives,
        most: args.max_records,
        dry_run: args.dry_run,
        from_beginning: args.from_beginning,
    };
    let mut kafka_options = args.kafka_options.iter().cloned().collect();
    Auth::add_options(args.auth, &mut kafka_options);
    let cluster = Cluster {
        bootstrap_servers: args.bootstrap_servers.clone(),
        tokens: iam::tokens(&kafka_options)?,
        kafka_options,
        group: format!("msk-local.redrive.{}", args.from_topic.as_deref().unwrap_or("documents")),
    };
    let reporter = printer.reporter(false);
    let work = async {
        let redriven: Result<Redriven> = match &args.from_topic {
            Some(topic) => Ok(redrive_topic(&cluster, topic, options, &reporter).await?),
            None => Ok(redrive_documents(&cluster, &documents(&args.documents)?, options, &reporter).await?),
        };
        redriven
    };
    match stop.or(work).await {
        None => Ok(ExitCode::from(INTERRUPTED)),
        Some(redriven) => {
            let redriven = redriven?;
            Ok(if redriven.left > 0 { ExitCode::from(GAVE_UP) } else { ExitCode::SUCCESS })
        }
    }
}

fn documents(paths: &[PathBuf]) -> Result<Vec<(String, Value)>> {
    let document = |path: &PathBuf| {
        let text = input::read(path)?;
        let document = serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        Ok((path.display().to_string(), document))
    };
    paths.iter().map(document).collect()
}
