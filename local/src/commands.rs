//! What each command does, and its exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use msk_local::brokers::{self, BrokerChaos, EmbeddedBrokers};
use msk_local::esm::document::MappingDocument;
use msk_local::esm::mapping::Mapping;
use msk_local::esm::metrics::Metrics;
use msk_local::esm::running_mapping::{DrainLimits, End, RunningMapping};
use msk_local::esm::topic_settings;
use msk_local::esm::validate::Strictness;
use msk_local::output::{Line, ReadyLine, Reporter, SummaryLine};
use msk_shared::topic_spec::TopicSpec;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chaos_flags::BrokerChaosFlags;
use crate::cli::{BrokersArgs, Cli, Command, DrainArgs, EsmCommand, MappingArgs, UpArgs};
use crate::terminal::{DEADLINE, GAVE_UP, INTERRUPTED, Printer, Signals, UNREACHABLE, checked};
use crate::{event_commands, manual, observers, offline};

/// Ten years; a much longer time would overflow the clock.
const LONGEST_DEADLINE_SECONDS: f64 = 315_360_000.0;

pub(crate) async fn run(cli: Cli) -> Result<ExitCode> {
    let printer = Printer { format: cli.format };
    match cli.command {
        Command::Brokers(args) => run_brokers(&printer, &args).await,
        Command::Up(args) => up(&printer, &args).await,
        Command::Esm(EsmCommand::Run(args)) => run_mapping(&printer, &args).await,
        Command::Esm(EsmCommand::Drain(args)) => drain(&printer, &args).await,
        Command::Esm(EsmCommand::Render(args)) => event_commands::render(&mut Signals::new()?, &args).await,
        Command::Esm(EsmCommand::Record(args)) => event_commands::record(&printer, &mut Signals::new()?, &args).await,
        Command::Esm(EsmCommand::Replay(args)) => event_commands::replay(&printer, &mut Signals::new()?, &args).await,
        Command::Esm(EsmCommand::Redrive(args)) => event_commands::redrive(&printer, &mut Signals::new()?, &args).await,
        Command::Esm(EsmCommand::Validate(args)) => offline::validate_mapping(cli.format, &args),
        Command::Esm(EsmCommand::CheckResponse(args)) => offline::check_response(cli.format, &args),
        Command::Completions(args) => manual::completions(args.shell),
        Command::Man(args) => manual::pages(&args),
    }
}

async fn run_brokers(printer: &Printer, args: &BrokersArgs) -> Result<ExitCode> {
    let mut stop = Signals::new()?;
    let reporter = printer.reporter(false);
    let brokers = embedded_brokers(&args.topics, &args.chaos, &reporter)?;
    reporter.line(&ready(brokers.bootstrap_servers(), &args.topics, true));
    stop.next().await;
    Ok(ExitCode::SUCCESS)
}

fn embedded_brokers(
    topics: &[TopicSpec],
    chaos: &BrokerChaosFlags,
    reporter: &Arc<Reporter>,
) -> Result<EmbeddedBrokers> {
    Ok(match chaos.broker_seed {
        Some(seed) => EmbeddedBrokers::start_with_chaos(topics, BrokerChaos { seed, reporter: Arc::clone(reporter) })?,
        None => EmbeddedBrokers::start(topics)?,
    })
}

