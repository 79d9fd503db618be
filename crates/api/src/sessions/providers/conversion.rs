//! The cookie of a change of login type: a signed JWT (RFC 7519) that records what the user
//! asked for until the provider has confirmed their identity.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use usher_domain::{LoginType, PasswordHash, User};
use usher_store::{SigningFeature, SigningKey, SigningKeyStore, StoreError};
use uuid::Uuid;

use crate::ApiError;

/// The name of the cookie.
pub(crate) const COOKIE: &str = "coder_oauth_convert_jwt";
/// How long the cookie is valid.
pub(crate) const LIFETIME: TimeDelta = TimeDelta::minutes(5);
/// The greatest expected difference between the clocks of two replicas.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(1);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: String,
    user_id: Uuid,
    state: String,
    from_login_type: String,
    to_login_type: String,
    /// The fingerprint of the password hash that was verified.
    password: String,
}

impl Claims {
    /// Records that the user asked for the login type `to_type`.
    pub(crate) fn new(
        user: &User,
        verified: &PasswordHash,
        to_type: LoginType,
        state: String,
        now: DateTime<Utc>,
        deployment_id: Uuid,
    ) -> Self {
        Self {
            iss: deployment_id.to_string(),
            sub: state.clone(),
            aud: user.id.to_string(),
            exp: (now + LIFETIME).timestamp(),
            nbf: (now - CLOCK_SKEW).timestamp(),
            iat: now.timestamp(),
            jti: Uuid::new_v4().to_string(),
            user_id: user.id.0,
            state,
            from_login_type: user.login_type.as_str().to_owned(),
            to_login_type: to_type.as_str().to_owned(),
            password: verified.fingerprint(),
        }
    }

    pub(crate) fn sign(&self, key: &SigningKey) -> Result<String, ApiError> {
        let header = Header {
            kid: Some(key.sequence.to_string()),
            ..Header::new(Algorithm::HS512)
        };
        let secret = EncodingKey::from_secret(key.secret.expose_secret());
        jsonwebtoken::encode(&header, self, &secret)
            .map_err(|error| ApiError::Internal(Box::new(error)))
    }

    /// Verifies a cookie and returns its claims, `None` if the signature is invalid or the
    /// cookie has expired.
    pub(crate) async fn read(
        token: &str,
        keys: &dyn SigningKeyStore,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(sequence) = jsonwebtoken::decode_header(token)
            .ok()
            .and_then(|header| header.kid?.parse().ok())
        else {
            return Ok(None);
        };
        let feature = SigningFeature::OidcConvert;
        let Some(key) = keys.find_signing_key(feature, sequence, now).await? else {
            return Ok(None);
        };
        let secret = DecodingKey::from_secret(key.secret.expose_secret());
        let decoded = jsonwebtoken::decode::<Self>(token, &secret, &signature_only());
        Ok(decoded
            .ok()
            .map(|decoded| decoded.claims)
            .filter(|claims| (claims.nbf..=claims.exp).contains(&now.timestamp())))
    }

    /// Whether the change was requested at this deployment.
    pub(crate) fn is_of(&self, deployment: Uuid) -> bool {
        self.iss == deployment.to_string()
    }

    /// Whether the state belongs to the change.
    pub(crate) fn has_state(&self, state: &str) -> bool {
        self.state == state && self.sub == state
    }

    /// Whether this user asked for this login type and has not changed it since.
    pub(crate) fn converts(&self, user: &User, to_type: LoginType) -> bool {
        self.user_id == user.id.0
            && self.aud == user.id.to_string()
            && self.from_login_type == user.login_type.as_str()
            && self.to_login_type == to_type.as_str()
    }

    /// Returns the fingerprint of the password hash that was verified.
    pub(crate) fn into_password(self) -> String {
        self.password
    }
}

/// Verifies the signature only: the times are compared with our clock, and the other claims
/// by the caller.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS512);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}
