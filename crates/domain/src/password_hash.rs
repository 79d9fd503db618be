//! Hashes of passwords and one-time passcodes.
//!
//! New passwords are hashed with Argon2id (RFC 9106), one-time passcodes with PBKDF2.
//! PBKDF2 hashes of imported passwords are verified too.
//!
//! Hashing is slow by design: call it from a thread that may block, with memory to reuse
//! ([`Scratch`]).

use argon2::{Algorithm, Argon2, Block, Params, Version, password_hash::phc};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::password::MAX_PASSWORD_BYTES;

/// The number of PBKDF2 iterations for new passcodes.
pub const PBKDF2_ITERATIONS: u32 = 65_535;
const PBKDF2_OUTPUT_BYTES: usize = 64;
const PBKDF2_PREFIX: &str = "pbkdf2-sha256";
/// A hash with more iterations is treated as corrupt: verifying it would occupy a core
/// for seconds.
const PBKDF2_MAX_ITERATIONS: u32 = 10_000_000;

/// A salted hash as text; empty if no password is set.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash([REDACTED])")
    }
}

/// The Argon2id parameters of new hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for HashCost {
    /// 19 MiB, 2 passes, 1 lane: the minimum that OWASP's password storage cheat sheet
    /// recommends for Argon2id.
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}

impl HashCost {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// If they are outside the ranges of RFC 9106.
    pub fn check(self) -> Result<(), String> {
        self.params().map(|_| ()).map_err(|error| error.to_string())
    }

    fn params(self) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
    }
}

/// Memory for hashing, reused by later hashes. Dropping it returns the memory to the
/// system.
#[derive(Default)]
pub struct Scratch(Vec<Block>);

impl Scratch {
    /// How many blocks there is room for at least: 33 MiB, of which only those are ever
    /// touched, and so taken, that are used. The allocator of glibc keeps for later what it
    /// is given back, from the second time on, unless it is larger than 32 MiB.
    const ROOM: usize = 33 * 1024;

    fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            self.0.reserve_exact(count.max(Self::ROOM) - self.0.len());
            self.0.resize(count, Block::new());
        }
        &mut self.0[..count]
    }
}

impl PasswordHash {
    /// No password. Matches no secret.
    pub const fn none() -> Self {
        Self(String::new())
    }

    /// A stored hash.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no password is set.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// A digest that identifies this hash without revealing it, safe to show to the user.
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(b"fingerprint of the hash of a password");
        digest.update(self.0.as_bytes());
        STANDARD_NO_PAD.encode(digest.finalize())
    }

    /// Hashes `secret` with Argon2id.
    ///
    /// # Panics
    ///
    /// If `cost` is invalid; see [`HashCost::check`].
    pub fn argon2id(
        secret: &SecretString,
        salt: [u8; 16],
        cost: HashCost,
        scratch: &mut Scratch,
    ) -> Self {
        let params = cost.params().expect("the cost was checked");
        let mut output = [0; 32];
        argon2id(secret, &salt, params, &mut output, scratch).expect("the cost was checked");
        Self(format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            cost.memory_kib,
            cost.passes,
            cost.lanes,
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(output)
        ))
    }

    /// Hashes `secret`, a one-time passcode, with PBKDF2-HMAC-SHA256.
    pub fn pbkdf2(secret: &SecretString, salt: [u8; 16]) -> Self {
        let mut output = [0; PBKDF2_OUTPUT_BYTES];
        pbkdf2::pbkdf2_hmac::<Sha256>(
            secret.expose_secret().as_bytes(),
            &salt,
            PBKDF2_ITERATIONS,
            &mut output,
        );
        Self(format!(
            "${PBKDF2_PREFIX}${PBKDF2_ITERATIONS}${}${}",
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(output)
        ))
    }

    /// Whether `secret` matches the hash. A corrupt or missing hash matches nothing.
    pub fn verify(&self, secret: &SecretString, scratch: &mut Scratch) -> bool {
        // Longer passwords are never accepted, and unauthenticated clients must not cause
        // expensive hashing.
        if secret.expose_secret().len() > MAX_PASSWORD_BYTES {
            return false;
        }
        if self.0.starts_with("$argon2id$") {
            self.verify_argon2id(secret, scratch).unwrap_or(false)
        } else {
            self.verify_pbkdf2(secret).unwrap_or(false)
        }
    }

    /// Whether the next successful sign-in should replace the hash, since it uses another
    /// algorithm or other parameters than `cost`.
    pub fn is_outdated(&self, cost: HashCost) -> bool {
        let current = format!(
            "$argon2id$v=19$m={},t={},p={}$",
            cost.memory_kib, cost.passes, cost.lanes
        );
        !self.is_none() && !self.0.starts_with(&current)
    }

    fn verify_argon2id(&self, secret: &SecretString, scratch: &mut Scratch) -> Option<bool> {
        let parsed = phc::PasswordHash::new(&self.0).ok()?;
        let params = Params::try_from(&parsed).ok()?;
        let salt = parsed.salt?;
        let expected = parsed.hash?;
        let mut output = vec![0; expected.len()];
        argon2id(secret, salt.as_ref(), params, &mut output, scratch).ok()?;
        Some(output.ct_eq(expected.as_bytes()).into())
    }

    fn verify_pbkdf2(&self, secret: &SecretString) -> Option<bool> {
        let mut parts = self.0.split('$');
        let ("", PBKDF2_PREFIX) = (parts.next()?, parts.next()?) else {
            return None;
        };
        let iterations: u32 = parts.next()?.parse().ok()?;
        let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
        let expected = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
        if parts.next().is_some()
            || expected.is_empty()
            || !(1..=PBKDF2_MAX_ITERATIONS).contains(&iterations)
        {
            return None;
        }
        let mut output = vec![0; expected.len()];
        pbkdf2::pbkdf2_hmac::<Sha256>(
            secret.expose_secret().as_bytes(),
            &salt,
            iterations,
            &mut output,
        );
        Some(output.ct_eq(&expected).into())
    }
}

