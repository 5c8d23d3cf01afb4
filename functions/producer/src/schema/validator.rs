//! A schema's file, compiled.
//!
//! `jsonschema` adds some 1.35 MB to a zip and judges a kilobyte in a sixth of the time that `boon` takes, which adds 0.7; both
//! pass what `JSON-Schema-Test-Suite` requires. What could make it slow or reach out is left out: features that load other
//! files, and patterns with look-around and backreferences (the crate `regex` matches in linear time).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError};
use serde_json::Value;

use super::findings::{MAX_FILE_BYTES, MAX_LEVELS, SchemaError, Violation, pointer_step};
use super::references;

/// The dialect; a file may name no other.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Longest text of a violation, in bytes: a schema's own constants may be long.
const MAX_DETAIL_BYTES: usize = 300;

#[derive(Debug)]
pub(super) struct Validator(jsonschema::Validator);

impl Validator {
    /// Reads and compiles a file.
    ///
    /// # Errors
    /// [`SchemaError`], with the first place that is wrong.
    pub(super) fn read(file: &Path) -> Result<Self, SchemaError> {
        let schema = document(file)?;
        let content = |pointer: String, reason: String| SchemaError::Content { file: file.to_owned(), pointer, reason };
        if let Some(pointer) = too_deep(&schema) {
            return Err(content(pointer, format!("nested deeper than {MAX_LEVELS} levels")));
        }
        if let Some(dialect) = schema.get("$schema").filter(|dialect| *dialect != DIALECT) {
            return Err(content("/$schema".to_owned(), format!("{dialect} is not supported; write {DIALECT:?}")));
        }
        let invalid =
            |error: &ValidationError<'_>| content(error.instance_path().to_string(), shortened(error.to_string()));
        jsonschema::draft202012::meta::validate(&schema).map_err(|error| invalid(&error))?;
        references::check(&schema).map_err(|(pointer, reason)| content(pointer, reason))?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            // Of 2020-12's two meanings of `format` the one that people expect.
            .should_validate_formats(true)
            .build(&schema);
        Ok(Self(validator.map_err(|error| invalid(&error))?))
    }

    pub(super) fn violations(&self, value: &Value, most: usize) -> Vec<Violation> {
        if self.0.is_valid(value) {
            return Vec::new();
        }
        // The crate makes all errors before it gives the first, so only one is asked for where one is enough.
        if most == 1 {
            let first = self.0.validate(value).err();
            return first.iter().flat_map(violations_of).take(1).collect();
        }
        self.0.iter_errors(value).flat_map(|error| violations_of(&error)).take(most).collect()
    }
}

fn document(file: &Path) -> Result<Value, SchemaError> {
    let wrong = |reason: String| SchemaError::File { file: file.to_owned(), reason };
    let unreadable = |error: std::io::Error| {
        wrong(format!("cannot be read ({}); SCHEMAS names the folder, a policy's `schema` the file", error.kind()))
    };
    let mut bytes = Vec::new();
    let limit = MAX_FILE_BYTES as u64 + 1;
    File::open(file).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(wrong(format!("larger than {MAX_FILE_BYTES} bytes, the limit of a schema")));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("not JSON at line {}, column {}", error.line(), error.column())))
}

/// Where a document is nested too deeply.
fn too_deep(schema: &Value) -> Option<String> {
    let mut open = vec![(schema, String::new(), 1)];
    while let Some((value, pointer, level)) = open.pop() {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(name, it)| (pointer_step(&pointer, name), it)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(i, it)| (format!("{pointer}/{i}"), it)).collect(),
            _ => continue,
        };
        if level > MAX_LEVELS {
            return Some(pointer);
        }
        open.extend(inner.into_iter().map(|(pointer, value)| (value, pointer, level + 1)));
    }
    None
}

/// What a caller is told of an error: each unexpected member is a place of its own.
fn violations_of(error: &ValidationError<'_>) -> Vec<Violation> {
    let pointer = error.instance_path().to_string();
    let here = |detail: String| vec![Violation { pointer: pointer.clone(), detail: shortened(detail) }];
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            here(format!("`{}` is missing", property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let member = |name: &String| Violation {
                pointer: pointer_step(&pointer, name),
                detail: "the schema has no such member".to_owned(),
            };
            unexpected.iter().map(member).collect()
        }
        ValidationErrorKind::FalseSchema => here("the schema allows nothing here".to_owned()),
        ValidationErrorKind::Contains => here("the items are not what `contains` asks for".to_owned()),
        ValidationErrorKind::Not { .. } => here("the value is what the schema excludes with `not`".to_owned()),
        ValidationErrorKind::PropertyNames { error } => {
            here(format!("a member's name is not allowed: {}", error.masked_with("the name")))
        }
        _ => here(error.masked_with("the value").to_string()),
    }
}

fn shortened(text: String) -> String {
    if text.len() <= MAX_DETAIL_BYTES {
        return text;
    }
    let end = (0..=MAX_DETAIL_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{} ...", &text[..end])
}
