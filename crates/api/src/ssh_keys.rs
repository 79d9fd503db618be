//! Generation of SSH key pairs.

use rand::rngs::StdRng;
use usher_domain::ssh_key::{SshKeyAlgorithm, SshKeyPair};

use crate::ApiError;

/// Generates a key pair. RSA takes seconds of CPU time, so it runs on a blocking thread.
pub(crate) async fn generate(
    algorithm: SshKeyAlgorithm,
    mut rng: StdRng,
) -> Result<SshKeyPair, ApiError> {
    let mut make = move || SshKeyPair::generate(algorithm, &mut rng);
    let pair = match algorithm {
        SshKeyAlgorithm::Rsa4096 => tokio::task::spawn_blocking(make)
            .await
            .map_err(|error| ApiError::Internal(Box::new(error)))?,
        SshKeyAlgorithm::Ed25519 | SshKeyAlgorithm::Ecdsa => make(),
    };
    pair.map_err(|error| ApiError::Internal(Box::new(error)))
}
