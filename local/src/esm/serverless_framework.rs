//! The event source mappings of Kafka in a `serverless.yml`, under AWS's names: events `msk` and `kafka`.
//!
//! <https://www.serverless.com/framework/docs/providers/aws/events/msk>, <https://www.serverless.com/framework/docs/providers/aws/events/kafka>

use serde_json::{Map, Value, json};

use super::cloudformation;
use super::listed::{ListedMapping, local_of_function};
use super::serverless_variables::Variables;
use super::template_functions::{Template, is_call};

/// The framework's names of members whose values are AWS's.
const RENAMED: &[(&str, &str)] = &[
    ("arn", "EventSourceArn"),
    ("batchSize", "BatchSize"),
    ("enabled", "Enabled"),
    ("maximumBatchingWindow", "MaximumBatchingWindowInSeconds"),
    ("startingPosition", "StartingPosition"),
    ("startingPositionTimestamp", "StartingPositionTimestamp"),
];
const ACCESS: &[(&str, &str)] = &[
    ("clientCertificateTLSAuth", "CLIENT_CERTIFICATE_TLS_AUTH"),
    ("saslPlainAuth", "BASIC_AUTH"),
    ("saslScram256Auth", "SASL_SCRAM_256_AUTH"),
    ("saslScram512", "SASL_SCRAM_512_AUTH"),
    ("saslScram512Auth", "SASL_SCRAM_512_AUTH"),
    ("serverRootCaCertificate", "SERVER_ROOT_CA_CERTIFICATE"),
    ("vpcSecurityGroup", "VPC_SECURITY_GROUP"),
    ("vpcSubnet", "VPC_SUBNET"),
];

/// The mappings, in the order of the functions' names; `None` if it is no file of the framework.
pub(super) fn mappings(document: &Map<String, Value>) -> Option<Vec<ListedMapping>> {
    document.get("provider")?;
    let functions = document.get("functions")?;
    // Several files are a list of such objects.
    let functions = functions.as_array().map_or_else(|| vec![functions], |listed| listed.iter().collect());
    let variables = Variables { document };
    let resources = document.get("resources").and_then(|resources| resources["Resources"].as_object());
    let template = Template::new(None, resources);
    let timeout = document.get("provider").and_then(|provider| provider.get("timeout"));
    let mut found = Vec::new();
    for (key, function) in functions.into_iter().filter_map(Value::as_object).flatten() {
        let function = variables.expand(function);
        for event in function["events"].as_array().into_iter().flatten() {
            let Some(mut members) = members_from_event(event) else { continue };
            let name = function["name"].as_str().unwrap_or(key);
            members.insert("FunctionName".to_owned(), json!(name));
            let timeout = function.get("timeout").or(timeout).map(|timeout| variables.expand(timeout));
            members.extend(local_of_function(timeout.as_ref(), function.get("reservedConcurrency")));
            let mut read = cloudformation::read(&template, members);
            patterns_as_text(&mut read.members);
            found.push(read);
        }
    }
    Some(found)
}

/// An event; `None` if it is not Kafka's.
fn members_from_event(event: &Value) -> Option<Map<String, Value>> {
    let (kind, group) =
        [("msk", "AmazonManagedKafkaEventSourceConfig"), ("kafka", "SelfManagedKafkaEventSourceConfig")]
            .into_iter()
            .find(|(kind, _)| event.get(*kind).is_some())?;
    // The framework's own default.
    let mut members = Map::from_iter([("StartingPosition".to_owned(), json!("TRIM_HORIZON"))]);
    let mut access = Vec::new();
    for (name, value) in event[kind].as_object()? {
        match name.as_str() {
            "topic" => drop(members.insert("Topics".to_owned(), json!([value]))),
            "consumerGroupId" => drop(members.insert(group.to_owned(), json!({"ConsumerGroupId": value}))),
            "filterPatterns" => {
                let filters =
                    value.as_array().map(|patterns| patterns.iter().map(|it| json!({"Pattern": it})).collect());
                members
                    .insert("FilterCriteria".to_owned(), json!({"Filters": filters.unwrap_or_else(|| value.clone())}));
            }
            "bootstrapServers" => {
                let endpoints = json!({"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": value}});
                members.insert("SelfManagedEventSource".to_owned(), endpoints);
            }
            "saslScram512" => access.extend(configurations(name, value)),
            "accessConfigurations" if is_call(value) => {
                members.insert("SourceAccessConfigurations".to_owned(), value.clone());
            }
            "accessConfigurations" => {
                let given = value.as_object().into_iter().flatten();
                access.extend(given.flat_map(|(name, value)| configurations(name, value)));
            }
            other => {
                let renamed = RENAMED.iter().find(|(name, _)| *name == other);
                // One that is not known is told by its own name.
                members.insert(renamed.map_or(other, |(_, name)| *name).to_owned(), value.clone());
            }
        }
    }
    if !access.is_empty() {
        members.insert("SourceAccessConfigurations".to_owned(), Value::Array(access));
    }
    Some(members)
}

