//! What the command line says about the plain HTTP server.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderValue;

/// Where the server listens, and what it grants its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address of the API.
    pub http: SocketAddr,
    /// The address of the Prometheus metrics, if there are to be any.
    pub metrics: Option<SocketAddr>,
    /// Web pages that may call the API from a browser.
    pub cors_origins: Vec<CorsOrigin>,
    /// What holds for each connection to the API.
    pub limits: ConnectionLimits,
}

/// What holds for the connections of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at a time; further clients wait until they are accepted.
    pub max_connections: u32,
    /// How long the headers of a request may take, and each pause in its body.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request, or a response for a client that does not take it.
    pub idle_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            // A request's headers are some kilobytes at most: even a phone on a bad line sends them within a few seconds.
            header_timeout: Duration::from_secs(10),
            // Longer than the 60 s after which AWS's load balancers close an idle connection, so that the balancer closes first: a
            // server that does may meet the next request. Source: Application Load Balancers, "Connection idle timeout".
            idle_timeout: Duration::from_secs(75),
        }
    }
}

/// An origin that browsers report (RFC 6454, 6.2), or `*` for every one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsOrigin(HeaderValue);

/// Text that no browser would send as an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOrigin;

impl FromStr for CorsOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let is_origin = |text: &str| {
            let (scheme, host) = text.split_once("://")?;
            let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
            (is_scheme && is_host).then_some(())
        };
        if text != "*" && is_origin(text).is_none() {
            return Err(InvalidOrigin);
        }
        // Browsers send scheme and host in lower case.
        HeaderValue::from_str(&text.to_ascii_lowercase()).map(Self).map_err(|_| InvalidOrigin)
    }
}

impl CorsOrigin {
    /// Whether it is `*`.
    pub(super) fn is_any(&self) -> bool {
        self.0 == "*"
    }

    /// The text, as a header has it.
    pub(super) fn value(&self) -> &HeaderValue {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for origin in ["*", "https://shop.example", "http://localhost:3000", "https://[::1]:1", "capacitor://localhost"]
        {
            assert_eq!(origin.parse::<CorsOrigin>().unwrap().value(), origin);
        }
        assert_eq!("HTTPS://Shop.Example".parse::<CorsOrigin>().unwrap().value(), "https://shop.example");
        for text in [
            "",
            "shop.example",
            "https://",
            "https://a/",
            "https://a/b",
            "https://*.a",
            "https://u@a",
            "null",
            "://a",
            "https://a\r\nx",
        ] {
            assert_eq!(text.parse::<CorsOrigin>(), Err(InvalidOrigin), "{text:?}");
        }
    }
}
