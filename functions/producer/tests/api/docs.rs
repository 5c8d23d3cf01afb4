//! `docs/http-api.md` says what the code does: problem documents point into it.

use msk_producer::api::problem::{ProblemKind, Row};
use msk_producer::api::router::paths;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http-api.md")).unwrap()
}

#[test]
fn every_problems_type_is_a_section_with_its_status_and_code() {
    let page = page();
    for kind in ProblemKind::ALL {
        let Row { slug, status, error_code, retriable, .. } = kind.row();
        let heading = format!("### {slug}\n\n");
        let (_, section) = page.split_once(&heading).unwrap_or_else(|| panic!("{heading:?} is missing"));
        let section = section.split("\n### ").next().unwrap();
        assert!(section.starts_with(status.as_str()), "{slug}: {section}");
        let is_status = u32::from(status.as_u16()) == error_code;
        assert!(is_status || section.contains(&format!("`error_code` {error_code}")), "{section}");
        assert_eq!(section.contains("retriable"), retriable, "{section}");
    }
}

#[test]
fn every_route_is_in_the_table() {
    let page = page();
    for (path, methods) in paths() {
        for method in methods {
            assert!(page.contains(&format!("| `{method} {path}` |")), "{method} {path}");
        }
    }
}
