//! The state of an attempt to sign in (RFC 6749, 4.1.1), which this service recognizes
//! without having kept it.
//!
//! A state is random, and ends in a check that only a key of this service makes. The code
//! verifier (RFC 7636) and the nonce (OpenID Connect Core, 3.1.2.1) follow from it by the
//! same key, so that the state in the browser's cookie is all that an attempt leaves
//! behind, and another replica can finish it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::{CryptoRng, RngExt as _, distr::Alphanumeric};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use usher_identity::Flow;
use usher_store::{SigningFeature, SigningKey, SigningKeyStore, StoreError};

/// What the state begins with of somebody who changes how they sign in.
const CONVERSION_PREFIX: &str = "convert-";
const RANDOM_CHARS: usize = 20;
/// Some 71 bits: as many as nobody tries in vain against a server.
const CHECK_CHARS: usize = 12;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The states of one provider, or those of conversions, which any provider may finish.
#[derive(Clone, Copy)]
pub(crate) struct States<'a> {
    pub(crate) keys: &'a dyn SigningKeyStore,
    pub(crate) now: DateTime<Utc>,
}

impl States<'_> {
    /// Begins an attempt at the provider of that name.
    pub(crate) async fn begin(
        self,
        provider: &str,
        rng: &mut impl CryptoRng,
    ) -> Result<Flow, StoreError> {
        let key = self.signing_key(rng).await?;
        Ok(flow(&key, make(&key, provider, rng)))
    }

    /// A state for somebody who changes how they sign in.
    pub(crate) async fn begin_conversion(
        self,
        rng: &mut impl CryptoRng,
    ) -> Result<String, StoreError> {
        let key = self.signing_key(rng).await?;
        let made = make(&key, CONVERSION_PREFIX, rng);
        Ok(format!("{CONVERSION_PREFIX}{made}"))
    }

    /// The attempt of a state that was made here, for that provider or for a conversion.
    pub(crate) async fn resume(
        self,
        provider: &str,
        state: &str,
    ) -> Result<Option<Flow>, StoreError> {
        let Some((name, random, check)) = split(provider, state) else {
            return Ok(None);
        };
        let keys = self
            .keys
            .list_verifying_keys(SigningFeature::SignInState, self.now)
            .await?;
        let made_with = keys.iter().find(|key| {
            let expected = check_of(key, name, random);
            expected.as_bytes().ct_eq(check.as_bytes()).into()
        });
        Ok(made_with.map(|key| flow(key, state.to_owned())))
    }

    async fn signing_key(self, rng: &mut impl CryptoRng) -> Result<SigningKey, StoreError> {
        let fresh = SecretBox::new(Box::new(rng.random()));
        self.keys
            .signing_key(SigningFeature::SignInState, fresh, self.now)
            .await
    }
}

/// Whether the state is of somebody who changes how they sign in.
pub(crate) fn is_conversion(state: &str) -> bool {
    state.starts_with(CONVERSION_PREFIX)
}

/// For whom a state was made, its random part and its check.
fn split<'a>(provider: &'a str, state: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    let (name, rest) = match state.strip_prefix(CONVERSION_PREFIX) {
        Some(rest) => (CONVERSION_PREFIX, rest),
        None => (provider, state),
    };
    let is_ours =
        rest.len() == RANDOM_CHARS + CHECK_CHARS && rest.bytes().all(|b| b.is_ascii_alphanumeric());
    is_ours.then(|| (name, &rest[..RANDOM_CHARS], &rest[RANDOM_CHARS..]))
}

fn make(key: &SigningKey, name: &str, rng: &mut impl CryptoRng) -> String {
    let random: String = (0..RANDOM_CHARS)
        .map(|_| char::from(rng.sample(Alphanumeric)))
        .collect();
    let check = check_of(key, name, &random);
    random + &check
}

fn flow(key: &SigningKey, state: String) -> Flow {
    let derived = |purpose| URL_SAFE_NO_PAD.encode(keyed(key, &[purpose, &state]));
    Flow {
        code_verifier: derived("code verifier").into(),
        nonce: derived("nonce"),
        state,
    }
}

fn check_of(key: &SigningKey, name: &str, random: &str) -> String {
    let digest = keyed(key, &["check", name, random]);
    let (half, _) = digest.split_at(16);
    let mut number = u128::from_be_bytes(half.try_into().expect("16 bytes"));
    (0..CHECK_CHARS)
        .map(|_| {
            let letter = LETTERS[usize::try_from(number % 62).expect("less than 62")];
            number /= 62;
            char::from(letter)
        })
        .collect()
}

/// A hash of the words that nobody makes without the key.
fn keyed(key: &SigningKey, words: &[&str]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose_secret().as_slice())
        .expect("any length is good");
    for word in words {
        mac.update(word.as_bytes());
        // None of the words has a NUL, so that no two lists of them are read alike.
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
            unreachable!("states have no room for a number")
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

    async fn is_ours(provider: &str, state: &str) -> bool {
        states().resume(provider, state).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn what_follows_from_a_state_is_the_same_when_it_comes_back() {
        let begun = states().begin("oidc", &mut rng()).await.unwrap();
        let resumed = states().resume("oidc", &begun.state).await.unwrap();
        let resumed = resumed.expect("a state of ours");
        assert_eq!(begun.state.len(), 32);
        assert_eq!(resumed.state, begun.state);
        assert_eq!(resumed.nonce, begun.nonce);
        let verifier = begun.code_verifier.expose_secret();
        assert_eq!(resumed.code_verifier.expose_secret(), verifier);
        assert!(verifier.len() >= 43, "RFC 7636, 4.1");
        assert_ne!(verifier, begun.nonce);
    }

    #[tokio::test]
    async fn a_state_is_of_one_provider() {
        let begun = states().begin("oidc", &mut rng()).await.unwrap();
        assert!(is_ours("oidc", &begun.state).await);
        assert!(!is_ours("github", &begun.state).await);
        assert!(!is_ours("oidc-2", &begun.state).await);
    }

    #[tokio::test]
    async fn a_conversion_may_be_finished_by_every_provider() {
        let state = states().begin_conversion(&mut rng()).await.unwrap();
        assert_eq!(state.len(), 40);
        assert!(is_conversion(&state));
        assert!(is_ours("oidc", &state).await);
        assert!(is_ours("github", &state).await);
        let stripped = state.strip_prefix(CONVERSION_PREFIX).unwrap();
        assert!(!is_ours("oidc", stripped).await);
        assert!(!is_ours(CONVERSION_PREFIX, "convert-").await);
    }

    #[tokio::test]
    async fn a_key_that_signs_no_more_still_verifies() {
        let older = make(&key(1), "oidc", &mut rng());
        let unknown = make(&key(3), "oidc", &mut rng());
        assert!(is_ours("oidc", &older).await);
        assert!(!is_ours("oidc", &unknown).await);
    }

    #[tokio::test]
    async fn no_letter_of_a_state_can_be_changed() {
        let state = states().begin("oidc", &mut rng()).await.unwrap().state;
        for at in 0..state.len() {
            let mut other = state.clone().into_bytes();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            let other = String::from_utf8(other).unwrap();
            assert!(!is_ours("oidc", &other).await, "{at}");
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
            assert!(!is_ours("oidc", &other).await, "{other}");
        }
    }

    #[tokio::test]
    async fn no_two_states_are_alike() {
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
