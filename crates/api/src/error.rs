//! What can go wrong with a request, and how it is told. The only place that knows the
//! shape of error answers.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use usher_api_types::{Response as Body, ValidationError};
use usher_domain::{FieldError, Violations, error_chain};
use usher_store::{Conflict, StoreError};

use crate::{
    json::Json,
    limits::{LIMIT, REMAINING, RESET},
};

/// The text that clients look for to learn that a user does not exist.
const UNKNOWN_USER: &str = "\"user\" must be an existing uuid or username.";
/// How long to wait before another attempt, in seconds.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The body is not JSON of the right types.
    #[error("Request body must be valid JSON.")]
    Malformed(String),
    /// Fields of the body break their rules.
    #[error("Validation failed.")]
    Invalid(Violations),
    /// Query parameters break their rules.
    #[error("Query parameters have invalid values.")]
    InvalidQuery(Violations),
    /// The body is longer than the server reads.
    #[error("Request body is too large: at most {max_bytes} bytes are read.")]
    BodyTooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// A rule of this call, told in its own words.
    #[error("{message}")]
    Rule {
        /// The status.
        status: StatusCode,
        /// The sentence.
        message: String,
        /// More about it; may be empty.
        detail: String,
        /// The field that it is about, if it is about one.
        field: Option<&'static str>,
    },
    /// The credential is missing or not good, or its user may not act.
    #[error("{message}")]
    Unauthenticated {
        /// The sentence.
        message: String,
        /// What exactly is wrong; may be empty.
        detail: String,
    },
    /// The path names a user that does not exist or that the caller may not read.
    #[error("{UNKNOWN_USER}")]
    UnknownUser {
        /// What the path said.
        queried: String,
    },
    /// The caller has made too many such calls in this minute.
    #[error("You've been rate limited: at most {limit} such calls are taken in a minute.")]
    TooManyRequests {
        /// How many are taken.
        limit: u32,
        /// When the minute ends, in seconds since 1970.
        window_ends: i64,
        /// How long to wait, in seconds.
        retry_after_seconds: u32,
    },
    /// There is no such thing, or the caller may not know of it.
    #[error("Resource not found or you do not have access to this resource")]
    NotFound,
    /// There is no such path.
    #[error("Route not found.")]
    NoSuchRoute,
    /// The caller may not.
    #[error("Forbidden.")]
    Forbidden,
    /// The service cannot answer now.
    #[error("The service is not available at the moment. Please try again.")]
    Unavailable(#[source] Option<StoreError>),
    /// A fault of the service.
    #[error("An internal server error occurred.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ApiError {
    /// A rule without more words.
    pub fn rule(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Rule {
            status,
            message: message.into(),
            detail: String::new(),
            field: None,
        }
    }

    /// A rule that makes the request a bad one.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::rule(StatusCode::BAD_REQUEST, message)
    }

    /// A fault of one field, found after the body was read.
    pub fn field(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(FieldError::new(field, detail).into())
    }

    /// The same rule with more words.
    pub fn with_detail(mut self, more: impl Into<String>) -> Self {
        if let Self::Rule { detail, .. } = &mut self {
            *detail = more.into();
        }
        self
    }

    /// The same rule, told of a field too.
    pub fn of_field(mut self, name: &'static str) -> Self {
        if let Self::Rule { field, .. } = &mut self {
            *field = Some(name);
        }
        self
    }

    /// The status of the answer.
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
            Self::Invalid(faults) | Self::InvalidQuery(faults) => {
                faults.iter().map(validation).collect()
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

fn validation(fault: &FieldError) -> ValidationError {
    ValidationError {
        field: fault.field.clone().into_owned(),
        detail: fault.detail.clone(),
    }
}

impl From<Violations> for ApiError {
    fn from(faults: Violations) -> Self {
        Self::Invalid(faults)
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

/// What a conflict means where the call has no words of its own for it.
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
                conflicting("An organization with that name exists already.").of_field("name")
            }
            Conflict::TokenName => {
                conflicting("A token with that name exists already.").of_field("name")
            }
            Conflict::NoSuchOrganization => Self::NotFound,
            Conflict::DefaultOrganization => {
                Self::bad_request("The default organization cannot be deleted.")
            }
            Conflict::OrganizationNotEmpty => {
                Self::bad_request("The organization still has members: remove them first.")
            }
            Conflict::AlreadyMember => Self::bad_request("User is already an organization member")
                .with_detail("The user is in the organization; nothing was changed."),
            Conflict::NoSuchTemplate => {
                Self::bad_request("There is no notification template of that id.")
            }
            Conflict::UserDeleted => Self::bad_request("The user was deleted."),
            Conflict::LastOwner => Self::bad_request(
                "The last active owner must stay: make somebody else an owner first.",
            ),
            Conflict::StaleCredential => Self::signed_out("The credential has ended."),
            Conflict::ConcurrentModification => conflicting(
                "Somebody else changed this at the same time. Please look again and retry.",
            ),
        }
    }
}

impl ApiError {
    /// The answer to a credential that is missing or not good.
    pub(crate) fn signed_out(detail: impl Into<String>) -> Self {
        Self::Unauthenticated {
            message:
                "You are signed out or your session has expired. Please sign in again to continue."
                    .to_owned(),
            detail: detail.into(),
        }
    }
}

/// Marks an answer to which the challenge of RFC 6750 is to be added, which needs the
/// address of the server.
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
                window_ends,
                retry_after_seconds,
            } => {
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
                headers.insert(LIMIT, HeaderValue::from(limit));
                headers.insert(REMAINING, HeaderValue::from(0));
                headers.insert(RESET, HeaderValue::from(window_ends));
            }
            _ => {}
        }
        response
    }
}