/// Patterns are objects in the framework's files and texts in the API; what is in them has its value by now.
fn patterns_as_text(members: &mut Map<String, Value>) {
    let filters = members.get_mut("FilterCriteria").and_then(|criteria| criteria["Filters"].as_array_mut());
    for pattern in filters.into_iter().flatten().filter_map(|filter| filter.get_mut("Pattern")) {
        *pattern = Value::String(pattern.to_string());
    }
}

/// One for each value; a type that is not known keeps its name.
fn configurations(name: &str, value: &Value) -> Vec<Value> {
    let kind = ACCESS.iter().find(|(known, _)| *known == name).map_or(name, |(_, kind)| *kind);
    let values = value.as_array().map_or_else(|| vec![value], |values| values.iter().collect());
    values.into_iter().map(|value| json!({"Type": kind, "URI": value})).collect()
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    const SERVICE: &str = "
service: shop
custom:
  topics: {dev: orders, prod: orders-prod}
provider: {name: aws, timeout: 30}
functions:
  audit:
    handler: a.b
    name: audit-${opt:stage, 'dev'}
    timeout: 5
    reservedConcurrency: 3
    events:
      - httpApi: '*'
      - kafka:
          accessConfigurations:
            vpcSubnet: [subnet-1, subnet-2]
            vpcSecurityGroup: sg-1
            saslScram512Auth: arn:aws:secretsmanager:us-east-1:1:secret:s
          topic: ${self:custom.topics.${opt:stage, 'dev'}}
          bootstrapServers: [a:9092, b:9092]
          consumerGroupId: ${env:GROUP}
  orders:
    events:
      - msk:
          arn: !GetAtt Cluster.Arn
          topic: orders
          batchSize: 1000
          maximumBatchingWindow: 5
          startingPosition: LATEST
          filterPatterns: [{value: {type: [order]}}]
          destinations: {onFailure: x}
resources: {Resources: {Cluster: {Type: 'AWS::MSK::Cluster'}}}
";

    #[test]
    fn mappings_of_the_framework_have_awss_names() {
        let document = yaml::parse(SERVICE).unwrap();
        let found = mappings(document.as_object().unwrap()).unwrap();
        let listed: Vec<_> = found.iter().map(|mapping| Value::Object(mapping.members.clone())).collect();
        let expected = json!([
            {
                "FunctionName": "audit-dev",
                "Topics": ["orders"],
                "StartingPosition": "TRIM_HORIZON",
                "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["a:9092", "b:9092"]}},
                "SelfManagedKafkaEventSourceConfig": {},
                "SourceAccessConfigurations": [
                    {"Type": "SASL_SCRAM_512_AUTH", "URI": "arn:aws:secretsmanager:us-east-1:1:secret:s"},
                    {"Type": "VPC_SECURITY_GROUP", "URI": "sg-1"},
                    {"Type": "VPC_SUBNET", "URI": "subnet-1"},
                    {"Type": "VPC_SUBNET", "URI": "subnet-2"},
                ],
                "Local": {"functionTimeoutSeconds": 5, "reservedConcurrentExecutions": 3},
            },
            {
                "FunctionName": "orders",
                "Topics": ["orders"],
                "EventSourceArn":
                    "arn:aws:kafka:us-east-1:123456789012:cluster/Cluster/00000000-0000-0000-0000-000000000000-1",
                "BatchSize": 1000,
                "MaximumBatchingWindowInSeconds": 5,
                "StartingPosition": "LATEST",
                "FilterCriteria": {"Filters": [{"Pattern": r#"{"value":{"type":["order"]}}"#}]},
                "destinations": {"onFailure": "x"},
                "Local": {"functionTimeoutSeconds": 30},
            },
        ]);
        assert_eq!(json!(listed), expected);
        let unresolved = &found[0].unresolved[0];
        assert_eq!(unresolved.member, "SelfManagedKafkaEventSourceConfig.ConsumerGroupId");
        assert_eq!(unresolved.reason, "the variable `${env:GROUP}` has no value in the file");
        assert_eq!(mappings(json!({"functions": {}}).as_object().unwrap()), None);
    }

    #[test]
    fn what_only_a_deployment_knows_of_filters_and_access_is_noted() {
        let text = "
provider: {name: aws}
functions:
  a: {events: [{msk: {topic: a, filterPatterns: '${file(f.yml):x}', accessConfigurations: '${ssm:/x}'}}]}
  b: {events: [{msk: {topic: b, filterPatterns: [{value: {type: ['${env:T}']}}]}}]}
  c: {events: [{msk: {topic: c, filterPatterns: [{value: {type: ['${env:T, \"x\"}']}}]}}]}
";
        let document = yaml::parse(text).unwrap();
        let found = mappings(document.as_object().unwrap()).unwrap();
        let noted: Vec<Vec<_>> = found
            .iter()
            .map(|mapping| mapping.unresolved.iter().map(|unresolved| unresolved.member.as_str()).collect())
            .collect();
        let of_a = vec!["FilterCriteria.Filters", "SourceAccessConfigurations"];
        assert_eq!(noted, [of_a, vec!["FilterCriteria.Filters.Pattern.value.type"], vec![]]);
        assert_eq!(found[2].members["FilterCriteria"]["Filters"][0]["Pattern"], r#"{"value":{"type":["x"]}}"#);
    }
}
