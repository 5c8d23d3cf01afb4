//! The event source mappings of Kafka in a template of `CloudFormation` or AWS SAM, under AWS's names.
//!
//! Forms: `AWS::Lambda::EventSourceMapping`, and the events `MSK` and `SelfManagedKafka` of `AWS::Serverless::Function`
//! (<https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-msk.html>).

use serde_json::{Map, Value, json};

use super::listed::{ListedMapping, bare, local_of_function};
use super::template_functions::{FUNCTION, SAM_FUNCTION, Template};

/// The mappings, in the order of their names; `None` if it is no template.
pub(super) fn mappings(document: &Map<String, Value>) -> Option<Vec<ListedMapping>> {
    let resources = document.get("Resources")?.as_object()?;
    let template = Template::new(document.get("Parameters").and_then(Value::as_object), Some(resources));
    let globals = &document.get("Globals").unwrap_or(&Value::Null)["Function"];
    let mut found = Vec::new();
    for (name, resource) in resources {
        let Some(properties) = resource["Properties"].as_object() else { continue };
        match resource["Type"].as_str() {
            Some("AWS::Lambda::EventSourceMapping") if properties.contains_key("Topics") => {
                let members = properties.iter().map(|(name, value)| renamed(name, value)).collect();
                found.push(with_its_function(&template, resources, globals, members));
            }
            Some(SAM_FUNCTION) => {
                let events = properties.get("Events").and_then(Value::as_object);
                let function = template.function_name(name);
                let mapped = events.into_iter().flat_map(Map::values).filter_map(members_from_event);
                found.extend(mapped.map(|mut members| {
                    members.insert("FunctionName".to_owned(), json!(function));
                    members.extend(local(properties, globals));
                    read(&template, members)
                }));
            }
            _ => {}
        }
    }
    Some(found)
}

/// What a function's properties say of it, or for SAM's the globals.
fn local(properties: &Map<String, Value>, globals: &Value) -> Option<(String, Value)> {
    let property = |name| properties.get(name).or_else(|| globals.get(name));
    local_of_function(property("Timeout"), property("ReservedConcurrentExecutions"))
}

/// A mapping that is a resource of its own, as its function may be one.
fn with_its_function(
    template: &Template<'_>,
    resources: &Map<String, Value>,
    globals: &Value,
    members: Map<String, Value>,
) -> ListedMapping {
    let mut mapping = read(template, members);
    let named = mapping.members.get("FunctionName").and_then(Value::as_str).map(bare).unwrap_or_default();
    let function = resources.iter().find(|(name, resource)| {
        let kind = resource["Type"].as_str().unwrap_or_default();
        [FUNCTION, SAM_FUNCTION].contains(&kind) && template.function_name(name) == named
    });
    if let Some(properties) = function.and_then(|(_, resource)| resource["Properties"].as_object()) {
        let globals =
            if function.is_some_and(|(_, resource)| resource["Type"] == SAM_FUNCTION) { globals } else { &Value::Null };
        let ListedMapping { members, unresolved } = read(template, local(properties, globals).into_iter().collect());
        mapping.members.extend(members);
        mapping.unresolved.extend(unresolved);
    }
    mapping
}

/// The members with what the template says of them.
pub(super) fn read(template: &Template<'_>, members: Map<String, Value>) -> ListedMapping {
    let mut unresolved = Vec::new();
    let read = template.read(&Value::Object(members), "", &mut unresolved);
    ListedMapping { unresolved, ..read.unwrap_or_default().into() }
}

/// An event of SAM; `None` if it is not Kafka's.
fn members_from_event(event: &Value) -> Option<Map<String, Value>> {
    let group = match event["Type"].as_str()? {
        "MSK" => "AmazonManagedKafkaEventSourceConfig",
        "SelfManagedKafka" => "SelfManagedKafkaEventSourceConfig",
        _ => return None,
    };
    let mut members = Map::new();
    let mut config = Map::new();
    for (name, value) in event["Properties"].as_object()? {
        match name.as_str() {
            "ConsumerGroupId" | "SchemaRegistryConfig" => drop(config.insert(name.clone(), value.clone())),
            "KafkaBootstrapServers" => {
                members.insert(
                    "SelfManagedEventSource".to_owned(),
                    json!({"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": value}}),
                );
            }
            // SAM's own member beside the destination, for the policies that it writes.
            "DestinationConfig" => {
                let mut value = value.clone();
                if let Some(destination) = value.get_mut("OnFailure").and_then(Value::as_object_mut) {
                    destination.remove("Type");
                }
                members.insert(name.clone(), value);
            }
            _ => members.extend([renamed(name, value)]),
        }
    }
    if !config.is_empty() {
        members.insert(group.to_owned(), Value::Object(config));
    }
    Some(members)
}

/// Names that are not the API's.
fn renamed(name: &str, value: &Value) -> (String, Value) {
    let name = match name {
        "KmsKeyArn" => "KMSKeyArn",
        "Stream" => "EventSourceArn",
        other => other,
    };
    (name.to_owned(), value.clone())
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    const TEMPLATE: &str = "
AWSTemplateFormatVersion: 2010-09-09
Transform: AWS::Serverless-2016-10-31
Parameters:
  Topic: {Type: String, Default: orders}
  Size: {Type: Number, Default: 10}
  Group: {Type: String}
  Servers: {Type: CommaDelimitedList, Default: 'a:9092, b:9092'}
  Secret: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /kafka}
