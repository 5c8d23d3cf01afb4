//! Callers as a topic's policy names them (`principals`).

use crate::principal::{Arn, MAX_NAME, Principal, is_name};

/// Callers that may write a topic. Every pattern matches some caller: one that cannot is a mistake, and is not parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalPattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// A caller's ARN as [`crate::principal::CallerArn`] has it.
    Arn(String),
    /// How the ARN begins.
    ArnPrefix(String),
    Subject(String),
    Scope(String),
    ClientId(String),
}

/// Why an entry of `principals` matches no caller, and what to write instead; without the entry itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("must be an ARN such as arn:aws:iam::123456789012:role/shop, or begin with sub:, scope: or client_id:")]
    Form,
    #[error("has a `*` in another place than at the end of an ARN, after the account")]
    Wildcard,
    #[error("names a session or all of STS; a session counts as its role: write arn:aws:iam::<account>:role/<name>")]
    RoleSession,
    #[error("has a role's path and a `*`; a caller's ARN has no path: write role/<first letters of the name>*")]
    PathAndWildcard,
    #[error("names no caller; a caller is role/<name>, user/<name>, root, or sts: federated-user/<name>")]
    Resource,
    #[error("has an empty claim, or one with a space at an end, a control character or a space in a scope")]
    Claim,
}

impl PrincipalPattern {
    /// Reads an entry: an IAM ARN, which may end with `*`, or `sub:`, `scope:` or `client_id:` with a claim's value.
    ///
    /// # Errors
    /// [`PatternError`] for an entry that no caller can match.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = match text.split_once(':') {
            Some(("arn", _)) => arn(text)?,
            Some(("sub", value)) => Pattern::Subject(claim(value)?),
            Some(("client_id", value)) => Pattern::ClientId(claim(value)?),
            // RFC 6749, 3.3: spaces stand between scopes.
            Some(("scope", value)) if value.contains(char::is_whitespace) => return Err(PatternError::Claim),
            Some(("scope", value)) => Pattern::Scope(claim(value)?),
            _ => return Err(PatternError::Form),
        };
        Ok(Self(pattern))
    }

    /// Whether this is one of the callers.
    pub fn matches(&self, caller: &Principal) -> bool {
        match (&self.0, caller) {
            (Pattern::Arn(arn), Principal::Iam(caller)) => caller.as_str() == arn,
            (Pattern::ArnPrefix(prefix), Principal::Iam(caller)) => caller.as_str().starts_with(prefix),
            (Pattern::Subject(subject), Principal::Token(claims)) => claims.subject.as_ref() == Some(subject),
            (Pattern::ClientId(id), Principal::Token(claims)) => claims.client_id.as_ref() == Some(id),
            (Pattern::Scope(scope), Principal::Token(claims)) => claims.has_scope(scope),
            _ => false,
        }
    }
}

fn claim(value: &str) -> Result<String, PatternError> {
    if value.contains('*') {
        return Err(PatternError::Wildcard);
    }
    let is_claim = !value.is_empty() && value.trim() == value && !value.contains(char::is_control);
    if is_claim { Ok(value.to_owned()) } else { Err(PatternError::Claim) }
}

/// Longest path of a user or a role in characters (`CreateUser`).
const MAX_PATH: usize = 512;
/// Longest name of a federated user in characters (`GetFederationToken`).
const MAX_FEDERATED_NAME: usize = 32;

fn arn(text: &str) -> Result<Pattern, PatternError> {
    let start = text.strip_suffix('*');
    let is_prefix = start.is_some();
    let text = start.unwrap_or(text);
    let Some(Arn { partition, service, account, resource }) = Arn::parse(text).filter(|_| !text.contains('*')) else {
        return Err(if text.contains('*') || is_prefix { PatternError::Wildcard } else { PatternError::Form });
    };
    let named = |name: &str, longest| is_name(name, longest) || (is_prefix && name.is_empty());
    let arn = match (service, resource.split_once('/')) {
        ("iam", None) if is_prefix && resource.is_empty() => text.to_owned(),
        ("iam", None) if !is_prefix && resource == "root" => text.to_owned(),
        ("iam", Some(("role", role))) => {
            let (path, name) = split_path(role);
            if is_prefix && !path.is_empty() {
                return Err(PatternError::PathAndWildcard);
            }
            if !is_path(path) || !named(name, MAX_NAME) {
                return Err(PatternError::Resource);
            }
            format!("arn:{partition}:iam::{account}:role/{name}")
        }
        // What stands before the `*` may be a part of the path.
        ("iam", Some(("user", user))) if is_prefix && is_path(user) => text.to_owned(),
        ("iam", Some(("user", user))) if is_path(split_path(user).0) && named(split_path(user).1, MAX_NAME) => {
            text.to_owned()
        }
        ("sts", Some(("federated-user", name))) if named(name, MAX_FEDERATED_NAME) => text.to_owned(),
        ("sts", Some(("assumed-role", _))) => return Err(PatternError::RoleSession),
        ("sts", None) if is_prefix => return Err(PatternError::RoleSession),
        _ => return Err(PatternError::Resource),
    };
    Ok(if is_prefix { Pattern::ArnPrefix(arn) } else { Pattern::Arn(arn) })
}