async fn up(printer: &Printer, args: &UpArgs) -> Result<ExitCode> {
    let mut stop = Signals::new()?;
    let mut document = args.mapping.document(args.config.as_deref(), None)?;
    // On a laptop there is no need to choose between the modes: provisioned mode allows everything.
    document.provisioned_poller_config.get_or_insert_default();
    let topics = topics(args, &document)?;
    if topics.is_empty() {
        // A template may not say its topic: what is wrong is told as for any other mapping.
        checked(&document, Strictness::Strict)?;
    }
    let (mut brokers, reporter) = (None, printer.reporter(args.mapping.records));
    if document.local.bootstrap_servers.is_none() {
        // Embedded brokers ask nobody who they are.
        document.replace_source_access(Vec::new());
    }
    let bootstrap_servers = match &document.local.bootstrap_servers {
        Some(_) if args.chaos.broker_seed.is_some() => {
            bail!("--chaos-brokers makes faults of the embedded brokers: leave the addresses of others out")
        }
        Some(servers) => servers.clone(),
        None => {
            let topics: Vec<_> = topics.iter().chain(&args.other_topics).cloned().collect();
            brokers.insert(embedded_brokers(&topics, &args.chaos, &reporter)?).bootstrap_servers().to_owned()
        }
    };
    let functions = functions(args, &document)?;
    let mapping = |topic: &TopicSpec, function: Option<String>| {
        let mut document = MappingDocument { topics: Some(vec![topic.name.to_string()]), ..document.clone() };
        document.function_name = function;
        document.local.bootstrap_servers = Some(bootstrap_servers.clone());
        anyhow::Ok(checked(&document, Strictness::Strict)?.with_credentials()?)
    };
    let mut topics = topics;
    let mappings = functions.iter().flat_map(|function| topics.iter().map(|topic| mapping(topic, function.clone())));
    let mappings = mappings.collect::<Result<Vec<_>>>()?;
    if brokers.is_none() {
        // Each function has the same topics.
        let compacted = topic_settings::compacted(&mappings[..topics.len()], &bootstrap_servers);
        let Some(compacted) = stop.or(compacted).await else { return Ok(ExitCode::SUCCESS) };
        agree(&mut topics, &compacted)?;
    }
    let ready = ready(&bootstrap_servers, &topics, brokers.is_some());
    run_until_stopped(&reporter, mappings, &ready, &mut stop).await
}

/// The topics of the command line, otherwise the file's.
fn topics(args: &UpArgs, document: &MappingDocument) -> Result<Vec<TopicSpec>> {
    if !args.topics.is_empty() {
        return Ok(args.topics.clone());
    }
    document.topics.iter().flatten().map(|topic| Ok(topic.parse()?)).collect()
}

/// The functions of the command line, otherwise the mapping's.
fn functions(args: &UpArgs, document: &MappingDocument) -> Result<Vec<Option<String>>> {
    let names = &args.functions;
    let group = document.kafka_source().and_then(|source| source.consumer_group_id.as_ref());
    ensure!(
        names.len() < 2 || group.is_none(),
        "--functions: each function needs a consumer group of its own; take ConsumerGroupId out of the mapping"
    );
    if let Some(twice) = names.iter().find(|name| names.iter().filter(|other| other == name).count() > 1) {
        bail!("--functions names `{twice}` twice: name each function once");
    }
    match names.as_slice() {
        [] => Ok(vec![document.function_name.clone()]),
        names => Ok(names.iter().cloned().map(Some).collect()),
    }
}

/// What the cluster says of a topic holds; the command line must not say otherwise.
fn agree(topics: &mut [TopicSpec], compacted: &[Option<bool>]) -> Result<()> {
    for (topic, compacted) in topics.iter_mut().zip(compacted) {
        let Some(compacted) = *compacted else { continue };
        ensure!(
            compacted || !topic.compacted,
            "topic `{}` is not compacted on this cluster: leave `:compact` out, or set its cleanup.policy",
            topic.name
        );
        topic.compacted = compacted;
    }
    Ok(())
}

async fn run_mapping(printer: &Printer, args: &MappingArgs) -> Result<ExitCode> {
    let mut stop = Signals::new()?;
    let mapping = mapping(args)?;
    let topics = [TopicSpec { name: mapping.topic.clone(), partitions: 0, compacted: false }];
    let ready = ready(mapping.local.bootstrap_servers.as_deref().unwrap_or_default(), &topics, false);
    run_until_stopped(&printer.reporter(args.flags.records), vec![mapping], &ready, &mut stop).await
}

