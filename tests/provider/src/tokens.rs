//! The token endpoints, and the tokens that they issue.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{http::StatusCode, response::Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use crate::{
    key,
    response::{TokenResponse, text},
    settings::{AccessToken, IdToken, Object, Tokens},
    state::{Form, Side, State, random_hex},
};

/// The grant type of the device flow (RFC 8628, 3.4).
pub(crate) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The default lifetime of tokens.
const LIFETIME_SECONDS: u64 = 3600;

/// Handles a request to a token endpoint. Only the OpenID side has an issuer.
pub(crate) fn exchange(state: &mut State, side: Side, form: &Form, issuer: &str) -> TokenResponse {
    let field = |name| form.get(name).map_or("", String::as_str);
    let grant = form
        .get("grant_type")
        .map_or("authorization_code", String::as_str);
    let has_secret = form.contains_key("client_secret") || grant == DEVICE_GRANT;
    if field("client_id").is_empty() || !has_secret {
        return TokenResponse::Json(StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"}));
    }
    match grant {
        DEVICE_GRANT => {
            state.count(side, "poll");
            if let Some(error) = &state.github.poll_error {
                return TokenResponse::Json(StatusCode::OK, error_body(error));
            }
        }
        "refresh_token" => {
            state.count(side, "refresh");
            let token = field("refresh_token");
            let is_used =
                token.starts_with("refresh-") && !state.live_refresh_tokens.contains(token);
            if token.is_empty() || is_used || tokens(state, side).refreshes == 0 {
                return oauth_error(side, "invalid_grant");
            }
            tokens_mut(state, side).refreshes -= 1;
            if tokens(state, side).refresh_token {
                state.live_refresh_tokens.remove(token);
            }
        }
        _ => {
            state.count(side, "token");
            if let Some(error) = check_code(state, side, &field) {
                return error;
            }
        }
    }
    TokenResponse::Json(
        StatusCode::OK,
        grant_tokens(state, side, field("client_id"), issuer),
    )
}

fn check_code<'a>(
    state: &State,
    side: Side,
    field: &impl Fn(&'static str) -> &'a str,
) -> Option<TokenResponse> {
    let settings = tokens(state, side);
    if let Some(status) = settings.token_status {
        return Some(TokenResponse::Other(failure(status)));
    }
    if let Some(error) = &settings.token_error {
        return Some(oauth_error(side, error));
    }
    if field("code").is_empty() {
        return Some(oauth_error(side, "invalid_request"));
    }
    let redirect_uri = state.last_authorization(side).get("redirect_uri");
    if redirect_uri.is_some_and(|expected| field("redirect_uri") != expected) {
        return Some(oauth_error(side, "redirect_uri_mismatch"));
    }
    if !state.verifies(side, field("code_verifier")) {
        return Some(oauth_error(side, "invalid_grant"));
    }
    None
}

fn grant_tokens(state: &mut State, side: Side, client_id: &str, issuer: &str) -> Value {
    let settings = tokens(state, side).clone();
    let mut body = Object::new();
    let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
    let opaque = format!("{}-{}", side.name(), random_hex::<16>());
    match side {
        Side::GitHub => {
            put("access_token", opaque.into());
            put("token_type", "bearer".into());
            put("scope", "read:org,read:user,user:email".into());
        }
        Side::OpenId => {
            let oidc = &state.oidc;
            let access_token = match oidc.access_token {
                AccessToken::Opaque => opaque,
                AccessToken::Jwt => {
                    let claims =
                        with_standard_claims(state, &oidc.access_claims, client_id, issuer);
                    signed(&claims, IdToken::Signed, &oidc.key_id)
                }
            };
            put("access_token", access_token.into());
            put("token_type", "Bearer".into());
            if oidc.id_token != IdToken::Absent {
                let mut claims = with_standard_claims(state, &oidc.claims, client_id, issuer);
                if oidc.padding > 0 {
                    claims.insert("padding".to_owned(), "x".repeat(oidc.padding).into());
                }
                let id_token = signed(&claims, oidc.id_token, &oidc.key_id);
                put("id_token", id_token.into());
            }
        }
    }
    if let Some(expires_in) = settings.expires_in {
        put("expires_in", expires_in.into());
    }
    if settings.refresh_token {
        let token = format!("refresh-{}", random_hex::<12>());
        put("refresh_token", token.clone().into());
        state.live_refresh_tokens.insert(token);
    }
    body.into()
}

/// Adds the standard claims unless they are set, and removes those that are null.
fn with_standard_claims(state: &State, claims: &Object, client_id: &str, issuer: &str) -> Object {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    let mut all = Object::new();
    all.insert("iss".to_owned(), issuer.into());
    all.insert("aud".to_owned(), client_id.into());
    all.insert("iat".to_owned(), now.into());
    all.insert("exp".to_owned(), (now + LIFETIME_SECONDS).into());
    if let Some(nonce) = state.last_authorization(Side::OpenId).get("nonce") {
        all.insert("nonce".to_owned(), nonce.clone().into());
    }
    all.extend(claims.clone());
    all.retain(|_, value| !value.is_null());
    all
}

/// Creates a token with these claims.
fn signed(claims: &Object, kind: IdToken, key_id: &str) -> String {
    if kind == IdToken::Garbage {
        return "this-is-not-a-jwt".to_owned();
    }
    let algorithm = match kind {
        IdToken::Unsigned => "none",
        IdToken::ForeignKey => "HS256",
        _ => "RS256",
    };
    let head = json!({"alg": algorithm, "typ": "JWT", "kid": key_id});
    let claims = Value::Object(claims.clone());
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", part(&head), part(&claims));
    let signature = match kind {
        IdToken::Unsigned => String::new(),
        IdToken::ForeignKey => sign(
            &message,
            &EncodingKey::from_secret(b"secret"),
            Algorithm::HS256,
        ),
        _ => sign(&message, &key::PRIVATE, Algorithm::RS256),
    };
    let signature = match kind {
        IdToken::BadSignature => invalidated(&signature),
        _ => signature,
    };
    format!("{message}.{signature}")
}

fn sign(message: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    crypto::sign(message.as_bytes(), key, algorithm).expect("the key fits the algorithm")
}

fn invalidated(signature: &str) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(signature);
    let mut bytes = bytes.expect("a signature is base64");
    bytes[0] ^= 1;
    URL_SAFE_NO_PAD.encode(bytes)
}

