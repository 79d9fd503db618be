//! Passwords in request bodies.

use secrecy::SecretString;
use usher_api_types::Secret;
use usher_domain::{Password, Violations};

use crate::ApiError;

/// Validates a new password.
///
/// # Errors
///
/// A validation error of the field `password` if it is too weak or too long.
pub(crate) fn choose(text: Secret) -> Result<Password, ApiError> {
    Password::choose(text.into_exposed().into())
        .map_err(|weakness| ApiError::field("password", format!("The password {weakness}.")))
}

/// Adds a validation error if the secret is missing.
pub(crate) fn require(faults: &mut Violations, field: &'static str, secret: &Secret) {
    if secret.expose().is_empty() {
        faults.push(field, "The value must not be empty.");
    }
}

/// Converts a secret to the type that is hashed and verified.
pub(crate) fn secret(text: Secret) -> SecretString {
    text.into_exposed().into()
}
