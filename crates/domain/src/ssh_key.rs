//! The SSH key pair that every user has, for Git.

use ssh_key::{
    Algorithm, EcdsaCurve, LineEnding, PrivateKey,
    private::{EcdsaKeypair, Ed25519Keypair, KeypairData, RsaKeypair},
    rand_core::CryptoRngCore,
};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::UserId;

/// The kind of key that new pairs have.
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
    /// Reads the word of the setting, without regard to case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "ed25519" => Some(Self::Ed25519),
            "ecdsa" => Some(Self::Ecdsa),
            "rsa4096" => Some(Self::Rsa4096),
            _ => None,
        }
    }
}

/// A new pair.
#[derive(Clone, Debug)]
pub struct SshKeyPair {
    /// The private half, in OpenSSH's PEM form.
    pub private_key: SecretString,
    /// The public half as a line of `authorized_keys`, with its line end and without a
    /// comment.
    pub public_key: String,
}

impl SshKeyPair {
    /// Makes a pair. RSA takes seconds.
    ///
    /// # Errors
    ///
    /// If the primes of an RSA key could not be found.
    pub fn generate(
        algorithm: SshKeyAlgorithm,
        rng: &mut impl CryptoRngCore,
    ) -> Result<Self, ssh_key::Error> {
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

/// The public half of a user's pair as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshPublicKey {
    /// Whose it is.
    pub user_id: UserId,
    /// When the user got their first pair.
    pub created_at: DateTime<Utc>,
    /// When this pair was made.
    pub updated_at: DateTime<Utc>,
    /// The line of `authorized_keys`, with its line end.
    pub public_key: String,
}
