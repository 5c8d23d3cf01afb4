//! `FilterCriteria`: which records a mapping sends to its function, by patterns over their values.
//!
//! | Value of the record | `"value": [..]` | `"value": {..}` |
//! |---|---|---|
//! | JSON (an object or a list) | kept | compared |
//! | any other UTF-8 text | compared | kept |
//! | no UTF-8, or none (a tombstone) | kept | kept |
//!
//! The table is AWS's (<https://docs.aws.amazon.com/lambda/latest/dg/kafka-filtering.html>): where the formats differ, only metadata
//! decides, and Kafka has none to filter on. AWS says nothing of tombstones, nor whether a number or a quoted text is JSON:
//! keeping is what a function must be ready for.

mod json_value;
mod matching;
mod pattern;

use msk_shared::event::Record;

use json_value::Json;
use pattern::{FieldPattern, ObjectPattern};

/// The longest pattern (API `Filter`), in characters.
const MAX_PATTERN: usize = 4096;

/// The filters of a mapping; without any, every record is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters(Vec<ObjectPattern>);

/// A filter, and the operators in it that Lambda's documentation does not list.
#[derive(Debug)]
pub(super) struct CompiledFilter {
    pattern: ObjectPattern,
    pub(super) unlisted: Vec<String>,
}

impl CompiledFilter {
    /// Reads `Pattern`.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let length = text.chars().count();
        if length > MAX_PATTERN {
            return Err(format!("the pattern has {length} characters, and Lambda takes {MAX_PATTERN}"));
        }
        let json = Json::parse(text).map_err(|error| format!("the pattern is not JSON: {error}"))?;
        let Json::Object(members) = json else {
            return Err("the pattern must be an object, such as {\"value\": {\"type\": [\"order\"]}}".to_owned());
        };
        let mut unlisted = Vec::new();
        let pattern = pattern::compile(&members, "", &mut unlisted)?;
        Ok(Self { pattern, unlisted })
    }
}

impl FromIterator<CompiledFilter> for Filters {
    fn from_iter<I: IntoIterator<Item = CompiledFilter>>(filters: I) -> Self {
        Self(filters.into_iter().map(|filter| filter.pattern).collect())
    }
}

impl Filters {
    /// Whether the function gets the record: one filter is enough. `judged_value` stands in the place of its value.
    pub(super) fn keep(&self, record: &Record, judged_value: Option<&[u8]>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        if let Some(value) = judged_value {
            return self.keep_value(value);
        }
        match record.value() {
            Ok(Some(value)) => self.keep_value(&value),
            _ => true,
        }
    }

    fn keep_value(&self, value: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(value) else { return true };
        let value = match Json::parse(text) {
            Ok(json) if !json.is_scalar() => Value::Json(json),
            _ => Value::Plain(text),
        };
        self.0.iter().any(|pattern| keeps(pattern, &value))
    }
}

enum Value<'a> {
    Json(Json),
    Plain(&'a str),
}

