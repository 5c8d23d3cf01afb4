//! The functions of `CloudFormation`'s templates, as far as a template alone says what they give.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>

use serde_json::{Map, Value};

use super::listed::Unresolved;

/// What a deployment would put there stands for itself: nothing on a laptop asks AWS for it.
const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";
const ID: &str = "00000000-0000-0000-0000-000000000000";

/// A call of this one stands for a variable of the Serverless Framework that has no value.
pub(super) const VARIABLE: &str = "Fn::Variable";

/// Names of functions that are made of other functions' names: a circle of them ends.
const MAX_NAMES: usize = 8;

/// The parts of a template that its functions refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Template<'a> {
    parameters: Option<&'a Map<String, Value>>,
    resources: Option<&'a Map<String, Value>>,
    /// In how many functions' names the reader is.
    in_names: usize,
}

/// A value; none for `AWS::NoValue`; or why there is none.
type Resolved = Result<Option<Value>, String>;

impl<'a> Template<'a> {
    pub(super) fn new(parameters: Option<&'a Map<String, Value>>, resources: Option<&'a Map<String, Value>>) -> Self {
        Self { parameters, resources, in_names: 0 }
    }
}

impl Template<'_> {
    /// The value of the member at `path`. What only a deployment knows is left out and noted.
    pub(super) fn read(&self, value: &Value, path: &str, unresolved: &mut Vec<Unresolved>) -> Option<Value> {
        match value {
            Value::Object(members) => {
                if let Some((name, argument)) = function(members) {
                    let mut note = |reason| unresolved.push(Unresolved { member: path.to_owned(), reason });
                    return self.call(name, argument).map_err(&mut note).ok().flatten();
                }
                let read = members.iter().filter_map(|(name, value)| {
                    let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    Some((name.clone(), self.read(value, &inner, unresolved)?))
                });
                Some(Value::Object(read.collect()))
            }
            Value::Array(items) => Some(items.iter().filter_map(|item| self.read(item, path, unresolved)).collect()),
            other => Some(other.clone()),
        }
    }

    fn call(&self, name: &str, argument: &Value) -> Resolved {
        match (name, argument) {
            ("Ref", Value::String(name)) => self.reference(name),
            ("Fn::GetAtt", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(resource), Value::String(attribute)] => self.attribute(resource, attribute),
                _ => Err("`!GetAtt` has an unknown form".to_owned()),
            },
            ("Fn::Sub", Value::String(text)) => self.substitute(text, &Map::new()),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(own)] => self.substitute(text, own),
                _ => Err("`!Sub` has an unknown form".to_owned()),
            },
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(between), items] => {
                    let mut unresolved = Vec::new();
                    let items = self.read(items, "", &mut unresolved);
                    if let Some(unresolved) = unresolved.pop() {
                        return Err(unresolved.reason);
                    }
                    let Some(Value::Array(items)) = items else { return Err("`!Join` joins no list".to_owned()) };
                    let texts = items.iter().map(|item| self.required_text(item)).collect::<Result<Vec<_>, _>>()?;
                    Ok(Some(Value::String(texts.join(between))))
                }
                _ => Err("`!Join` has an unknown form".to_owned()),
            },
            (VARIABLE, Value::String(variable)) => Err(format!("the variable `{variable}` has no value in the file")),
            (name, Value::String(argument)) => {
                Err(format!("`!{} {argument}` is known only after a deployment", name.trim_start_matches("Fn::")))
            }
            (name, _) => Err(format!("`!{}` is known only after a deployment", name.trim_start_matches("Fn::"))),
        }
    }

    fn required_text(&self, value: &Value) -> Result<String, String> {
        let mut unresolved = Vec::new();
        let text = match self.read(value, "", &mut unresolved) {
            Some(Value::String(text)) => Some(text),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        text.ok_or_else(|| unresolved.pop().map_or_else(|| "it joins what is no text".to_owned(), |found| found.reason))
    }

    fn reference(&self, name: &str) -> Resolved {
        if let Some(value) = pseudo_parameter(name) {
            return Ok(Some(Value::String(value.to_owned())));
        }
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        if let Some(parameter) = self.parameters.and_then(|parameters| parameters.get(name)) {
            return default(name, parameter);
        }
        // SAM calls versions and aliases `Function.Alias`.
        let resource = name.split('.').next().unwrap_or(name);
        match self.resource_type(resource) {
            Some(FUNCTION | SAM_FUNCTION) => Ok(Some(Value::String(self.function_name(resource)))),
            Some(kind) => match made_up_arn(kind, resource) {
                Some((arn, true)) => Ok(Some(Value::String(arn))),
                _ => Err(format!("`!Ref {name}` is known only after a deployment")),
            },
            None => Err(format!("the template has no parameter or resource `{name}`")),
        }
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Resolved {
        let arn = match (self.resource_type(resource), attribute) {
            (Some(FUNCTION | SAM_FUNCTION), "Arn") => Some(function_arn(&self.function_name(resource))),
            (Some(kind), "Arn" | "TopicArn" | "Id") => made_up_arn(kind, resource).map(|(arn, _)| arn),
            _ => None,
        };
        match arn {
            Some(arn) => Ok(Some(Value::String(arn))),
            None => Err(format!("`!GetAtt {resource}.{attribute}` is known only after a deployment")),
        }
    }

    /// `${Name}`, `${Resource.Attribute}`, and `${!Name}`, which stands for `${Name}`.
    fn substitute(&self, text: &str, own: &Map<String, Value>) -> Resolved {
        let (mut rest, mut done) = (text, String::new());
        while let Some((before, behind)) = rest.split_once("${") {
            let (name, after) = behind.split_once('}').ok_or("`!Sub` has a `${` without its `}`")?;
            done.push_str(before);
            done.push_str(&match (name.strip_prefix('!'), own.get(name), name.split_once('.')) {
                (Some(literal), ..) => format!("${{{literal}}}"),
                (_, Some(value), _) => self.required_text(value)?,
                (_, _, Some((resource, attribute))) => value_text(self.attribute(resource, attribute)?),
                _ => value_text(self.reference(name)?),
            });
            rest = after;
        }
        Ok(Some(Value::String(done + rest)))
    }

    fn resource_type(&self, name: &str) -> Option<&str> {
        self.resources?.get(name)?["Type"].as_str()
    }

    /// The name of a function of the template: its own, or that of its resource.
    pub(super) fn function_name(&self, resource: &str) -> String {
        let given = self.resources.and_then(|resources| resources.get(resource)?["Properties"].get("FunctionName"));
        let naming = Self { in_names: self.in_names + 1, ..*self };
        given
            .filter(|_| naming.in_names <= MAX_NAMES)
            .and_then(|name| naming.required_text(name).ok())
            .unwrap_or_else(|| resource.to_owned())
    }
}

pub(super) const FUNCTION: &str = "AWS::Lambda::Function";
pub(super) const SAM_FUNCTION: &str = "AWS::Serverless::Function";

/// Whether the value is a call of a function.
pub(super) fn is_call(value: &Value) -> bool {
    value.as_object().is_some_and(|members| function(members).is_some())
}

/// A call of a function is an object with its name alone.
fn function(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = members.iter().next()?;
    (members.len() == 1 && (name == "Ref" || name.starts_with("Fn::"))).then_some((name, argument))
}

fn value_text(value: Option<Value>) -> String {
    match value {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn pseudo_parameter(name: &str) -> Option<&'static str> {
    Some(match name {
        "AWS::AccountId" => ACCOUNT,
        "AWS::Partition" => "aws",
        "AWS::Region" => REGION,
        "AWS::StackName" => "stack",
        "AWS::URLSuffix" => "amazonaws.com",
        _ => return None,
    })
}

fn default(name: &str, parameter: &Value) -> Resolved {
    let kind = parameter["Type"].as_str().unwrap_or_default();
    if kind.starts_with("AWS::SSM::") {
        return Err(format!("parameter `{name}` is read from Systems Manager when it is deployed"));
    }
    match &parameter["Default"] {
        Value::Null => Err(format!("parameter `{name}` has no default")),
        Value::String(text) if kind == "CommaDelimitedList" || kind.starts_with("List<") => {
            Ok(Some(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect()))
        }
        value => Ok(Some(value.clone())),
    }
}

fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// An ARN in the form of the resource's type, and whether `!Ref` gives it.
fn made_up_arn(kind: &str, resource: &str) -> Option<(String, bool)> {
    Some(match kind {
        "AWS::MSK::Cluster" | "AWS::MSK::ServerlessCluster" => {
            (format!("arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/{resource}/{ID}-1"), true)
        }
        "AWS::SecretsManager::Secret" => (format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{resource}"), true),
        "AWS::SNS::Topic" => (format!("arn:aws:sns:{REGION}:{ACCOUNT}:{resource}"), true),
        "AWS::SQS::Queue" => (format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{resource}"), false),
        "AWS::S3::Bucket" => (format!("arn:aws:s3:::{}", resource.to_lowercase()), false),
        _ => return None,
    })
}
