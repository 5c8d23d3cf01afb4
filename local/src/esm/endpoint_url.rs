//! Addresses of endpoints: `http://` or `https://`, and a host.

use http::Uri;

/// The address of an endpoint; the error says what is wrong with it.
pub(super) fn parse(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        (Some("http" | "https"), _) => Err("it names no host".to_owned()),
        _ => Err("must start with http:// or https://".to_owned()),
    }
}

/// The address without the user and the password that may stand in it.
pub(super) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_who_may_use_it() {
        for (url, shown) in [
            ("http://127.0.0.1:9000/a@b/c?d@e", "http://127.0.0.1:9000/a@b/c?d@e"),
            ("https://user:p%40ss@tunnel.example/a", "https://tunnel.example/a"),
            ("https://user:p@ss@tunnel.example", "https://tunnel.example"),
            ("https://key@[::1]:1?a", "https://[::1]:1?a"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for url in ["http://127.0.0.1:9000/a/b", "https://[::1]/", "https://user:p%40ss@tunnel.example/"] {
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in ["ftp://a/", "127.0.0.1:9000", "/path", "https:///path", "http://a b/", ""] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