/// The fields at the top are all called `value`.
fn keeps(pattern: &ObjectPattern, value: &Value<'_>) -> bool {
    pattern.fields.iter().all(|(_, field)| match (field, value) {
        (FieldPattern::Object(pattern), Value::Json(json)) => matching::matches_object(pattern, json),
        (FieldPattern::Rules(rules), Value::Plain(text)) => matching::matches_text(rules, text),
        _ => true,
    }) && pattern.alternatives.iter().all(|choices| choices.iter().any(|choice| keeps(choice, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(patterns: &[&str], value: Option<&[u8]>) -> bool {
        let filters: Filters = patterns.iter().map(|text| CompiledFilter::compile(text).unwrap()).collect();
        filters.keep(&Record::new("orders", 0, 0).with_value(value.map(<[u8]>::to_vec)), None)
    }

    /// The table at the top of this file, and AWS's examples.
    #[test]
    fn the_formats_of_pattern_and_value_decide_whether_they_are_compared() {
        let plain = r#"{"value": [{"anything-but": ["error"]}]}"#;
        let json = r#"{"value": {"device_ID": [{"prefix": "AB"}]}}"#;
        let cases: &[(Option<&[u8]>, bool, bool)] = &[
            (Some(b"error"), false, true),
            (Some(b"info"), true, true),
            (Some(b""), true, true),
            // JSON, but no object: compared as it is written.
            (Some(b"1"), true, true),
            (Some(br#""error""#), true, true),
            (Some(br#"{"device_ID": "AB1234", "session": {"duration": 162}}"#), true, true),
            (Some(br#"{"device_ID": "CD1234"}"#), true, false),
            (Some(br#"{"session": {"device_ID": "AB1"}}"#), true, false),
            (Some(br#"[{"device_ID": "CD"}, {"device_ID": "AB"}]"#), true, true),
            (Some(b"{\"device_ID\": \"CD"), true, true),
            (Some(b"\xff\xfe"), true, true),
            (None, true, true),
        ];
        for (value, by_plain, by_json) in cases {
            let shown = value.map(String::from_utf8_lossy);
            assert_eq!((keep(&[plain], *value), keep(&[json], *value)), (*by_plain, *by_json), "{shown:?}");
        }
        assert!(keep(&[], Some(b"error")));
        assert!(keep(&[plain, r#"{"value": ["error"]}"#], Some(b"error")), "one filter is enough");
    }

    /// `EventBridge`'s operators over `{"value": {"a": ..}}`.
    #[test]
    fn operators_match_as_eventbridge_documents_them() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (r#"["x", "y"]"#, &[r#""x""#, r#""y""#, r#"["z", "y"]"#], &[r#""X""#, r#""xy""#, "null", "{}", "[]"]),
            ("[null]", &["null", "[1, null]"], &[r#""null""#, r#""""#, "0"]),
            (r#"[""]"#, &[r#""""#], &["null", r#"" ""#]),
            ("[true]", &["true"], &["false", r#""true""#]),
            ("[300]", &["300"], &["300.0", "3.0e2", r#""300""#]),
            (r#"[{"prefix": "us-"}]"#, &[r#""us-east-1""#, r#""us-""#], &[r#""US-east-1""#, "1"]),
            (r#"[{"prefix": {"equals-ignore-case": "US-"}}]"#, &[r#""us-east-1""#, r#""Us-x""#], &[r#""eu""#]),
            (r#"[{"suffix": ".png"}]"#, &[r#""a.png""#], &[r#""a.PNG""#, r#""png""#]),
            (r#"[{"suffix": {"equals-ignore-case": ".PNG"}}]"#, &[r#""a.png""#, r#""a.Png""#], &[r#""a.jpg""#]),
            (r#"[{"equals-ignore-case": "Alice"}]"#, &[r#""ALICE""#, r#""alice""#], &[r#""alice ""#, "1"]),
            (r#"[{"anything-but": "x"}]"#, &[r#""y""#, "1", "null", r#"["x", "y"]"#], &[r#""x""#, r#"["x"]"#, "[]"]),
            (r#"[{"anything-but": ["x", "y"]}]"#, &[r#""z""#], &[r#""x""#, r#""y""#]),
            (r#"[{"anything-but": [1, 2]}]"#, &["3", r#""1""#], &["1", "2"]),
            (r#"[{"anything-but": {"prefix": "us-"}}]"#, &[r#""eu-1""#, "1"], &[r#""us-1""#]),
            (r#"[{"anything-but": {"suffix": [".png", ".jpg"]}}]"#, &[r#""a.gif""#], &[r#""a.png""#, r#""a.jpg""#]),
            (r#"[{"anything-but": {"equals-ignore-case": ["a", "B"]}}]"#, &[r#""c""#], &[r#""A""#, r#""b""#]),
            (r#"[{"anything-but": {"wildcard": "*/lib/*"}}]"#, &[r#""/bin/a""#], &[r#""/usr/lib/a""#]),
            (r#"[{"numeric": ["=", 100]}]"#, &["100", "1e2", "100.0"], &["101", r#""100""#]),
            (r#"[{"numeric": [">", 10, "<=", 20]}]"#, &["10.5", "20"], &["10", "20.1", "null"]),
            (r#"[{"numeric": ["<", 0]}]"#, &["-1"], &["0", "1"]),
            (r#"[{"exists": true}]"#, &["1", "null", r#""""#, "[1]"], &["{}", "[]", r#"{"b": 1}"#]),
            (r#"[{"exists": false}]"#, &["{}", "[]"], &["1", "null"]),
            (r#"[{"wildcard": "a*b*c"}]"#, &[r#""abc""#, r#""axbybc""#], &[r#""ab""#, r#""acb""#, r#""abcd""#]),
            (r#"[{"wildcard": "\\*\\\\"}]"#, &[r#""*\\""#], &[r#""x\\""#]),
            (r#"["x", {"numeric": [">", 5]}]"#, &[r#""x""#, "6"], &["5"]),
        ];
        for (rules, kept, filtered) in cases {
            let pattern = format!(r#"{{"value": {{"a": {rules}}}}}"#);
            let cases = kept.iter().map(|value| (value, true)).chain(filtered.iter().map(|value| (value, false)));
            for (value, expected) in cases {
                let event = format!(r#"{{"a": {value}, "b": 0}}"#);
                assert_eq!(keep(&[&pattern], Some(event.as_bytes())), expected, "{pattern} {event}");
            }
        }
    }

    #[test]
    fn fields_are_all_needed_and_alternatives_one() {
        let cases: &[(&str, &str, bool)] = &[
            (r#"{"value": {"a": ["1"], "b": {"c": ["2"]}}}"#, r#"{"a": "1", "b": {"c": "2"}}"#, true),
            (r#"{"value": {"a": ["1"], "b": {"c": ["2"]}}}"#, r#"{"a": "1", "b": "2"}"#, false),
            (r#"{"value": {"a": {"b": [{"exists": false}]}}}"#, r#"{"c": 1}"#, true),
            (r#"{"value": {"a": [{"exists": false}], "b": ["x"]}}"#, r#"{"b": "x"}"#, true),
            (r#"{"value": {"$or": [{"a": ["1"]}, {"b": ["2"]}]}}"#, r#"{"b": "2"}"#, true),
            (r#"{"value": {"$or": [{"a": ["1"]}, {"b": ["2"]}]}}"#, r#"{"a": "2"}"#, false),
            (r#"{"value": {"c": ["3"], "$or": [{"a": ["1"]}, {"b": ["2"]}]}}"#, r#"{"a": "1"}"#, false),
            (r#"{"$or": [{"value": {"a": ["1"]}}, {"value": {"b": ["2"]}}]}"#, r#"{"b": "2"}"#, true),
            // Not an `$or`, but a field of that name.
            (r#"{"value": {"$or": ["x"]}}"#, r#"{"$or": "x"}"#, true),
            // Fields of one object belong together.
            (r#"{"value": {"l": {"a": [1], "b": [2]}}}"#, r#"{"l": [{"a": 1, "b": 9}, {"a": 9, "b": 2}]}"#, false),
            (r#"{"value": {"l": {"a": [1], "b": [2]}}}"#, r#"{"l": [{"a": 9}, {"a": 1, "b": 2}]}"#, true),
            // Absent is what no object of the list has.
            (r#"{"value": {"l": {"a": [{"exists": false}]}}}"#, r#"{"l": [{"a": 1}, {"b": 2}]}"#, false),
        ];
        for (pattern, event, expected) in cases {
            assert_eq!(keep(&[pattern], Some(event.as_bytes())), *expected, "{pattern} {event}");
        }
    }

    #[test]
    fn a_bad_pattern_is_refused_with_a_sentence() {
        let long = format!(r#"{{"value": ["{}"]}}"#, "x".repeat(MAX_PATTERN));
        let cases: &[(&str, &str)] = &[
            ("value", "is not JSON"),
            ("[]", "must be an object"),
            ("{}", "the pattern is an empty object"),
            (&long, "has 4111 characters, and Lambda takes 4096"),
            (r#"{"topic": ["orders"]}"#, "`topic` cannot be filtered: mappings of Kafka filter on `value` alone"),
            (r#"{"$or": [{"key": ["a"]}, {"value": ["a"]}]}"#, "`key` cannot be filtered"),
            (r#"{"value": "a"}"#, "`value` must be a list of values"),
            (r#"{"value": {"a": 1}}"#, "`value.a` must be a list of values"),
            (r#"{"value": {"a": []}}"#, "`value.a` is an empty list"),
            (r#"{"value": {"a": {}}}"#, "`value.a` is an empty object"),
            (r#"{"value": {"a": [[1]]}}"#, "take the inner brackets away"),
            (r#"{"value": {"a": [{}]}}"#, "holds one operator"),
            (r#"{"value": {"a": [{"prefix": "a", "suffix": "b"}]}}"#, "holds one operator"),
            (r#"{"value": {"a": [{"contains": "x"}]}}"#, "`contains` is not an operator; Lambda has prefix, suffix"),
            (r#"{"value": {"a": [{"cidr": "10.0.0.0/8"}]}}"#, "`cidr` is not an operator"),
            (r#"{"value": {"a": [{"prefix": 1}]}}"#, "`prefix` takes a text"),
            (r#"{"value": {"a": [{"exists": "yes"}]}}"#, "`exists` takes true or false"),
            (r#"{"value": {"a": [{"anything-but": []}]}}"#, "`anything-but` takes a text, a number"),
            (r#"{"value": {"a": [{"anything-but": [1, "a"]}]}}"#, "`anything-but` takes a text, a number"),
            (r#"{"value": {"a": [{"anything-but": {"exists": true}}]}}"#, "one of the operators prefix"),
            (r#"{"value": {"a": [{"numeric": [">"]}]}}"#, "`numeric` takes"),
            (r#"{"value": {"a": [{"numeric": ["<", 5, ">", 1]}]}}"#, "`numeric` takes"),
            (r#"{"value": {"a": [{"numeric": [">", 5, "<", 1]}]}}"#, "the range from 5 to 1 is empty"),
            (r#"{"value": {"a": [{"numeric": [">", 6e9]}]}}"#, "from -5.0e9 to 5.0e9"),
            (r#"{"value": {"a": [{"wildcard": "a**"}]}}"#, "two stars in a row"),
        ];
        for (pattern, told) in cases {
            let problem = CompiledFilter::compile(pattern).unwrap_err();
            assert!(problem.contains(told), "{pattern}: {problem}");
        }
        let deep = format!(r#"{{"value": {}1{}}}"#, "[".repeat(200), "]".repeat(200));
        assert!(CompiledFilter::compile(&deep).unwrap_err().contains("nested deeper"));
        let unlisted = CompiledFilter::compile(r#"{"value": {"a": [{"anything-but": {"prefix": "x"}}]}}"#).unwrap();
        assert_eq!(unlisted.unlisted, ["anything-but with prefix"]);
    }
}
