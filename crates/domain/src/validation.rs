//! What is wrong with a value from outside, told field by field.

use std::borrow::Cow;

/// Why a text is not a value of the type it was meant for. `Display` says what must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A required value is empty.
    #[error("must not be empty")]
    Empty,
    /// Longer than allowed.
    #[error("must be at most {max} bytes long")]
    TooLong {
        /// The greatest length, in bytes.
        max: usize,
    },
    /// Any other rule, in words that continue "the value …".
    #[error("{0}")]
    Rule(&'static str),
}

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The JSON name of the field, or the name of the query parameter.
    pub field: Cow<'static, str>,
    /// What must be, as a sentence. Never holds a secret.
    pub detail: String,
}

impl FieldError {
    /// A fault of `field`.
    pub fn new(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            detail: detail.into(),
        }
    }
}

/// The faults of one input, in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<FieldError>);

impl Violations {
    /// No fault yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a fault.
    pub fn push(&mut self, field: impl Into<Cow<'static, str>>, detail: impl Into<String>) {
        self.0.push(FieldError::new(field, detail));
    }

    /// The value, or `None` with its fault noted under `field`.
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

    /// Whether nothing was found wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if nothing was found wrong, else the faults.
    ///
    /// # Panics
    ///
    /// If nothing was found wrong and there is no value: a bug in the caller, which
    /// noted no fault for a value that it could not read.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value.expect("a missing value has its fault noted"))
        } else {
            Err(self)
        }
    }

    /// The faults.
    pub fn into_inner(self) -> Vec<FieldError> {
        self.0
    }

    /// The faults, to look at.
    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        self.0.iter()
    }
}

impl From<FieldError> for Violations {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}
