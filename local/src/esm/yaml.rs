//! YAML as JSON. The short forms of `CloudFormation`'s functions become their long ones: `!Ref A` is `{"Ref": "A"}`.

use serde_json::{Map, Number, Value, json};
use serde_yaml_ng as yaml;

/// The one document of the text.
///
/// # Errors
/// A sentence of the parser.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut value: yaml::Value = yaml::from_str(text).map_err(|error| error.to_string())?;
    value.apply_merge().map_err(|error| error.to_string())?;
    Ok(convert(value))
}

fn convert(value: yaml::Value) -> Value {
    match value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(value) => Value::Bool(value),
        yaml::Value::Number(number) => {
            let whole = number.as_i64().map(Number::from).or_else(|| number.as_u64().map(Number::from));
            let number = whole.or_else(|| number.as_f64().and_then(Number::from_f64));
            number.map_or(Value::Null, Value::Number)
        }
        yaml::Value::String(text) => Value::String(text),
        yaml::Value::Sequence(items) => items.into_iter().map(convert).collect(),
        yaml::Value::Mapping(members) => {
            let named = members.into_iter().filter_map(|(name, value)| Some((key(name)?, convert(value))));
            Value::Object(named.collect::<Map<_, _>>())
        }
        yaml::Value::Tagged(tagged) => function(&tagged.tag.to_string(), convert(tagged.value)),
    }
}

/// Names of members may look like numbers, `true` or `null`.
fn key(name: yaml::Value) -> Option<String> {
    match convert(name) {
        Value::String(name) => Some(name),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

fn function(tag: &str, argument: Value) -> Value {
    match (tag.trim_start_matches('!'), argument) {
        ("Ref", argument) => json!({"Ref": argument}),
        ("GetAtt", Value::String(text)) => {
            let (resource, attribute) = text.split_once('.').unwrap_or((&text, ""));
            json!({"Fn::GetAtt": [resource, attribute]})
        }
        (name, argument) => json!({format!("Fn::{name}"): argument}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_merges_and_odd_names_are_read() {
        let text = "
base: &base {BatchSize: 10, Ratio: 0.5}
a: {<<: *base, Topics: [!Ref Topic]}
b: !GetAtt Cluster.Arn
c: !Sub ['${A}', {A: 1}]
1: ~
true: yes
";
        let expected = json!({
            "base": {"BatchSize": 10, "Ratio": 0.5},
            "a": {"BatchSize": 10, "Ratio": 0.5, "Topics": [{"Ref": "Topic"}]},
            "b": {"Fn::GetAtt": ["Cluster", "Arn"]},
            "c": {"Fn::Sub": ["${A}", {"A": 1}]},
            "1": null,
            "true": "yes",
        });
        assert_eq!(parse(text).unwrap(), expected);
        assert!(parse("a: [").is_err());
    }
}