fn tokens(state: &State, side: Side) -> &Tokens {
    match side {
        Side::OpenId => &state.oidc.tokens,
        Side::GitHub => &state.github.tokens,
    }
}

fn tokens_mut(state: &mut State, side: Side) -> &mut Tokens {
    match side {
        Side::OpenId => &mut state.oidc.tokens,
        Side::GitHub => &mut state.github.tokens,
    }
}

/// GitHub responds to errors with 200, OpenID providers with 400.
fn oauth_error(side: Side, error: &str) -> TokenResponse {
    let status = match side {
        Side::GitHub => StatusCode::OK,
        Side::OpenId => StatusCode::BAD_REQUEST,
    };
    TokenResponse::Json(status, error_body(error))
}

fn error_body(error: &str) -> Value {
    json!({"error": error, "error_description": "rejected by the fake provider"})
}

fn failure(status: u16) -> Response {
    text(status, "the fake provider is set to fail")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn the_published_key_verifies_signatures() {
        let mut claims = Object::new();
        claims.insert("sub".to_owned(), "1".into());
        let public = DecodingKey::from_rsa_components(key::MODULUS, key::EXPONENT).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let read = |kind| decode::<Object>(&signed(&claims, kind, "a-key"), &public, &validation);

        let token = read(IdToken::Signed).unwrap();
        assert_eq!(token.claims, claims);
        assert_eq!(token.header.kid.as_deref(), Some("a-key"));
        for how in [
            IdToken::BadSignature,
            IdToken::ForeignKey,
            IdToken::Unsigned,
            IdToken::Garbage,
        ] {
            assert!(read(how).is_err(), "{how:?}");
        }
    }
}
