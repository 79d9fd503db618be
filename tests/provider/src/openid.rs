//! The OpenID provider, with and without a userinfo endpoint.

use axum::response::Response;
use serde_json::json;

use crate::{
    key,
    request::Incoming,
    response::{json, redirect, with_type},
    state::{Side, State},
    tokens::exchange,
};

/// Handles a request below an issuer.
pub(crate) fn handle(state: &mut State, issuer: &str, path: &str, request: &Incoming) -> Response {
    let has_userinfo = !issuer.ends_with("/bare");
    match path {
        "/.well-known/openid-configuration" => {
            state.count(Side::OpenId, "discovery");
            json(200, &metadata(issuer, has_userinfo))
        }
        "/jwks" => {
            state.count(Side::OpenId, "keys");
            let key = json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": state.oidc.key_id,
                "n": key::MODULUS, "e": key::EXPONENT,
            });
            json(200, &json!({"keys": [key]}))
        }
        "/authorize" => redirect(&state.authorize(&request.target()).location()),
        "/token" => exchange(state, Side::OpenId, &request.form(), issuer).into_json(),
        "/userinfo" if has_userinfo => userinfo(state, request),
        _ => json(404, &json!({"error": "not found"})),
    }
}

fn metadata(issuer: &str, has_userinfo: bool) -> serde_json::Value {
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    });
    if has_userinfo {
        metadata["userinfo_endpoint"] = format!("{issuer}/userinfo").into();
    }
    metadata
}

fn userinfo(state: &mut State, request: &Incoming) -> Response {
    state.count(Side::OpenId, "userinfo");
    let settings = &state.oidc;
    if request.authorization_scheme() != "bearer" {
        return json(401, &json!({"error": "invalid_token"}));
    }
    let status = settings.userinfo_status;
    if let Some(raw) = &settings.userinfo_raw {
        return with_type(status, "application/json; charset=utf-8", raw.clone());
    }
    match &settings.userinfo {
        Some(claims) => json(status, &claims.clone().into()),
        None => json(status, &json!({"sub": settings.claims.get("sub")})),
    }
}
