//! Users' SSH key pairs for Git.

use ssh_key::{
    Algorithm, EcdsaCurve, LineEnding, PrivateKey,
    private::{EcdsaKeypair, Ed25519Keypair, KeypairData, RsaKeypair},
    rand_core,
};

use chrono::{DateTime, Utc};
use rand::CryptoRng;
use secrecy::SecretString;

use crate::UserId;

/// The algorithm of new key pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SshKeyAlgorithm {
    /// Ed25519 (RFC 8709).
    #[default]
    Ed25519,
    /// ECDSA over NIST P-256 (RFC 5656).
    Ecdsa,
    /// RSA with 4096 bits.
    Rsa4096,
}

impl SshKeyAlgorithm {
    /// Parses the value of the setting, case-insensitively.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "ed25519" => Some(Self::Ed25519),
            "ecdsa" => Some(Self::Ecdsa),
            "rsa4096" => Some(Self::Rsa4096),
            _ => None,
        }
    }
}

/// A new SSH key pair.
#[derive(Clone, Debug)]
pub struct SshKeyPair {
    /// The private key in OpenSSH's PEM format.
    pub private_key: SecretString,
    /// The public key as a line of `authorized_keys`, with a trailing newline and without
    /// a comment.
    pub public_key: String,
}

impl SshKeyPair {
    /// Generates a key pair. RSA takes seconds.
    ///
    /// # Errors
    ///
    /// If no primes for an RSA key were found.
    pub fn generate(
        algorithm: SshKeyAlgorithm,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, ssh_key::Error> {
        let rng = &mut OlderRng(rng);
        let pair = match algorithm {
            SshKeyAlgorithm::Ed25519 => KeypairData::from(Ed25519Keypair::random(rng)),
            SshKeyAlgorithm::Ecdsa => {
                KeypairData::from(EcdsaKeypair::random(rng, EcdsaCurve::NistP256)?)
            }
            SshKeyAlgorithm::Rsa4096 => KeypairData::from(RsaKeypair::random(rng, 4096)?),
        };
        let private = PrivateKey::new(pair, "")?;
        debug_assert!(!matches!(private.algorithm(), Algorithm::Other(_)));
        Ok(Self {
            private_key: private.to_openssh(LineEnding::LF)?.to_string().into(),
            public_key: format!("{}\n", private.public_key().to_openssh()?),
        })
    }
}

/// A user's stored public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshPublicKey {
    /// The user it belongs to.
    pub user_id: UserId,
    /// When the user's first key pair was created.
    pub created_at: DateTime<Utc>,
    /// When this key pair was created.
    pub updated_at: DateTime<Utc>,
    /// The line of `authorized_keys`, with a trailing newline.
    pub public_key: String,
}

/// Adapts a generator to the older `rand_core` that `ssh-key` uses.
struct OlderRng<R>(R);

impl<R: CryptoRng> rand_core::RngCore for OlderRng<R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

impl<R: CryptoRng> rand_core::CryptoRng for OlderRng<R> {}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_public_key_is_one_line_without_a_comment() {
        for (algorithm, prefix) in [
            (SshKeyAlgorithm::Ed25519, "ssh-ed25519"),
            (SshKeyAlgorithm::Ecdsa, "ecdsa-sha2-nistp256"),
        ] {
            let pair = SshKeyPair::generate(algorithm, &mut StdRng::seed_from_u64(1)).unwrap();
            let line = pair.public_key.strip_suffix('\n').unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words.len(), 2, "{line}");
            assert_eq!(words[0], prefix);
            assert!(
                pair.private_key
                    .expose_secret()
                    .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----")
            );
        }
    }

    #[test]
    fn the_setting_is_case_insensitive() {
        assert_eq!(
            SshKeyAlgorithm::parse("ED25519"),
            Some(SshKeyAlgorithm::Ed25519)
        );
        assert_eq!(SshKeyAlgorithm::parse("rsa"), None);
    }
}