fn argon2id(
    secret: &SecretString,
    salt: &[u8],
    params: Params,
    output: &mut [u8],
    scratch: &mut Scratch,
) -> Result<(), argon2::Error> {
    let count = params.block_count();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        secret.expose_secret().as_bytes(),
        salt,
        output,
        scratch.blocks(count),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: HashCost = HashCost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn both_algorithms_match_their_secret_and_no_other() {
        let mut scratch = Scratch::default();
        for hash in [
            PasswordHash::argon2id(&secret("right"), [7; 16], CHEAP, &mut scratch),
            PasswordHash::pbkdf2(&secret("right"), [7; 16]),
        ] {
            assert!(
                hash.verify(&secret("right"), &mut scratch),
                "{}",
                hash.as_str()
            );
            assert!(
                !hash.verify(&secret("wrong"), &mut scratch),
                "{}",
                hash.as_str()
            );
        }
    }

    #[test]
    fn a_missing_or_corrupt_hash_matches_nothing() {
        let mut scratch = Scratch::default();
        for stored in [
            "",
            "plain",
            "$argon2id$",
            "$argon2id$v=19$m=64,t=1,p=1$AAAA",
            "$pbkdf2-sha256$",
            "$pbkdf2-sha256$0$AAAA$AAAA",
            "$pbkdf2-sha256$1$AAAA$",
            "$pbkdf2-sha256$4000000000$AAAA$AAAA",
            "$pbkdf2-sha256$x$AAAA$AAAA",
        ] {
            let hash = PasswordHash::from_stored(stored.to_owned());
            for text in ["", "plain", "hello"] {
                assert!(!hash.verify(&secret(text), &mut scratch), "{stored}");
            }
        }
    }

    #[test]
    fn a_hash_with_another_algorithm_or_parameters_is_outdated() {
        let mut scratch = Scratch::default();
        let hash = PasswordHash::argon2id(&secret("x"), [1; 16], CHEAP, &mut scratch);
        assert!(!hash.is_outdated(CHEAP));
        assert!(hash.is_outdated(HashCost::default()));
        assert!(PasswordHash::pbkdf2(&secret("x"), [1; 16]).is_outdated(CHEAP));
        assert!(!PasswordHash::none().is_outdated(CHEAP));
    }

    #[test]
    fn pbkdf2_hashes_with_other_iteration_counts_are_verified() {
        // RFC 7914, section 11: PBKDF2-HMAC-SHA-256 of "passwd" with salt "salt", 1 iteration.
        let expected = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
                        49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783";
        let bytes = hex::decode(expected).unwrap();
        let stored = format!(
            "$pbkdf2-sha256$1${}${}",
            STANDARD_NO_PAD.encode("salt"),
            STANDARD_NO_PAD.encode(bytes)
        );
        let hash = PasswordHash::from_stored(stored);
        assert!(hash.verify(&secret("passwd"), &mut Scratch::default()));
    }
}
