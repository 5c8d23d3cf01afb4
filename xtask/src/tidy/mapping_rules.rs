//! The page about the event source mapping: each of AWS's rules on it names its page of AWS's, and a test that is there.

use super::{assert_none, read};
use crate::workspace;

const PAGE: &str = "docs/event-source-mapping.md";
/// The first line of each table of the page.
const HEADER: &str = "| Rule | AWS | Test |";
/// How a link to AWS's documentation begins.
const AWS: &str = "](https://docs.aws.amazon.com/";

#[test]
fn every_rule_of_the_mapping_names_a_test_that_is_there() {
    let page = read(PAGE);
    let text_behind = |link: &str| std::fs::read_to_string(workspace::root().join("docs").join(link)).ok();
    let rows = rows(&page);
    assert!(rows.len() >= 50, "{PAGE} has only {} rows: its tables begin with {HEADER}", rows.len());
    let problems = rows.into_iter().flat_map(|(line, row)| problems(line, row, &text_behind));
    assert_none(&problems.collect::<Vec<_>>());
}

/// The rows of all tables, with the numbers of their lines.
fn rows(page: &str) -> Vec<(usize, &str)> {
    let numbered = page.lines().enumerate().map(|(at, line)| (at + 1, line));
    numbered.filter(|(_, line)| line.starts_with('|') && !line.starts_with("|---") && *line != HEADER).collect()
}

/// What is wrong with a row; `text_behind` reads the file that a link of the page leads to.
fn problems(line: usize, row: &str, text_behind: &impl Fn(&str) -> Option<String>) -> Vec<String> {
    let place = format!("{PAGE}:{line}");
    let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
    let [_, aws, tests] = cells.as_slice() else { return vec![format!("{place}: write three cells: {HEADER}")] };
    let mut problems = Vec::new();
    if !aws.contains(AWS) {
        problems.push(format!("{place}: link the page of docs.aws.amazon.com that has the rule"));
    }
    let links = test_links(tests);
    if links.is_empty() || links.len() != tests.matches("](").count() {
        problems.push(format!("{place}: name each test as [`name`](../local/tests/emulator/FILE.rs)"));
    }
    for (name, link) in links {
        let problem = match text_behind(link) {
            None => "there is no such file: link the one that has the test",
            Some(text) if !has_test(&text, name) => {
                "the file has no such test: name the one that shows the rule, or write it"
            }
            Some(_) => continue,
        };
        problems.push(format!("{place}: [`{name}`]({link}): {problem}"));
    }
    problems
}

/// Names and targets of ``[`name`](target)``.
fn test_links(cell: &str) -> Vec<(&str, &str)> {
    let links = cell.split("[`").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once("`](")?;
        Some((name, rest.split_once(')')?.0))
    });
    links.collect()
}

/// A function, or a row of a test that reads a table: its name stands there as text.
fn has_test(text: &str, name: &str) -> bool {
    text.contains(&format!("fn {name}(")) || text.contains(&format!("\"{name}\""))
}

#[test]
fn a_row_whose_test_is_gone_is_told_with_its_line_and_what_to_change() {
    const MAPPING: &str = "[mapping](https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html)";
    let text_behind = |link: &str| {
        let text = "async fn it_holds() {}\nconst ROWS: [&str; 1] = [\"it_is_a_row\"];";
        (link == "../local/a.rs").then(|| text.to_owned())
    };
    let found = |aws: &str, tests: &str| problems(7, &format!("| A rule. | {aws} | {tests} |"), &text_behind);
    for tests in ["[`it_holds`](../local/a.rs)", "[`it_is_a_row`](../local/a.rs), [`it_holds`](../local/a.rs)"] {
        assert_eq!(found(MAPPING, tests), [""; 0]);
    }
    let cases = [
        (MAPPING, "[`it_holds`](../local/b.rs)", "[`it_holds`](../local/b.rs): there is no such file"),
        (MAPPING, "[`it_hol`](../local/a.rs)", "[`it_hol`](../local/a.rs): the file has no such test"),
        (MAPPING, "[`it_holds`](../local/a.rs), [`row`](../local/a.rs)", "[`row`](../local/a.rs): the file has no"),
        (MAPPING, "`it_holds`", "name each test as"),
        (MAPPING, "[`it_holds`](../local/a.rs), [it_holds](../local/a.rs)", "name each test as"),
        ("Lambda", "[`it_holds`](../local/a.rs)", "link the page of docs.aws.amazon.com"),
    ];
    for (aws, tests, told) in cases {
        let problems = found(aws, tests);
        let [problem] = problems.as_slice() else { panic!("{tests}: {problems:?}") };
        assert!(problem.starts_with("docs/event-source-mapping.md:7: ") && problem.contains(told), "{problem}");
    }
    assert!(problems(7, "| A rule. | AWS |", &text_behind)[0].contains("three cells"));
    let page = "# Title\n\n| Rule | AWS | Test |\n|---|---|---|\n| A rule. | a | b |\n\n| Other | b |\n";
    assert_eq!(rows(page), [(5, "| A rule. | a | b |"), (7, "| Other | b |")]);
}
