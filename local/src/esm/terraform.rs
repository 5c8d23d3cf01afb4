//! The event source mappings in what `terraform show -json` prints of a plan or a state, under AWS's names.
//!
//! Forms: <https://developer.hashicorp.com/terraform/internals/json-format>, and the provider's documentation of
//! `aws_lambda_event_source_mapping`.

use serde_json::{Map, Value};

use super::listed::{bare, local_of_function};

const RESOURCE: &str = "aws_lambda_event_source_mapping";
const FUNCTION: &str = "aws_lambda_function";
/// Modules in modules: far more than anybody has.
const MAX_DEPTH: usize = 64;

/// Attributes that Terraform adds, or that only say what AWS has made of the mapping.
const NOT_SETTINGS: &[&str] = &[
    "arn",
    "id",
    "last_modified",
    "last_processing_result",
    "region",
    "state",
    "state_transition_reason",
    "tags",
    "tags_all",
    "timeouts",
    "use_resource_timeout_for_propagation",
    "uuid",
];

/// Blocks that may occur once, which Terraform writes as a list.
const BLOCKS: &[&str] = &[
    "amazon_managed_kafka_event_source_config",
    "destination_config",
    "document_db_event_source_config",
    "filter_criteria",
    "logging_config",
    "metrics_config",
    "on_failure",
    "provisioned_poller_config",
    "scaling_config",
    "schema_registry_config",
    "self_managed_event_source",
    "self_managed_kafka_event_source_config",
];

/// Attributes whose AWS name is not the same words.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("access_config", "AccessConfigs"),
    ("destination_arn", "Destination"),
    ("document_db_event_source_config", "DocumentDBEventSourceConfig"),
    ("filter", "Filters"),
    ("kms_key_arn", "KMSKeyArn"),
    ("schema_registry_uri", "SchemaRegistryURI"),
    ("schema_validation_config", "SchemaValidationConfigs"),
    ("source_access_configuration", "SourceAccessConfigurations"),
    ("uri", "URI"),
];

/// Attributes that the provider writes as 0 where nothing is set; AWS takes no 0 for them.
const ZERO_IS_UNSET: &[&str] =
    &["maximum_record_age_in_seconds", "parallelization_factor", "tumbling_window_in_seconds"];

/// The mappings, in the order of the document; `None` if it is neither a plan nor a state.
pub(super) fn mappings(document: &Map<String, Value>) -> Option<Vec<Value>> {
    let root = ["planned_values", "values"].iter().find_map(|name| document.get(*name)?.get("root_module"))?;
    let (mut found, mut functions) = (Vec::new(), Vec::new());
    collect(root, RESOURCE, 0, &mut found);
    collect(root, FUNCTION, 0, &mut functions);
    Some(found.into_iter().map(|values| with_its_function(mapping(values), &functions)).collect())
}

/// The values of the resources of a type.
fn collect<'a>(module: &'a Value, kind: &str, depth: usize, found: &mut Vec<&'a Map<String, Value>>) {
    let items = |name: &str| module[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_kind = items("resources").iter().filter(|resource| resource["type"] == kind);
    found.extend(of_kind.filter_map(|resource| resource["values"].as_object()));
    if depth < MAX_DEPTH {
        items("child_modules").iter().for_each(|child| collect(child, kind, depth + 1, found));
    }
}

/// With what the document says of the function, if it makes it.
fn with_its_function(mut mapping: Map<String, Value>, functions: &[&Map<String, Value>]) -> Value {
    let named = mapping.get("FunctionName").and_then(Value::as_str).map(bare);
    let named = named.and_then(|named| {
        functions.iter().find(|values| values.get("function_name").is_some_and(|name| name == named))
    });
    if let Some(values) = named {
        // The provider writes -1 where nothing is reserved.
        let reserved = values.get("reserved_concurrent_executions").filter(|reserved| **reserved != -1);
        mapping.extend(local_of_function(values.get("timeout"), reserved));
    }
    Value::Object(mapping)
}

fn mapping(values: &Map<String, Value>) -> Map<String, Value> {
    let provisioned = values.get("provisioned_poller_config").is_some_and(|block| block[0].is_object());
    let is_setting = |(name, value): &(&String, &Value)| {
        let name = name.as_str();
        // Without provisioned mode AWS takes no number of retries.
        let zero_is_unset = ZERO_IS_UNSET.contains(&name) || name == "maximum_retry_attempts" && !provisioned;
        !NOT_SETTINGS.contains(&name) && (**value != 0 || !zero_is_unset)
    };
    values.iter().filter(is_setting).map(|(name, value)| (aws_name(name), aws_value(name, value))).collect()
}

fn aws_value(name: &str, value: &Value) -> Value {
    match value {
        Value::Array(items) if BLOCKS.contains(&name) => {
            items.first().map_or(Value::Null, |block| aws_value("", block))
        }
        Value::Array(items) => items.iter().map(|item| aws_value("", item)).collect(),
        // Their names are AWS's own.
        Value::Object(_) if name == "endpoints" => value.clone(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (aws_name(name), aws_value(name, value))).collect())
        }
        other => other.clone(),
    }
}

