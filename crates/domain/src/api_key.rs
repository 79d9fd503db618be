//! API keys: browser sessions, CLI sessions and long-lived tokens.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use rand::{CryptoRng, RngExt as _, distr::Alphanumeric};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{AllowList, LoginType, Scope, UserId};

/// The length of a key's ID, in characters.
pub const ID_CHARS: usize = 10;
/// The length of a key's secret, in characters.
pub const SECRET_CHARS: usize = 22;
/// The minimum time between two updates of a key's `last_used`.
pub const TOUCH_INTERVAL: TimeDelta = TimeDelta::hours(1);

/// The ID of an API key: [`ID_CHARS`] letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyId(String);

impl ApiKeyId {
    /// An ID from a path or from the store; not validated.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The secret half of an API key. Debug output hides it.
#[derive(Clone, Debug)]
pub struct ApiKeySecret(SecretString);

impl ApiKeySecret {
    /// The SHA-256 digest to store. The secret has 131 random bits, so a salt or a slow
    /// hash would add nothing.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret().as_bytes()).into()
    }

    /// Compares the secret with a stored digest in constant time.
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.digest().ct_eq(stored).into()
    }
}

/// An API key as clients send it: `<id>-<secret>`.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// The key's ID.
    pub id: ApiKeyId,
    /// The key's secret.
    pub secret: ApiKeySecret,
}

/// Why text is not an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedToken {
    /// There are not exactly two parts separated by a hyphen.
    #[error("incorrect amount of API key parts, expected 2 got {0}")]
    Parts(usize),
    /// The ID has the wrong length.
    #[error("incorrect length for API key ID, expected {ID_CHARS} got {0}")]
    IdLength(usize),
    /// The secret has the wrong length.
    #[error("incorrect length for API key secret, expected {SECRET_CHARS} got {0}")]
    SecretLength(usize),
}

impl ApiToken {
    /// Generates a random key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut random_text = |chars: usize| -> String {
            (0..chars)
                .map(|_| char::from(rng.sample(Alphanumeric)))
                .collect()
        };
        Self {
            id: ApiKeyId(random_text(ID_CHARS)),
            secret: ApiKeySecret(random_text(SECRET_CHARS).into()),
        }
    }

    /// Parses a key that a client sent.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let parts: Vec<&str> = text.split('-').collect();
        let &[id, secret] = parts.as_slice() else {
            return Err(MalformedToken::Parts(parts.len()));
        };
        if id.len() != ID_CHARS {
            return Err(MalformedToken::IdLength(id.len()));
        }
        if secret.len() != SECRET_CHARS {
            return Err(MalformedToken::SecretLength(secret.len()));
        }
        Ok(Self {
            id: ApiKeyId(id.to_owned()),
            secret: ApiKeySecret(secret.into()),
        })
    }

    /// The key with its secret, which is shown only once, when the key is created.
    pub fn expose(&self) -> String {
        format!("{}-{}", self.id, self.secret.0.expose_secret())
    }
}

/// The name of a token; empty for sessions. Case-sensitive; any text is valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenName(String);

impl TokenName {
    /// A requested or stored name.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A stored API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The ID.
    pub id: ApiKeyId,
    /// The user it belongs to.
    pub user_id: UserId,
    /// When it was last used, at most [`TOUCH_INTERVAL`] out of date;
    /// [`never`](crate::time::never) before its first use.
    pub last_used: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed; using it is not a change.
    pub updated_at: DateTime<Utc>,
    /// How it was created: by password, through a provider, or as a token.
    pub login_type: LoginType,
    /// Its lifetime in seconds, counted from its creation or last extension.
    pub lifetime_seconds: i64,
    /// Its name; empty for sessions.
    pub token_name: TokenName,
    /// Its scopes. An empty list allows nothing.
    pub scopes: Vec<Scope>,
    /// The objects it may access.
    pub allow_list: AllowList,
}

