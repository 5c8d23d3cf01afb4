//! Whether a JSON value matches a pattern.

use super::json_value::Json;
use super::pattern::{Comparison, FieldPattern, ObjectPattern, Rule, TextTest};

/// Whether the value matches.
pub(super) fn matches_object(pattern: &ObjectPattern, root: &Json) -> bool {
    Matcher { root, path: Vec::new() }.object(pattern, Some(root))
}

/// Whether a text that is not JSON matches one of the rules.
pub(super) fn matches_text(rules: &[Rule], text: &str) -> bool {
    let value = Json::Text(text.to_owned());
    rules.iter().any(|rule| matches_scalar(rule, &value))
}

struct Matcher<'a> {
    root: &'a Json,
    /// The names of the fields from the root to where the matcher is.
    path: Vec<&'a str>,
}

impl<'a> Matcher<'a> {
    /// Of a list of objects, one has to match as a whole: fields of different objects do not add up.
    fn object(&mut self, pattern: &'a ObjectPattern, value: Option<&Json>) -> bool {
        let members = match value {
            Some(Json::Array(items)) if !items.is_empty() => {
                return items.iter().any(|item| self.object(pattern, Some(item)));
            }
            Some(Json::Object(members)) => Some(members),
            _ => None,
        };
        pattern.fields.iter().all(|(name, field)| {
            self.path.push(name);
            let found = members.and_then(|members| members.get(name));
            let matched = match field {
                FieldPattern::Object(inner) => self.object(inner, found),
                FieldPattern::Rules(rules) => rules.iter().any(|rule| self.rule(rule, found)),
            };
            self.path.pop();
            matched
        }) && pattern.alternatives.iter().all(|choices| choices.iter().any(|choice| self.object(choice, value)))
    }

    fn rule(&self, rule: &Rule, found: Option<&Json>) -> bool {
        match rule {
            // No object of a list may have the field.
            Rule::Exists(false) => !has_scalar(self.root, &self.path),
            rule => any_scalar(found, &|scalar| matches_scalar(rule, scalar)),
        }
    }
}

/// Whether the value passes the test, or one in its list does. Objects never do: operators are about leaves.
fn any_scalar(value: Option<&Json>, test: &dyn Fn(&Json) -> bool) -> bool {
    match value {
        Some(Json::Array(items)) => items.iter().any(|item| any_scalar(Some(item), test)),
        Some(scalar) => scalar.is_scalar() && test(scalar),
        None => false,
    }
}

fn has_scalar(value: &Json, path: &[&str]) -> bool {
    match (value, path) {
        (Json::Array(items), path) => items.iter().any(|item| has_scalar(item, path)),
        (Json::Object(members), [name, rest @ ..]) => members.get(*name).is_some_and(|value| has_scalar(value, rest)),
        (value, path) => path.is_empty() && value.is_scalar(),
    }
}

fn matches_scalar(rule: &Rule, value: &Json) -> bool {
    match rule {
        Rule::Equals(wanted) => value == wanted,
        Rule::Text(test) => passes(test, value),
        Rule::AnythingBut(unwanted) => !unwanted.contains(value),
        Rule::AnythingButText(tests) => !tests.iter().any(|test| passes(test, value)),
        Rule::Numeric(tests) => {
            let Json::Number(number) = value else { return false };
            let number: Option<f64> = number.parse().ok();
            number.is_some_and(|number| tests.iter().all(|(comparison, wanted)| compares(*comparison, number, *wanted)))
        }
        Rule::Exists(wanted) => *wanted,
    }
}

fn passes(test: &TextTest, value: &Json) -> bool {
    let Json::Text(value) = value else { return false };
    match test {
        TextTest::Prefix { text, ignore_case: false } => value.starts_with(text),
        TextTest::Prefix { text, ignore_case: true } => value.to_lowercase().starts_with(text),
        TextTest::Suffix { text, ignore_case: false } => value.ends_with(text),
        TextTest::Suffix { text, ignore_case: true } => value.to_lowercase().ends_with(text),
        TextTest::EqualsIgnoreCase(text) => value.to_lowercase() == *text,
        TextTest::Wildcard(pieces) => matches_pieces(pieces, value),
    }
}

/// The first piece begins the text, the last one ends it, and the others follow in their order.
fn matches_pieces(pieces: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else { return pieces.iter().any(|piece| piece == text) };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        let Some(at) = rest.find(piece.as_str()) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last.as_str())
}

fn compares(comparison: Comparison, number: f64, wanted: f64) -> bool {
    match comparison {
        Comparison::Equal => number == wanted,
        Comparison::Less => number < wanted,
        Comparison::LessOrEqual => number <= wanted,
        Comparison::Greater => number > wanted,
        Comparison::GreaterOrEqual => number >= wanted,
    }
}
