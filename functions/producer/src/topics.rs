//! The topics that callers may write to, and the policy of each: `TOPICS`.

use std::fmt;

use msk_shared::limits::RecordBytes;
use msk_shared::names::TopicName;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::format::ValueFormat;
use crate::principal::Principal;
use crate::principal_pattern::PrincipalPattern;
use crate::schema::{Schema, SchemaFolder};

/// What a topic accepts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Whether every record needs a key (`"key":"required"`).
    pub key_required: bool,
    /// What values must satisfy.
    pub schema: Option<Schema>,
    /// A tighter limit than `MAX_RECORD_BYTES`.
    pub max_record_bytes: Option<RecordBytes>,
    /// Accepted formats of values; `None` means all.
    pub formats: Option<Vec<ValueFormat>>,
    /// Callers that may write it; `None` means all, verified or not.
    pub principals: Option<Vec<PrincipalPattern>>,
    /// Whether records tell who sent them, in the header `x-principal`.
    pub stamp_principal: bool,
}

impl Policy {
    /// Whether values of this format are accepted.
    pub fn accepts(&self, format: ValueFormat) -> bool {
        self.formats.as_ref().is_none_or(|formats| formats.contains(&format))
    }

    /// Whether this caller may write the topic, and see it.
    pub fn allows(&self, caller: Option<&Principal>) -> bool {
        let Some(principals) = &self.principals else { return true };
        caller.is_some_and(|caller| principals.iter().any(|principal| principal.matches(caller)))
    }

    /// What records tell of this caller; nothing unless the policy asks for it and the caller is known.
    pub(crate) fn stamp(&self, caller: Option<&Principal>) -> Option<String> {
        caller.filter(|_| self.stamp_principal).and_then(Principal::stamp)
    }

    /// The accepted formats, by name.
    pub fn format_names(&self) -> Vec<&'static str> {
        ValueFormat::ALL.into_iter().filter(|format| self.accepts(*format)).map(ValueFormat::name).collect()
    }
}

/// A topic that may be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: TopicName,
    pub policy: Policy,
}

/// All topics that may be written to, in the order of the configuration; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics(Vec<Topic>);

impl Topics {
    /// Reads `TOPICS`: `orders,payments`, or a JSON object of policies, whose schemas are in a folder.
    ///
    /// # Errors
    /// All faults, one sentence each, without values; a schema's with its file.
    pub(crate) fn parse(text: &str, schemas: &mut SchemaFolder) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let topics = if text.trim_start().starts_with('{') {
            parse_object(text, schemas, &mut problems)
        } else {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.enumerate().filter_map(|(i, name)| topic(i, name, Policy::default(), &mut problems)).collect()
        };
        let mut seen = std::collections::HashSet::new();
        for topic in &topics {
            if !seen.insert(&topic.name) {
                problems.push(format!("TOPICS names `{}` twice", topic.name));
            }
        }
        if topics.is_empty() && problems.is_empty() {
            problems.push("TOPICS has no topics: list those that may be written to".to_owned());
        }
        if problems.is_empty() { Ok(Self(topics)) } else { Err(problems) }
    }

    /// The topic that a caller names, if it may be written to.
    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.0.iter().find(|topic| topic.name.as_str() == name)
    }

    /// The topics in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.0.iter()
    }
}

fn topic(index: usize, name: &str, policy: Policy, problems: &mut Vec<String>) -> Option<Topic> {
    match TopicName::parse(name) {
        Ok(name) => Some(Topic { name, policy }),
        Err(error) => {
            problems.push(format!("TOPICS, name {}: {error}", index + 1));
            None
        }
    }
}

fn parse_object(text: &str, schemas: &mut SchemaFolder, problems: &mut Vec<String>) -> Vec<Topic> {
    let Members(members) = match serde_json::from_str(text) {
        Ok(members) => members,
        Err(error) => {
            problems.push(format!(
                "TOPICS is not a JSON object of policies (line {}, column {}): write {{\"orders\":{{}}}} or a list of names",
                error.line(),
                error.column()
            ));
            return Vec::new();
        }
    };
    let mut topics = Vec::new();
    for (index, (name, value)) in members.into_iter().enumerate() {
        let place = format!("TOPICS, policy {}", index + 1);
        let policy = policy(&place, &value, schemas, problems);
        topics.extend(topic(index, &name, policy, problems));
    }
    topics
}

