//! Who calls, as a front door has verified it.

use std::fmt;

/// A caller that the front door's authorizer has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The request is signed with AWS credentials.
    Iam(CallerArn),
    /// The request has a JSON Web Token.
    Token(TokenClaims),
}

impl Principal {
    /// What records tell of the caller: its ARN, or its token's subject. A token without a subject tells nothing.
    pub(crate) fn stamp(&self) -> Option<String> {
        match self {
            Self::Iam(arn) => Some(arn.as_str().to_owned()),
            Self::Token(claims) => claims.subject.as_ref().map(|subject| format!("sub:{subject}")),
        }
    }

    /// How the caller was verified, for the log, which shows nothing of a token.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Iam(_) => "iam",
            Self::Token(_) => "token",
        }
    }
}

/// The ARN of who signed a request. An assumed role counts as its role, without a path: sessions come and go, and the ARN of
/// one has the role's name alone, which is unique within an account
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerArn(String);

impl CallerArn {
    /// Reads a `userArn`: a user's, a role session's, a federated user's or the root user's.
    pub fn parse(text: &str) -> Option<Self> {
        let Arn { partition, service, account, resource } = Arn::parse(text)?;
        match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => {}
            ("iam", Some(("user", name))) | ("sts", Some(("federated-user", name))) if !name.is_empty() => {}
            ("sts", Some(("assumed-role", session))) => {
                let (role, session) = session.split_once('/')?;
                let is_session = is_name(role, MAX_NAME) && !session.is_empty() && !session.contains('/');
                return is_session.then(|| Self(format!("arn:{partition}:iam::{account}:role/{role}")));
            }
            _ => return None,
        }
        Some(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Longest name of a role or a user in characters (IAM and STS quotas).
pub(crate) const MAX_NAME: usize = 64;

/// Whether this can be the name of a role or a user of at most `longest` characters.
pub(crate) fn is_name(text: &str, longest: usize) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    !text.is_empty() && text.len() <= longest && text.bytes().all(allowed)
}

/// The parts of an ARN of IAM or STS, which have no region.
pub(crate) struct Arn<'a> {
    pub(crate) partition: &'a str,
    pub(crate) service: &'a str,
    pub(crate) account: &'a str,
    pub(crate) resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let ("arn", partition, service, "", account, resource) = (next()?, next()?, next()?, next()?, next()?, next()?)
        else {
            return None;
        };
        let in_partition = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_partition = partition.starts_with("aws") && partition.bytes().all(in_partition);
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        (is_partition && is_account).then_some(Self { partition, service, account, resource })
    }
}

/// What a policy can ask of a token.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct TokenClaims {
    pub(crate) subject: Option<String>,
    pub(crate) client_id: Option<String>,
    scopes: Option<String>,
}

impl TokenClaims {
    /// The claims as API Gateway writes them, which makes text of each. `scopes` is a list with spaces between; of an array it
    /// makes one in brackets, `[a b]`.
    pub fn new(subject: Option<String>, client_id: Option<String>, scopes: Option<String>) -> Self {
        Self { subject, client_id, scopes }
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        let text = self.scopes.as_deref().unwrap_or_default();
        let array = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        array.unwrap_or(text).split_ascii_whitespace().any(|own| own == scope)
    }
}

/// A token's content is for no log.
impl fmt::Debug for TokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClaims").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_as_its_role_and_other_callers_as_themselves() {
        let same = [
            "arn:aws:iam::123456789012:user/kim",
            "arn:aws:iam::123456789012:user/team/kim",
            "arn:aws-cn:iam::123456789012:user/kim",
            "arn:aws:iam::123456789012:root",
            "arn:aws:sts::123456789012:federated-user/kim",
        ];
        for arn in same {
            assert_eq!(CallerArn::parse(arn).unwrap().as_str(), arn);
        }
        for session in ["shop", "i-0123456789abcdef0", "kim@example.com"] {
            let arn = format!("arn:aws-us-gov:sts::123456789012:assumed-role/shop/{session}");
            assert_eq!(CallerArn::parse(&arn).unwrap().as_str(), "arn:aws-us-gov:iam::123456789012:role/shop");
        }
    }

    #[test]
    fn what_is_no_callers_arn_is_no_caller() {
        for text in [
            "",
            "arn:aws:iam::123456789012:",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:role/shop",
            "arn:aws:iam::12345678901:user/kim",
            "arn:aws:iam:eu-west-1:123456789012:user/kim",
            "arn:other:iam::123456789012:user/kim",
            "arn:aws:sts::123456789012:user/kim",
            "arn:aws:sts::123456789012:assumed-role/shop",
            "arn:aws:sts::123456789012:assumed-role/shop/",
            "arn:aws:sts::123456789012:assumed-role//session",
            "arn:aws:sts::123456789012:assumed-role/team/shop/session",
            "AROAEXAMPLE:shop",
        ] {
            assert_eq!(CallerArn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn scopes_are_found_whole_in_both_forms_and_debug_shows_no_claim() {
        for scopes in ["a orders:write c", "[a orders:write c]", "orders:write", "[orders:write]"] {
            let claims = TokenClaims::new(Some("c4n4ry".to_owned()), None, Some(scopes.to_owned()));
            assert!(claims.has_scope("orders:write"), "{scopes}");
            for other in ["orders", "write", "orders:write ", "", "[orders:write"] {
                assert!(!claims.has_scope(other), "{scopes}: {other}");
            }
            assert_eq!(format!("{:?}", Principal::Token(claims)), "Token(TokenClaims { .. })");
        }
        assert!(!TokenClaims::default().has_scope(""));
    }
}
