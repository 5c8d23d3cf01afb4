//! `SchemaRegistryConfig` as `esm validate` judges it, in every form of file.
//!
//! AWS's rules: <https://docs.aws.amazon.com/lambda/latest/dg/services-consume-kafka-events.html>.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The code and everything that `esm validate -` prints.
fn validate(document: &str, flags: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(["esm", "validate", "-"]).args(flags).env_remove("RUST_LOG");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// A mapping with this registry; members of `more` take the place of the valid ones.
fn mapping(more: Value, others: Value) -> String {
    let mut config = json!({
        "SchemaRegistryURI": "https://registry.example.com:8081",
        "EventRecordFormat": "JSON",
        "SchemaValidationConfigs": [{"Attribute": "VALUE"}],
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut document = json!({
        "FunctionName": "fn", "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON", "ProvisionedPollerConfig": {},
        "AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": config},
    });
    document.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    document.to_string()
}

#[test]
fn what_aws_refuses_is_refused_by_name() {
    let access = |kinds: &[&str]| {
        let configs: Vec<_> =
            kinds.iter().map(|kind| json!({"Type": kind, "URI": "arn:aws:secretsmanager:x"})).collect();
        json!({"AccessConfigs": configs})
    };
    let cases = [
        (
            json!({"EventRecordFormat": null}),
            "SchemaRegistryConfig.EventRecordFormat (--amazon-managed-kafka-event-source-config): required",
        ),
        (json!({"EventRecordFormat": "AVRO"}), "required: JSON or SOURCE"),
        (
            json!({"SchemaRegistryURI": null}),
            "SchemaRegistryURI (--amazon-managed-kafka-event-source-config): required",
        ),
        (json!({"SchemaRegistryURI": "registry:8081"}), "the URL of the registry, such as https://"),
        (json!({"SchemaRegistryURI": "https://me:hidden@x.com"}), "a password belongs into a secret"),
        (json!({"SchemaRegistryURI": "arn:aws:glue:us-east-1:123456789012:registry/r"}), "AWS Glue is not emulated"),
        (
            json!({"SchemaRegistryURI": format!("https://{}", "x".repeat(9_993))}),
            "10001 characters are too many: AWS takes 10000",
        ),
        (json!({"SchemaValidationConfigs": []}), "required: [{\"Attribute\": \"VALUE\"}]"),
        (json!({"SchemaValidationConfigs": [{"Attribute": "HEADERS"}]}), "an Attribute, KEY or VALUE"),
        (json!({"SchemaValidationConfigs": [{"Attribute": "KEY"}, {"Attribute": "KEY"}]}), "KEY is there twice"),
        (
            access(&["SASL_SCRAM_512_AUTH"]),
            "\"SASL_SCRAM_512_AUTH\" is none of BASIC_AUTH, CLIENT_CERTIFICATE_TLS_AUTH",
        ),
        (access(&["BASIC_AUTH", "BASIC_AUTH"]), "BASIC_AUTH is there twice"),
        (
            access(&["BASIC_AUTH", "CLIENT_CERTIFICATE_TLS_AUTH", "SERVER_ROOT_CA_CERTIFICATE"]),
            "3 are too many: AWS takes 2",
        ),
        (json!({"RecordFormat": "JSON"}), "SchemaRegistryConfig.RecordFormat: is not a member"),
    ];
    for (members, told) in cases {
        let (code, text) = validate(&mapping(members.clone(), json!({})), &[]);
        assert!(code == 1 && text.contains(told) && !text.contains("hidden"), "{members}: {text}");
    }
    let (code, text) = validate(&mapping(json!({}), json!({"ProvisionedPollerConfig": null})), &[]);
    assert!(code == 1 && text.contains("SchemaRegistryConfig: needs provisioned mode"), "{text}");
    let (code, text) = validate(&mapping(json!({}), json!({"Local": {"schemaRegistryUrl": "127.0.0.1:8081"}})), &[]);
    assert!(code == 1 && text.contains("Local.schemaRegistryUrl (--schema-registry-url): required"), "{text}");
    let plain = json!({"AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": null}});
    let (code, text) = validate(&mapping(json!({}), plain), &["--schema-registry-url", "http://127.0.0.1:8081"]);
    assert!(code == 1 && text.contains("goes with a mapping that has a SchemaRegistryConfig"), "{text}");
}

#[test]
fn a_valid_registry_is_taken_from_every_form() {
    let taken = [
        mapping(json!({}), json!({})),
        mapping(
            json!({"EventRecordFormat": "SOURCE", "SchemaValidationConfigs": [{"Attribute": "KEY"}, {"Attribute": "VALUE"}]}),
            json!({}),
        ),
        mapping(json!({"SchemaRegistryURI": "http://127.0.0.1:8081/apis/ccompat/v7/"}), json!({})),
        // What is printed where there is none.
        mapping(
            json!({"SchemaRegistryURI": null, "EventRecordFormat": null, "AccessConfigs": [], "SchemaValidationConfigs": []}),
            json!({"ProvisionedPollerConfig": null}),
        ),
        json!({"values": {"root_module": {"resources": [{"type": "aws_lambda_event_source_mapping", "values": {
            "function_name": "fn", "topics": ["orders"], "starting_position": "TRIM_HORIZON",
            "provisioned_poller_config": [{"minimum_pollers": 1}],
            "amazon_managed_kafka_event_source_config": [{"consumer_group_id": "g", "schema_registry_config": [{
                "schema_registry_uri": "https://registry.example.com", "event_record_format": "JSON",
                "access_config": [{"type": "BASIC_AUTH", "uri": "arn:aws:secretsmanager:x"}],
                "schema_validation_config": [{"attribute": "VALUE"}],
            }]}],
        }}]}}})
        .to_string(),
    ];
    for document in taken {
        let (code, text) = validate(&document, &[]);
        assert!(code == 0 && text.contains("`fn`"), "{document}: {text}");
    }
    let flags = [
        "--function-name",
        "fn",
        "--topics",
        "orders",
        "--minimum-pollers",
        "1",
        "--self-managed-event-source",
        r#"Endpoints={KAFKA_BOOTSTRAP_SERVERS=["a:9092"]}"#,
        "--self-managed-kafka-event-source-config",
        r#"{"SchemaRegistryConfig": {"SchemaRegistryURI": "https://r", "EventRecordFormat": "JSON", "SchemaValidationConfigs": [{"Attribute": "KEY"}]}}"#,
    ];
    let output = Command::new(env!("CARGO_BIN_EXE_msk-local")).args(["esm", "validate"]).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const SAM: &str = "
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: fn
      Events:
        Stream:
          Type: MSK
          Properties:
            Stream: arn:aws:kafka:us-east-1:123456789012:cluster/c/1
            Topics: [orders]
            StartingPosition: LATEST
            ProvisionedPollerConfig: {MinimumPollers: 1}
            SchemaRegistryConfig:
              SchemaRegistryURI: !ImportValue Registry
              EventRecordFormat: JSON
              AccessConfigs: [{Type: BASIC_AUTH, URI: !Ref Secret}]
              SchemaValidationConfigs: [{Attribute: VALUE}]
Parameters:
  Secret: {Type: String}
";

#[test]
fn what_only_a_deployment_knows_of_a_registry_is_named_or_replaced() {
    let (code, text) = validate(SAM, &[]);
    let told = "AmazonManagedKafkaEventSourceConfig.SchemaRegistryConfig.SchemaRegistryURI (--amazon-managed-kafka-event-source-config): \
                `!ImportValue Registry` is known only after a deployment";
    assert!(code == 1 && text.contains(told) && !text.contains("the URL of the registry"), "{text}");
    let (code, text) = validate(SAM, &["--schema-registry-url", "http://127.0.0.1:8081"]);
    assert!(code == 0 && text.contains("AccessConfigs.URI"), "{text}");
}

/// The secret of a registry on AWS must be somewhere; a registry of this machine may do without.
#[test]
fn a_secret_that_is_not_there_is_told_at_the_start() {
    let access = json!({"AccessConfigs": [{"Type": "BASIC_AUTH", "URI": "arn:aws:secretsmanager:x"}]});
    let brokers = json!({"Local": {"bootstrapServers": "127.0.0.1:1"}});
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(file.path(), mapping(access, brokers)).unwrap();
    let drain = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
        command.args(["esm", "drain", file.path().to_str().unwrap(), "--deadline", "5"]).args(flags);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let text = drain(&[]);
    assert!(
        text.contains("the secret of BASIC_AUTH is nowhere") && text.contains("--schema-registry-url URL"),
        "{text}"
    );
    let text = drain(&["--schema-registry-url", "http://127.0.0.1:1"]);
    assert!(text.contains("the brokers 127.0.0.1:1 do not answer"), "{text}");
    let text = drain(&["--secret", "other=x"]);
    assert!(
        text.contains("`other` is neither Type nor URI of one of the SourceAccessConfigurations or of the registry's"),
        "{text}"
    );
}
