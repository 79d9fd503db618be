//! The OAuth state of a sign-in (RFC 6749, 4.1.1), which this server recognizes without
//! storing it.
//!
//! A state is random and ends with a truncated MAC. The code verifier (RFC 7636) and the nonce
//! (OpenID Connect Core, 3.1.2.1) are derived from it with the same key. The browser's cookie
//! is therefore all the data of a sign-in, and any replica can finish it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::{CryptoRng, RngExt as _, distr::Alphanumeric};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use usher_identity::Flow;
use usher_store::{SigningFeature, SigningKey, SigningKeyStore, StoreError};

/// The prefix of the state of a change of login type.
const CONVERSION_PREFIX: &str = "convert-";
/// The length of the random part.
const RANDOM_CHARS: usize = 20;
/// The length of the MAC: about 71 bits, too many to guess online.
const MAC_CHARS: usize = 12;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Issues and verifies states.
#[derive(Clone, Copy)]
pub(crate) struct States<'a> {
    pub(crate) keys: &'a dyn SigningKeyStore,
    pub(crate) now: DateTime<Utc>,
}

impl States<'_> {
    /// Starts a sign-in through the provider with that name.
    pub(crate) async fn begin(
        self,
        provider: &str,
        rng: &mut impl CryptoRng,
    ) -> Result<Flow, StoreError> {
        let key = self.signing_key(rng).await?;
        Ok(flow(&key, issue(&key, provider, rng)))
    }

    /// Issues the state of a change of login type, which any provider can finish.
    pub(crate) async fn begin_conversion(
        self,
        rng: &mut impl CryptoRng,
    ) -> Result<String, StoreError> {
        let key = self.signing_key(rng).await?;
        let state = issue(&key, CONVERSION_PREFIX, rng);
        Ok(format!("{CONVERSION_PREFIX}{state}"))
    }

    /// Returns the flow of a state that this server issued for that provider or for a change of
    /// login type, `None` for any other state.
    pub(crate) async fn resume(
        self,
        provider: &str,
        state: &str,
    ) -> Result<Option<Flow>, StoreError> {
        let Some((name, random, mac)) = split(provider, state) else {
            return Ok(None);
        };
        let keys = self
            .keys
            .list_verifying_keys(SigningFeature::SignInState, self.now)
            .await?;
        let signing_key = keys.iter().find(|key| {
            let expected = state_mac(key, name, random);
            expected.as_bytes().ct_eq(mac.as_bytes()).into()
        });
        Ok(signing_key.map(|key| flow(key, state.to_owned())))
    }

    async fn signing_key(self, rng: &mut impl CryptoRng) -> Result<SigningKey, StoreError> {
        let fresh = SecretBox::new(Box::new(rng.random()));
        self.keys
            .signing_key(SigningFeature::SignInState, fresh, self.now)
            .await
    }
}

/// Whether the state has the form of a change of login type. It is not verified.
pub(crate) fn is_conversion(state: &str) -> bool {
    state.starts_with(CONVERSION_PREFIX)
}

/// Splits a state into the name that it was issued for, its random part and its MAC.
fn split<'a>(provider: &'a str, state: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    let (name, rest) = match state.strip_prefix(CONVERSION_PREFIX) {
        Some(rest) => (CONVERSION_PREFIX, rest),
        None => (provider, state),
    };
    let is_well_formed =
        rest.len() == RANDOM_CHARS + MAC_CHARS && rest.bytes().all(|b| b.is_ascii_alphanumeric());
    is_well_formed.then(|| (name, &rest[..RANDOM_CHARS], &rest[RANDOM_CHARS..]))
}

fn issue(key: &SigningKey, name: &str, rng: &mut impl CryptoRng) -> String {
    let random: String = (0..RANDOM_CHARS)
        .map(|_| char::from(rng.sample(Alphanumeric)))
        .collect();
    let mac = state_mac(key, name, &random);
    random + &mac
}

fn flow(key: &SigningKey, state: String) -> Flow {
    let derived = |purpose| URL_SAFE_NO_PAD.encode(hmac(key, &[purpose, &state]));
    Flow {
        code_verifier: derived("code verifier").into(),
        nonce: derived("nonce"),
        state,
    }
}

fn state_mac(key: &SigningKey, name: &str, random: &str) -> String {
    let digest = hmac(key, &["check", name, random]);
    let (half, _) = digest.split_at(16);
    let mut number = u128::from_be_bytes(half.try_into().expect("16 bytes"));
    (0..MAC_CHARS)
        .map(|_| {
            let letter = LETTERS[usize::try_from(number % 62).expect("less than 62")];
            number /= 62;
            char::from(letter)
        })
        .collect()
}

