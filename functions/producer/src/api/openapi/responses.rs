//! Problems as the document describes them: one response for each status of an operation.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::answer::KAFKA_REST_JSON;
use crate::api::problem::{DOCS, PROBLEM_JSON, ProblemKind, Row};

/// The responses that operations share, by name.
#[derive(Default)]
pub(super) struct Responses(BTreeMap<String, Value>);

impl Responses {
    /// The responses of problems, by status; kinds of one status share a response.
    pub(super) fn problems(&mut self, kinds: &[ProblemKind]) -> Map<String, Value> {
        let mut by_status: BTreeMap<u16, Vec<ProblemKind>> = BTreeMap::new();
        for kind in kinds {
            by_status.entry(kind.row().status.as_u16()).or_default().push(*kind);
        }
        by_status.into_iter().map(|(status, kinds)| (status.to_string(), self.response(&kinds))).collect()
    }

    fn response(&mut self, kinds: &[ProblemKind]) -> Value {
        let rows: Vec<Row> = kinds.iter().map(|kind| kind.row()).collect();
        let name = rows.iter().map(|row| row.slug).collect::<Vec<_>>().join("-or-");
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        self.0.entry(name).or_insert_with(|| described(&rows));
        reference
    }

    pub(super) fn into_components(self) -> Value {
        self.0.into_iter().collect::<Map<_, _>>().into()
    }
}

fn described(rows: &[Row]) -> Value {
    let kinds: Vec<Value> = rows
        .iter()
        .map(|Row { slug, title, status, error_code, .. }| {
            json!({
                "title": title,
                "properties": {
                    "type": {"const": format!("{DOCS}#{slug}")},
                    "status": {"const": status.as_u16()},
                    "error_code": {"const": error_code},
                },
            })
        })
        .collect();
    let schema = json!({"$ref": "#/components/schemas/Problem", "oneOf": kinds});
    let mut headers = json!({"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}});
    if rows.iter().any(|row| row.retry_after_s.is_some()) {
        headers["Retry-After"] = json!({"description": "In seconds", "schema": {"type": "integer"}});
    }
    json!({
        "description": rows.iter().map(|row| row.title).collect::<Vec<_>>().join("; "),
        "headers": headers,
        "content": {PROBLEM_JSON: {"schema": schema}, KAFKA_REST_JSON: {"schema": schema}},
    })
}
