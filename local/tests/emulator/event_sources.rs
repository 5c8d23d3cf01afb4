//! Clusters that are not Amazon MSK, and how a mapping signs in.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-configure.html>.

use std::path::Path;
use std::process::Command;

use msk_local::esm::running_mapping::End;
use msk_shared::event::MskEvent;
use serde_json::{Value, json};

use super::function::{Function, Reply};
use super::harness::Harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_self_managed_cluster_name_the_mappings_brokers_and_no_arn() {
    let harness = Harness::start(1);
    harness.produce(0, 2).await;
    let function = Function::start(|_, _| Reply::ok()).await;
    let members = json!({
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["a.example.com:9092", "b.example.com:9092"]}},
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "own"},
    });
    let mapping = harness.mapping(&function, &members);
    assert_eq!(mapping.consumer_group, "own");
    assert_eq!(harness.drain(mapping).await, End::Drained);
    let received = &function.invocations()[0];
    let event: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(event["eventSource"], "SelfManagedKafka");
    assert_eq!(event["bootstrapServers"], "a.example.com:9092,b.example.com:9092");
    assert!(event.get("eventSourceArn").is_none(), "{event}");
    assert_eq!(received.event.records().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_addresses_of_its_own_the_mapping_reads_from_its_endpoints() {
    let harness = Harness::start(1);
    harness.produce(0, 1).await;
    let servers: Vec<_> = harness.brokers.bootstrap_servers().split(',').collect();
    let function = Function::start(|_, _| Reply::ok()).await;
    let members = json!({
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": servers}},
        "Local": {"bootstrapServers": null},
    });
    assert_eq!(harness.drain(harness.mapping(&function, &members)).await, End::Drained);
    assert_eq!((function.invocations().len(), harness.committed(1).await), (1, vec![1]));
}

fn esm(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    let output = command.arg("esm").args(arguments).current_dir(folder).env_remove("RUST_LOG").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_sample_event_of_a_self_managed_cluster_needs_no_brokers() {
    let endpoints = r#"Endpoints={KAFKA_BOOTSTRAP_SERVERS=["a:9092","b:9092"]}"#;
    let arguments = ["render", "--topics", "orders", "--value", "v", "--self-managed-event-source", endpoints];
    let (code, text, error) = esm(Path::new("."), &arguments);
    assert_eq!((code, error.as_str()), (0, ""));
    let event = MskEvent::parse(text.into_bytes()).unwrap();
    assert_eq!(event.event_source.as_deref(), Some("SelfManagedKafka"));
    assert_eq!((event.bootstrap_servers.as_deref(), event.event_source_arn), (Some("a:9092,b:9092"), None));
}

const SCRAM: &str = "Type=SASL_SCRAM_512_AUTH,URI=arn:aws:secretsmanager:us-east-1:123456789012:secret:s";

#[test]
fn a_secret_that_is_not_there_is_told_before_the_brokers_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("user.json"), r#"{"username": "hidden", "passwort": "hidden"}"#).unwrap();
    let run =
        ["drain", "--topics", "orders", "--function", "f", "--bootstrap-servers", "127.0.0.1:1", "--deadline", "5"];
    let cases: &[(&[&str], &str)] = &[
        (&["--source-access-configurations", SCRAM], "--secret SASL_SCRAM_512_AUTH=FILE"),
        (&["--source-access-configurations", SCRAM, "--secret", "SASL_SCRAM_512_AUTH=none.json"], "none.json"),
        (
            &["--source-access-configurations", SCRAM, "--secret", "SASL_SCRAM_512_AUTH=user.json"],
            "user.json is no secret of SASL_SCRAM_512_AUTH: it must be JSON with the texts `username`, `password`",
        ),
        (&["--secret", "SASL_SCRAM_512_AUTH=user.json"], "is neither Type nor URI of one"),
    ];
    for (flags, told) in cases {
        let (code, text, error) = esm(folder.path(), &[&run[..], flags].concat());
        assert!(code == 1 && error.contains(told), "{flags:?}: {error}");
        assert!(!text.contains("hidden") && !error.contains("hidden"), "{error}");
    }
}

#[test]
fn validate_refuses_what_does_not_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let access = |kind: &str| json!([{"Type": kind, "URI": "arn:aws:secretsmanager:x"}]);
    let servers = |servers: &[&str]| json!({"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": servers}});
    let own = servers(&["a:9092"]);
    let cases = [
        (json!({"SelfManagedEventSource": {}}), "must be a list of 1 to 10 brokers"),
        (json!({"SelfManagedEventSource": servers(&["a"])}), "each HOST:PORT"),
        (json!({"SelfManagedEventSource": servers(&["a:9092"; 11])}), "1 to 10 brokers"),
        (json!({"SelfManagedEventSource": {"Endpoints": {"Brokers": []}}}), "SelfManagedEventSource.Endpoints.Brokers"),
        (
            json!({"SelfManagedEventSource": own, "EventSourceArn": "arn:aws:kafka:us-east-1:123456789012:cluster/c/1"}),
            "a mapping has one cluster",
        ),
        (
            json!({"SelfManagedEventSource": own, "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": "g"}}),
            "it is SelfManagedKafkaEventSourceConfig",
        ),
        (json!({"SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "g"}}), "it is AmazonManagedKafka"),
        (json!({"SourceAccessConfigurations": access("SASL_SCRAM_256_AUTH")}), "none of those for Amazon MSK"),
        (json!({"SourceAccessConfigurations": access("BASIC_AUTH")}), "none of those for Amazon MSK"),
        (
            json!({"SelfManagedEventSource": own, "SourceAccessConfigurations": access("VIRTUAL_HOST")}),
            "none of those for self-managed Kafka",
        ),
        (
            json!({"SourceAccessConfigurations": [
                {"Type": "SASL_SCRAM_512_AUTH", "URI": "x"}, {"Type": "CLIENT_CERTIFICATE_TLS_AUTH", "URI": "y"},
            ]}),
            "signs in in one way",
        ),
    ];
    let validate = |members: &Value| {
        let mut document = json!({"FunctionName": "fn", "Topics": ["orders"], "StartingPosition": "LATEST"});
        document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        std::fs::write(folder.path().join("m.json"), document.to_string()).unwrap();
        esm(folder.path(), &["validate", "m.json"])
    };
    for (members, told) in cases {
        let (code, _, error) = validate(&members);
        assert!(code == 1 && error.contains(told), "{members}: {error}");
    }
    for kind in [
        "BASIC_AUTH",
        "SASL_SCRAM_256_AUTH",
        "SASL_SCRAM_512_AUTH",
        "CLIENT_CERTIFICATE_TLS_AUTH",
        "SERVER_ROOT_CA_CERTIFICATE",
        "VPC_SUBNET",
        "VPC_SECURITY_GROUP",
    ] {
        let members = json!({"SelfManagedEventSource": own, "SourceAccessConfigurations": access(kind)});
        let (code, _, error) = validate(&members);
        assert_eq!((code, error.contains("has no effect")), (0, kind.starts_with("VPC_")), "{kind}: {error}");
    }
}
