//! What is answered when there is nothing to show, and when something is wrong.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A message, and what was wrong if something was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Response {
    /// A sentence for people.
    pub message: String,
    /// More about it; left out when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What is wrong with which field; left out when nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validations: Vec<ValidationError>,
}

impl Response {
    /// A message without more.
    pub fn message(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidationError {
    /// The JSON name of the field, or the name of the query parameter.
    pub field: String,
    /// A sentence that says what must be.
    pub detail: String,
}
