//! What the functions promise, on real Kafka while it breaks: the scenarios of `docs/reliability.md`.
//!
//! `cargo xtask test ha` runs the fast column on the packaged functions, `cargo xtask ha --full` the full one; words choose
//! scenarios (`cargo xtask ha R2 R6`). `cargo xtask test sabotage` runs those that must notice a broken promise. Scenarios
//! run one after the other: most share one cluster, and two cores carry four JVMs and the functions. Figures are printed
//! and collected in `target/ha/`.

#![allow(clippy::print_stdout, clippy::panic, reason = "a test prints its figures and fails by panicking")]

mod availability;
mod clients;
mod consuming;
mod credentials;
mod dead_letter_limits;
mod faults;
mod freezing;
mod refusals;
mod sabotage;
mod security;
mod shared_clusters;
mod soak;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc, time::Instant};

use libtest_mimic::{Arguments, Failed, Trial};

use shared_clusters::SharedClusters;

type RunScenario = for<'a> fn(&'a SharedClusters) -> Pin<Box<dyn Future<Output = anyhow::Result<String>> + 'a>>;

/// A scenario of the reliability table: its id, what it shows, and how.
struct Scenario {
    id: &'static str,
    name: &'static str,
    run: RunScenario,
}

macro_rules! scenarios {
    ($($id:literal $name:literal $run:path;)*) => {
        &[$(Scenario { id: $id, name: $name, run: |clusters| Box::pin($run(clusters)) }),*]
    };
}

const SCENARIOS: &[Scenario] = scenarios! {
    "F1" "first acknowledgement" clients::first_acknowledgement;
    "F2" "added partitions" clients::added_partitions;
    "R1" "healthy" availability::healthy;
    "R2" "kill the leader" availability::kill_the_leader;
    "R3" "rolling restart" availability::rolling_restart;
    "R4" "stopped leader and controller" availability::stopped_nodes;
    "R5" "two of three brokers down" availability::two_brokers_down;
    "R6" "resets and lost responses" faults::lost_responses;
    "R7" "partitions" faults::partitions;
    "R8" "random faults" faults::random_faults;
    "R9" "retries with an idempotency key" consuming::retries;
    "R10" "freeze and thaw" freezing::freeze_and_thaw;
    "R11" "no write after a no" freezing::no_zombies;
    "R13" "forged tokens at the brokers" security::forged_tokens;
    "R14" "cold starts at once" clients::cold_starts;
    "R15" "every broker at a new address" clients::moved_brokers;
    "R16" "fatal errors" faults::fatal_errors;
    "R17" "deadlines" clients::deadlines;
    "R20" "a bad bootstrap server" clients::bad_bootstrap_server;
    "R23" "refused batches during restarts" refusals::refusals_during_restarts;
    "R24" "metadata without brokers" faults::metadata_without_brokers;
    "R25" "in flight to forgotten brokers" faults::forgotten_in_flight;
    "C1" "duplicates, overlaps, crash" consuming::redelivery;
    "C2" "poison" consuming::poison;
    "C4" "dead letter down" consuming::dead_letter_down;
    "C4-store" "idempotency store down" consuming::store_down;
    "C5" "a dead-letter topic that takes too little" dead_letter_limits::small_dead_letters;
    "S3" "secrets and control characters" security::clean_logs;
    "S4" "TLS refusals" security::tls_refusals;
    "S5" "missing permissions" security::missing_permissions;
    "R12" "tokens and keys that end" credentials::short_lives;
    "K4-R1" "healthy, Kafka 4" availability::healthy_on_kafka_4;
    "K4-R13" "forged tokens at the brokers, Kafka 4" security::forged_tokens_on_kafka_4;
    "K4-R2" "kill the leader, Kafka 4" availability::kill_the_leader_on_kafka_4;
};

/// Only in the full column, for they take most of an hour.
const LONG: &[Scenario] = scenarios! {
    "R10-real" "frozen for 16 minutes" freezing::real_freezes;
    "R18" "soak" soak::soak;
};

/// Run when asked for (`--ignored`): with a promise broken the scenario must fail.
const SABOTAGE: &[Scenario] = scenarios! {
    "X-acks" "acks=1 is noticed" sabotage::leader_alone;
    "X-idempotence" "idempotence off is noticed" sabotage::no_idempotence;
    "X-rebuild" "a client that is never replaced is noticed" sabotage::no_rebuild;
    "X-admission" "no admission by deadline is noticed" sabotage::no_admission;
    "X-loss" "a planted loss is noticed" sabotage::planted_loss;
    "X-proxy" "a proxy that passes everything is noticed" sabotage::blind_proxy;
};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() else {
        panic!("no tokio runtime");
    };
    let runtime = Arc::new(runtime);
    let clusters = Arc::new(SharedClusters::new());
    let chosen = match chosen(arguments.ignored || arguments.include_ignored) {
        Ok(chosen) => chosen,
        Err(error) => panic!("{error}"),
    };
    let long: &[Scenario] = if clusters.is_full() || !chosen.is_empty() { LONG } else { &[] };
    let is_chosen = |scenario: &&Scenario| chosen.is_empty() || chosen.iter().any(|id| id == scenario.id);
    let trial = |scenario: &'static Scenario| {
        let (runtime, clusters) = (Arc::clone(&runtime), Arc::clone(&clusters));
        Trial::test(format!("{} {}", scenario.id, scenario.name), move || run(scenario, &runtime, &clusters))
    };
    let column = SCENARIOS.iter().chain(long).filter(is_chosen).map(trial);
    let sabotage = SABOTAGE.iter().filter(is_chosen).map(|scenario| trial(scenario).with_ignored_flag(true));
    let trials = column.chain(sabotage).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The clusters end on the runtime they live on.
    runtime.block_on(async { clusters.end().await });
    conclusion.exit_code()
}

/// The ids in `MSK_E2E_SCENARIOS`, comma-separated; all scenarios when there is none. Sabotage that would be ignored cannot
/// be chosen: a run of nothing would look like success.
fn chosen(with_sabotage: bool) -> anyhow::Result<Vec<String>> {
    let text = std::env::var("MSK_E2E_SCENARIOS").unwrap_or_default();
    let ids: Vec<String> = text.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
    let sabotage = if with_sabotage { SABOTAGE } else { &[] };
    let known: Vec<&str> = SCENARIOS.iter().chain(LONG).chain(sabotage).map(|scenario| scenario.id).collect();
    if let Some(unknown) = ids.iter().find(|id| !known.contains(&id.as_str())) {
        anyhow::bail!("no scenario {unknown:?}; there are {}, and more in stage sabotage", known.join(", "));
    }
    Ok(ids)
}

fn run(scenario: &Scenario, runtime: &tokio::runtime::Runtime, clusters: &SharedClusters) -> Result<(), Failed> {
    let start = Instant::now();
    let result = runtime.block_on(async {
        let result = (scenario.run)(clusters).await;
        let healed = clusters.heal().await;
        result.and_then(|figures| healed.map(|()| figures))
    });
    let took = start.elapsed().as_secs_f32();
    match result {
        Ok(figures) => {
            let line = format!("{} {} ({took:.0} s): {figures}", scenario.id, scenario.name);
            println!("\n{line}");
            shared_clusters::collect(scenario.id, &line);
            Ok(())
        }
        Err(error) => Err(Failed::from(format!("{} after {took:.0} s: {error:#}", scenario.id))),
    }
}
