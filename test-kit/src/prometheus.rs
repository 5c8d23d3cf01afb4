//! A page in Prometheus's text format, read strictly: what a scraper would only tolerate fails here.

use std::collections::BTreeMap;

/// What one scrape of a page gives.
#[derive(Debug, Default)]
pub struct Scrape {
    /// `counter`, `gauge` or `histogram` of each family that is declared.
    pub kinds: BTreeMap<String, String>,
    /// Each sample by its name with labels.
    pub samples: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads a page: every family has a help text and then a type, each once, and its samples follow directly.
    ///
    /// # Panics
    /// If it is not in the format, with the line.
    pub fn parse(page: &str) -> Self {
        assert!(page.ends_with('\n'), "the last line must end, too");
        let mut scrape = Self::default();
        let (mut helped, mut family) = (None, String::new());
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(is_name(name) && !text.is_empty(), "{line}");
                helped = Some(name.to_owned());
            } else if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(helped.take().as_deref(), Some(name), "its help comes directly before: {line}");
                assert!(scrape.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is declared twice");
                family = name.to_owned();
            } else {
                scrape.sample(line, &family);
            }
        }
        scrape
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let (bare, labels) = name.split_once('{').map_or((name, None), |(bare, labels)| (bare, Some(labels)));
        let of_histogram = || ["_bucket", "_sum", "_count"].iter().find_map(|end| bare.strip_suffix(end));
        let is_histogram = self.kinds.get(family).is_some_and(|kind| kind == "histogram");
        assert_eq!(
            if is_histogram { of_histogram().unwrap_or(bare) } else { bare },
            family,
            "no sample of {family}: {line}"
        );
        if let Some(labels) = labels {
            assert!(labels.strip_suffix('}').is_some_and(are_labels), "{line}");
        }
        let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
        assert!(self.samples.insert(name.to_owned(), value).is_none(), "{name} appears twice");
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.chars().all(allowed) && !name.starts_with(|first: char| first.is_ascii_digit()) && !name.is_empty()
}

/// `name="text",...`, where quotes, backslashes and line ends of the text are escaped.
fn are_labels(labels: &str) -> bool {
    let Some((name, rest)) = labels.split_once("=\"") else { return false };
    let (mut end, mut escaped) = (None, false);
    for (at, letter) in rest.char_indices() {
        match letter {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => {
                end = Some(at);
                break;
            }
            'n' | '\\' | '"' if escaped => escaped = false,
            _ if escaped => return false,
            _ => {}
        }
    }
    let Some(end) = end.filter(|_| is_name(name)) else { return false };
    match &rest[end + 1..] {
        "" => true,
        more => more.strip_prefix(',').is_some_and(are_labels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        let page = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"q\\\"\\\\,}\",y=\"\"} 3\na_total 4\n";
        let scrape = Scrape::parse(page);
        assert_eq!(scrape.kinds["a_total"], "counter");
        assert_eq!(scrape.samples.values().copied().collect::<Vec<_>>(), [4.0, 3.0]);
    }

    #[test]
    fn what_is_not_in_the_format_is_refused() {
        let declared = "# HELP a A.\n# TYPE a gauge\n";
        for samples in
            ["b 1\n", "a one\n", "a\n", "a{x=1} 1\n", "a{x=\"\\d\"} 1\n", "a{x=\"\" 1\n", "a 1\na 1\n", "a 1", "\n"]
        {
            let page = format!("{declared}{samples}");
            assert!(std::panic::catch_unwind(|| Scrape::parse(&page)).is_err(), "{samples:?}");
        }
        for page in ["# TYPE a gauge\na 1\n", "# HELP b B.\n# TYPE a gauge\n", "# HELP a A.\n# TYPE a thing\n", "# a\n"]
        {
            assert!(std::panic::catch_unwind(|| Scrape::parse(page)).is_err(), "{page:?}");
        }
    }
}