fn hmac(key: &SigningKey, parts: &[&str]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose_secret().as_slice())
        .expect("HMAC accepts any key length");
    for part in parts {
        mac.update(part.as_bytes());
        // No part contains a NUL, so different lists never have the same input.
        mac.update(&[0]);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey {
            sequence: i32::from(byte),
            secret: SecretBox::new(Box::new([byte; 64])),
        }
    }

    /// A store that signs with key 2 and verifies with keys 2 and 1.
    struct Keys;

    #[async_trait::async_trait]
    impl SigningKeyStore for Keys {
        async fn signing_key(
            &self,
            feature: SigningFeature,
            _: SecretBox<[u8; 64]>,
            _: DateTime<Utc>,
        ) -> Result<SigningKey, StoreError> {
            assert_eq!(feature, SigningFeature::SignInState);
            Ok(key(2))
        }

        async fn find_signing_key(
            &self,
            _: SigningFeature,
            _: i32,
            _: DateTime<Utc>,
        ) -> Result<Option<SigningKey>, StoreError> {
            unreachable!("a state has no key number")
        }

        async fn list_verifying_keys(
            &self,
            feature: SigningFeature,
            _: DateTime<Utc>,
        ) -> Result<Vec<SigningKey>, StoreError> {
            assert_eq!(feature, SigningFeature::SignInState);
            Ok(vec![key(2), key(1)])
        }
    }

    fn states() -> States<'static> {
        States {
            keys: &Keys,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    async fn is_valid(provider: &str, state: &str) -> bool {
        states().resume(provider, state).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn verifier_and_nonce_are_derived_from_the_state() {
        let started = states().begin("oidc", &mut rng()).await.unwrap();
        let resumed = states().resume("oidc", &started.state).await.unwrap();
        let resumed = resumed.expect("issued by this server");
        assert_eq!(started.state.len(), 32);
        assert_eq!(resumed.state, started.state);
        assert_eq!(resumed.nonce, started.nonce);
        let verifier = started.code_verifier.expose_secret();
        assert_eq!(resumed.code_verifier.expose_secret(), verifier);
        assert!(verifier.len() >= 43, "RFC 7636, 4.1");
        assert_ne!(verifier, started.nonce);
    }

    #[tokio::test]
    async fn a_state_is_bound_to_its_provider() {
        let started = states().begin("oidc", &mut rng()).await.unwrap();
        assert!(is_valid("oidc", &started.state).await);
        assert!(!is_valid("github", &started.state).await);
        assert!(!is_valid("oidc-2", &started.state).await);
    }

    #[tokio::test]
    async fn any_provider_can_finish_a_conversion() {
        let state = states().begin_conversion(&mut rng()).await.unwrap();
        assert_eq!(state.len(), 40);
        assert!(is_conversion(&state));
        assert!(is_valid("oidc", &state).await);
        assert!(is_valid("github", &state).await);
        let stripped = state.strip_prefix(CONVERSION_PREFIX).unwrap();
        assert!(!is_valid("oidc", stripped).await);
        assert!(!is_valid(CONVERSION_PREFIX, "convert-").await);
    }

    #[tokio::test]
    async fn an_old_key_still_verifies() {
        let old = issue(&key(1), "oidc", &mut rng());
        let unknown = issue(&key(3), "oidc", &mut rng());
        assert!(is_valid("oidc", &old).await);
        assert!(!is_valid("oidc", &unknown).await);
    }

    #[tokio::test]
    async fn a_changed_state_is_rejected() {
        let state = states().begin("oidc", &mut rng()).await.unwrap().state;
        for at in 0..state.len() {
            let mut other = state.clone().into_bytes();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            let other = String::from_utf8(other).unwrap();
            assert!(!is_valid("oidc", &other).await, "{at}");
        }
        let foreign = [
            "",
            "s",
            "abc",
            "convert-abc",
            &state[1..],
            &format!("{state}a"),
        ]
        .map(str::to_owned);
        for other in foreign.into_iter().chain(["ü".repeat(16), "ü".repeat(32)]) {
            assert!(!is_valid("oidc", &other).await, "{other}");
        }
    }

    #[tokio::test]
    async fn states_nonces_and_verifiers_are_unique() {
        let mut rng = rng();
        let mut seen = HashSet::new();
        for _ in 0..100 {
            let flow = states().begin("oidc", &mut rng).await.unwrap();
            assert!(seen.insert(flow.state));
            assert!(seen.insert(flow.nonce));
            assert!(seen.insert(flow.code_verifier.expose_secret().to_owned()));
        }
    }
}
