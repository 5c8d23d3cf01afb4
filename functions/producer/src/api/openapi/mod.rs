//! `docs/openapi.json` is what the code says: these tests build the document from the router's table, the kinds of problems,
//! the media types and the limits, and compare. What requests and answers really look like is compared with the document by
//! the tests of the API (`tests/api/contract.rs`).
//!
//! | Module | Describes |
//! |---|---|
//! | [`operations`] | each method of each path: its parameters, its bodies, its answers |
//! | [`responses`] | problems, by status |
//! | [`schemas`] | the JSON of requests and answers |

mod operations;
mod responses;
mod schemas;

use serde_json::{Map, Value, json};

use super::problem::ProblemKind;
use super::router::paths;
use responses::Responses;

/// Where the document is; the function embeds it.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

/// The schema of such documents, as the specification's authors publish it (<https://spec.openapis.org/oas/3.1/schema/2022-10-07>).
const META_SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/openapi-3.1.schema.json");

const ABOUT: &str = "A 2xx means that all in-sync replicas have the record. A problem's `persisted` says whether it may have \
    been written. What stands before the service decides who may call it: credentials are no part of this document. Statuses \
    and input are those of `COMPATIBILITY=strict`.";

fn document() -> Value {
    let mut responses = Responses::default();
    let paths: Map<String, Value> = paths()
        .map(|(path, methods)| {
            let mut item: Map<String, Value> = methods
                .iter()
                .map(|method| (method.to_lowercase(), operations::operation(method, path, &mut responses)))
                .collect();
            let parameters = operations::path_parameters(path);
            if !parameters.is_empty() {
                item.insert("parameters".to_owned(), parameters.into());
            }
            (path.to_owned(), item.into())
        })
        .collect();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Publish to Kafka over HTTP",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "An HTTP request becomes Kafka records, and the answer says what happened to each.",
            "description": format!("{ABOUT} {}", operations::limits()),
            "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
        },
        "externalDocs": {"url": super::problem::DOCS},
        "servers": [{"url": "/", "description": "Where this document comes from"}],
        "paths": paths,
        "components": {
            "schemas": schemas::schemas(),
            "responses": responses.into_components(),
            "parameters": operations::parameters(),
            "headers": {
                "X-Request-Id": {"description": "As on the log lines of the request", "schema": {"type": "string"}},
            },
        },
    })
}

#[test]
fn the_document_says_what_the_code_says() {
    let written = format!("{:#}\n", document());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(FILE, &written).unwrap();
    }
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        committed == written,
        "docs/openapi.json is outdated: run this test with UPDATE_OPENAPI=1 and commit the file"
    );
}

#[test]
fn it_is_an_open_api_document_and_each_schema_in_it_a_json_schema() {
    let document = document();
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(META_SCHEMA).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0]);
    assert!(!validator.is_valid(&json!({"openapi": "3.1.1", "paths": {}})), "the schema asks for something");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
    }
}

/// The two that are left out have no operation: another path, another method.
#[test]
fn every_kind_of_problem_is_in_it() {
    let document = document().to_string();
    for kind in ProblemKind::ALL {
        let slug = format!("{}#{}\"", super::problem::DOCS, kind.row().slug);
        let has_operation = !matches!(kind, ProblemKind::RouteNotFound | ProblemKind::MethodNotAllowed);
        assert_eq!(document.contains(&slug), has_operation, "{kind:?}");
    }
}

/// Every `$ref` leads to something, every component is used, and names that must be unique are.
#[test]
fn nothing_in_it_leads_nowhere_and_no_component_is_left_over() {
    let document = document();
    let mut references = std::collections::BTreeSet::new();
    collect_references(&document, &mut references);
    for reference in &references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for kind in ["schemas", "responses", "parameters", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(references.contains(&format!("#/components/{kind}/{name}")), "{kind}/{name} is used nowhere");
        }
    }
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let ids: Vec<_> = operations.filter_map(|operation| operation.get("operationId")?.as_str()).collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), unique.len()), (paths().map(|(_, methods)| methods.len()).sum(), ids.len()));
}

fn collect_references(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.insert(reference.clone());
            }
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}
