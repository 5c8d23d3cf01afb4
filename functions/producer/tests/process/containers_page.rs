//! The manifests of `docs/CONTAINERS.md` are what the program understands.

use std::collections::BTreeSet;

use msk_producer::api::router::paths;
use msk_test_kit::Process;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{brokers, exchange, producer};

/// What stopping may take, as the page says: the last requests, those in flight, the queued records.
const LONGEST_STOP_S: i64 = 34;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONTAINERS.md")).unwrap()
}

/// The text of the page's only block in a language.
fn block(language: &str) -> String {
    let (page, opening) = (page(), format!("```{language}\n"));
    let mut blocks = page.split(&opening).skip(1);
    let block = blocks.next().unwrap().split("```").next().unwrap().to_owned();
    assert!(blocks.next().is_none(), "one block in {language}");
    block
}

fn kubernetes() -> Vec<Value> {
    let text = block("yaml");
    serde_yaml_ng::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Starts the server as a manifest says, but on free ports of this machine and with brokers that exist; asks each path.
fn start_and_ask(arguments: &Value, environment: &Value, probes: &[&str]) {
    let brokers = brokers();
    let mut command = producer();
    command.args(texts(arguments).iter().map(|word| match word.as_str() {
        "0.0.0.0:8080" | "0.0.0.0:9464" => "127.0.0.1:0",
        word => word,
    }));
    for variable in environment.as_array().unwrap() {
        let value = match variable["name"].as_str().unwrap() {
            "KAFKA_BOOTSTRAP_SERVERS" => brokers.bootstrap_servers(),
            "KAFKA_AUTH" => "none".to_owned(),
            _ => variable["value"].as_str().unwrap().to_owned(),
        };
        command.env(variable["name"].as_str().unwrap(), value);
    }
    let process = Process::start("producer", &mut command);
    let address = process.line(|line| line["message"] == "listening")["address"].as_str().unwrap().to_owned();
    process.line(|line| line["message"] == "listening for metrics");
    for probe in probes {
        assert!(paths().any(|(path, methods)| path == *probe && methods.contains(&"GET")), "{probe}");
        let (status, _, body) = exchange(&address, &format!("GET {probe} HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert_eq!(status, 200, "{probe}: {body}");
    }
}

#[test]
fn the_kubernetes_manifests_fit_together_and_start_the_server() {
    let documents = kubernetes();
    let kinds: Vec<_> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Deployment", "Service", "PodDisruptionBudget"]);
    let template = &documents[0]["spec"]["template"];
    let (labels, pod) = (&template["metadata"]["labels"], &template["spec"]);
    let selectors = [
        &documents[0]["spec"]["selector"]["matchLabels"],
        &documents[1]["spec"]["selector"],
        &documents[2]["spec"]["selector"]["matchLabels"],
    ];
    selectors.iter().for_each(|selector| assert_eq!(*selector, labels));
    let container = &pod["containers"][0];
    let ports: BTreeSet<&str> =
        container["ports"].as_array().unwrap().iter().map(|port| port["name"].as_str().unwrap()).collect();
    assert!(ports.contains(documents[1]["spec"]["ports"][0]["targetPort"].as_str().unwrap()));
    let listens = texts(&container["args"]);
    for port in container["ports"].as_array().unwrap() {
        assert!(listens.iter().any(|word| word.ends_with(&format!(":{}", port["containerPort"]))), "{port}");
    }
    let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().unwrap();
    assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() >= pause + LONGEST_STOP_S);
    let probe = |name: &str| container[name]["httpGet"]["path"].as_str().unwrap();
    start_and_ask(&container["args"], &container["env"], &[probe("readinessProbe"), probe("livenessProbe")]);
}

#[test]
fn the_ecs_task_starts_the_server() {
    let task: Value = serde_json::from_str(&block("json")).unwrap();
    let container = &task["containerDefinitions"][0];
    assert!(container["stopTimeout"].as_i64().unwrap() >= LONGEST_STOP_S);
    start_and_ask(&container["command"], &container["environment"], &["/readyz"]);
}

#[test]
fn every_option_and_its_default_are_on_the_page() {
    let page = page();
    let help = producer().arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let options: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  --")).collect();
    assert_eq!(options.len(), 6, "{help}");
    for option in options {
        let mut words = option.split_whitespace();
        let (flag, variable) = (words.next().unwrap(), words.nth(1).unwrap());
        assert!(page.contains(&format!("| `--{flag}` | `{variable}` |")), "--{flag} {variable}");
    }
}