Globals:
  Function: {Timeout: 20}
Resources:
  Cluster: {Type: 'AWS::MSK::Cluster'}
  Failed: {Type: 'AWS::SQS::Queue'}
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub '${AWS::StackName}-orders'
      ReservedConcurrentExecutions: !Ref Size
      Events:
        Api: {Type: HttpApi}
        Stream:
          Type: MSK
          Properties:
            Stream: !GetAtt Cluster.Arn
            Topics: [!Ref Topic]
            BatchSize: !Ref Size
            StartingPosition: LATEST
            ConsumerGroupId: !Ref Group
            KmsKeyArn: !Ref AWS::NoValue
            DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Failed.Arn}}
            SourceAccessConfigurations: [{Type: SASL_SCRAM_512_AUTH, URI: !Ref Secret}]
        Own:
          Type: SelfManagedKafka
          Properties:
            KafkaBootstrapServers: !Ref Servers
            Topics: [!Join [., [!Ref Topic, dlq]]]
            ConsumerGroupId: !Sub ['${A}-${!B}', {A: x}]
            StartingPosition: !If [IsProd, LATEST, TRIM_HORIZON]
  Plain: {Type: 'AWS::Lambda::Function', Properties: {FunctionName: plain, Timeout: 7, ReservedConcurrentExecutions: 2}}
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !Sub '${Plain.Arn}:live'
      EventSourceArn: !ImportValue Cluster
      Topics: [payments]
      StartingPosition: TRIM_HORIZON
  Queue:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {FunctionName: !Ref Plain, EventSourceArn: !GetAtt Failed.Arn}
";

    #[test]
    fn mappings_of_templates_have_awss_names_and_what_the_template_says() {
        let document = yaml::parse(TEMPLATE).unwrap();
        let found = mappings(document.as_object().unwrap()).unwrap();
        let listed: Vec<_> = found.iter().map(|mapping| Value::Object(mapping.members.clone())).collect();
        let expected = json!([
            {
                "FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:plain:live",
                "Topics": ["payments"],
                "StartingPosition": "TRIM_HORIZON",
                "Local": {"functionTimeoutSeconds": 7, "reservedConcurrentExecutions": 2},
            },
            {
                "FunctionName": "stack-orders",
                "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["a:9092", "b:9092"]}},
                "Topics": ["orders.dlq"],
                "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "x-${B}"},
                "Local": {"functionTimeoutSeconds": 20, "reservedConcurrentExecutions": 10},
            },
            {
                "FunctionName": "stack-orders",
                "EventSourceArn":
                    "arn:aws:kafka:us-east-1:123456789012:cluster/Cluster/00000000-0000-0000-0000-000000000000-1",
                "Topics": ["orders"],
                "BatchSize": 10,
                "StartingPosition": "LATEST",
                "AmazonManagedKafkaEventSourceConfig": {},
                "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:Failed"}},
                "SourceAccessConfigurations": [{"Type": "SASL_SCRAM_512_AUTH"}],
                "Local": {"functionTimeoutSeconds": 20, "reservedConcurrentExecutions": 10},
            },
        ]);
        assert_eq!(json!(listed), expected);
        let unresolved: Vec<_> = found
            .iter()
            .flat_map(|mapping| &mapping.unresolved)
            .map(|unresolved| format!("{}: {}", unresolved.member, unresolved.reason))
            .collect();
        assert_eq!(
            unresolved,
            [
                "EventSourceArn: `!ImportValue Cluster` is known only after a deployment",
                "StartingPosition: `!If` is known only after a deployment",
                "AmazonManagedKafkaEventSourceConfig.ConsumerGroupId: parameter `Group` has no default",
                "SourceAccessConfigurations.URI: parameter `Secret` is read from Systems Manager when it is deployed",
            ]
        );
        assert_eq!(mappings(json!({"FunctionName": "fn"}).as_object().unwrap()), None);
    }

    #[test]
    fn functions_that_are_named_after_each_other_are_read() {
        let text = "
Resources:
  A: {Type: 'AWS::Serverless::Function', Properties: {FunctionName: !Ref B, Events: {Stream: {Type: MSK, Properties: {Topics: [a]}}}}}
  B: {Type: 'AWS::Lambda::Function', Properties: {FunctionName: !Sub '${A}-${A.Arn}'}}
  C: {Type: 'AWS::Serverless::Function', Properties: {FunctionName: !Ref D, Events: {Stream: {Type: MSK, Properties: {Topics: [c]}}}}}
  D: {Type: 'AWS::Lambda::Function', Properties: {FunctionName: d}}
";
        let document = yaml::parse(text).unwrap();
        let found = mappings(document.as_object().unwrap()).unwrap();
        let named: Vec<_> = found.iter().map(|mapping| mapping.members["FunctionName"].as_str().unwrap()).collect();
        assert!(named[0].contains('A') && named[1] == "d", "{named:?}");
    }
}
