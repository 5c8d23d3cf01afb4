//! Part of stage `rig`: `cargo xtask up` on Apache Kafka brokers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Laptop, STOP_PATIENCE, data_folders, free_port};
use crate::process;

/// How long the brokers may take to see a changed policy and the producer to give a record up, many times what both take.
const REFUSED_PATIENCE: Duration = Duration::from_secs(60);

/// What the producer says of brokers that refuse it, and of no others.
const NOT_PERMITTED: &str = "the cluster does not permit this service to write";

/// `up` with Apache Kafka brokers: the same loop, stopped and killed.
pub(crate) fn run_on_real_brokers() -> Result<()> {
    let real = ["--kafka", "real"];
    let mut laptop = Laptop::start(&real, free_port()?)?;
    ensure!(laptop.said("three brokers (processes"), "`up` did not say what its brokers are");
    // Otherwise the check that nothing is left might look in the wrong place.
    ensure!(
        !data_folders(&laptop.folder)?.is_empty(),
        "there is no folder with brokers' data in {}",
        laptop.folder.path().display()
    );
    laptop.try_it()?;
    laptop.stop()?;
    // Four JVMs and their data are too much to wait for the next `up`: they must end with the `up` that was killed.
    let mut laptop = Laptop::start(&["--kafka", "real", "--auth", "iam"], free_port()?)?;
    laptop.try_it()?;
    laptop.is_refused_without_policy()?;
    let killed = laptop.kill()?;
    let deadline = Instant::now() + STOP_PATIENCE;
    while !data_folders(&killed.folder)?.is_empty() {
        ensure!(Instant::now() < deadline, "a killed `up` left its brokers' data behind");
        std::thread::sleep(Duration::from_millis(20));
    }
    let left = process::sweep(&killed.run_id, STOP_PATIENCE);
    ensure!(left.values().all(|name| name != "java"), "a killed `up` left brokers behind: {left:?}");
    Ok(())
}

impl Laptop {
    /// Takes every right from the functions' role, as an edited policy does on AWS, and checks that the brokers then refuse.
    fn is_refused_without_policy(&mut self) -> Result<()> {
        let said = self.seen.iter().find_map(|line| line.split_once("whose policy stands in "));
        let (_, after) = said.context("`up` did not say where the functions' policy is")?;
        let policies = Path::new(after.split(' ').next().unwrap_or_default());
        let text = std::fs::read_to_string(policies).with_context(|| format!("cannot read {}", policies.display()))?;
        let roles: BTreeMap<String, Value> = serde_json::from_str(&text)?;
        let without: BTreeMap<&String, [Value; 0]> = roles.keys().map(|role| (role, [])).collect();
        // In one piece: a broker may read it at any time.
        let new = policies.with_extension("new");
        std::fs::write(&new, serde_json::to_string(&without)?)?;
        std::fs::rename(new, policies)?;
        let deadline = Instant::now() + REFUSED_PATIENCE;
        loop {
            let answer = self.ask()?;
            if answer["persisted"] == "no" && answer["detail"] == NOT_PERMITTED {
                println!("without a policy: {answer}");
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "without a policy the producer still writes: {answer}");
        }
    }
}
