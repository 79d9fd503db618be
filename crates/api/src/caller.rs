//! The caller of a request, as an extractor.

use std::{ops::Deref, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use usher_domain::{Action, Actor, Object};

use crate::ApiError;

/// The authenticated caller. Only routes behind [`require_caller`](crate::require_caller)
/// have one.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Actor>);

impl Caller {
    pub(crate) fn new(actor: Actor) -> Self {
        Self(Arc::new(actor))
    }

    /// Checks that the caller may do this.
    ///
    /// # Errors
    ///
    /// [`ApiError::Forbidden`] otherwise.
    pub fn require(&self, action: Action, object: Object) -> Result<(), ApiError> {
        if self.may(action, object) {
            Ok(())
        } else {
            Err(ApiError::Forbidden)
        }
    }
}

impl Deref for Caller {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            ApiError::Internal("a handler that needs a caller is mounted as public".into())
        })
    }
}
