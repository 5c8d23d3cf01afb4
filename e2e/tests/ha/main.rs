//! What the functions promise, on real Kafka while it breaks: the scenarios of `docs/reliability.md`.
//!
//! `cargo test -p msk-e2e --test ha` runs the fast column, with `MSK_E2E_FULL=1` the full one; a word after `--`
//! chooses scenarios (`-- R2`). Scenarios run one after the other: most share one cluster, and two cores carry four
//! JVMs and the functions. Figures are printed and collected in `target/ha/`.

#![allow(clippy::print_stdout, clippy::panic, reason = "a test prints its figures and fails by panicking")]

mod availability;
mod clients;
mod consuming;
mod credentials;
mod faults;
mod freezing;
mod security;
mod stage;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc, time::Instant};

use libtest_mimic::{Arguments, Failed, Trial};

use stage::Stage;

type Run = for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = anyhow::Result<String>> + 'a>>;

/// A scenario of the reliability table: its id, what it shows, and how.
struct Scenario {
    id: &'static str,
    name: &'static str,
    run: Run,
}

macro_rules! scenarios {
    ($($id:literal $name:literal $run:path;)*) => {
        &[$(Scenario { id: $id, name: $name, run: |stage| Box::pin($run(stage)) }),*]
    };
}

const SCENARIOS: &[Scenario] = scenarios! {
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
    "C1" "duplicates, overlaps, crash" consuming::redelivery;
    "C2" "poison" consuming::poison;
    "C4" "dead letter down" consuming::dead_letter_down;
    "S3" "secrets and control characters" security::clean_logs;
    "S4" "TLS refusals" security::tls_refusals;
    "S5" "missing permissions" security::missing_permissions;
    "R12" "tokens and keys that end" credentials::short_lives;
    "K4-R1" "healthy, Kafka 4" availability::healthy_on_kafka_4;
    "K4-R13" "forged tokens at the brokers, Kafka 4" security::forged_tokens_on_kafka_4;
    "K4-R2" "kill the leader, Kafka 4" availability::kill_the_leader_on_kafka_4;
};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() else {
        panic!("no tokio runtime");
    };
    let runtime = Arc::new(runtime);
    let stage = Arc::new(Stage::new());
    let trials = SCENARIOS
        .iter()
        .map(|scenario| {
            let (runtime, stage) = (Arc::clone(&runtime), Arc::clone(&stage));
            Trial::test(format!("{} {}", scenario.id, scenario.name), move || run(scenario, &runtime, &stage))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The clusters end on the runtime they live on.
    runtime.block_on(async { stage.end().await });
    conclusion.exit_code()
}

fn run(scenario: &Scenario, runtime: &tokio::runtime::Runtime, stage: &Stage) -> Result<(), Failed> {
    let start = Instant::now();
    let result = runtime.block_on(async {
        let result = (scenario.run)(stage).await;
        let healed = stage.heal().await;
        result.and_then(|figures| healed.map(|()| figures))
    });
    let took = start.elapsed().as_secs_f32();
    match result {
        Ok(figures) => {
            let line = format!("{} {} ({took:.0} s): {figures}", scenario.id, scenario.name);
            println!("\n{line}");
            stage::collect(scenario.id, &line);
            Ok(())
        }
        Err(error) => Err(Failed::from(format!("{} after {took:.0} s: {error:#}", scenario.id))),
    }
}
