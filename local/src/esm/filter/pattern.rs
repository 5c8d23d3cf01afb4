//! An event pattern as `EventBridge` defines it, compiled once.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax> and
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>

use std::collections::BTreeMap;

use super::json_value::Json;

/// All of its fields match, and of each list of alternatives one does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ObjectPattern {
    pub(super) fields: Vec<(String, FieldPattern)>,
    /// Each `$or`.
    pub(super) alternatives: Vec<Vec<ObjectPattern>>,
}

/// What a field has to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FieldPattern {
    /// One of these matches.
    Rules(Vec<Rule>),
    Object(ObjectPattern),
}

/// What a value has to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    /// This value, never an array or object.
    Equals(Json),
    Text(TextTest),
    /// None of these values.
    AnythingBut(Vec<Json>),
    /// Nothing that passes one of these.
    AnythingButText(Vec<TextTest>),
    Numeric(Vec<(Comparison, f64)>),
    /// `{"exists": true}` or false.
    Exists(bool),
}

/// What a text has to be. Those that ignore case hold lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextTest {
    Prefix {
        text: String,
        ignore_case: bool,
    },
    Suffix {
        text: String,
        ignore_case: bool,
    },
    EqualsIgnoreCase(String),
    /// The pieces between the stars.
    Wildcard(Vec<String>),
}

/// An operator of `numeric`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The numbers that `EventBridge` compares.
const NUMBERS: std::ops::RangeInclusive<f64> = -5.0e9..=5.0e9;
const OPERATORS: &str = "prefix, suffix, equals-ignore-case, anything-but, numeric, exists";
const IGNORE_CASE: &str = "equals-ignore-case";

/// Compiles the object at `path`, which problems name. Operators that `EventBridge` has and Lambda does not list are added to `unlisted`.
///
/// # Errors
/// A sentence that names the field.
pub(super) fn compile(
    object: &BTreeMap<String, Json>,
    path: &str,
    unlisted: &mut Vec<String>,
) -> Result<ObjectPattern, String> {
    if object.is_empty() {
        return Err(format!("{} is an empty object, which matches nothing", shown(path)));
    }
    let mut pattern = ObjectPattern { fields: Vec::new(), alternatives: Vec::new() };
    for (name, value) in object {
        if let Some(choices) = choices(name, value) {
            let compiled = choices.into_iter().map(|choice| compile(choice, path, unlisted));
            pattern.alternatives.push(compiled.collect::<Result<_, _>>()?);
            continue;
        }
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if path.is_empty() && name != "value" {
            return Err(format!("`{inner}` cannot be filtered: mappings of Kafka filter on `value` alone"));
        }
        let field = match value {
            Json::Object(members) => FieldPattern::Object(compile(members, &inner, unlisted)?),
            Json::Array(items) => FieldPattern::Rules(rules(items, &inner, unlisted)?),
            _ => return Err(format!("`{inner}` must be a list of values, such as [\"a\"], or an object")),
        };
        pattern.fields.push((name.clone(), field));
    }
    Ok(pattern)
}

/// The patterns of an `$or`. A field of that name with anything but objects in its list is a field.
fn choices<'a>(name: &str, value: &'a Json) -> Option<Vec<&'a BTreeMap<String, Json>>> {
    let Json::Array(items) = value else { return None };
    if name != "$or" || items.len() < 2 {
        return None;
    }
    items.iter().map(|item| if let Json::Object(members) = item { Some(members) } else { None }).collect()
}

fn shown(path: &str) -> String {
    if path.is_empty() { "the pattern".to_owned() } else { format!("`{path}`") }
}

fn rules(items: &[Json], path: &str, unlisted: &mut Vec<String>) -> Result<Vec<Rule>, String> {
    if items.is_empty() {
        return Err(format!("`{path}` is an empty list, which matches nothing"));
    }
    items.iter().map(|item| rule(item, unlisted).map_err(|problem| format!("`{path}`: {problem}"))).collect()
}

fn rule(item: &Json, unlisted: &mut Vec<String>) -> Result<Rule, String> {
    let members = match item {
        Json::Object(members) => members,
        Json::Array(_) => return Err("a list in a list matches nothing: take the inner brackets away".to_owned()),
        scalar => return Ok(Rule::Equals(scalar.clone())),
    };
    let Some((operator, operand)) = single(members) else {
        return Err(format!("an object in a list holds one operator: {OPERATORS}"));
    };
    match operator {
        "anything-but" => anything_but(operand, unlisted),
        "numeric" => numeric(operand),
        "exists" => match operand {
            Json::Bool(wanted) => Ok(Rule::Exists(*wanted)),
            _ => Err("`exists` takes true or false".to_owned()),
        },
        "prefix" | "suffix" | IGNORE_CASE | "wildcard" => text_test(operator, operand, unlisted).map(Rule::Text),
        other => Err(format!("`{other}` is not an operator; Lambda has {OPERATORS}")),
    }
}

