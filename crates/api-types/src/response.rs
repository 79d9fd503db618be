//! The body of errors, and of successful responses without data.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A message, with details if the request failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Response {
    /// The message, as a sentence.
    pub message: String,
    /// Details; omitted if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The invalid fields; omitted if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validations: Vec<ValidationError>,
}

impl Response {
    /// A message without details.
    pub fn message(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }
}

/// A validation error of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidationError {
    /// The JSON name of the field, or the name of the query parameter.
    pub field: String,
    /// The rule that the field violates, as a sentence.
    pub detail: String,
}
