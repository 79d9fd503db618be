//! The errors of handlers and their responses. No other module knows the JSON of errors.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use usher_api_types::{Response as Body, ValidationError};
use usher_domain::{FieldError, Violations, error_chain};
use usher_store::{Conflict, StoreError};

use crate::Json;

pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub(crate) const RATE_LIMIT_REMAINING: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining");
pub(crate) const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The message by which clients recognize that a user does not exist.
const UNKNOWN_USER: &str = "\"user\" must be an existing uuid or username.";
/// The `Retry-After` of a 503 response.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The body is not JSON of the right types.
    #[error("Request body must be valid JSON.")]
    Malformed(String),
    /// Fields of the body are invalid.
    #[error("Validation failed.")]
    Invalid(Violations),
    /// Query parameters are invalid.
    #[error("Query parameters have invalid values.")]
    InvalidQuery(Violations),
    /// The body is larger than the server accepts.
    #[error("Request body is too large. The limit is {max_bytes} bytes.")]
    BodyTooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// A rule of this endpoint, with its own message.
    #[error("{message}")]
    Rule {
        /// The status.
        status: StatusCode,
        /// The message.
        message: String,
        /// The detail; may be empty.
        detail: String,
        /// The invalid field, if the rule is about one.
        field: Option<&'static str>,
    },
    /// The credential is missing or invalid, or its user is not active.
    #[error("{message}")]
    Unauthenticated {
        /// The message.
        message: String,
        /// The reason; may be empty.
        detail: String,
    },
    /// The path names a user that does not exist or that the caller may not read.
    #[error("{UNKNOWN_USER}")]
    UnknownUser {
        /// The user in the path.
        queried: String,
    },
    /// The client has exceeded a rate limit.
    #[error(
        "You've been rate limited to {limit} requests a minute. \
         Try again in {retry_after_seconds} seconds."
    )]
    TooManyRequests {
        /// The number of requests in a minute.
        limit: u32,
        /// When the window ends, in seconds since 1970.
        resets_at: i64,
        /// The seconds until then.
        retry_after_seconds: u32,
    },
    /// The resource does not exist, or the caller may not read it.
    #[error("Resource not found or you do not have access to this resource")]
    NotFound,
    /// No route has this path.
    #[error("Route not found.")]
    NoSuchRoute,
    /// The caller lacks a permission.
    #[error("Forbidden.")]
    Forbidden,
    /// The service is temporarily unavailable.
    #[error("The service is temporarily unavailable. Try again.")]
    Unavailable(#[source] Option<StoreError>),
    /// An unexpected failure of the service.
    #[error("An internal server error occurred.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ApiError {
    /// A broken rule.
    pub fn rule(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Rule {
            status,
            message: message.into(),
            detail: String::new(),
            field: None,
        }
    }

    /// A broken rule with status 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::rule(StatusCode::BAD_REQUEST, message)
    }

    /// One invalid field of the body.
    pub fn field(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(FieldError::new(field, detail).into())
    }

    /// Adds a detail to a [rule](Self::Rule).
    pub fn with_detail(mut self, more: impl Into<String>) -> Self {
        if let Self::Rule { detail, .. } = &mut self {
            *detail = more.into();
        }
        self
    }

    /// Adds the invalid field to a [rule](Self::Rule).
    pub fn of_field(mut self, name: &'static str) -> Self {
        if let Self::Rule { field, .. } = &mut self {
            *field = Some(name);
        }
        self
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_)
            | Self::Invalid(_)
            | Self::InvalidQuery(_)
            | Self::UnknownUser { .. } => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Rule { status, .. } => *status,
            Self::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Self::NotFound | Self::NoSuchRoute => StatusCode::NOT_FOUND,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Malformed(detail)
            | Self::Unauthenticated { detail, .. }
            | Self::Rule { detail, .. } => detail.clone(),
            Self::UnknownUser { queried } => format!("queried user={queried:?}"),
            Self::Forbidden => {
                "You don't have permission to do this. If you believe this is a mistake, \
                                please ask an administrator."
                    .to_owned()
            }
            _ => String::new(),
        }
    }

    fn validations(&self) -> Vec<ValidationError> {
        match self {
            Self::Invalid(errors) | Self::InvalidQuery(errors) => {
                errors.iter().map(validation).collect()
            }
            Self::Rule {
                message,
                field: Some(field),
                ..
            } => vec![ValidationError {
                field: (*field).to_owned(),
                detail: message.clone(),
            }],
            _ => Vec::new(),
        }
    }
}

