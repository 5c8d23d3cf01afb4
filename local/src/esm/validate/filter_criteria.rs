//! `FilterCriteria`: the number of filters, and their patterns.

use super::super::filter::{CompiledFilter, Filters};
use super::super::setting_flags::setting;
use super::Validator;

/// More needs a raised quota, and more than that cannot be had.
const QUOTA: usize = 5;
const MAX_FILTERS: usize = 10;

impl Validator<'_> {
    pub(super) fn filters(&mut self) -> Filters {
        const MEMBER: &str = "FilterCriteria";
        let filters = &self.document.filters;
        let count = filters.len();
        if count > MAX_FILTERS {
            self.error(MEMBER, format!("{count} filters are too many; Lambda takes {MAX_FILTERS} at most"));
        } else if count > QUOTA {
            let text = format!("{count} filters need a raised quota; without, Lambda takes {QUOTA}");
            self.warnings.push(format!("{}: {text}", setting(MEMBER)));
        }
        let mut compiled = Vec::new();
        for (index, filter) in filters.iter().enumerate() {
            let pattern = filter["Pattern"].as_str().ok_or_else(|| "Pattern is missing, or no text".to_owned());
            match pattern.and_then(CompiledFilter::compile) {
                Ok(filter) => compiled.push(filter),
                Err(problem) => self.error(MEMBER, format!("Filters[{index}]: {problem}")),
            }
        }
        for operator in compiled.iter().flat_map(|filter| &filter.unlisted) {
            self.warnings.push(format!(
                "{}: `{operator}` is an operator of EventBridge that Lambda's documentation does not list; AWS may refuse it",
                setting(MEMBER)
            ));
        }
        compiled.into_iter().collect()
    }
}
