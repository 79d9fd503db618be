//! Passwords in bodies.

use secrecy::SecretString;
use usher_api_types::Secret;
use usher_domain::{Password, Violations};

use crate::ApiError;

/// Takes a password that somebody wants from now on.
///
/// # Errors
///
/// A fault of the field `password` if it is too weak or too long.
pub(crate) fn choose(text: Secret) -> Result<Password, ApiError> {
    Password::choose(text.into_exposed().into())
        .map_err(|weakness| ApiError::field("password", format!("The password {weakness}.")))
}

/// Notes a fault if the secret is missing.
pub(crate) fn require(faults: &mut Violations, field: &'static str, secret: &Secret) {
    if secret.expose().is_empty() {
        faults.push(field, "The value must not be empty.");
    }
}

/// The secret in the form in which it is hashed and checked.
pub(crate) fn secret(text: Secret) -> SecretString {
    text.into_exposed().into()
}
