//! Tokens that each break one rule of MSK. All of them have a signature that matches their content, so that only the named rule can
//! reject them; the exceptions are the rules about the signature itself.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use time::{Duration, OffsetDateTime};

use super::{TokenDraft, amz_date};
use crate::kafka::iam::AccessKey;

/// A token and the rule that must reject it.
#[derive(Clone, Debug)]
pub struct Forged {
    /// What was changed; unique.
    pub name: &'static str,
    /// The rule's name in the verifier.
    pub rule: &'static str,
    pub token: String,
}

/// A change to a genuine draft and the rule it breaks.
type Change = (&'static str, &'static str, fn(&mut TokenDraft));

/// Changes that leave a well-formed URL with a matching signature.
const CHANGES: &[Change] = &[
    ("plain http", "scheme", |t| t.scheme = "http".to_owned()),
    ("another path", "path", |t| t.path = "/topics".to_owned()),
    ("another region's host", "host", |t| t.host = "kafka.us-east-1.amazonaws.com".to_owned()),
    ("a stranger's host", "host", |t| t.host = "kafka.eu-central-1.amazonaws.com.example.org".to_owned()),
    ("another service's action", "action", |t| t.set("Action", "sts:GetCallerIdentity")),
    ("another Kafka action", "action", |t| t.set("Action", "kafka-cluster:WriteData")),
    ("SHA-1", "algorithm", |t| t.set("X-Amz-Algorithm", "AWS4-HMAC-SHA1")),
    ("another region's scope", "scope_region", |t| t.scope[2] = "us-east-1".to_owned()),
    ("another service's scope", "scope_service", |t| t.scope[3] = "kafka".to_owned()),
    ("another terminator", "scope_terminator", |t| t.scope[4] = "aws5_request".to_owned()),
    ("another day's scope", "scope_date", |t| t.scope[1] = "20200101".to_owned()),
    ("a scope of six parts", "scope_format", |t| t.scope[4] = "aws4_request/more".to_owned()),
    ("no access key", "scope_format", |t| t.scope[0] = String::new()),
    ("more signed headers", "signed_headers", |t| t.set("X-Amz-SignedHeaders", "host;user-agent")),
    ("a life of 901 s", "expires", |t| t.set("X-Amz-Expires", "901")),
    ("a life of 0 s", "expires", |t| t.set("X-Amz-Expires", "0")),
    ("a negative life", "expires", |t| t.set("X-Amz-Expires", "-5")),
    ("a life that is no number", "expires", |t| t.set("X-Amz-Expires", "soon")),
    ("expired a second ago", "expired", |t| set_time(t, -901)),
    ("expired yesterday", "expired", |t| set_time(t, -86_400)),
    ("six minutes ahead", "date_future", |t| set_time(t, 360)),
    ("a date in another format", "date_format", |t| t.set("X-Amz-Date", "2026-01-01T00:00:00Z")),
    ("an unknown access key", "access_key", |t| t.scope[0] = "ASIAUNKNOWNUNKNOWN00".to_owned()),
    ("no session token", "session_token", |t| t.remove("X-Amz-Security-Token")),
    ("another session token", "session_token", |t| t.set("X-Amz-Security-Token", "another")),
    ("another secret", "signature", |t| t.secret = "another".to_owned()),
    ("an unknown parameter", "unknown_parameter", |t| t.parameters.push(("X-Admin".into(), "true".into()))),
    ("a parameter twice", "duplicate_parameter", |t| {
        t.parameters.push(("Action".into(), "kafka-cluster:Connect".into()));
    }),
    ("no action", "missing_parameter", |t| t.remove("Action")),
    ("no expiry", "missing_parameter", |t| t.remove("X-Amz-Expires")),
];

/// Every forged token, for the temporary credentials `key`.
pub fn all(key: &AccessKey, now: OffsetDateTime) -> Vec<Forged> {
    let genuine = TokenDraft::genuine(key, now, 900);
    let mut forged: Vec<Forged> = CHANGES
        .iter()
        .map(|&(name, rule, change)| {
            let mut draft = genuine.clone();
            change(&mut draft);
            Forged { name, rule, token: draft.token() }
        })
        .collect();
    let url = genuine.url();
    forged.extend(broken_texts(&url).map(|(name, rule, url)| Forged {
        name,
        rule,
        token: URL_SAFE_NO_PAD.encode(url),
    }));
    forged.extend(
        [
            ("base64 padding", padded(&genuine)),
            ("not base64", "%%%not-base64%%%".to_owned()),
            ("the ordinary base64 alphabet", format!("{}+/", STANDARD.encode(&url).trim_end_matches('='))),
        ]
        .map(|(name, token)| Forged { name, rule: "encoding", token }),
    );
    forged
}

/// Changes to the finished URL.
fn broken_texts(url: &str) -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let signature = url.split("X-Amz-Signature=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default();
    // The first hexadecimal digit becomes another one.
    let flipped = if signature.starts_with('0') { "1" } else { "0" };
    let other = format!("{flipped}{}", signature.get(1..).unwrap_or_default());
    [
        ("one digit of the signature", "signature", url.replace(signature, &other)),
        ("no signature", "missing_parameter", url.replace(&format!("&X-Amz-Signature={signature}"), "")),
        ("an empty signature", "signature", url.replace(signature, "")),
        ("an upper-case signature", "signature", url.replace(signature, &signature.to_uppercase())),
        ("a parameter without a value", "parameter_format", format!("{url}&User-Agent2")),
        ("a user in the URL", "url", url.replace("https://", "https://user@")),
        ("a port in the URL", "url", url.replace(".com/", ".com:443/")),
        ("a fragment", "url", format!("{url}#fragment")),
        ("no query", "url", "https://kafka.eu-central-1.amazonaws.com/".to_owned()),
        ("no URL", "url", "a token without any meaning".to_owned()),
        ("nothing", "url", String::new()),
    ]
    .into_iter()
}

/// The same URL with padding, which no signer of AWS writes. A user agent of suitable length makes padding necessary.
fn padded(genuine: &TokenDraft) -> String {
    let mut draft = genuine.clone();
    let mut token = URL_SAFE.encode(draft.url());
    while !token.ends_with('=') {
        if let Some((_, agent)) = draft.unsigned.first_mut() {
            agent.push('x');
        }
        token = URL_SAFE.encode(draft.url());
    }
    token
}

/// Signs at `seconds` from now.
fn set_time(draft: &mut TokenDraft, seconds: i64) {
    let date = amz_date(OffsetDateTime::now_utc() + Duration::seconds(seconds));
    date.get(..8).unwrap_or_default().clone_into(&mut draft.scope[1]);
    draft.set("X-Amz-Date", &date);
}