fn validation(error: &FieldError) -> ValidationError {
    ValidationError {
        field: error.field.clone().into_owned(),
        detail: error.detail.clone(),
    }
}

impl From<Violations> for ApiError {
    fn from(errors: Violations) -> Self {
        Self::Invalid(errors)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(conflict) => conflict.into(),
            StoreError::Unavailable(_) => Self::Unavailable(Some(error)),
            StoreError::Internal(_) => Self::Internal(Box::new(error)),
        }
    }
}

/// The response to a conflict that a handler does not treat itself.
impl From<Conflict> for ApiError {
    fn from(conflict: Conflict) -> Self {
        let conflicting = |message: &str| Self::rule(StatusCode::CONFLICT, message);
        match conflict {
            Conflict::Username => {
                conflicting("This username is already in use.").of_field("username")
            }
            Conflict::Email => {
                conflicting("This email address is already in use.").of_field("email")
            }
            Conflict::FirstUserExists => conflicting("The initial user has already been created."),
            Conflict::OrganizationName => {
                conflicting("An organization with that name already exists.").of_field("name")
            }
            Conflict::TokenName => {
                conflicting("A token with that name already exists.").of_field("name")
            }
            Conflict::NoSuchOrganization => Self::NotFound,
            Conflict::DefaultOrganization => {
                Self::bad_request("The default organization cannot be deleted.")
            }
            Conflict::OrganizationNotEmpty => {
                Self::bad_request("The organization still has members. Remove them first.")
            }
            Conflict::AlreadyMember => Self::bad_request("User is already an organization member")
                .with_detail("Nothing was changed."),
            Conflict::NoSuchTemplate => {
                Self::bad_request("There is no notification template with that ID.")
            }
            Conflict::UserDeleted => Self::bad_request("The user was deleted."),
            Conflict::LastOwner => Self::bad_request(
                "This is the last active owner. Give another user the owner role first.",
            ),
            Conflict::StaleCredential => Self::signed_out("The credential has been revoked."),
            Conflict::ConcurrentModification => conflicting(
                "This was changed by another request at the same time. Reload it and try again.",
            ),
        }
    }
}

impl ApiError {
    /// The response to a missing or invalid credential.
    pub(crate) fn signed_out(detail: impl Into<String>) -> Self {
        Self::Unauthenticated {
            message:
                "You are signed out or your session has expired. Please sign in again to continue."
                    .to_owned(),
            detail: detail.into(),
        }
    }
}

/// Marks a response that needs the challenge of RFC 6750, which contains the access URL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Challenge;

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        match &self {
            Self::Internal(error) => {
                tracing::error!(error = %error_chain::to_string(&**error), "request failed");
            }
            Self::Unavailable(Some(error)) => {
                tracing::warn!(error = %error_chain::to_string(error), "the store is unavailable");
            }
            _ => {}
        }
        let body = Body {
            message: self.to_string(),
            detail: self.detail(),
            validations: self.validations(),
        };
        let mut response = (status, Json(body)).into_response();
        match self {
            Self::Unauthenticated { .. } => {
                response.extensions_mut().insert(Challenge);
            }
            Self::Unavailable(_) => {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
            }
            Self::TooManyRequests {
                limit,
                resets_at,
                retry_after_seconds,
            } => {
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
                headers.insert(RATE_LIMIT, HeaderValue::from(limit));
                headers.insert(RATE_LIMIT_REMAINING, HeaderValue::from(0));
                headers.insert(RATE_LIMIT_RESET, HeaderValue::from(resets_at));
            }
            _ => {}
        }
        response
    }
}
