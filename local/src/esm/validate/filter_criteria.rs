//! `FilterCriteria`: the number of filters, and their patterns.

use super::super::filter::{CompiledFilter, Filters};
use super::super::setting_flags::setting;
use super::Validator;
use super::aws_limits::{FILTERS, FILTERS_WITH_QUOTA};

impl Validator<'_> {
    pub(super) fn filters(&mut self) -> Filters {
        const MEMBER: &str = "FilterCriteria";
        let filters = &self.document.filters;
        let count = filters.len();
        if count > FILTERS_WITH_QUOTA {
            self.error(MEMBER, format!("{count} filters are too many; Lambda takes {FILTERS_WITH_QUOTA} at most"));
        } else if count > FILTERS {
            let text = format!("{count} filters need a raised quota; without, Lambda takes {FILTERS}");
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
