//! The event source mapping emulator with real brokers: it signs in at their listeners as `SourceAccessConfigurations` says,
//! writes its destination's topic, and goes on after all brokers were fenced.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use axum::{Router, body::Bytes};
use msk_e2e::folder::TempFolder;
use msk_e2e::kafka::cluster::{BROKERS, SCRAM_PASSWORD, SCRAM_USER};
use msk_e2e::kafka::iam::{self, AccessKey, Statement};
use msk_e2e::kafka::{Cluster, ClusterOptions, Listener};
use msk_e2e::proxy::{Cut, Faults};
use msk_e2e::wait::wait_until;
use msk_e2e::{client, log_reader};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

/// Joining a group and one delivery take seconds; the rest is for a slow machine.
const LIMIT: Duration = Duration::from_secs(90);
const RECORDS: usize = 3;

/// A function: it keeps the events that it receives, and answers each with success unless it fails.
#[derive(Clone, Default)]
struct Function {
    events: Arc<Mutex<Vec<Value>>>,
    fails: Arc<AtomicBool>,
}

impl Function {
    /// Starts it; returns its URL.
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let this = self.clone();
        let handler = move |body: Bytes| async move { this.answer(&body) };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        url
    }

    fn answer(&self, event: &[u8]) -> Response {
        self.events.lock().unwrap().push(serde_json::from_slice(event).unwrap());
        if self.fails.load(Ordering::Relaxed) {
            let error = json!({"errorType": "Refused", "errorMessage": "on request"}).to_string();
            return ([("x-amz-function-error", "Unhandled")], error).into_response();
        }
        "null".into_response()
    }

    fn record_count(&self) -> usize {
        let events = self.events.lock().unwrap();
        let partitions = events.iter().flat_map(|event| event["records"].as_object().unwrap().values());
        partitions.map(|records| records.as_array().unwrap().len()).sum()
    }
}

/// Cargo builds it for the tests of its own crate, beside this test.
fn program() -> PathBuf {
    let program = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("msk-local");
    assert!(program.exists(), "{} is missing: `cargo build --bin msk-local` makes it", program.display());
    program
}

/// A cluster with records in its topic, and a function that takes them.
struct TestBed {
    cluster: Cluster,
    folder: TempFolder,
    url: String,
    function: Function,
}

impl TestBed {
    async fn start() -> Self {
        let options = ClusterOptions { proxied: vec![Listener::Plaintext], ..ClusterOptions::default() };
        let cluster = Cluster::start(&options).await.unwrap();
        cluster.admin().create_topic("orders", 2, &[]).await.unwrap();
        let producer = client::producer(&cluster, Listener::Plaintext).unwrap();
        for number in 0..RECORDS {
            client::write(&producer, "orders", &number.to_string(), "value").await.unwrap();
        }
        let function = Function::default();
        let url = function.serve().await;
        Self { cluster, folder: TempFolder::new().unwrap(), url, function }
    }

    /// The option that makes a client trust the cluster.
    fn authority(&self) -> String {
        format!("ssl.ca.location={}", self.cluster.ca_file().display())
    }

    /// Drains the topic with a group of this name; `aws` is what the environment says of AWS.
    async fn drain(&self, group: &str, aws: &[(String, String)], flags: &[&str]) -> Output {
        let mut command = self.command("drain", group);
        command.args(["--deadline", "60"]).args(flags).envs(aws.iter().cloned());
        tokio::time::timeout(LIMIT, command.output()).await.expect("draining takes far too long").unwrap()
    }

    /// `msk-local esm`, with a mapping of the topic to the function.
    fn command(&self, what: &str, group: &str) -> Command {
        let mut command = Command::from(msk_test_kit::clean(program().to_str().unwrap()));
        command.args(["esm", what, "--topics", "orders", "--invoke-url", &self.url, "--consumer-group-id", group]);
        command.current_dir(self.folder.path()).kill_on_drop(true);
        command
    }

    /// Checks that all records came to the function, in events of this source.
    fn assert_received(&self, source: &str, group: &str) {
        assert_eq!(self.function.record_count(), RECORDS, "{group}");
        let events = std::mem::take(&mut *self.function.events.lock().unwrap());
        assert!(events.iter().all(|event| event["eventSource"] == source), "{group}: {events:?}");
    }

    fn assert_nothing_received(&self) {
        assert!(self.function.events.lock().unwrap().is_empty());
    }
}

/// One cluster serves all: its start is what takes time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mappings_use_real_brokers_as_on_aws() {
    let bed = TestBed::start().await;
    sign_in_with_secrets(&bed).await;
    sign_in_with_iam(&bed).await;
    give_up_to_a_topic(&bed).await;
    end_at_a_session_timeout_that_brokers_refuse(&bed).await;
    go_on_after_metadata_without_brokers(&bed).await;
}

