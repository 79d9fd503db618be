//! The token endpoint of both sides, and the tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{http::StatusCode, response::Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, text},
    key,
    settings::{AccessToken, IdToken, Object, Tokens},
    state::{Form, Side, State, random_hex},
};

/// How a device asks for tokens (RFC 8628, 3.4).
pub(crate) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Seconds that completed tokens are good for.
const LIFETIME: u64 = 3600;

/// Answers at the token endpoint. Only the OpenID side has an issuer.
pub(crate) fn exchange(state: &mut State, side: Side, form: &Form, issuer: &str) -> Answer {
    let field = |name| form.get(name).map_or("", String::as_str);
    let grant = form
        .get("grant_type")
        .map_or("authorization_code", String::as_str);
    let has_secret = form.contains_key("client_secret") || grant == DEVICE_GRANT;
    if field("client_id").is_empty() || !has_secret {
        return Answer::json(StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"}));
    }
    match grant {
        DEVICE_GRANT => {
            state.count(side, "poll");
            if let Some(error) = &state.github.poll_error {
                return Answer::json(StatusCode::OK, error_body(error));
            }
        }
        "refresh_token" => {
            state.count(side, "refresh");
            let given = field("refresh_token");
            let is_spent =
                given.starts_with("refresh-") && !state.live_refresh_tokens.contains(given);
            if given.is_empty() || is_spent || tokens(state, side).refreshes == 0 {
                return refusal(side, "invalid_grant");
            }
            tokens_mut(state, side).refreshes -= 1;
            if tokens(state, side).refresh_token {
                state.live_refresh_tokens.remove(given);
            }
        }
        _ => {
            state.count(side, "token");
            if let Some(answer) = refuse_code(state, side, &field) {
                return answer;
            }
        }
    }
    Answer::json(
        StatusCode::OK,
        granted(state, side, field("client_id"), issuer),
    )
}

fn refuse_code<'a>(
    state: &State,
    side: Side,
    field: &impl Fn(&'static str) -> &'a str,
) -> Option<Answer> {
    let settings = tokens(state, side);
    if let Some(status) = settings.token_status {
        return Some(Answer::Whole(failure(status)));
    }
    if let Some(error) = &settings.token_error {
        return Some(refusal(side, error));
    }
    if field("code").is_empty() {
        return Some(refusal(side, "invalid_request"));
    }
    let redirect_uri = state.asked(side).get("redirect_uri");
    if redirect_uri.is_some_and(|asked| field("redirect_uri") != asked) {
        return Some(refusal(side, "redirect_uri_mismatch"));
    }
    if !state.verifies(side, field("code_verifier")) {
        return Some(refusal(side, "invalid_grant"));
    }
    None
}

fn granted(state: &mut State, side: Side, client_id: &str, issuer: &str) -> Value {
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
                    let claims = completed(state, &oidc.access_claims, client_id, issuer);
                    signed(&claims, IdToken::Signed, &oidc.key_id)
                }
            };
            put("access_token", access_token.into());
            put("token_type", "Bearer".into());
            if oidc.id_token != IdToken::Absent {
                let mut claims = completed(state, &oidc.claims, client_id, issuer);
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

/// The claims with those that every token has, unless they are given; those given as null
/// are left out.
fn completed(state: &State, claims: &Object, client_id: &str, issuer: &str) -> Object {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is after 1970").as_secs();
    let mut whole = Object::new();
    whole.insert("iss".to_owned(), issuer.into());
    whole.insert("aud".to_owned(), client_id.into());
    whole.insert("iat".to_owned(), now.into());
    whole.insert("exp".to_owned(), (now + LIFETIME).into());
    if let Some(nonce) = state.asked(Side::OpenId).get("nonce") {
        whole.insert("nonce".to_owned(), nonce.clone().into());
    }
    whole.extend(claims.clone());
    whole.retain(|_, value| !value.is_null());
    whole
}

/// A token of the claims.
fn signed(claims: &Object, how: IdToken, key_id: &str) -> String {
    if how == IdToken::Garbage {
        return "this-is-no-jwt".to_owned();
    }
    let algorithm = match how {
        IdToken::Unsigned => "none",
        IdToken::ForeignKey => "HS256",
        _ => "RS256",
    };
    let head = json!({"alg": algorithm, "typ": "JWT", "kid": key_id});
    let claims = Value::Object(claims.clone());
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", part(&head), part(&claims));
    let signature = match how {
        IdToken::Unsigned => String::new(),
        IdToken::ForeignKey => sign(
            &message,
            &EncodingKey::from_secret(b"secret"),
            Algorithm::HS256,
        ),
        _ => sign(&message, &key::PRIVATE, Algorithm::RS256),
    };
    let signature = match how {
        IdToken::BadSignature => spoilt(&signature),
        _ => signature,
    };
    format!("{message}.{signature}")
}

fn sign(message: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    crypto::sign(message.as_bytes(), key, algorithm).expect("the key is one of the algorithm")
}

fn spoilt(signature: &str) -> String {
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

/// GitHub refuses with 200, everybody else with 400.
fn refusal(side: Side, error: &str) -> Answer {
    let status = match side {
        Side::GitHub => StatusCode::OK,
        Side::OpenId => StatusCode::BAD_REQUEST,
    };
    Answer::json(status, error_body(error))
}

fn error_body(error: &str) -> Value {
    json!({"error": error, "error_description": "refused by the fake provider"})
}

fn failure(status: u16) -> Response {
    text(status, "the fake provider fails as told")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn the_published_key_is_that_of_the_signature() {
        let mut claims = Object::new();
        claims.insert("sub".to_owned(), "1".into());
        let public = DecodingKey::from_rsa_components(key::MODULUS, key::EXPONENT).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let read = |how| decode::<Object>(&signed(&claims, how, "a-key"), &public, &validation);

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