/// The path, with the slash at its end, and the name.
fn split_path(resource: &str) -> (&str, &str) {
    resource.split_at(resource.rfind('/').map_or(0, |slash| slash + 1))
}

fn is_path(text: &str) -> bool {
    text.len() <= MAX_PATH && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::principal::{CallerArn, TokenClaims};

    fn iam(arn: &str) -> Principal {
        Principal::Iam(CallerArn::parse(arn).unwrap())
    }

    fn token(subject: &str, client_id: &str, scopes: &str) -> Principal {
        Principal::Token(TokenClaims::new(Some(subject.into()), Some(client_id.into()), Some(scopes.into())))
    }

    fn matches(pattern: &str, caller: &Principal) -> bool {
        PrincipalPattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(caller)
    }

    #[test]
    fn each_pattern_matches_its_callers_and_no_other() {
        let (user, kim) = (iam("arn:aws:iam::123456789012:user/team/kim"), iam("arn:aws:iam::123456789012:user/kim"));
        let shop = iam("arn:aws:sts::123456789012:assumed-role/shop/i-1");
        let shop_2 = iam("arn:aws:sts::123456789012:assumed-role/shop-2/i-1");
        let other = iam("arn:aws:sts::210987654321:assumed-role/shop/i-1");
        let china = iam("arn:aws-cn:sts::123456789012:assumed-role/shop/i-1");
        let (root, guest) =
            (iam("arn:aws:iam::123456789012:root"), iam("arn:aws:sts::123456789012:federated-user/guest"));
        let job = token("user-7", "job", "[orders:write orders:read]");
        let all = [&user, &kim, &shop, &shop_2, &other, &china, &root, &guest, &job];
        let cases: [(&str, &[&Principal]); 16] = [
            ("arn:aws:iam::123456789012:user/team/kim", &[&user]),
            ("arn:aws:iam::123456789012:user/*", &[&user, &kim]),
            ("arn:aws:iam::123456789012:user/te*", &[&user]),
            ("arn:aws:iam::123456789012:role/shop", &[&shop]),
            ("arn:aws:iam::123456789012:role/team/eu/shop", &[&shop]),
            ("arn:aws:iam::123456789012:role/shop*", &[&shop, &shop_2]),
            ("arn:aws:iam::123456789012:role/*", &[&shop, &shop_2]),
            ("arn:aws-cn:iam::123456789012:role/shop", &[&china]),
            ("arn:aws:iam::123456789012:root", &[&root]),
            ("arn:aws:iam::123456789012:*", &[&user, &kim, &shop, &shop_2, &root]),
            ("arn:aws:sts::123456789012:federated-user/g*", &[&guest]),
            ("sub:user-7", &[&job]),
            ("client_id:job", &[&job]),
            ("scope:orders:write", &[&job]),
            ("scope:orders", &[]),
            ("sub:arn:aws:iam::123456789012:root", &[]),
        ];
        for (pattern, expected) in cases {
            let matched: Vec<_> = all.into_iter().filter(|caller| matches(pattern, caller)).collect();
            assert_eq!(matched, expected, "{pattern}");
        }
    }

    #[test]
    fn what_can_match_no_caller_is_refused_with_its_reason() {
        let iam = |resource: &str| format!("arn:aws:iam::123456789012:{resource}");
        let sts = |resource: &str| format!("arn:aws:sts::123456789012:{resource}");
        let (long, longest) = (iam(&format!("role/{}", "r".repeat(65))), iam(&format!("role/{}", "r".repeat(64))));
        assert!(PrincipalPattern::parse(&longest).is_ok());
        for (text, error) in [
            ("".to_owned(), PatternError::Form),
            ("*".to_owned(), PatternError::Form),
            ("shop".to_owned(), PatternError::Form),
            ("Sub:user-7".to_owned(), PatternError::Form),
            ("123456789012".to_owned(), PatternError::Form),
            ("arn:aws:iam::1234:role/shop".to_owned(), PatternError::Form),
            ("arn:aws:s3:eu-west-1:123456789012:bucket".to_owned(), PatternError::Form),
            ("arn:aws:iam::*".to_owned(), PatternError::Wildcard),
            ("arn:aws:iam::*:role/shop".to_owned(), PatternError::Wildcard),
            ("arn:aws:iam::123456789012*".to_owned(), PatternError::Wildcard),
            (iam("role/*-shop"), PatternError::Wildcard),
            (iam("role/shop**"), PatternError::Wildcard),
            (iam("role/team/*"), PatternError::PathAndWildcard),
            (iam("role/team/shop-*"), PatternError::PathAndWildcard),
            (sts("assumed-role/shop/session"), PatternError::RoleSession),
            (sts("assumed-role/shop/*"), PatternError::RoleSession),
            (sts("*"), PatternError::RoleSession),
            (sts("role/shop"), PatternError::Resource),
            (iam("role/"), PatternError::Resource),
            (iam("role/a b"), PatternError::Resource),
            (iam("role/team/"), PatternError::Resource),
            (iam("user/"), PatternError::Resource),
            (iam("group/team"), PatternError::Resource),
            (iam("r*"), PatternError::Resource),
            (iam("root*"), PatternError::Resource),
            (iam(""), PatternError::Resource),
            (long, PatternError::Resource),
            ("arn:aws:lambda::123456789012:role/shop".to_owned(), PatternError::Resource),
            ("sub:".to_owned(), PatternError::Claim),
            ("sub: user-7".to_owned(), PatternError::Claim),
            ("sub:a\nb".to_owned(), PatternError::Claim),
            ("scope:a b".to_owned(), PatternError::Claim),
            ("scope:orders:*".to_owned(), PatternError::Wildcard),
            ("client_id:*".to_owned(), PatternError::Wildcard),
        ] {
            assert_eq!(PrincipalPattern::parse(&text), Err(error), "{text}");
        }
    }

    /// A caller that a pattern was made for.
    fn witness(pattern: &PrincipalPattern) -> Principal {
        let caller = |arn: &str| match arn.split_once(":role/") {
            Some((account, name)) => iam(&format!("{}:assumed-role/{name}/session", account.replace(":iam:", ":sts:"))),
            None => iam(arn),
        };
        match &pattern.0 {
            Pattern::Arn(arn) => caller(arn),
            Pattern::ArnPrefix(prefix) if prefix.ends_with(':') => caller(&format!("{prefix}root")),
            Pattern::ArnPrefix(prefix) if prefix.ends_with('/') => caller(&format!("{prefix}x")),
            Pattern::ArnPrefix(prefix) => caller(prefix),
            Pattern::Subject(subject) => token(subject, "", ""),
            Pattern::Scope(scope) => token("", "", &format!("first {scope}")),
            Pattern::ClientId(id) => token("", id, ""),
        }
    }

    fn name() -> impl Strategy<Value = String> {
        "[A-Za-z0-9_+=,.@-]{1,64}"
    }

    proptest! {
        #[test]
        fn every_pattern_that_is_read_matches_some_caller(
            text in prop_oneof![
                "\\PC{0,40}",
                "(sub|scope|client_id):[ -~]{0,12}",
                "arn:aws(-cn)?:(iam|sts)::123456789012:(role|user|root|assumed-role|federated-user)?[a-z/:*]{0,8}",
                "arn:aws:(iam|sts)::123456789012:(role|user|federated-user)/([a-z]{1,4}/){0,2}[a-z@ ]{0,8}[*]?",
            ],
        ) {
            if let Ok(pattern) = PrincipalPattern::parse(&text) {
                prop_assert!(pattern.matches(&witness(&pattern)), "{pattern:?}");
            }
        }

        #[test]
        fn a_role_is_found_by_its_name_whatever_path_and_session(
            (role, other, session) in (name(), name(), "[A-Za-z0-9_=,.@-]{2,64}"), path in "([!-)+-.0-~]{1,20}/){0,3}",
        ) {
            let caller = iam(&format!("arn:aws:sts::123456789012:assumed-role/{role}/{session}"));
            let pattern = |account: &str, name: &str| format!("arn:aws:iam::{account}:role/{path}{name}");
            prop_assert!(matches(&pattern("123456789012", &role), &caller));
            prop_assert_eq!(matches(&pattern("123456789012", &other), &caller), role == other);
            prop_assert!(!matches(&pattern("123456789013", &role), &caller));
        }

        #[test]
        fn no_text_is_a_caller_by_chance(text in "(arn:aws:(iam|sts)::[0-9]{11,13}:)?\\PC{0,40}") {
            if let Some(caller) = CallerArn::parse(&text) {
                // What a pattern of the same letters matches is this caller.
                let pattern = PrincipalPattern::parse(caller.as_str());
                prop_assert!(pattern.is_err() || pattern.is_ok_and(|it| it.matches(&Principal::Iam(caller))));
            }
        }
    }
}
