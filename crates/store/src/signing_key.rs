//! Stores the keys that sign values for later verification by any replica.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretBox;

use crate::StoreError;

/// How long a key signs before it is rotated.
pub const SIGNING_KEY_LIFETIME: TimeDelta = TimeDelta::days(30);
/// How long a key still verifies after its rotation: longer than any signed value is
/// valid.
pub const SIGNING_KEY_AFTERLIFE: TimeDelta = TimeDelta::hours(1);

/// Stores the keys that sign values for later verification by any replica.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// Returns the current signing key. Makes `fresh` the key if none exists or it is
    /// older than [`SIGNING_KEY_LIFETIME`]; concurrent calls all return the same key.
    async fn signing_key(
        &self,
        feature: SigningFeature,
        fresh: SecretBox<[u8; 64]>,
        at: DateTime<Utc>,
    ) -> Result<SigningKey, StoreError>;

    /// Returns the key with this sequence number, if it may still verify.
    async fn find_signing_key(
        &self,
        feature: SigningFeature,
        sequence: i32,
        at: DateTime<Utc>,
    ) -> Result<Option<SigningKey>, StoreError>;

    /// Returns all keys that may still verify, newest first, for signed values without a
    /// sequence number.
    async fn list_verifying_keys(
        &self,
        feature: SigningFeature,
        at: DateTime<Utc>,
    ) -> Result<Vec<SigningKey>, StoreError>;
}

/// The use of a signing key. Each use has separate keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningFeature {
    /// Conversions to another login type.
    OidcConvert,
    /// The `state` parameter of sign-ins through a provider.
    SignInState,
}

impl SigningFeature {
    /// The stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OidcConvert => "oidc_convert",
            Self::SignInState => "sign_in_state",
        }
    }
}

/// A key that signs or still verifies.
#[derive(Debug)]
pub struct SigningKey {
    /// Its sequence number, which signed values carry.
    pub sequence: i32,
    /// The key.
    pub secret: SecretBox<[u8; 64]>,
}
