//! MSK IAM tokens made by the test bed: genuine ones, and ones that break a single rule but are otherwise validly signed.
//!
//! Written from AWS's description of `SigV4` query signing, independently of the signer that the product uses, so
//! that the two, the verifier in the brokers, and AWS's own signer can be compared with each other.

pub mod forged;

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use time::{OffsetDateTime, macros::format_description};

use crate::kafka::iam::{AccessKey, REGION};

/// A token before it is signed: every part can be changed, and the signature will match the changed parts.
#[derive(Clone, Debug)]
pub struct TokenDraft {
    /// The scheme, normally `https`.
    pub scheme: String,
    /// `kafka.<region>.amazonaws.com`; signed as the `host` header.
    pub host: String,
    /// The path, normally `/`.
    pub path: String,
    /// Access key id, date, region, service, terminator.
    pub scope: [String; 5],
    /// The query's parameters in order, without credential, signature and user agent.
    pub parameters: Vec<(String, String)>,
    /// Parameters added after signing.
    pub unsigned: Vec<(String, String)>,
    /// The secret that signs.
    pub secret: String,
}

impl TokenDraft {
    /// What a correct signer creates at `now` with a lifetime of `life_s` seconds.
    pub fn genuine(key: &AccessKey, now: OffsetDateTime, life_s: u32) -> Self {
        let date = amz_date(now);
        let day = date.get(..8).unwrap_or_default().to_owned();
        let mut parameters = vec![
            ("Action".to_owned(), "kafka-cluster:Connect".to_owned()),
            ("X-Amz-Algorithm".to_owned(), "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Date".to_owned(), date),
            ("X-Amz-Expires".to_owned(), life_s.to_string()),
            ("X-Amz-SignedHeaders".to_owned(), "host".to_owned()),
        ];
        parameters.extend(key.session_token.iter().map(|token| ("X-Amz-Security-Token".to_owned(), token.clone())));
        Self {
            scheme: "https".to_owned(),
            host: format!("kafka.{REGION}.amazonaws.com"),
            path: "/".to_owned(),
            scope: [key.id.clone(), day, REGION.to_owned(), "kafka-cluster".to_owned(), "aws4_request".to_owned()],
            parameters,
            unsigned: vec![("User-Agent".to_owned(), "msk-e2e/0.1".to_owned())],
            secret: key.secret.clone(),
        }
    }

    /// Replaces the value of one parameter.
    pub fn set(&mut self, name: &str, value: &str) {
        for (_, old) in self.parameters.iter_mut().filter(|(found, _)| found == name) {
            value.clone_into(old);
        }
    }

    /// Removes one parameter.
    pub fn remove(&mut self, name: &str) {
        self.parameters.retain(|(found, _)| found != name);
    }

    /// The value of one parameter; empty if it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.parameters.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The presigned URL.
    pub fn url(&self) -> String {
        let mut signed = self.parameters.clone();
        signed.push(("X-Amz-Credential".to_owned(), self.scope.join("/")));
        signed.sort();
        let query = join(&signed);
        let signature = self.signature(&query);
        let mut rest = vec![("X-Amz-Signature".to_owned(), signature)];
        rest.extend(self.unsigned.iter().cloned());
        format!("{}://{}{}?{query}&{}", self.scheme, self.host, self.path, join(&rest))
    }

    /// The token: the URL in base64url without padding.
    pub fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.url())
    }

    fn signature(&self, query: &str) -> String {
        let empty = hex::encode(Sha256::digest(b""));
        let request = format!("GET\n{}\n{query}\nhost:{}\n\nhost\n{empty}", self.path, self.host);
        let scope = self.scope[1..].join("/");
        let hashed = hex::encode(Sha256::digest(request));
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hashed}", self.get("X-Amz-Date"));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in &self.scope[1..] {
            key = hmac(&key, part);
        }
        hex::encode(hmac(&key, &to_sign))
    }
}

/// `20260101T000000Z`.
pub fn amz_date(time: OffsetDateTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    time.to_offset(time::UtcOffset::UTC).format(&format).unwrap_or_default()
}

fn join(parameters: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// `SigV4`'s URI encoding: everything except unreserved characters.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
