//! The keys by which the service knows what it has signed itself, on whichever replica.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretBox;

use crate::StoreError;

/// How long a key signs before the next one takes over.
pub const SIGNING_KEY_LIFETIME: TimeDelta = TimeDelta::days(30);
/// How long a key goes on verifying after the next one took over: longer than anything
/// that is signed with it is good.
pub const SIGNING_KEY_AFTERLIFE: TimeDelta = TimeDelta::hours(1);

/// The keys by which the service knows what it has signed itself, on whichever replica.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// The key that signs now. If there is none, or it has signed for
    /// [`SIGNING_KEY_LIFETIME`], `fresh` becomes the key; of several replicas that come at
    /// once one prevails.
    async fn signing_key(
        &self,
        feature: SigningFeature,
        fresh: SecretBox<[u8; 64]>,
        at: DateTime<Utc>,
    ) -> Result<SigningKey, StoreError>;

    /// The key of that number, if it may still verify.
    async fn find_signing_key(
        &self,
        feature: SigningFeature,
        sequence: i32,
        at: DateTime<Utc>,
    ) -> Result<Option<SigningKey>, StoreError>;

    /// All keys that may still verify, the newest first: for what is signed without room
    /// for the number of its key.
    async fn list_verifying_keys(
        &self,
        feature: SigningFeature,
        at: DateTime<Utc>,
    ) -> Result<Vec<SigningKey>, StoreError>;
}

/// What a key is for. Each use has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningFeature {
    /// Changing how one signs in.
    OidcConvert,
    /// The states of attempts to sign in through a provider.
    SignInState,
}

impl SigningFeature {
    /// The word in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OidcConvert => "oidc_convert",
            Self::SignInState => "sign_in_state",
        }
    }
}

/// A key that signs, or may still verify.
#[derive(Debug)]
pub struct SigningKey {
    /// Its number, which is named beside what it signed.
    pub sequence: i32,
    /// The key.
    pub secret: SecretBox<[u8; 64]>,
}
