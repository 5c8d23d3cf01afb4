//! The region that requests are signed for.

use crate::env::EnvReader;

/// The region, from the first of these variables that is set. `missing` says what to set if none is.
pub(crate) fn region(env: &mut EnvReader, variables: &[&'static str], missing: &str) -> Option<String> {
    let set = variables.iter().copied().find_map(|name| Some((name, env.optional(name)?)));
    let Some((name, text)) = set else {
        env.problem(missing);
        return None;
    };
    if !is_region(text.trim()) {
        env.problem(format!("{name} must be a region's name, such as eu-west-1"));
        return None;
    }
    Some(text.trim().to_owned())
}

/// Words and a number with hyphens between them, as `us-gov-west-1`: an availability zone's name (`eu-west-1a`) is none.
fn is_region(text: &str) -> bool {
    let Some((area, number)) = text.rsplit_once('-') else { return false };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    text.len() <= 32
        && area.contains('-')
        && area.split('-').all(is_word)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}