fn single(members: &BTreeMap<String, Json>) -> Option<(&str, &Json)> {
    let (name, value) = members.first_key_value()?;
    (members.len() == 1).then_some((name.as_str(), value))
}

fn text_test(operator: &str, operand: &Json, unlisted: &mut Vec<String>) -> Result<TextTest, String> {
    // {"prefix": {"equals-ignore-case": "a"}}
    let (text, ignore_case) = match operand {
        Json::Text(text) => (text, false),
        Json::Object(members) if operator == "prefix" || operator == "suffix" => match single(members) {
            Some((IGNORE_CASE, Json::Text(text))) => (text, true),
            _ => return Err(format!("`{operator}` takes a text, or {{\"{IGNORE_CASE}\": TEXT}}")),
        },
        _ => return Err(format!("`{operator}` takes a text")),
    };
    let text = if ignore_case || operator == IGNORE_CASE { text.to_lowercase() } else { text.clone() };
    match operator {
        "prefix" => Ok(TextTest::Prefix { text, ignore_case }),
        "suffix" => Ok(TextTest::Suffix { text, ignore_case }),
        "wildcard" => {
            unlisted.push(operator.to_owned());
            wildcard(&text).map(TextTest::Wildcard)
        }
        _ => Ok(TextTest::EqualsIgnoreCase(text)),
    }
}

/// The pieces between stars; a backslash takes the meaning from a star or a backslash.
fn wildcard(text: &str) -> Result<Vec<String>, String> {
    let (mut pieces, mut piece, mut after_star) = (Vec::new(), String::new(), false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' if after_star => return Err("`wildcard` has two stars in a row: one matches the same".to_owned()),
            '*' => pieces.push(std::mem::take(&mut piece)),
            '\\' => match letters.next() {
                Some(escaped @ ('*' | '\\')) => piece.push(escaped),
                _ => return Err("`wildcard` has a backslash before something else than `*` and `\\`".to_owned()),
            },
            other => piece.push(other),
        }
        after_star = letter == '*';
    }
    pieces.push(piece);
    Ok(pieces)
}

fn anything_but(operand: &Json, unlisted: &mut Vec<String>) -> Result<Rule, String> {
    const TAKES: &str = "`anything-but` takes a text, a number, a list of texts or of numbers, or one operator";
    let items = match operand {
        Json::Object(members) => return anything_but_text(members, unlisted),
        Json::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    let all_texts = items.iter().all(|item| matches!(item, Json::Text(_)));
    let all_numbers = items.iter().all(|item| matches!(item, Json::Number(_)));
    if items.is_empty() || !(all_texts || all_numbers) {
        return Err(TAKES.to_owned());
    }
    Ok(Rule::AnythingBut(items))
}

fn anything_but_text(members: &BTreeMap<String, Json>, unlisted: &mut Vec<String>) -> Result<Rule, String> {
    let Some((operator @ ("prefix" | "suffix" | IGNORE_CASE | "wildcard"), operand)) = single(members) else {
        return Err(format!("`anything-but` takes one of the operators prefix, suffix, {IGNORE_CASE}"));
    };
    unlisted.push(format!("anything-but with {operator}"));
    let operands = match operand {
        Json::Array(items) if !items.is_empty() => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    // Named already, with what is around it.
    let tests = operands.iter().map(|operand| text_test(operator, operand, &mut Vec::new()));
    tests.collect::<Result<_, _>>().map(Rule::AnythingButText)
}

fn numeric(operand: &Json) -> Result<Rule, String> {
    const TAKES: &str = "`numeric` takes [\"=\", N], [\">\", N], or a range such as [\">=\", N, \"<\", N]";
    let Json::Array(items) = operand else { return Err(TAKES.to_owned()) };
    let mut tests = Vec::new();
    for pair in items.chunks(2) {
        let [Json::Text(operator), Json::Number(number)] = pair else { return Err(TAKES.to_owned()) };
        let number: f64 = number.parse().map_err(|_| TAKES.to_owned())?;
        if !NUMBERS.contains(&number) {
            return Err("`numeric` compares numbers from -5.0e9 to 5.0e9".to_owned());
        }
        tests.push((comparison(operator).ok_or(TAKES)?, number));
    }
    match tests.as_slice() {
        [_] => Ok(Rule::Numeric(tests)),
        [
            (Comparison::Greater | Comparison::GreaterOrEqual, low),
            (Comparison::Less | Comparison::LessOrEqual, high),
        ] => {
            if low >= high {
                return Err(format!("`numeric`: the range from {low} to {high} is empty"));
            }
            Ok(Rule::Numeric(tests))
        }
        _ => Err(TAKES.to_owned()),
    }
}

fn comparison(operator: &str) -> Option<Comparison> {
    Some(match operator {
        "=" => Comparison::Equal,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}
