//! Validation errors of input, by field.

use std::borrow::Cow;

/// Why a value is invalid. `Display` states the rule, as a continuation of "the value …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A required value is empty.
    #[error("must not be empty")]
    Empty,
    /// Longer than allowed.
    #[error("must be at most {max} bytes long")]
    TooLong {
        /// The maximum length, in bytes.
        max: usize,
    },
    /// Any other rule.
    #[error("{0}")]
    Rule(&'static str),
}

/// A violation of a rule by a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The JSON name of the field, or the name of the query parameter.
    pub field: Cow<'static, str>,
    /// The rule, as a sentence. Never contains a secret.
    pub detail: String,
}

impl FieldError {
    /// A violation by `field`.
    pub fn new(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            detail: detail.into(),
        }
    }
}

/// The violations of one input, in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<FieldError>);

impl Violations {
    /// No violations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a violation.
    pub fn push(&mut self, field: impl Into<Cow<'static, str>>, detail: impl Into<String>) {
        self.0.push(FieldError::new(field, detail));
    }

    /// Returns the value, or `None` after adding a violation by `field`.
    pub fn check<T>(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        parsed: Result<T, Invalid>,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.push(field, format!("The value {invalid}."));
                None
            }
        }
    }

    /// Whether there are no violations.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `value` if there are no violations.
    ///
    /// # Panics
    ///
    /// If there is neither a value nor a violation, which is a bug in the caller.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value.expect("a missing value has a violation"))
        } else {
            Err(self)
        }
    }

    /// The violations.
    pub fn into_inner(self) -> Vec<FieldError> {
        self.0
    }

    /// Iterates over the violations.
    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        self.0.iter()
    }
}

impl From<FieldError> for Violations {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}