/// `batch_size` as `BatchSize`.
fn aws_name(name: &str) -> String {
    if let Some((_, other)) = OTHER_WORDS.iter().find(|(known, _)| *known == name) {
        return (*other).to_owned();
    }
    let mut words = name.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    });
    words.by_ref().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(topic: &str) -> Value {
        json!({
            "amazon_managed_kafka_event_source_config": [{"consumer_group_id": "g", "schema_registry_config": []}],
            "arn": "arn:aws:lambda:us-east-1:123456789012:event-source-mapping:1",
            "batch_size": 10,
            "bisect_batch_on_function_error": false,
            "destination_config": [{"on_failure": [{"destination_arn": "kafka://dead"}]}],
            "document_db_event_source_config": [],
            "enabled": true,
            "event_source_arn": "arn:aws:kafka:us-east-1:123456789012:cluster/c/1",
            "filter_criteria": [],
            "function_name": "arn:aws:lambda:us-east-1:123456789012:function:fn:live",
            "function_response_types": ["ReportBatchItemFailures"],
            "kms_key_arn": null,
            "maximum_record_age_in_seconds": 0,
            "maximum_retry_attempts": 0,
            "metrics_config": [{"metrics": ["EventCount"]}],
            "parallelization_factor": 0,
            "provisioned_poller_config": [{"minimum_pollers": 1, "maximum_pollers": 2, "poller_group_name": ""}],
            "queues": [],
            "self_managed_event_source": [{"endpoints": {"KAFKA_BOOTSTRAP_SERVERS": "a:9092,b:9092"}}],
            "source_access_configuration": [{"type": "SASL_SCRAM_512_AUTH", "uri": "arn:x"}],
            "starting_position": "TRIM_HORIZON",
            "starting_position_timestamp": null,
            "topics": [topic],
            "tumbling_window_in_seconds": 0,
            "uuid": "1",
        })
    }

    #[test]
    fn mappings_of_plans_and_states_have_awss_names() {
        let resource = |topic| json!({"address": "x", "type": RESOURCE, "values": values(topic)});
        let root = json!({
            "resources": [{"type": "aws_sqs_queue", "values": {}}, resource("orders")],
            "child_modules": [{"address": "module.m", "resources": [resource("payments")]}],
        });
        for document in [json!({"values": {"root_module": root}}), json!({"planned_values": {"root_module": root}})] {
            let found = mappings(document.as_object().unwrap()).unwrap();
            assert_eq!((&found[0]["Topics"], &found[1]["Topics"]), (&json!(["orders"]), &json!(["payments"])));
            let expected = json!({
                "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": "g", "SchemaRegistryConfig": null},
                "BatchSize": 10,
                "BisectBatchOnFunctionError": false,
                "DestinationConfig": {"OnFailure": {"Destination": "kafka://dead"}},
                "DocumentDBEventSourceConfig": null,
                "Enabled": true,
                "EventSourceArn": "arn:aws:kafka:us-east-1:123456789012:cluster/c/1",
                "FilterCriteria": null,
                "FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:fn:live",
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "KMSKeyArn": null,
                "MaximumRetryAttempts": 0,
                "MetricsConfig": {"Metrics": ["EventCount"]},
                "ProvisionedPollerConfig": {"MinimumPollers": 1, "MaximumPollers": 2, "PollerGroupName": ""},
                "Queues": [],
                "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": "a:9092,b:9092"}},
                "SourceAccessConfigurations": [{"Type": "SASL_SCRAM_512_AUTH", "URI": "arn:x"}],
                "StartingPosition": "TRIM_HORIZON",
                "StartingPositionTimestamp": null,
                "Topics": ["orders"],
            });
            assert_eq!(found[0], expected);
        }
        assert_eq!(mappings(json!({"FunctionName": "fn"}).as_object().unwrap()), None);
        assert_eq!(mappings(json!({"values": {"root_module": {}}}).as_object().unwrap()), Some(Vec::new()));
    }

    #[test]
    fn what_a_function_may_take_comes_from_the_function() {
        let function =
            |reserved| json!({"function_name": "fn", "timeout": 30, "reserved_concurrent_executions": reserved});
        for (reserved, local) in [
            (5, json!({"functionTimeoutSeconds": 30, "reservedConcurrentExecutions": 5})),
            (-1, json!({"functionTimeoutSeconds": 30})),
        ] {
            let module = json!({"resources": [{"type": FUNCTION, "values": function(reserved)}]});
            let root =
                json!({"resources": [{"type": RESOURCE, "values": values("orders")}], "child_modules": [module]});
            let document = json!({"values": {"root_module": root}});
            assert_eq!(mappings(document.as_object().unwrap()).unwrap()[0]["Local"], local);
        }
    }

    #[test]
    fn without_provisioned_mode_no_retries_are_what_nothing_set_looks_like() {
        let mut values = values("orders");
        values["provisioned_poller_config"] = json!([]);
        assert!(mapping(values.as_object().unwrap()).get("MaximumRetryAttempts").is_none());
    }
}