fn policy(place: &str, value: &Value, schemas: &mut SchemaFolder, problems: &mut Vec<String>) -> Policy {
    let mut policy = Policy::default();
    let Value::Object(members) = value else {
        problems.push(format!("{place} must be an object; use {{}} for a topic without rules"));
        return policy;
    };
    for (member, value) in members {
        match member.as_str() {
            "key" => match value.as_str() {
                Some("required") => policy.key_required = true,
                Some("optional") => {}
                _ => problems.push(format!("{place}: `key` must be \"required\" or \"optional\"")),
            },
            "max_record_bytes" => {
                let number = value.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
                match RecordBytes::new(number) {
                    Ok(bytes) => policy.max_record_bytes = Some(bytes),
                    Err(error) => problems.push(format!("{place}: `max_record_bytes` {error}")),
                }
            }
            "formats" => match formats(value) {
                Some(formats) => policy.formats = Some(formats),
                None => {
                    let words = ValueFormat::ALL.map(ValueFormat::name).join(", ");
                    problems.push(format!("{place}: `formats` must be an array with some of {words}"));
                }
            },
            "principals" => policy.principals = principals(place, value, problems),
            "stamp_principal" => match value.as_bool() {
                Some(stamp) => policy.stamp_principal = stamp,
                None => problems.push(format!("{place}: `stamp_principal` must be true or false")),
            },
            "schema" => match schemas.schema(value.as_str().unwrap_or_default()) {
                Ok(schema) => policy.schema = Some(schema),
                Err(error) => problems.push(format!("{place}: {error}")),
            },
            // Planned: rejected, so that nobody believes it has an effect.
            "compression" => problems.push(format!("{place}: `compression` is not supported yet; remove it")),
            _ => problems.push(format!(
                "{place} has an unknown member; the allowed ones are key, schema, max_record_bytes, formats, principals \
                 and stamp_principal"
            )),
        }
    }
    policy
}

fn formats(value: &Value) -> Option<Vec<ValueFormat>> {
    let list = value.as_array().filter(|list| !list.is_empty())?;
    list.iter().map(|word| ValueFormat::parse(word.as_str()?)).collect()
}

/// The callers of a policy. An empty list would close the topic to all, which is a mistake: then it need not be listed.
fn principals(place: &str, value: &Value, problems: &mut Vec<String>) -> Option<Vec<PrincipalPattern>> {
    let Some(entries) = value.as_array().filter(|entries| !entries.is_empty()) else {
        problems.push(format!("{place}: `principals` must be an array with at least one caller"));
        return None;
    };
    let mut patterns = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        match PrincipalPattern::parse(entry.as_str().unwrap_or_default()) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => problems.push(format!("{place}: entry {} of `principals` {error}", index + 1)),
        }
    }
    Some(patterns)
}