async fn sign_in_with_secrets(bed: &TestBed) {
    let TestBed { cluster, folder, .. } = bed;
    let write = |name: &str, secret: Value| std::fs::write(folder.path().join(name), secret.to_string()).unwrap();
    let identity = cluster.client_identity();
    write("user.json", json!({"username": SCRAM_USER, "password": SCRAM_PASSWORD}));
    write("wrong.json", json!({"username": SCRAM_USER, "password": "not-the-password"}));
    write("certificate.json", json!({"certificate": identity.certificate_pem, "privateKey": identity.key_pem}));
    write("authority.json", json!({"certificate": cluster.authority().pem()}));
    let authority = bed.authority();
    let (scram, mutual_tls) = (cluster.bootstrap(Listener::Scram), cluster.bootstrap(Listener::MutualTls));
    let servers = |servers: &str| {
        json!({"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": servers.split(',').collect::<Vec<_>>()}}).to_string()
    };
    let (own_scram, own_tls) = (servers(&scram), servers(&mutual_tls));
    let user = ["--source-access-configurations", "Type=SASL_SCRAM_512_AUTH,URI=arn:aws:secretsmanager:user"];
    let certificate =
        ["--source-access-configurations", "Type=CLIENT_CERTIFICATE_TLS_AUTH,URI=arn:aws:secretsmanager:c"];
    let root = ["--source-access-configurations", "Type=SERVER_ROOT_CA_CERTIFICATE,URI=arn:aws:secretsmanager:ca"];
    let root_secret = ["--secret", "arn:aws:secretsmanager:ca=authority.json"];
    let cases: [(&str, &str, Vec<&str>); 4] = [
        (
            "msk-scram",
            "aws:kafka",
            [
                &user[..],
                &[
                    "--secret",
                    "SASL_SCRAM_512_AUTH=user.json",
                    "--kafka-option",
                    &authority,
                    "--bootstrap-servers",
                    &scram,
                ],
            ]
            .concat(),
        ),
        (
            "msk-tls",
            "aws:kafka",
            [
                &certificate[..],
                &["--secret", "CLIENT_CERTIFICATE_TLS_AUTH=certificate.json", "--kafka-option", &authority],
                &["--bootstrap-servers", &mutual_tls],
            ]
            .concat(),
        ),
        (
            "own-scram",
            "SelfManagedKafka",
            [
                &user[..],
                &root,
                &root_secret,
                &["--secret", "arn:aws:secretsmanager:user=user.json", "--self-managed-event-source", &own_scram],
            ]
            .concat(),
        ),
        (
            "own-tls",
            "SelfManagedKafka",
            [
                &certificate[..],
                &root,
                &root_secret,
                &["--secret", "CLIENT_CERTIFICATE_TLS_AUTH=certificate.json", "--self-managed-event-source", &own_tls],
            ]
            .concat(),
        ),
    ];
    for (group, source, flags) in cases {
        let output = bed.drain(group, &[], &flags).await;
        assert!(output.status.success(), "{group}: {output:?}");
        bed.assert_received(source, group);
    }
    let wrong =
        ["--secret", "SASL_SCRAM_512_AUTH=wrong.json", "--kafka-option", &authority, "--bootstrap-servers", &scram];
    let output = bed.drain("wrong", &[], &[&user[..], &wrong].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("Authentication failed"), "{output:?}");
    assert!(!said.contains("not-the-password"), "{said}");
    bed.assert_nothing_received();
}

/// What AWS's guide gives the role of a mapping, without these of its actions:
/// <https://docs.aws.amazon.com/lambda/latest/dg/msk-cluster-auth.html>
fn mapping_policy(missing: &[&str]) -> Vec<Statement> {
    let allow = |actions: &[&str], resource: String| {
        let left: Vec<&str> = actions.iter().filter(|action| !missing.contains(action)).copied().collect();
        Statement::allow(&left, &[resource])
    };
    vec![
        allow(&["Connect", "DescribeClusterDynamicConfiguration"], iam::cluster_arn()),
        allow(&["DescribeTopic", "ReadData"], iam::topic_arn("orders")),
        allow(&["DescribeGroup", "AlterGroup"], iam::group_arn("*")),
    ]
}

