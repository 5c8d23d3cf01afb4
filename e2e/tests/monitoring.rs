//! What the monitoring promises, on real brokers: every panel and every rule has data while traffic flows, and
//! each alert fires under its own fault and clears when the fault is gone.
//!
//! Requires Prometheus and the node exporter; `cargo xtask test monitoring` runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::print_stdout, reason = "five minutes of faults want a line for each")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use msk_e2e::monitoring::Stack;
use msk_e2e::monitoring::prometheus::promtool;
use msk_e2e::monitoring::rules::{self, Pace};
use msk_e2e::monitoring::stack::TOPIC;
use msk_e2e::wait::wait_until;
use msk_test_kit::Process;

/// Scrapes every 4 s, conditions that must last 4 s, sessions that end after 9 s, and a machine that is busy.
const LIMIT: Duration = Duration::from_secs(120);

/// What lags if brokers die or nobody reads.
const LAG: [&str; 2] = ["MskConsumerLagTime", "MskConsumerStalled"];

/// The test bed's brokers share two cores with everything else: this alert may fire at any time.
const ALWAYS_ALLOWED: &str = "MskBrokerCpuHigh";

#[test]
#[ignore = "needs promtool; cargo xtask test monitoring"]
fn rules_are_valid_and_alerts_wait_as_long_as_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let files = rules::write(folder.path(), Pace::AsWritten).unwrap();
    promtool(&["check", "rules"], &files).unwrap();
    let source = rules::infra("tests").join("data/alerts.promtool.yaml");
    let tests = folder.path().join("alerts.promtool.yaml");
    std::fs::copy(source, &tests).unwrap();
    promtool(&["test", "rules"], &[tests]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Prometheus, Java and Maven; cargo xtask test monitoring"]
async fn panels_and_rules_have_data_and_alerts_fire_under_their_own_fault() {
    let started = Instant::now();
    let mut stack = Stack::start().await.unwrap();
    println!("{:>5.1} s: everything runs", started.elapsed().as_secs_f64());
    every_panel_and_rule_has_data(&stack).await;
    println!("{:>5.1} s: every panel and rule has data", started.elapsed().as_secs_f64());
    let mut watch = Watch { started, fired: BTreeSet::new() };
    watch.quiet(&stack).await;
    watch.nobody_reads(&mut stack).await;
    watch.disk_fills(&stack).await;
    watch.connections_pile_up(&stack).await;
    watch.clients_fail_to_sign_in(&stack).await;
    watch.nobody_scrapes(&stack).await;
    watch.cores_are_busy(&stack).await;
    watch.controller_stops(&stack).await;
    watch.brokers_die(&stack).await;
    every_alert_was_seen(&stack, &watch.fired).await;
}

/// It takes a few scrapes of traffic until every rate and every recorded series exists.
async fn every_panel_and_rule_has_data(stack: &Stack) {
    let prometheus = stack.prometheus();
    let mut queries: Vec<(String, String)> =
        rules::panel_queries().unwrap().into_iter().map(|panel| (panel.place, panel.query)).collect();
    for rule in prometheus.rules().await.unwrap() {
        let sides = if rule.alert { rules::sides(&rule.query) } else { vec![rule.query] };
        // absent() has data only if its metric has none; its fault is one of those below.
        let sides = sides.into_iter().filter(|side| !side.starts_with("absent("));
        queries.extend(sides.map(|side| (rule.name.clone(), side)));
    }
    assert!(queries.len() > 80, "{} queries", queries.len());
    wait_until("data for every query", LIMIT, || async {
        let mut empty = Vec::new();
        for (place, query) in &queries {
            match prometheus.count(query).await {
                Ok(0) => empty.push(format!("{place}: {query}")),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        if empty.is_empty() { Ok(()) } else { Err(format!("{} without data:\n{}", empty.len(), empty.join("\n"))) }
    })
    .await
    .unwrap();
}

async fn every_alert_was_seen(stack: &Stack, fired: &BTreeSet<String>) {
    let rules = stack.prometheus().rules().await.unwrap();
    let alerts: BTreeSet<String> = rules.into_iter().filter(|rule| rule.alert).map(|rule| rule.name).collect();
    let missing: Vec<_> = alerts.difference(fired).collect();
    assert!(missing.is_empty(), "no fault here makes these fire: {missing:?}");
}

/// Checks the alerts from fault to fault.
struct Watch {
    started: Instant,
    fired: BTreeSet<String>,
}

impl Watch {
    /// Checks that nothing fires without a fault, for three times as long as a condition must last.
    async fn quiet(&mut self, stack: &Stack) {
        self.clears(stack, "start").await;
        let until = Instant::now() + Duration::from_secs(12);
        while Instant::now() < until {
            let firing = stack.prometheus().firing().await.unwrap();
            let firing: Vec<_> = firing.iter().filter(|name| *name != ALWAYS_ALLOWED).collect();
            assert!(firing.is_empty(), "{firing:?} fire although all is well");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.say("nothing fires while all is well");
    }

    async fn nobody_reads(&mut self, stack: &mut Stack) {
        stack.stop_reading();
        self.fires(stack, "the consumer stops", &LAG, &[]).await;
        stack.start_reading().unwrap();
        self.clears(stack, "the consumer runs again").await;
    }

    async fn disk_fills(&mut self, stack: &Stack) {
        stack.volume().fill(90).unwrap();
        self.fires(stack, "the data volume is 90 % full", &["MskDataDiskFilling"], &[]).await;
        stack.volume().clear().unwrap();
        self.clears(stack, "the data volume is empty").await;
    }

    async fn connections_pile_up(&mut self, stack: &Stack) {
        let (port, _) = stack.ports_of(1);
        // A separate process, with its own limit on open files.
        let script = format!(
            "ulimit -n 4096; for i in $(seq 2500); do exec {{fd}}<>/dev/tcp/127.0.0.1/{port} || exit 1; done; sleep 600"
        );
        let mut crowd = Command::new("bash");
        crowd.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut crowd = Process::spawn("2,500 connections", &mut crowd).unwrap();
        self.fires(stack, "2,500 connections to one broker", &["MskConnectionsNearLimit"], &LAG).await;
        assert!(crowd.exit_status().is_none(), "the connections must still be open");
        drop(crowd);
        self.clears(stack, "the connections are closed").await;
    }

    /// Repeatedly sends bytes that are not a TLS handshake.
    async fn clients_fail_to_sign_in(&mut self, stack: &Stack) {
        let (_, port) = stack.ports_of(2);
        let intruder = tokio::spawn(async move {
            loop {
                if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                    let _ = stream.write_all(b"let me in, I have no certificate and no password\r\n");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        self.fires(stack, "clients fail to sign in", &["MskAuthenticationFails"], &[]).await;
        intruder.abort();
        self.clears(stack, "no client fails any more").await;
    }

    async fn nobody_scrapes(&mut self, stack: &Stack) {
        stack.scrape_brokers(false).unwrap();
        self.fires(stack, "nobody scrapes the brokers", &["MskMetricsMissing"], &[]).await;
        stack.scrape_brokers(true).unwrap();
        self.clears(stack, "the brokers are scraped again").await;
    }

    /// The test bed shares its cores. The alert may already be firing, and continue while they really are busy.
    async fn cores_are_busy(&mut self, stack: &Stack) {
        let spin = || {
            let mut command = Command::new("sh");
            command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
            Process::spawn("a busy core", &mut command).unwrap()
        };
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let busy: Vec<Process> = (0..cores).map(|_| spin()).collect();
        self.fires(stack, "every core is busy", &[ALWAYS_ALLOWED], &LAG).await;
        drop(busy);
        let alert_and_value = || async {
            let firing = stack.prometheus().firing().await.unwrap().contains(ALWAYS_ALLOWED);
            (firing, stack.prometheus().value("cluster_broker:msk_cpu_busy:ratio5m").await.unwrap().unwrap())
        };
        // It looks back 20 s.
        let until = Instant::now() + Duration::from_secs(40);
        let (mut firing, mut ratio) = alert_and_value().await;
        while firing && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(500)).await;
            (firing, ratio) = alert_and_value().await;
        }
        assert!(!firing || ratio > 0.6, "the alert stays on although only {ratio:.2} of the cores are busy");
        self.say(&format!(
            "the cores are free: {}, {:.0} % busy",
            if firing { "still on" } else { "all clear" },
            100.0 * ratio
        ));
    }

    async fn controller_stops(&mut self, stack: &Stack) {
        stack.cluster().pause_controller().unwrap();
        // CloudWatch pages for it: no node reports that it is the controller.
        self.shows(
            stack,
            "the controller is stopped",
            "absent(kafka_controller_KafkaController_Value{name=\"ActiveControllerCount\"} == 1)",
        )
        .await;
        stack.cluster().resume_controller().unwrap();
        // It has not heard from the brokers for so long that it considers them dead, until each has contacted it again.
        stack.cluster().admin().wait_settled(TOPIC, 3, LIMIT).await.unwrap();
        self.clears(stack, "the controller runs again").await;
    }

    /// One broker, then two, then all: a broker missing, replicas missing, writes refused, no broker at all.
    async fn brokers_die(&mut self, stack: &Stack) {
        let admin = stack.cluster().admin();
        admin.throttle_follower(3, Some(1)).await.unwrap();
        stack.cluster().kill(3).unwrap();
        // Replicas are missing before the scrape that finds the broker gone.
        let copies = "MskUnderReplicatedPartitions";
        let follows = [LAG.as_slice(), &[copies]].concat();
        self.fires(stack, "one broker is killed", &["MskBrokerUnreachable"], &follows).await;
        stack.cluster().restart(3).unwrap();
        let follows = [LAG.as_slice(), &["MskBrokerUnreachable", "MskProduceRequestsFail"]].concat();
        self.fires(stack, "it is back, and hardly copies what it missed", &[copies], &follows).await;
        admin.throttle_follower(3, None).await.unwrap();
        admin.wait_in_sync(TOPIC, 3, LIMIT).await.unwrap();
        self.clears(stack, "it copies what it can").await;

        stack.cluster().kill(3).unwrap();
        stack.cluster().kill(2).unwrap();
        let two = ["MskBrokerUnreachable", "MskBrokersUnreachable", "MskProduceRequestsFail"];
        let follows = [LAG.as_slice(), &[copies]].concat();
        self.fires(stack, "two brokers are killed", &two, &follows).await;
        // CloudWatch pages for these.
        let refused = "sum(kafka_server_ReplicaManager_Value{name=\"UnderMinIsrPartitionCount\"}) > 0";
        self.shows(stack, "partitions refuse writes", refused).await;
        stack.cluster().kill(1).unwrap();
        let leaderless = "max(kafka_controller_KafkaController_Value{name=\"OfflinePartitionsCount\"}) > 0";
        self.shows(stack, "no broker is left", leaderless).await;
        for id in [1, 2, 3] {
            stack.cluster().restart(id).unwrap();
        }
        stack.cluster().wait_ready(LIMIT).await.unwrap();
        stack.cluster().admin().wait_in_sync(TOPIC, 3, LIMIT).await.unwrap();
        self.clears(stack, "all brokers are back").await;
    }

    /// Waits until a condition that is not an alert here has data.
    async fn shows(&self, stack: &Stack, fault: &str, condition: &str) {
        let began = Instant::now();
        wait_until(fault, LIMIT, || async {
            match stack.prometheus().count(condition).await {
                Ok(0) => Err(format!("{condition} is not true")),
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
        .unwrap();
        self.say(&format!("{fault}: {condition} ({:.1} s)", began.elapsed().as_secs_f64()));
    }

    /// Waits until all of `expected` fire, and checks that nothing else fires except `allowed`.
    async fn fires(&mut self, stack: &Stack, fault: &str, expected: &[&str], allowed: &[&str]) {
        let began = Instant::now();
        let known: BTreeSet<&str> = expected.iter().chain(allowed).copied().chain([ALWAYS_ALLOWED]).collect();
        loop {
            let firing = stack.prometheus().firing().await.unwrap();
            let strangers: Vec<_> = firing.iter().filter(|name| !known.contains(name.as_str())).collect();
            assert!(strangers.is_empty(), "{fault}: {strangers:?} fire too");
            let missing: Vec<_> = expected.iter().filter(|name| !firing.contains(**name)).collect();
            self.fired.extend(firing.iter().cloned());
            if missing.is_empty() {
                break;
            }
            assert!(began.elapsed() < LIMIT, "{fault}: {missing:?} do not fire in {LIMIT:?}; these do: {firing:?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.say(&format!("{fault}: {} ({:.1} s)", expected.join(", "), began.elapsed().as_secs_f64()));
    }

    /// Waits until no alert is firing or pending: a pending one would be attributed to the next fault.
    async fn clears(&mut self, stack: &Stack, repair: &str) {
        let began = Instant::now();
        let limit = 2 * LIMIT;
        loop {
            let active = stack.prometheus().firing_or_pending().await.unwrap();
            if active.iter().all(|name| name == ALWAYS_ALLOWED) {
                break;
            }
            assert!(began.elapsed() < limit, "{repair}: {active:?} still fire, or are pending, after {limit:?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.say(&format!("{repair}: all clear ({:.1} s)", began.elapsed().as_secs_f64()));
    }

    fn say(&self, what: &str) {
        println!("{:>5.1} s: {what}", self.started.elapsed().as_secs_f64());
    }
}