/// A JSON object's members in order, including duplicates: `DEFAULT_TOPIC` is the first by default, and a repeated name is a mistake.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of topic policies")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Topics, Vec<String>> {
        Topics::parse(text, &mut SchemaFolder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/schemas")))
    }

    #[test]
    fn a_list_of_names_gives_topics_without_rules() {
        let topics = parse(" orders, payments ,").unwrap();
        let names: Vec<&str> = topics.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["orders", "payments"]);
        assert_eq!(topics.get("orders").unwrap().policy, Policy::default());
        assert!(topics.get("Orders").is_none());
    }

    #[test]
    fn an_object_gives_policies_in_its_order() {
        let text = r#"{"z":{"key":"required","max_record_bytes":65536,"formats":["json","cloudevents"]},"a":{}}"#;
        let topics = parse(text).unwrap();
        let names: Vec<&str> = topics.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["z", "a"]);
        let policy = &topics.get("z").unwrap().policy;
        assert!(policy.key_required && !policy.accepts(ValueFormat::NdJson));
        assert_eq!(policy.max_record_bytes.map(RecordBytes::get), Some(65536));
        assert_eq!(policy.format_names(), ["json", "cloudevents"]);
    }

    #[test]
    fn a_schema_is_that_of_its_file() {
        let topics = parse(r#"{"a":{"schema":"orders.v1"},"b":{}}"#).unwrap();
        let name = |topic| topics.get(topic).unwrap().policy.schema.as_ref().map(Schema::name);
        assert_eq!((name("a"), name("b")), (Some("orders.v1"), None));
        let problems = parse(r#"{"a":{},"b":{"schema":"orders.v9"}}"#).unwrap_err();
        let [problem] = &problems[..] else { panic!("{problems:#?}") };
        for word in ["TOPICS, policy 2", "events/schemas/orders.v9.json", "cannot be read", "SCHEMAS"] {
            assert!(problem.contains(word), "{word} is not in {problem}");
        }
    }

    #[test]
    fn text_and_string_are_one_format() {
        for word in ["text", "string"] {
            let topics = parse(&format!(r#"{{"a":{{"formats":["{word}","raw","ndjson"]}}}}"#)).unwrap();
            assert_eq!(topics.get("a").unwrap().policy.format_names(), ["text", "ndjson", "raw"]);
        }
    }

    #[test]
    fn a_topic_with_principals_is_for_them_alone() {
        use crate::principal::{CallerArn, TokenClaims};
        let text = r#"{"open":{},"closed":{"principals":["arn:aws:iam::123456789012:role/shop","sub:user-7"],
            "stamp_principal":true}}"#;
        let topics = parse(text).unwrap();
        let policy = |name| &topics.get(name).unwrap().policy;
        let iam = |name| CallerArn::parse(&format!("arn:aws:sts::123456789012:assumed-role/{name}/s"));
        let (shop, other) = (Principal::Iam(iam("shop").unwrap()), Principal::Iam(iam("other").unwrap()));
        let user = Principal::Token(TokenClaims::new(Some("user-7".to_owned()), None, None));
        for (caller, allowed) in [(None, false), (Some(&shop), true), (Some(&user), true), (Some(&other), false)] {
            assert!(policy("open").allows(caller) && policy("open").stamp(caller).is_none(), "{caller:?}");
            assert_eq!(policy("closed").allows(caller), allowed, "{caller:?}");
        }
        assert_eq!(policy("closed").stamp(Some(&shop)).as_deref(), Some("arn:aws:iam::123456789012:role/shop"));
        assert_eq!(policy("closed").stamp(Some(&user)).as_deref(), Some("sub:user-7"));
        assert_eq!(policy("closed").stamp(Some(&Principal::Token(TokenClaims::default()))), None);
    }

    #[test]
    fn every_fault_is_named_and_no_value_shown() {
        let text = r#"{"bad name":{},"a":{"key":"canary","max_record_bytes":0,"formats":["canary"],"schema":"../canary",
            "principals":["arn:aws:iam::123456789012:group/canary",7],"stamp_principal":"canary","compression":"zstd",
            "canary":1},"b":7,"c":{"principals":[]},"d":{"principals":"sub:canary"},"a":{}}"#;
        let problems = parse(text).unwrap_err();
        assert_eq!(problems.len(), 14, "{problems:#?}");
        let all = problems.join("\n");
        let principals = ["entry 1 of `principals` names no caller", "entry 2 of `principals` must", "at least one"];
        let others =
            ["`schema`", "`compression`", "`key`", "`formats`", "`stamp_principal`", "twice", "unknown member"];
        for word in principals.into_iter().chain(others) {
            assert!(all.contains(word), "{word} is not in\n{all}");
        }
        assert!(!all.contains("canary"), "{all}");
    }

    #[test]
    fn nothing_and_nonsense_are_refused() {
        for text in ["", " , ,", "{}", "{", "a b", "orders,..", "orders,orders"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