/// The update that using a key causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The new time of last use, stored with the client's IP address; `None` leaves both
    /// unchanged.
    pub last_used: Option<DateTime<Utc>>,
    /// The new expiry; `None` leaves it unchanged.
    pub expires_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Whether the key has expired.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at < now
    }

    /// The update for a use at `now`, or `None` if none is due within [`TOUCH_INTERVAL`].
    /// With `sliding` expiry, use extends the key.
    pub fn touch(&self, now: DateTime<Utc>, sliding: bool) -> Option<Touch> {
        let lifetime = TimeDelta::try_seconds(self.lifetime_seconds).unwrap_or(TimeDelta::MAX);
        let last_used = (now - self.last_used > TOUCH_INTERVAL).then_some(now);
        let is_due = sliding && self.expires_at - now <= lifetime - TOUCH_INTERVAL;
        let expires_at = is_due.then(|| now.checked_add_signed(lifetime)).flatten();
        (last_used.is_some() || expires_at.is_some()).then_some(Touch {
            last_used,
            expires_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::time::never;

    fn key(lifetime_seconds: i64, now: DateTime<Utc>) -> ApiKey {
        ApiKey {
            id: ApiKeyId::from_stored("0123456789".into()),
            user_id: UserId(uuid::Uuid::nil()),
            last_used: now,
            expires_at: now + TimeDelta::seconds(lifetime_seconds),
            created_at: now,
            updated_at: now,
            login_type: LoginType::Password,
            lifetime_seconds,
            token_name: TokenName::default(),
            scopes: vec![Scope::ALL],
            allow_list: AllowList::everything(),
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_generated_token_parses_and_only_its_own_secret_matches() {
        let mut rng = StdRng::seed_from_u64(1);
        let token = ApiToken::generate(&mut rng);
        let text = token.expose();
        assert_eq!(text.len(), ID_CHARS + 1 + SECRET_CHARS);
        let read = ApiToken::parse(&text).unwrap();
        assert_eq!(read.id, token.id);
        assert!(read.secret.matches(&token.secret.digest()));
        let other = ApiToken::generate(&mut rng);
        assert!(!other.secret.matches(&token.secret.digest()));
        assert!(!read.secret.matches(&[]));
    }

    #[test]
    fn a_malformed_token_is_rejected_with_the_reason() {
        assert_eq!(ApiToken::parse("").unwrap_err(), MalformedToken::Parts(1));
        assert_eq!(
            ApiToken::parse("a-b-c").unwrap_err(),
            MalformedToken::Parts(3)
        );
        assert_eq!(
            ApiToken::parse("a-b").unwrap_err(),
            MalformedToken::IdLength(1)
        );
        assert_eq!(
            ApiToken::parse("0123456789-b").unwrap_err(),
            MalformedToken::SecretLength(1)
        );
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let token = ApiToken::parse("0123456789-abcdefghijklmnopqrstuv").unwrap();
        assert!(!format!("{token:?}").contains("abcdefghij"));
    }

    #[test]
    fn last_used_is_updated_once_an_hour() {
        let mut key = key(86_400, now());
        assert_eq!(key.touch(now(), true), None);
        key.last_used = now() - TimeDelta::minutes(50);
        assert_eq!(key.touch(now(), true), None);
        key.last_used = now() - TimeDelta::minutes(70);
        assert_eq!(key.touch(now(), true).unwrap().last_used, Some(now()));
        key.last_used = never();
        assert_eq!(key.touch(now(), true).unwrap().last_used, Some(now()));
    }

    #[test]
    fn a_sliding_key_is_extended_once_an_hour_of_its_lifetime_has_passed() {
        let mut key = key(86_400, now());
        key.expires_at = now() + TimeDelta::minutes(23 * 60 + 30);
        assert_eq!(key.touch(now(), true), None);
        key.expires_at = now() + TimeDelta::minutes(1);
        let touch = key.touch(now(), true).unwrap();
        assert_eq!(touch.expires_at, Some(now() + TimeDelta::days(1)));
        assert_eq!(touch.last_used, None);
        assert_eq!(key.touch(now(), false), None);
    }

    #[test]
    fn a_key_with_a_lifetime_of_an_hour_is_never_extended() {
        let mut key = key(3_600, now());
        key.expires_at = now() + TimeDelta::minutes(10);
        assert_eq!(key.touch(now(), true), None);
    }
}
