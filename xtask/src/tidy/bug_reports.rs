//! The test of a name: each bug report in CONTRIBUTING.md leads to the file that decides what it is about.

use super::{assert_none, files, read};

/// The files in the order of the page, each with the code that decides the matter.
const DECIDED_BY: [(&str, &str, &str); 10] = [
    ("functions/producer", "problem.rs", "limit_bytes"),
    ("functions/consumer", "dead_letter.rs", "fn headers"),
    ("local", "commit.rs", "finished"),
    ("shared", "token.rs", "fn is_fresh"),
    ("shared", "cloud_event.rs", "fn content_type"),
    ("xtask", "port.rs", "AddrInUse"),
    ("shared", "record_log.rs", "tracing::info!"),
    ("infra", "alarms_lag.tf", "consumer-lag-time"),
    ("functions/consumer", "lanes.rs", "Ordering::Partition"),
    ("shared", "record_delivery.rs", "const UNREPORTED"),
];

#[test]
fn each_bug_report_leads_to_the_file_that_decides_it() {
    let page = read("CONTRIBUTING.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Find your way")).unwrap_or_default();
    // `| a bug report | `folder` | `file` |`
    let rows = section.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_suffix("` |")?.split('`').collect();
        Some((*cells.get(cells.len().checked_sub(3)?)?, *cells.last()?))
    });
    assert_eq!(rows.collect::<Vec<_>>(), DECIDED_BY.map(|(folder, file, _)| (folder, file)));
    let found = |folder: &str, file: &str| {
        let wanted = files().into_iter().find(|path| path.starts_with(folder) && path.ends_with(file));
        wanted.map(|path| read(&path.to_string_lossy())).unwrap_or_default()
    };
    let missing = DECIDED_BY.iter().filter(|(folder, file, decides)| !found(folder, file).contains(decides));
    let says = |(folder, file, decides): &(&str, &str, &str)| format!("{file} of {folder} does not decide {decides:?}");
    assert_none(&missing.map(says).collect::<Vec<_>>());
}
