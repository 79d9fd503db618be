//! API keys: browser sessions, CLI sessions and long-lived tokens.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use rand::{CryptoRng, RngExt as _, distr::Alphanumeric};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{AllowList, LoginType, Scope, UserId};

/// The length of a key's identifier, in characters.
pub const ID_CHARS: usize = 10;
/// The length of a key's secret, in characters.
pub const SECRET_CHARS: usize = 22;
/// How long a key may go on before its use is written down again.
pub const TOUCH_INTERVAL: TimeDelta = TimeDelta::hours(1);

/// Identifies a key: ten letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyId(String);

impl ApiKeyId {
    /// An identifier as a path or the store has it.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The half of a key that only its holder knows. Debug output hides it.
#[derive(Clone, Debug)]
pub struct ApiKeySecret(SecretString);

impl ApiKeySecret {
    /// What is stored of it: the SHA-256 digest. The secret has 131 random bits, so that
    /// neither salt nor slowness would add anything.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret().as_bytes()).into()
    }

    /// Whether its digest is the stored one, in constant time.
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.digest().ct_eq(stored).into()
    }
}

/// A whole key as its holder sends it: `<id>-<secret>`.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// Which key.
    pub id: ApiKeyId,
    /// The proof.
    pub secret: ApiKeySecret,
}

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedToken {
    /// Not two parts with one hyphen between.
    #[error("incorrect amount of API key parts, expected 2 got {0}")]
    Parts(usize),
    /// The first part has another length.
    #[error("incorrect length for API key ID, expected {ID_CHARS} got {0}")]
    IdLength(usize),
    /// The second part has another length.
    #[error("incorrect length for API key secret, expected {SECRET_CHARS} got {0}")]
    SecretLength(usize),
}

impl ApiToken {
    /// Makes a new key.
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

    /// Reads a key that a client sent.
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

    /// The key as its holder must send it. Handed out once, when it is made.
    pub fn expose(&self) -> String {
        format!("{}-{}", self.id, self.secret.0.expose_secret())
    }
}

/// The name of a token; empty for sessions. Any text is one, and its case counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenName(String);

impl TokenName {
    /// A name that somebody asks for, or that the store has.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key as the store has it, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The identifier.
    pub id: ApiKeyId,
    /// Whose it is.
    pub user_id: UserId,
    /// When its use was last written down; [`never`](crate::time::never) before the first.
    pub last_used: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed, which use is not.
    pub updated_at: DateTime<Utc>,
    /// How it came to be: by password, a provider, or as a token.
    pub login_type: LoginType,
    /// How long it lives from its making or its last extension, in seconds.
    pub lifetime_seconds: i64,
    /// Its name; empty for sessions.
    pub token_name: TokenName,
    /// What it may be used for. None lets nothing through.
    pub scopes: Vec<Scope>,
    /// What it may touch.
    pub allow_list: AllowList,
}

/// What a use of a key changes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The new time of last use and, with it, of the client's address; `None` leaves both.
    pub last_used: Option<DateTime<Utc>>,
    /// The new end; `None` leaves it.
    pub expires_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Whether it has ended.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at < now
    }

    /// What a use at `now` is to write, or `None` if that was written within the hour.
    /// `slides` says whether keys are extended by use.
    pub fn touch(&self, now: DateTime<Utc>, slides: bool) -> Option<Touch> {
        let lifetime = TimeDelta::try_seconds(self.lifetime_seconds).unwrap_or(TimeDelta::MAX);
        let last_used = (now - self.last_used > TOUCH_INTERVAL).then_some(now);
        let is_due = slides && self.expires_at - now <= lifetime - TOUCH_INTERVAL;
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
    fn a_new_token_is_read_back_and_only_its_own_secret_matches() {
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
    fn a_malformed_token_says_how() {
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
    fn use_is_written_down_once_an_hour() {
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
    fn a_key_slides_when_an_hour_of_its_life_is_gone() {
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
    fn a_key_of_an_hour_never_slides() {
        let mut key = key(3_600, now());
        key.expires_at = now() + TimeDelta::minutes(10);
        assert_eq!(key.touch(now(), true), None);
    }
}
