//! The query of a POST, decoded strictly: bytes that are not UTF-8 are refused, where common decoders would replace them. One
//! rule for unknown parameters on every path: a misspelt one must not be lost, unless `COMPATIBILITY=confluent` asks for that.

use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::faults::{FaultKind, Faults};
use super::preferences::{VALIDATE_ONLY, validate_only};
use crate::config::Compatibility;

/// Reads the parameters that a path knows, in the order of `names`.
///
/// # Errors
/// [`FaultKind::Malformed`] for a query that does not decode, [`FaultKind::Invalid`] for a parameter that is unknown or
/// appears more than once.
fn known_parameters<const N: usize>(
    query: Option<&str>,
    names: [&str; N],
    compatibility: Compatibility,
) -> Result<[Option<String>; N], Faults> {
    let invalid = |detail: String| Faults::at(FaultKind::Invalid, "query", detail);
    let mut values = [const { None }; N];
    for (name, value) in parameters(query)? {
        match names.iter().position(|known| *known == name) {
            Some(at) if values[at].is_some() => {
                return Err(invalid(format!("`{}` appears more than once; give it once", names[at])));
            }
            Some(at) => values[at] = Some(value),
            // A request may be signed in its query (SigV4 presigned URLs).
            None if name.starts_with("X-Amz-") || compatibility == Compatibility::Confluent => {}
            None => {
                let known = names.map(|name| format!("`{name}`")).join(", ");
                return Err(invalid(format!("unknown parameter; this path knows {known}")));
            }
        }
    }
    Ok(values)
}

/// The query of a POST to a path that names the topic: whether the request is only checked.
///
/// # Errors
/// As [`known_parameters`] and [`validate_only`].
pub(crate) fn only_validates(query: Option<&str>, compatibility: Compatibility) -> Result<bool, Faults> {
    let [only] = known_parameters(query, [VALIDATE_ONLY], compatibility)?;
    validate_only(only.as_deref())
}

/// The query of `POST /messages`.
#[derive(Debug, Default)]
pub(crate) struct MessageQuery {
    pub(crate) topic: Option<String>,
    pub(crate) validate_only: bool,
    key: Option<String>,
}

impl MessageQuery {
    /// # Errors
    /// As [`known_parameters`].
    pub(crate) fn parse(query: Option<&str>, compatibility: Compatibility) -> Result<Self, Faults> {
        let [topic, key, only] = known_parameters(query, ["topic", "key", VALIDATE_ONLY], compatibility)?;
        Ok(Self { topic, key, validate_only: validate_only(only.as_deref())? })
    }

    /// The key, from the query or from the header `Kafka-Key`.
    ///
    /// # Errors
    /// [`FaultKind::Invalid`] when both are there and differ.
    pub(crate) fn key(self, header: Option<Bytes>) -> Result<Option<Bytes>, Faults> {
        match (self.key, header) {
            (Some(key), Some(header)) if key.as_bytes() != header => {
                Err(Faults::at(FaultKind::Invalid, "Kafka-Key", "contradicts `?key=`; leave one of them out"))
            }
            (key, header) => Ok(key.map(Bytes::from).or(header)),
        }
    }
}

/// Name and value of each parameter, in order (`application/x-www-form-urlencoded`: `+` is a space).
fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, Faults> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, Faults> {
    let decoded = percent_decode_str(&text.replace('+', " ")).decode_utf8().map(|text| text.into_owned());
    // The crate leaves a broken escape as it is.
    decoded.ok().filter(|_| text.split('%').skip(1).all(completes_escape)).ok_or_else(|| {
        Faults::at(FaultKind::Malformed, "query", "a percent escape is broken or does not decode to UTF-8")
    })
}

/// Whether this text behind a `%` makes an escape of it.
pub(crate) fn completes_escape(rest: &str) -> bool {
    rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_in_order() {
        let parsed = parameters(Some("topic=orders&key=a%2Bb+c&&empty=&flag&k=%ED%82%A4=")).unwrap();
        let expected = [("topic", "orders"), ("key", "a+b c"), ("empty", ""), ("flag", ""), ("k", "키=")];
        assert_eq!(parsed, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(parameters(None).unwrap(), []);
    }

    #[test]
    fn what_does_not_decode_is_a_400() {
        for query in ["key=%", "key=%4", "key=%zz", "key=%FF", "%C0%A0=x"] {
            assert_eq!(parameters(Some(query)).map_err(|faults| faults.kind), Err(FaultKind::Malformed), "{query}");
        }
    }
}
