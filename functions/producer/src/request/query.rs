//! The query string, decoded strictly: bytes that are no UTF-8 are refused, where common decoders would replace them.

use crate::problem::{FieldError, Kind, Problem};

/// Name and value of each parameter, in order (`application/x-www-form-urlencoded`: `+` is a space).
///
/// # Errors
/// 400 for a broken percent escape or bytes that are no UTF-8.
pub(crate) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, Problem> {
    let fault = || {
        let detail = "a percent escape is broken or gives no UTF-8";
        let error = FieldError { pointer: "query".to_owned(), detail: detail.to_owned() };
        Problem::new(Kind::Malformed, format!("query: {detail}")).with_errors(vec![error])
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err(fault()),
                }
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| fault())
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
            assert_eq!(parameters(Some(query)).map_err(|p| p.kind), Err(Kind::Malformed), "{query}");
        }
    }
}
