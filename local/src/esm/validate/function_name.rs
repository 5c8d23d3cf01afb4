//! The forms of `FunctionName` that the API takes: a name, a partial ARN or an ARN, each with or without a qualifier.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>

const PROBLEM: &str = "must be the function's name (1 to 64 letters, digits, `-`, `_`), NAME:QUALIFIER, or its ARN";

/// The bare name: an endpoint on a laptop serves one version of a function.
pub(super) fn parse(text: &str) -> Result<&str, &'static str> {
    let rest = match text.split_once(":function:") {
        Some((before, rest)) if is_prefix(before) => rest,
        Some(_) => return Err(PROBLEM),
        None => text.strip_prefix("function:").unwrap_or(text),
    };
    let (name, qualifier) = rest.split_once(':').map_or((rest, None), |(name, qualifier)| (name, Some(qualifier)));
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let good = is_word(name)
        && name.len() <= 64
        && qualifier.is_none_or(|qualifier| is_word(qualifier) || qualifier == "$LATEST");
    good.then_some(name).ok_or(PROBLEM)
}

/// What may stand before `:function:`: an account, or an ARN up to it.
fn is_prefix(text: &str) -> bool {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [account] => is_account(account),
        ["arn", partition, "lambda", region, account] => {
            partition.starts_with("aws") && region.contains('-') && is_account(account)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_api_leads_to_the_name() {
        for text in [
            "fn",
            "fn:live",
            "fn:$LATEST",
            "fn:12",
            "function:fn",
            "123456789012:function:fn",
            "123456789012:function:fn:live",
            "arn:aws:lambda:us-east-1:123456789012:function:fn",
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:fn:live",
        ] {
            assert_eq!(parse(text), Ok("fn"), "{text}");
        }
        assert_eq!((parse("function"), parse("a-function:live")), (Ok("function"), Ok("a-function")));
        let long = "f".repeat(65);
        for text in [
            "",
            ":live",
            "fn:",
            "fn:a:b",
            "fn:$OLD",
            "f n",
            &long,
            "12:function:fn",
            "arn:aws:kafka:us-east-1:123456789012:function:fn",
            "arn:aws:lambda:us-east-1:123456789012:function:",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
