//! JSON values judged with a JSON Schema. Other files are never fetched: what a schema refers to comes from the registry.

use std::error::Error;

use jsonschema::{Draft, PatternOptions, Retrieve, Uri};
use serde_json::Value;

/// What Confluent's serialisers take for a schema that does not say its dialect.
const DEFAULT_DRAFT: Draft = Draft::Draft7;

/// A compiled schema.
#[derive(Debug)]
pub(super) struct JsonSchema(jsonschema::Validator);

/// Why bytes are not what the schema says. Nothing of the value is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum JsonSchemaError {
    #[error("it is not JSON at line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    #[error("{} breaks the schema's rule {rule}", place(.pointer))]
    Violation { pointer: String, rule: String },
}

/// A place in a value, with those of its names that the rule has, too: others are the record's own.
fn known_names(pointer: &str, rule: &str) -> String {
    let known = |name| if rule.split('/').any(|known| known == name) { name } else { "*" };
    pointer.split('/').map(known).collect::<Vec<_>>().join("/")
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "it".to_owned() } else { format!("its member {pointer}") }
}

/// What schemas are found with: a reference's address, which is resolved against that of the schema that has it, ends with its name.
struct Referenced(Vec<(String, Value)>);

impl Retrieve for Referenced {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let uri = uri.as_str();
        let is_meant = |name: &str| {
            uri.strip_suffix(name.trim_start_matches("./")).is_some_and(|base| base.is_empty() || base.ends_with('/'))
        };
        // Of `id.json` and `common/id.json`, which both end the address, the longer one is meant.
        let found = self.0.iter().filter(|(name, _)| is_meant(name)).max_by_key(|(name, _)| name.len());
        found.map(|(_, schema)| schema.clone()).ok_or_else(|| format!("{uri} is none of its references").into())
    }
}

impl JsonSchema {
    /// Compiles a schema; `referenced` are the texts that it refers to by these names.
    ///
    /// # Errors
    /// A sentence with what is wrong.
    pub(super) fn compile(referenced: &[(String, String)], text: &str) -> Result<Self, String> {
        let parse =
            |text: &str| serde_json::from_str::<Value>(text).map_err(|error| format!("it is not JSON: {error}"));
        let schema = parse(text)?;
        let mut options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        if schema.get("$schema").is_none() {
            options = options.with_draft(DEFAULT_DRAFT);
        }
        let referenced: Result<Vec<_>, String> =
            referenced.iter().map(|(name, text)| Ok((name.clone(), parse(text)?))).collect();
        let options = options.with_retriever(Referenced(referenced?));
        options.build(&schema).map(Self).map_err(|error| error.to_string())
    }

    /// Judges a text.
    ///
    /// # Errors
    /// [`JsonSchemaError`] for the first thing that is wrong.
    pub(super) fn judge(&self, text: &[u8]) -> Result<(), JsonSchemaError> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| JsonSchemaError::NotJson { line: error.line(), column: error.column() })?;
        self.0.validate(&value).map_err(|error| {
            let rule = error.schema_path().to_string();
            JsonSchemaError::Violation { pointer: known_names(error.instance_path().as_str(), &rule), rule }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(schema: &str, text: &str) -> Result<(), String> {
        JsonSchema::compile(&[], schema).unwrap().judge(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_violation_is_told_by_its_place_without_the_value() {
        let schema = r#"{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}"#;
        assert_eq!(judge(schema, r#"{"id": 7, "more": "x"}"#), Ok(()));
        let problem = judge(schema, r#"{"id": "hidden"}"#).unwrap_err();
        assert_eq!(problem, "its member /id breaks the schema's rule /properties/id/type");
        assert_eq!(judge(schema, "{}").unwrap_err(), "it breaks the schema's rule /required");
        let names = r#"{"additionalProperties": {"properties": {"id": {"type": "integer"}}}}"#;
        let problem = judge(names, r#"{"a@example.com": {"id": "hidden"}}"#).unwrap_err();
        assert_eq!(problem, "its member /*/id breaks the schema's rule /additionalProperties/properties/id/type");
        let problem = judge(schema, "{\"id\": hidden}").unwrap_err();
        assert_eq!(problem, "it is not JSON at line 1, column 8");
    }

    /// In draft 7 `definitions` hold, in 2020-12 `prefixItems` do.
    #[test]
    fn a_schema_without_a_dialect_is_of_draft_7() {
        let pair = r#""items": [{"type": "integer"}, {"type": "string"}]"#;
        assert!(judge(&format!("{{{pair}}}"), r#"[1, 2]"#).is_err());
        let newer =
            r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{"type": "integer"}]}"#;
        assert!(judge(newer, r#"["a"]"#).is_err());
    }

    #[test]
    fn what_a_schema_refers_to_comes_from_its_references_and_from_nowhere_else() {
        let referenced = [("common/id.json".to_owned(), r#"{"type": "integer"}"#.to_owned())];
        for schema in [
            r#"{"properties": {"id": {"$ref": "common/id.json"}}}"#,
            r#"{"$id": "https://example.com/order.json", "properties": {"id": {"$ref": "common/id.json"}}}"#,
        ] {
            let compiled = JsonSchema::compile(&referenced, schema).unwrap();
            assert!(compiled.judge(br#"{"id": 1}"#).is_ok() && compiled.judge(br#"{"id": "1"}"#).is_err(), "{schema}");
            let problem = JsonSchema::compile(&[], schema).unwrap_err();
            assert!(problem.contains("id.json"), "{problem}");
            let other = ("id.json".to_owned(), r#"{"type": "boolean"}"#.to_owned());
            for both in [[other.clone(), referenced[0].clone()], [referenced[0].clone(), other]] {
                assert!(JsonSchema::compile(&both, schema).unwrap().judge(br#"{"id": 1}"#).is_ok(), "{both:?}");
            }
        }
        assert!(JsonSchema::compile(&[], "no JSON").unwrap_err().contains("not JSON"));
        assert!(JsonSchema::compile(&[], r#"{"type": "nothing"}"#).is_err());
    }
}
