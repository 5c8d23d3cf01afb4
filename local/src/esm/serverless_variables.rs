//! Variables of the Serverless Framework, as far as the file alone gives their values: `${self:..}`, `${sls:stage}`, and the
//! defaults of all others (<https://www.serverless.com/framework/docs/guides/variables>).

use serde_json::{Map, Value, json};

use super::template_functions::VARIABLE;

/// Variables in variables of one text, and values that variables stand for in one another.
const MAX_VARIABLES: usize = 64;

/// The values that a file gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variables<'a> {
    pub(super) document: &'a Map<String, Value>,
}

impl Variables<'_> {
    /// The value with its variables replaced. A text with one that has no value becomes a call of [`VARIABLE`].
    pub(super) fn expand(&self, value: &Value) -> Value {
        self.expand_within(value, &mut Vec::new())
    }

    /// `enclosing` has the variables whose values the value is in: none of them has a value here, for it would be in itself.
    fn expand_within(&self, value: &Value, enclosing: &mut Vec<String>) -> Value {
        match value {
            Value::String(text) => self.text(text, enclosing),
            Value::Array(items) => items.iter().map(|item| self.expand_within(item, enclosing)).collect(),
            Value::Object(members) => Value::Object(
                members.iter().map(|(name, value)| (name.clone(), self.expand_within(value, enclosing))).collect(),
            ),
            other => other.clone(),
        }
    }

    fn text(&self, text: &str, enclosing: &mut Vec<String>) -> Value {
        let mut text = text.to_owned();
        for _ in 0..MAX_VARIABLES {
            // The last one that begins holds no other.
            let Some((start, end)) = last_variable(&text) else { return Value::String(text) };
            let variable = text[start..end].to_owned();
            let Some(found) = self.value(&variable[2..variable.len() - 1]) else {
                return json!({VARIABLE: variable});
            };
            match found {
                Value::String(found) => text.replace_range(start..end, &found),
                found if start == 0 && end == text.len() => {
                    if enclosing.len() == MAX_VARIABLES || enclosing.contains(&variable) {
                        return json!({VARIABLE: variable});
                    }
                    enclosing.push(variable);
                    let expanded = self.expand_within(&found, enclosing);
                    enclosing.pop();
                    return expanded;
                }
                found => text.replace_range(start..end, &found.to_string()),
            }
        }
        json!({VARIABLE: text})
    }

    /// What the first of the sources that has a value says: `self:custom.topic, 'orders'`.
    fn value(&self, sources: &str) -> Option<Value> {
        let mut quote = None;
        // A comma in quotes is a part of a default.
        let sources = sources.split(|character| match (quote, character) {
            (None, '\'' | '"') => {
                quote = Some(character);
                false
            }
            (Some(open), _) if open == character => {
                quote = None;
                false
            }
            (quote, character) => quote.is_none() && character == ',',
        });
        sources.map(str::trim).find_map(|source| {
            if let Some(path) = source.strip_prefix("self:") {
                return self.at(path);
            }
            if source == "sls:stage" {
                return Some(self.at("provider.stage").unwrap_or_else(|| json!("dev")));
            }
            let quoted = ['\'', '"'].iter().find_map(|quote| source.strip_prefix(*quote)?.strip_suffix(*quote));
            match quoted {
                Some(text) => Some(json!(text)),
                // A number, true, false.
                None => serde_json::from_str(source).ok(),
            }
        })
    }

    fn at(&self, path: &str) -> Option<Value> {
        let mut names = path.split('.');
        let first = self.document.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name)).filter(|value| !value.is_null()).cloned()
    }
}

/// Where it begins and ends. `${Name}` and `${AWS::Region}` are `CloudFormation`'s.
fn last_variable(text: &str) -> Option<(usize, usize)> {
    text.rmatch_indices("${").find_map(|(start, _)| {
        let end = start + text[start..].find('}')? + 1;
        let inner = &text[start + 2..end];
        let is_variable = inner.starts_with("file(") || inner.contains(':') && !inner.starts_with("AWS::");
        is_variable.then_some((start, end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_the_values_of_the_file_or_their_defaults() {
        let document = json!({
            "custom": {"topic": "orders", "size": 10, "stages": {"dev": {"topic": "orders-dev"}}, "loop": "${self:custom.loop}",
                "lists": ["${self:custom.lists}", "${self:custom.lists}", "${self:custom.topic}"]},
            "provider": {"stage": "dev"},
        });
        let variables = Variables { document: document.as_object().unwrap() };
        let cases = [
            ("plain", json!("plain")),
            ("${self:custom.topic}.dlq", json!("orders.dlq")),
            ("${self:custom.size}", json!(10)),
            ("${self:custom.stages.${opt:stage, 'dev'}.topic}", json!("orders-dev")),
            ("${self:custom.stages.${sls:stage}}", json!({"topic": "orders-dev"})),
            ("${opt:size, 5}", json!(5)),
            ("${env:A, self:custom.none, 'x'}", json!("x")),
            ("${AWS::Region}-${Name}", json!("${AWS::Region}-${Name}")),
            ("a-${ssm:/x}", json!({VARIABLE: "${ssm:/x}"})),
            ("${file(a.yml):b}", json!({VARIABLE: "${file(a.yml):b}"})),
            ("${file(a.yml)}", json!({VARIABLE: "${file(a.yml)}"})),
            ("${env:BROKERS, 'a:9092,b:9092'}", json!("a:9092,b:9092")),
            ("${env:ARN, \"arn:aws:s3:::b\"}", json!("arn:aws:s3:::b")),
            ("${self:custom.loop}", json!({VARIABLE: "${self:custom.loop}"})),
            (
                "${self:custom.lists}",
                json!([{VARIABLE: "${self:custom.lists}"}, {VARIABLE: "${self:custom.lists}"}, "orders"]),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(variables.expand(&json!(text)), expected, "{text}");
        }
    }
}
