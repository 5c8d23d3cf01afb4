//! Configurations as files, as flags, and as AWS prints them; and the two commands that only judge.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// What a run of `msk-local` ended with: code, standard output, standard error.
type Ended = (i32, String, String);

fn run(arguments: &[&str], input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-local"));
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads no input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// `esm validate -` with the document as its input.
fn validate(document: &Value, flags: &[&str]) -> Ended {
    run(&[&["esm", "validate", "-"], flags].concat(), &document.to_string())
}

/// The smallest document that AWS takes.
fn valid(members: Value) -> Value {
    let mut document = json!({"FunctionName": "fn", "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON"});
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    document
}

/// The output of `get-event-source-mapping` with `cli_timestamp_format=iso8601`, and of boto3.
fn printed_by_aws() -> Value {
    json!({
        "UUID": "a1b2c3d4-5678-90ab-cdef-11111EXAMPLE",
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": "2025-01-01T00:00:00+00:00",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "EventSourceArn": "arn:aws:kafka:us-east-1:123456789012:cluster/orders/6cc0432b-8618-4f44-bccc-e1fbd8fb7c4d-2",
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:fn:live",
        "LastModified": "2025-01-02T03:04:05.678000+00:00",
        "LastProcessingResult": "OK",
        "State": "Enabled",
        "StateTransitionReason": "USER_INITIATED",
        "DestinationConfig": {"OnFailure": {}},
        "Topics": ["orders"],
        "MaximumRecordAgeInSeconds": -1,
        "BisectBatchOnFunctionError": false,
        "MaximumRetryAttempts": -1,
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": "orders-group"},
        "FilterCriteria": null,
        "EventSourceMappingArn": "arn:aws:lambda:us-east-1:123456789012:event-source-mapping:a1b2c3d4",
        "ResponseMetadata": {"RequestId": "1", "HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0},
    })
}

#[test]
fn validate_reads_what_aws_prints() {
    let one = printed_by_aws();
    let mut other = one.clone();
    other["Topics"] = json!(["payments"]);
    let (code, text, error) = validate(&one, &[]);
    assert_eq!((code, text.as_str(), error.as_str()), (0, "valid: `fn` is invoked with records of `orders`\n", ""));
    for moment in [json!(1_735_689_600), json!(1_735_689_600.5), json!("2025-01-01 00:00:00+00:00")] {
        let mut document = one.clone();
        document["StartingPositionTimestamp"] = moment;
        assert_eq!(validate(&document, &[]).0, 0, "{document}");
    }
    let list = json!({"EventSourceMappings": [one, other], "ResponseMetadata": {}});
    let (code, text, _) = validate(&list, &["--topics", "payments"]);
    assert!(code == 0 && text.contains("`payments`"), "{text}");
    let (code, _, error) = validate(&list, &[]);
    assert!(code == 1 && error.contains("holds 2 event source mappings") && error.contains("--topics"), "{error}");
    assert_eq!(validate(&json!({"EventSourceMappings": [printed_by_aws()]}), &[]).0, 0);
    let (code, _, error) = validate(&json!({"EventSourceMappings": []}), &[]);
    assert!(code == 1 && error.contains("holds 0"), "{error}");
}

/// As this repository's `infra/` makes them, before and after they are applied.
#[test]
fn validate_reads_plans_and_states_of_terraform() {
    let resource = |topic: &str, function: Option<&str>| {
        let values = json!({
            "topics": [topic], "starting_position": "TRIM_HORIZON", "function_name": function, "batch_size": 100,
            "amazon_managed_kafka_event_source_config": [{"consumer_group_id": topic}], "maximum_retry_attempts": 5,
            "provisioned_poller_config": [{"minimum_pollers": 1, "maximum_pollers": 1}], "tags_all": {}, "filter_criteria": [],
        });
        json!({"type": "aws_lambda_event_source_mapping", "name": "this", "values": values})
    };
    let module = |resources: Value| json!({"root_module": {"child_modules": [{"resources": resources}]}});
    let name = Some("arn:aws:lambda:us-east-1:123456789012:function:fn:live");
    let state =
        json!({"format_version": "1.0", "values": module(json!([resource("orders", name), resource("audit", name)]))});
    let (code, text, error) = validate(&state, &["--topics", "audit", "--function-name", "fn"]);
    assert!(code == 0 && text.contains("`fn` is invoked with records of `audit`"), "{text} {error}");
    let (code, _, error) = validate(&state, &[]);
    assert!(code == 1 && error.contains("fn <- orders, fn <- audit"), "{error}");
    let plan = json!({"planned_values": module(json!([resource("orders", None)]))});
    assert_eq!(validate(&plan, &["--function-name", "fn"]).0, 0);
}

const PATTERN: &str = r#"{"value": {"type": ["order"]}}"#;

fn filters(count: usize, pattern: &str) -> Value {
    json!({"FilterCriteria": {"Filters": vec![json!({"Pattern": pattern}); count]}})
}

#[test]
fn what_aws_may_refuse_is_a_warning() {
    let cases = [
        (filters(6, PATTERN), "6 filters need a raised quota"),
        (filters(1, r#"{"value": [{"wildcard": "a*"}]}"#), "`wildcard` is an operator of EventBridge"),
    ];
    for (members, told) in cases {
        let (code, _, error) = validate(&valid(members.clone()), &[]);
        assert!(code == 0 && error.contains(told), "{members}: {error}");
    }
}

#[test]
fn validate_refuses_what_aws_refuses() {
    let cases = [
        (json!({"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 4_102_444_800_u64}), "in the future"),
        (
            json!({"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": "2100-01-01T00:00:00Z"}),
            "in the future",
        ),
        (json!({"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": "soon"}), "ISO 8601"),
        (json!({"StartingPosition": "AT_TIMESTAMP"}), "StartingPositionTimestamp"),
        (json!({"StartingPosition": null}), "StartingPosition (--starting-position): required"),
        (json!({"EventSourceArn": "arn:aws:kinesis:us-east-1:123456789012:stream/s"}), "EventSourceArn"),
        (json!({"EventSourceArn": "arn:aws:kafka:us-east-1:123456789012:topic/c/t"}), "EventSourceArn"),
        (json!({"MetricsConfig": {"Metrics": ["Foo"]}}), "\"Foo\" is none of EventCount"),
        (json!({"LoggingConfig": {"SystemLogLevel": "TRACE"}, "ProvisionedPollerConfig": {}}), "\"TRACE\" is none of"),
        (json!({"SourceAccessConfigurations": [{"Type": "VPC_SUBNET", "URI": "subnet-1"}]}), "VPC_SUBNET"),
        (json!({"ParallelizationFactor": 2}), "ParallelizationFactor"),
        (json!({"TumblingWindowInSeconds": 30}), "TumblingWindowInSeconds"),
        (json!({"ScalingConfig": {"MaximumConcurrency": 2}}), "ScalingConfig: not supported for Kafka"),
        (json!({"MaximumBatchingWindowInSeconds": 0.5}), "must be a whole number, not a fraction"),
        (
            json!({"FunctionResponseTypes": ["Report"], "ProvisionedPollerConfig": {}}),
            "the only allowed value is [\"ReportBatchItemFailures\"]",
        ),
        (json!({"FunctionName": "fn:not a qualifier"}), "FunctionName (--function-name)"),
        (
            filters(1, r#"{"topic": ["a"]}"#),
            "FilterCriteria (--filter-criteria): Filters[0]: `topic` cannot be filtered",
        ),
        (filters(1, "no JSON"), "Filters[0]: the pattern is not JSON"),
        (filters(11, PATTERN), "11 filters are too many; Lambda takes 10 at most"),
        (json!({"FilterCriteria": {"Filters": [{}]}}), "Filters[0]: Pattern is missing"),
        (queue_mode(), "ConsumptionMode: \"Queue\" is not emulated"),
        (json!({"DestinationConfig": {"OnSuccess": {"Destination": "kafka://done"}}}), "DestinationConfig.OnSuccess"),
        (on_failure("kafka://orders"), "must not be the mapping's own topic"),
        (on_failure("arn:aws:dynamodb:us-east-1:123456789012:table/t"), "must be kafka://<topic> or the ARN"),
        (on_failure("dead"), "must be kafka://<topic> or the ARN"),
    ];
    for (members, told) in cases {
        let (code, _, error) = validate(&valid(members.clone()), &[]);
        assert!(code == 1 && error.contains(told), "{members}: {error}");
    }
    let taken = [
        json!({"FunctionName": "fn:live"}),
        json!({"FunctionName": "123456789012:function:fn:$LATEST"}),
        json!({"EventSourceArn": "arn:aws:kafka:us-east-1:123456789012:vpc-connection/123456789012/c/id"}),
        json!({"MetricsConfig": {"Metrics": ["EventCount", "ErrorCount", "KafkaMetrics"]}}),
        json!({"SourceAccessConfigurations": [{"Type": "SASL_SCRAM_512_AUTH", "URI": "arn:aws:secretsmanager:x"}]}),
        filters(5, PATTERN),
        json!({"FilterCriteria": {"Filters": []}}),
    ];
    for members in taken {
        let (code, text, error) = validate(&valid(members.clone()), &[]);
        assert!(code == 0 && text.contains("`fn`"), "{members}: {error}");
    }
}

fn queue_mode() -> Value {
    json!({"AmazonManagedKafkaEventSourceConfig": {"ConsumptionMode": "Queue"}})
}

fn on_failure(destination: &str) -> Value {
    json!({"DestinationConfig": {"OnFailure": {"Destination": destination}}, "ProvisionedPollerConfig": {"MinimumPollers": 1}})
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html>, and what `CreateEventSourceMapping` answers.
#[test]
fn without_provisioned_mode_aws_refuses_each_of_these() {
    let cases = [
        ("MaximumRetryAttempts", json!({"MaximumRetryAttempts": 2})),
        ("MaximumRecordAgeInSeconds", json!({"MaximumRecordAgeInSeconds": 60})),
        ("BisectBatchOnFunctionError", json!({"BisectBatchOnFunctionError": true})),
        ("FunctionResponseTypes", json!({"FunctionResponseTypes": ["ReportBatchItemFailures"]})),
        (
            "DestinationConfig.OnFailure to a Kafka topic",
            json!({"DestinationConfig": {"OnFailure": {"Destination": "kafka://dead"}}}),
        ),
        ("LoggingConfig", json!({"LoggingConfig": {"SystemLogLevel": "INFO"}})),
    ];
    for (member, mut members) in cases {
        let told = format!("{member}: needs provisioned mode");
        let (code, _, error) = validate(&valid(members.clone()), &[]);
        assert!(code == 1 && error.contains(&told), "{member}: {error}");
        let (code, _, warning) = validate(&valid(members.clone()), &["--lenient"]);
        assert!(code == 0 && warning.contains(&told), "{member}: {warning}");
        members["ProvisionedPollerConfig"] = json!({"MinimumPollers": 1});
        let (code, _, error) = validate(&valid(members), &[]);
        assert_eq!((code, error.as_str()), (0, ""), "{member}");
    }
    let (code, _, warning) = validate(&valid(queue_mode()), &["--lenient"]);
    assert!(code == 0 && warning.contains("ConsumptionMode"), "{warning}");
}

#[test]
fn every_problem_of_a_configuration_is_named_at_once() {
    let document = json!({
        "FunctionName": "", "Topics": ["a", "b"], "BatchSize": 0, "MaximumBatchingWindowInSeconds": 301,
        "StartingPosition": "EARLIEST", "MaximumRetryAttempts": 10001, "MaximumRecordAgeInSeconds": 59,
        "FunctionResponseTypes": ["Report"], "ParallelizationFactor": 2, "Enabled": "perhaps", "batch_size": 1,
        "Local": {"invokeUrl": "ftp://127.0.0.1/", "kafkaOptions": ["x"], "kafkaOption": {}},
    });
    let (code, _, text) = validate(&document, &[]);
    assert_eq!(code, 1);
    for member in document.as_object().unwrap().keys().chain(document["Local"].as_object().unwrap().keys()) {
        assert!(text.contains(member.as_str()), "{member} is not named in: {text}");
    }
    for part in ["ProvisionedPollerConfig", "did you mean BatchSize?", "did you mean Local.kafkaOptions?"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, _, text) = validate(&valid(json!({"BatchSizes": 1})), &["--lenient"]);
    assert!(code == 0 && text.contains("BatchSizes"), "a warning: {text}");
}

#[test]
fn errors_name_the_flag_besides_the_member() {
    let cases: &[(&[&str], &str)] = &[
        (&["--topic", "orders"], "FunctionName (--function-name)"),
        (&["--function", "fn"], "Topics (--topics)"),
        (&["--topic", "orders", "--function", "fn", "--invoke-url", "ftp://x/"], "Local.invokeUrl (--invoke-url)"),
        (&["--topic", "orders", "--function", "fn", "--max-concurrency", "0"], "(--max-concurrency)"),
        (&["--topic", "orders", "--function", "fn", "--function-timeout", "900"], "(--function-timeout)"),
        (
            &["--topic", "orders", "--function", "fn", "--on-failure-destination", "arn:aws:sqs:eu-west-1:1:q"],
            "(--destination-folder)",
        ),
    ];
    for (flags, told) in cases {
        let (code, _, error) = run(&[&["esm", "validate"], *flags].concat(), "");
        assert!(code == 1 && error.contains(told), "{flags:?}: {error}");
    }
}

#[test]
fn flags_of_awss_command_line_are_taken() {
    let flags = [
        "--function-name",
        "fn",
        "--topics",
        "orders",
        "--function-response-types",
        "ReportBatchItemFailures",
        "--provisioned-poller-config",
        "MinimumPollers=1,MaximumPollers=2",
        "--amazon-managed-kafka-event-source-config",
        r#"{"ConsumerGroupId": "group"}"#,
        "--destination-config",
        "OnFailure={Destination=kafka://dead}",
        "--filter-criteria",
        r#"Filters=[{Pattern='{"value": {"type": ["order"]}}'}]"#,
        "--starting-position",
        "AT_TIMESTAMP",
        "--starting-position-timestamp",
        "2025-01-01T00:00:00Z",
        "--bisect-batch-on-function-error",
        "--no-bisect-batch-on-function-error",
    ];
    let (code, _, error) = run(&[&["esm", "validate"][..], &flags].concat(), "");
    assert_eq!((code, error.as_str()), (0, ""));
    let (code, _, error) =
        run(&[&["esm", "validate"], &flags[..4], &["--provisioned-poller-config", "Pollers=1"]].concat(), "");
    assert!(code == 1 && error.contains("ProvisionedPollerConfig.Pollers"), "{error}");
}

#[test]
fn validate_answers_in_json_too() {
    let (code, text, _) = validate(&valid(json!({"Enabled": false})), &["--format", "json"]);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &line["valid"], &line["function"]), (0, &json!(true), &json!("fn")));
    assert_eq!(line["warnings"].as_array().unwrap().len(), 1);
    assert_eq!((&line["report_batch_item_failures"], &line["destination_topic"]), (&json!(false), &Value::Null));
    let more = json!({
        "FunctionResponseTypes": ["ReportBatchItemFailures"], "ProvisionedPollerConfig": {"MinimumPollers": 1},
        "DestinationConfig": {"OnFailure": {"Destination": "kafka://dead"}},
    });
    let line: Value = serde_json::from_str(&validate(&valid(more), &["--format", "json"]).1).unwrap();
    assert_eq!((&line["report_batch_item_failures"], &line["destination_topic"]), (&json!(true), &json!("dead")));
    let (code, text, _) = validate(&valid(json!({"BatchSize": 0, "Topics": []})), &["--format", "json"]);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &line["valid"], line["problems"].as_array().unwrap().len()), (1, &json!(false), 2));
}

/// `check-response` of a response to an event of three records.
fn check_response(response: &str, flags: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let event = folder.path().join("event.json");
    let record = |offset| json!({"topic": "orders", "partition": 0, "offset": offset, "value": "e30="});
    let records = json!({"records": {"orders-0": [record(0), record(1), record(2)]}});
    std::fs::write(&event, records.to_string()).unwrap();
    run(&[&["esm", "check-response", "-", "--event", event.to_str().unwrap()], flags].concat(), response)
}

#[test]
fn check_response_warns_of_silent_loss() {
    let cases = [
        (
            r#"{"BatchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":1}}]}"#,
            "name it \"batchItemFailures\"",
        ),
        (r#"{"batch_item_failures":[]}"#, "name it \"batchItemFailures\""),
        (r#"{"statusCode":200}"#, "no batchItemFailures"),
    ];
    for (response, warning) in cases {
        let (code, text, error) = check_response(response, &[]);
        assert_eq!((code, text.as_str()), (0, "all 3 records are done\n"), "AWS's rule: {response}");
        assert!(error.contains(warning), "{response}: {error}");
    }
    for response in ["", "null", "{}", r#"{"batchItemFailures":[]}"#] {
        let (code, _, error) = check_response(response, &[]);
        assert_eq!((code, error.as_str()), (0, ""), "{response}");
    }
    // `run` takes this for a function error, because endpoints report one so.
    let (code, _, error) = check_response(r#"{"errorType":"E","errorMessage":"m"}"#, &[]);
    assert!(code == 1 && error.contains("all 3 records will be redelivered"), "{error}");
    let (code, text, _) = check_response(r#"{"statusCode":200}"#, &["--format", "json"]);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &line["outcome"], &line["records"]), (0, &json!("done"), &json!(3)));
    assert!(line["warning"].is_string(), "{line}");
}
