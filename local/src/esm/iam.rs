//! MSK IAM for the emulator's own clients. AWS's mapping signs in with the function's role; here the environment's credentials
//! do: <https://docs.aws.amazon.com/lambda/latest/dg/msk-cluster-auth.html>

use std::collections::BTreeMap;

use msk_shared::env::{EnvError, EnvReader};
use msk_shared::kafka::TokenSource;

const MECHANISM: &str = "OAUTHBEARER";

/// The properties of librdkafka that ask brokers for IAM.
pub const OPTIONS: [(&str, &str); 3] =
    [("security.protocol", "SASL_SSL"), ("sasl.mechanisms", MECHANISM), ("ssl.ca.location", "probe")];

/// What signs the tokens that these properties ask for. `None` if they ask for none, or have librdkafka fetch one itself.
///
/// # Errors
/// [`EnvError`] if the environment names no region or no credentials.
pub fn tokens(options: &BTreeMap<String, String>) -> Result<Option<TokenSource>, EnvError> {
    let asks =
        ["sasl.mechanisms", "sasl.mechanism"].iter().any(|name| options.get(*name).is_some_and(|it| it == MECHANISM));
    if !asks || options.keys().any(|name| name.starts_with("sasl.oauthbearer.")) {
        return Ok(None);
    }
    let mut env = EnvReader::from_process();
    let tokens = TokenSource::from_env(&mut env);
    env.finish(tokens).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_signed_only_where_the_properties_ask_for_them() {
        let none = [
            &[("sasl.mechanisms", "SCRAM-SHA-512")][..],
            &[("sasl.mechanisms", MECHANISM), ("sasl.oauthbearer.method", "oidc")],
            &[],
        ];
        for options in none {
            let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert!(tokens(&options).unwrap().is_none(), "{options:?}");
        }
    }
}