async fn sign_in_with_iam(bed: &TestBed) {
    let cluster = &bed.cluster;
    let authority = bed.authority();
    let servers = cluster.bootstrap(Listener::Iam);
    let flags = ["--auth", "iam", "--kafka-option", &authority, "--bootstrap-servers", &servers];
    let own = cluster.key().environment();

    cluster.iam().set_policy(iam::PRODUCER_ROLE, mapping_policy(&[])).unwrap();
    let output = bed.drain("allowed", &own, &flags).await;
    assert!(output.status.success(), "{output:?}");
    bed.assert_received("aws:kafka", "allowed");

    for (missing, told) in [("AlterGroup", "Group authorization failed"), ("ReadData", "Topic authorization failed")] {
        cluster.iam().set_policy(iam::PRODUCER_ROLE, mapping_policy(&[missing])).unwrap();
        let output = bed.drain(missing, &own, &flags).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(told), "without {missing}: {output:?}");
    }

    let foreign = AccessKey::temporary();
    let output = bed.drain("foreign", &foreign.environment(), &flags).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("SASL authentication error"), "{output:?}");
    assert!(!said.contains(&foreign.secret), "{said}");
    let output = bed.drain("nobody", &[], &flags).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("AWS_REGION is missing"), "{output:?}");
    bed.assert_nothing_received();
}

/// The role of a mapping writes its destination's topic, too:
/// <https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure-destination.html>
async fn give_up_to_a_topic(bed: &TestBed) {
    let cluster = &bed.cluster;
    cluster.admin().create_topic("given-up", 1, &[]).await.unwrap();
    let write = Statement::allow(&["DescribeTopic", "WriteData"], &[iam::topic_arn("given-up")]);
    let policy = [mapping_policy(&[]), vec![write]].concat();
    cluster.iam().set_policy(iam::PRODUCER_ROLE, policy).unwrap();
    bed.function.fails.store(true, Ordering::Relaxed);
    let (authority, servers) = (bed.authority(), cluster.bootstrap(Listener::Iam));
    let flags = ["--auth", "iam", "--kafka-option", &authority, "--bootstrap-servers", &servers];
    let failing = ["--maximum-retry-attempts", "0", "--on-failure-destination", "kafka://given-up"];
    let failing = [&failing[..], &["--minimum-pollers", "1"]].concat();
    let output = bed.drain("gives-up", &cluster.key().environment(), &[&flags[..], &failing].concat()).await;
    bed.function.fails.store(false, Ordering::Relaxed);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    bed.assert_received("aws:kafka", "gives-up");
    let records = log_reader::read_topic(cluster, "given-up").await.unwrap();
    let mut keys: Vec<_> = records.iter().map(|record| record.key.clone().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, [b"0", b"1", b"2"]);
    for record in records {
        let document: Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
        assert_eq!(document["requestContext"]["condition"], "RetriesExhausted", "{document}");
    }
}

async fn end_at_a_session_timeout_that_brokers_refuse(bed: &TestBed) {
    let servers = bed.cluster.bootstrap(Listener::Plaintext);
    let flags = ["--bootstrap-servers", &servers, "--kafka-option", "session.timeout.ms=1000"];
    let output = bed.drain("hasty", &[], &flags).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("session.timeout.ms=MS"), "{output:?}");
    bed.assert_nothing_received();
}

/// Where only one broker can be asked and tells of none, librdkafka forgets them all, and need not find one again by itself.
async fn go_on_after_metadata_without_brokers(bed: &TestBed) {
    let cluster = &bed.cluster;
    let servers = cluster.bootstrap(Listener::Plaintext);
    let _mapping = bed.command("run", "fenced").args(["--bootstrap-servers", &servers]).spawn().unwrap();
    let received = |records: usize| {
        wait_until("the records at the function", LIMIT, move || async move {
            let received = bed.function.record_count();
            if received >= records { Ok(()) } else { Err(format!("{received} of {records}")) }
        })
    };
    received(RECORDS).await.unwrap();
    let producer = client::producer(cluster, Listener::MutualTls).unwrap();
    let set = |faults: &Faults| cluster.proxies().for_each(|proxy| proxy.set(faults.clone()));
    let answers = || cluster.proxies().map(|proxy| proxy.stats().metadata_responses_without_brokers).sum::<u64>();
    for (late, id) in BROKERS.into_iter().enumerate() {
        let before = answers();
        set(&Faults { refuse: true, ..Faults::default() });
        let asked = cluster.proxy(id, Listener::Plaintext).unwrap();
        asked.set(Faults { hide_brokers: true, ..Faults::default() });
        cluster.proxies().for_each(|proxy| proxy.cut(Cut::Reset));
        let told = wait_until("metadata without brokers", LIMIT, || async {
            if answers() > before { Ok(()) } else { Err("none yet".to_owned()) }
        });
        told.await.unwrap();
        set(&Faults::default());
        client::write(&producer, "orders", "late", "value").await.unwrap();
        received(RECORDS + 1 + late).await.unwrap();
    }
}
