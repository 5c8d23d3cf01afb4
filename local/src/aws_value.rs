//! Structures as AWS's command line takes them: JSON, or its shorthand `A=1,B={C=2},D=[3,4]`.
//!
//! <https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-shorthand.html>

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Map, Value};

type Text<'a> = Peekable<Chars<'a>>;

/// Deeper than any of AWS's structures.
const MAX_DEPTH: usize = 8;
const FORM: &str = "write JSON, or NAME=VALUE,NAME={NAME=VALUE}";

/// An object. In the shorthand every value is text.
pub(crate) fn block(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|error| format!("{error}; {FORM}"));
    }
    let mut left = text.chars().peekable();
    let read = members(&mut left, None, 0).filter(|_| left.next().is_none());
    read.map(Value::Object).ok_or_else(|| FORM.to_owned())
}

/// A list of objects: in JSON, or a single one in the shorthand.
pub(crate) fn list(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| format!("{error}; {FORM}"));
    }
    block(text).map(|one| Value::Array(vec![one]))
}

/// `NAME=VALUE,...` up to `end`, which is taken.
fn members(left: &mut Text<'_>, end: Option<char>, depth: usize) -> Option<Map<String, Value>> {
    let mut read = Map::new();
    loop {
        let name = word(left, "=,{}[]");
        if name.is_empty() || left.next() != Some('=') {
            return None;
        }
        read.insert(name, value(left, depth)?);
        match left.next() {
            Some(',') => {}
            found if found == end => return Some(read),
            _ => return None,
        }
    }
}

fn value(left: &mut Text<'_>, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    if left.next_if_eq(&'{').is_some() {
        return members(left, Some('}'), depth + 1).map(Value::Object);
    }
    if left.next_if_eq(&'[').is_none() {
        return text(left).map(Value::String);
    }
    let mut items = Vec::new();
    loop {
        items.push(value(left, depth + 1)?);
        match left.next()? {
            ',' => {}
            ']' => return Some(Value::Array(items)),
            _ => return None,
        }
    }
}

/// A word, or a text in quotes in which a backslash takes the meaning from the quote.
fn text(left: &mut Text<'_>) -> Option<String> {
    let Some(quote) = left.next_if(|letter| matches!(letter, '\'' | '"')) else { return Some(word(left, ",}]")) };
    let mut text = String::new();
    loop {
        match left.next()? {
            letter if letter == quote => return Some(text),
            '\\' => match left.next()? {
                letter if letter == quote || letter == '\\' => text.push(letter),
                other => text.extend(['\\', other]),
            },
            letter => text.push(letter),
        }
    }
}

fn word(left: &mut Text<'_>, until: &str) -> String {
    let mut word = String::new();
    while let Some(letter) = left.next_if(|letter| !until.contains(*letter)) {
        word.push(letter);
    }
    word.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_and_the_shorthand_say_the_same() {
        let same = [
            ("MinimumPollers=1,MaximumPollers=2", json!({"MinimumPollers": "1", "MaximumPollers": "2"})),
            ("OnFailure={Destination=kafka://dead}", json!({"OnFailure": {"Destination": "kafka://dead"}})),
            (r#"{"OnFailure": {"Destination": "d"}}"#, json!({"OnFailure": {"Destination": "d"}})),
            (r#"A='{"b": ["c"]}',B="it's""#, json!({"A": r#"{"b": ["c"]}"#, "B": "it's"})),
            (r"A='it\'s \d\\'", json!({"A": r"it's \d\"})),
            ("A=[1,2],B={C=[{D=e}]}", json!({"A": ["1", "2"], "B": {"C": [{"D": "e"}]}})),
        ];
        for (text, expected) in same {
            assert_eq!(block(text).unwrap(), expected, "{text}");
        }
        let deep = format!("A={}", "[".repeat(100));
        for text in ["", "a", "a=1,", "=1", "a={b=1", "a=1}", "a=[1", "a='b", "a='b'c", "{", "1", deep.as_str()] {
            assert!(block(text).is_err(), "{text}");
        }
    }
}
