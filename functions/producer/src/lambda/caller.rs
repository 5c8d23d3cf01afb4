//! Who calls, from an event's request context. The front door writes it; nothing that a caller sends ends up there unverified.
//!
//! | Front door | Caller |
//! |---|---|
//! | HTTP API, function URL (payload format 2.0) | `authorizer.iam.userArn`, `authorizer.jwt.claims` |
//! | REST API, HTTP API with payload format 1.0 | `identity.userArn`, `authorizer.claims` |
//! | load balancer | none |
//!
//! Sources: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-enable-cognito-user-pool.html>

use serde::Deserialize;
use serde_json::value::RawValue;

use super::pairs::Text;
use crate::principal::{CallerArn, Principal, TokenClaims};

/// The parts of a request context that name the caller.
pub(super) struct CallerContext<'a> {
    pub(super) authorizer: Option<&'a RawValue>,
    pub(super) identity: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Authorizer<'a> {
    #[serde(borrow)]
    iam: Option<&'a RawValue>,
    #[serde(borrow)]
    jwt: Option<&'a RawValue>,
    #[serde(borrow)]
    claims: Option<&'a RawValue>,
}

/// An authorizer of IAM, or a REST API's `identity`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(borrow)]
    user_arn: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Jwt<'a> {
    #[serde(borrow)]
    claims: Option<&'a RawValue>,
}

/// API Gateway takes a token's scopes from `scope` or `scp`
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html>).
#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    sub: Option<&'a RawValue>,
    #[serde(borrow)]
    client_id: Option<&'a RawValue>,
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow)]
    scp: Option<&'a RawValue>,
}

impl CallerContext<'_> {
    /// The caller in payload format 2.0. A context in a shape that is not known names none.
    pub(super) fn in_format_2(&self) -> Option<Principal> {
        let authorizer: Authorizer<'_> = member(self.authorizer);
        signed(authorizer.iam).or_else(|| token(member::<Jwt<'_>>(authorizer.jwt).claims?))
    }

    /// The caller in payload format 1.0, likewise.
    pub(super) fn in_format_1(&self) -> Option<Principal> {
        signed(self.identity).or_else(|| token(member::<Authorizer<'_>>(self.authorizer).claims?))
    }
}

fn signed(identity: Option<&RawValue>) -> Option<Principal> {
    let arn = text(member::<Identity<'_>>(identity).user_arn)?;
    CallerArn::parse(&arn).map(Principal::Iam)
}

fn token(claims: &RawValue) -> Option<Principal> {
    let Claims { sub, client_id, scope, scp } = serde_json::from_str(claims.get()).ok()?;
    Some(Principal::Token(TokenClaims::new(text(sub), text(client_id), text(scope).or_else(|| text(scp)))))
}

/// A part of the context; the type's default when it is missing, null or no object.
fn member<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    let Text(text) = serde_json::from_str(raw?.get()).ok()?;
    Some(text.into_owned())
}
