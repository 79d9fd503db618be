//! Text that must not be logged.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

/// A password, passcode or key in a body. Debug output hides it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = String, format = Password)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Consumes the value and returns the text.
    pub fn into_exposed(self) -> String {
        self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own error would quote the value, which may be a password that is
        // missing its quotes.
        String::deserialize(deserializer)
            .map(Self)
            .map_err(|_| D::Error::custom("expected a string"))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_is_not_a_string_is_rejected_without_quoting_it() {
        for value in [
            json!(9_381_740),
            json!(true),
            json!(["s3cret"]),
            json!({"s3cret": 1}),
        ] {
            let error = serde_json::from_value::<Secret>(value).unwrap_err();
            assert_eq!(error.to_string(), "expected a string");
        }
        let secret: Secret = serde_json::from_value(json!("s3cret")).unwrap();
        assert_eq!(secret.expose(), "s3cret");
    }
}
