//! `docs/http-api.md` says what the code does: problem documents point into it.

use msk_producer::api::problem::ProblemKind;
use msk_producer::api::router::paths;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http-api.md")).unwrap()
}

#[test]
fn every_problems_type_is_a_section_with_its_status_and_code() {
    let page = page();
    for kind in ProblemKind::ALL {
        let heading = format!("### {}\n\n", kind.slug());
        let (_, section) = page.split_once(&heading).unwrap_or_else(|| panic!("{heading:?} is missing"));
        let section = section.split("\n### ").next().unwrap();
        let (status, code) = (kind.status().as_u16(), kind.error_code());
        assert!(section.starts_with(&status.to_string()), "{}: {section}", kind.slug());
        assert!(u32::from(status) == code || section.contains(&format!("`error_code` {code}")), "{section}");
        assert_eq!(section.contains("retriable"), kind.retriable(), "{section}");
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