/// Starts the mappings, prints `ready`, and runs until a signal or until one of them fails.
async fn run_until_stopped(
    reporter: &Arc<Reporter>,
    mappings: Vec<Mapping>,
    ready: &Line,
    stop: &mut Signals,
) -> Result<ExitCode> {
    let process = observers::shared(Arc::clone(reporter), mappings.first())?;
    let _metrics = observers::metrics_server(mappings.first(), &process).await?;
    let mut running = Vec::new();
    for mapping in mappings {
        let starting = RunningMapping::start(mapping, &process);
        let Some(started) = stop.or(starting).await else { return Ok(ExitCode::SUCCESS) };
        running.push(started?);
    }
    for mapping in &mut running {
        let Some(joined) = stop.or(mapping.joined()).await else { return Ok(ExitCode::SUCCESS) };
        joined?;
    }
    reporter.line(ready);
    run_all(running, stop).await?;
    reporter.line(&summary(End::Stopped, &process.metrics));
    Ok(ExitCode::SUCCESS)
}

/// Runs all mappings until a signal, or until one of them fails, which ends the others.
async fn run_all(mappings: Vec<RunningMapping>, stop: &mut Signals) -> Result<()> {
    let (stop_all, _) = watch::channel(false);
    let mut running = JoinSet::new();
    for mut mapping in mappings {
        let mut stopped = stop_all.subscribe();
        running.spawn(async move {
            let ended = mapping.until(async move { drop(stopped.wait_for(|stop| *stop).await) }).await;
            mapping.stop().await;
            ended
        });
    }
    let first = tokio::select! {
        () = stop.next() => None,
        first = running.join_next() => first,
    };
    stop_all.send_replace(true);
    tokio::select! {
        // After a second signal, invocations in flight are not awaited.
        () = stop.next() => {}
        () = async { while running.join_next().await.is_some() {} } => {}
    }
    match first {
        Some(ended) => ended?.map(drop).map_err(Into::into),
        None => Ok(()),
    }
}

async fn drain(printer: &Printer, args: &DrainArgs) -> Result<ExitCode> {
    let mut stop = Signals::new()?;
    if !(0.0..=LONGEST_DEADLINE_SECONDS).contains(&args.deadline) {
        bail!("--deadline: {} is out of range; it must be from 0 to {LONGEST_DEADLINE_SECONDS} seconds", args.deadline);
    }
    let limits = DrainLimits { records: args.max_records, deadline: Some(Duration::from_secs_f64(args.deadline)) };
    let mapping = mapping(&args.mapping)?;
    let url = mapping.local.shown_url();
    let process = observers::shared(printer.reporter(args.mapping.flags.records), Some(&mapping))?;
    let _metrics = observers::metrics_server(Some(&mapping), &process).await?;
    let starting = RunningMapping::start(mapping, &process);
    let Some(started) = stop.or(starting).await else { return Ok(ExitCode::from(INTERRUPTED)) };
    let mut running = started?;
    let end = running.drain(limits, stop.next()).await?;
    tokio::select! {
        () = stop.next() => {}
        () = running.stop() => {}
    }
    process.reporter.line(&summary(end, &process.metrics));
    Ok(match end {
        End::Stopped => ExitCode::from(INTERRUPTED),
        End::Deadline => {
            tracing::error!(deadline_s = args.deadline, "the topic was not drained in time; raise --deadline");
            ExitCode::from(DEADLINE)
        }
        End::Unreachable => {
            tracing::error!(url, "the function never answered; start it, or correct --invoke-url (Local.invokeUrl)");
            ExitCode::from(UNREACHABLE)
        }
        End::Drained | End::RecordsReached if process.metrics.counts().given_up() > 0 => ExitCode::from(GAVE_UP),
        End::Drained | End::RecordsReached => ExitCode::SUCCESS,
    })
}

fn mapping(args: &MappingArgs) -> Result<Mapping> {
    let strictness = if args.lenient { Strictness::Lenient } else { Strictness::Strict };
    checked(&args.document()?, strictness)
}

fn ready(bootstrap_servers: &str, topics: &[TopicSpec], embedded: bool) -> Line {
    Line::Ready(ReadyLine {
        ready: true,
        bootstrap_servers: bootstrap_servers.to_owned(),
        topics: topics.iter().map(|topic| topic.name.to_string()).collect(),
        compacted: topics.iter().filter(|topic| topic.compacted).map(|topic| topic.name.to_string()).collect(),
        note: embedded.then(|| brokers::LIMITS.to_owned()),
    })
}

fn summary(end: End, metrics: &Metrics) -> Line {
    Line::Summary(SummaryLine { end: end.name(), counts: metrics.counts() })
}
