//! The file of a mapping: JSON, YAML or TOML, by what its name ends with and how it begins, with one mapping or several: what AWS's
//! tools print, plans and states of Terraform, templates of `CloudFormation`, AWS SAM and the Serverless Framework.

use std::path::Path;

use serde_json::{Map, Value};

use super::document::MappingDocument;
use super::listed::{ListedMapping, bare};
use super::{cloudformation, serverless_framework, terraform, yaml};

/// Which mapping is meant when a text has several, as `aws lambda list-event-source-mappings` and Terraform print them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Its topic.
    pub topic: Option<&'a str>,
    /// Its function, as named or by ARN.
    pub function: Option<&'a str>,
}

/// The text is not a mapping document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error(
        "{origin}: {problem}; write the members of AWS's CreateEventSourceMapping, plus `Local`, as JSON, YAML or TOML"
    )]
    Syntax { origin: String, problem: String },
    #[error(
        "{origin} holds 0 event source mappings of Kafka: it needs one with Topics, or a function with an event MSK, SelfManagedKafka, \
         msk or kafka in the file itself"
    )]
    Empty { origin: String },
    #[error("{origin} holds {found} event source mappings ({listed}): choose one with --topics or --function-name")]
    Choose { origin: String, found: usize, listed: String },
}

impl MappingDocument {
    /// Reads a file; `origin` names it in an error, and tells TOML and YAML by its end. Members of `overrides` take the place of
    /// those in the text.
    ///
    /// # Errors
    /// [`DocumentError`] if it is none of them, or has not exactly one mapping that is `wanted`. Wrong types, unknown members and
    /// what only a deployment knows are told by [`super::validate`], with everything else.
    pub fn read(
        text: &str,
        origin: &str,
        wanted: Wanted<'_>,
        overrides: Map<String, Value>,
    ) -> Result<Self, DocumentError> {
        let syntax = |problem: String| DocumentError::Syntax { origin: origin.to_owned(), problem };
        let mut object = parse(text, origin).map_err(syntax)?;
        let one = match listed(&mut object) {
            Some(listed) => choose(listed, origin, wanted)?,
            None => ListedMapping::from(Value::Object(object)),
        };
        let (mut members, mut unresolved) = (one.members, one.unresolved);
        unresolved.retain(|unresolved| !overrides.keys().any(|member| unresolved.is_in(member)));
        members.extend(overrides);
        Ok(Self { unresolved, ..Self::from_object(members) })
    }
}

/// The object that the text is, in the format of the file's name; without one JSON begins with a bracket, and YAML does not.
fn parse(text: &str, origin: &str) -> Result<Map<String, Value>, String> {
    let ending = Path::new(origin).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let value = match ending {
        // Its text would show the line, which may hold a password.
        "toml" => toml::from_str(text).map(json).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            format!("{} at line {}", error.message(), before.matches('\n').count() + 1)
        })?,
        "yaml" | "yml" => yaml::parse(text)?,
        "json" => serde_json::from_str(text).map_err(|error| error.to_string())?,
        _ if text.trim_start().starts_with(['{', '[']) => {
            serde_json::from_str(text).map_err(|error| error.to_string())?
        }
        _ => yaml::parse(text)?,
    };
    if let Value::Object(object) = value { Ok(object) } else { Err("not an object".to_owned()) }
}

/// Dates become texts.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => Value::Bool(value),
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(members) => members.into_iter().map(|(name, value)| (name, json(value))).collect(),
    }
}

/// The mappings of a file that may have several.
fn listed(object: &mut Map<String, Value>) -> Option<Vec<ListedMapping>> {
    if let Some(Value::Array(listed)) = object.remove("EventSourceMappings") {
        return Some(listed.into_iter().map(ListedMapping::from).collect());
    }
    terraform::mappings(object)
        .map(|listed| listed.into_iter().map(ListedMapping::from).collect())
        .or_else(|| cloudformation::mappings(object))
        .or_else(|| serverless_framework::mappings(object))
}

/// The one mapping that is wanted, of those that were listed.
fn choose(listed: Vec<ListedMapping>, origin: &str, wanted: Wanted<'_>) -> Result<ListedMapping, DocumentError> {
    // A plan does not know yet what a function that it makes will be called, and a template may not say its topic.
    let named = |mapping: &ListedMapping| {
        let name = |member| mapping.members.get(member).and_then(Value::as_str);
        let name = name("FunctionName").or(name("FunctionArn")).unwrap_or_default();
        (name.to_owned(), bare(name).to_owned())
    };
    let topic = |mapping: &ListedMapping| Some(mapping.members.get("Topics")?[0].as_str()?.to_owned());
    // The only one is taken for a function of another name, as a file with nothing but one mapping is.
    let only = listed.len() == 1;
    let is_wanted = |mapping: &ListedMapping| {
        let (name, bare_name) = named(mapping);
        wanted.topic.is_none_or(|wanted| topic(mapping).is_none_or(|topic| topic == wanted))
            && wanted
                .function
                .is_none_or(|wanted| only || name.is_empty() || name == wanted || bare_name == bare(wanted))
    };
    let shown: Vec<_> = listed
        .iter()
        .map(|mapping| format!("{} <- {}", named(mapping).1, topic(mapping).as_deref().unwrap_or("no topic")))
        .collect();
    if listed.is_empty() {
        return Err(DocumentError::Empty { origin: origin.to_owned() });
    }
    let mut found: Vec<_> = listed.into_iter().filter(is_wanted).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(DocumentError::Choose { origin: origin.to_owned(), found: shown.len(), listed: shown.join(", ") }),
    }
}
