//! What stops a sign-in through a provider, and its response: a page for browsers, JSON for
//! programs.

use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, LOCATION},
};
use url::form_urlencoded;
use usher_domain::{
    LoginType, UserId, UserStatus,
    audit::{AuditAction, AuditEntry, AuditResource},
    sign_in::SignInRejection,
};
use usher_identity::{IdentifyError, ProviderError};
use usher_store::{Conflict, SignInOutcome, StoreError};
use uuid::Uuid;

use super::{
    Provider, SignInRequest,
    page::{Back, Page, Text},
    redirect::without_origin,
};
use crate::{ApiError, Audit, credential::inactive_text};

/// OAuth errors that are caused by the settings of this server or of the provider, not by
/// the user.
const SETTINGS_ERRORS: [&str; 6] = [
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "incorrect_client_credentials",
    "redirect_uri_mismatch",
];

/// What stops a sign-in.
#[derive(Debug)]
pub(super) enum SignInError {
    /// The provider did not identify a user. Not audited.
    Unidentified(ApiError),
    /// The user is identified and cannot sign in. JSON, or a page if the browser prefers one.
    Rejected(ApiError),
    /// The same, explained on a page of its own.
    Explained {
        status: StatusCode,
        title: &'static str,
        text: Text,
    },
    /// The user is not a member of an allowed organization or team. The page's `Location`
    /// points to the sign-in page.
    NotAMember(String),
}

impl From<ApiError> for SignInError {
    fn from(error: ApiError) -> Self {
        Self::Rejected(error)
    }
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Rejected(error.into())
    }
}

impl SignInError {
    fn explained(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self::Explained {
            status,
            title,
            text: Text::Plain(text.into()),
        }
    }

    /// Why the provider did not identify the user.
    pub(super) fn of_provider(error: IdentifyError, is_device: bool) -> Self {
        match error {
            IdentifyError::Provider(error) => Self::Unidentified(unidentified(&error, is_device)),
            IdentifyError::Pending => Self::Unidentified(
                ApiError::bad_request("The code has not been confirmed yet.")
                    .with_detail("authorization_pending"),
            ),
            IdentifyError::Unusable { message, detail } => ApiError::bad_request(message)
                .with_detail(detail.unwrap_or_default())
                .into(),
            IdentifyError::UnusableGroups(text) => {
                Self::explained(StatusCode::BAD_REQUEST, "Malformed groups", text)
            }
            IdentifyError::NotAMember(text) => Self::NotAMember(text),
            IdentifyError::AddressRefused(text) => {
                ApiError::rule(StatusCode::FORBIDDEN, text).into()
            }
            IdentifyError::NotInGroup(text) => {
                Self::explained(StatusCode::FORBIDDEN, "Not in an allowed group", text)
            }
        }
    }

    /// Why the store did not sign the user in, `None` if it did.
    pub(super) fn of_outcome(
        outcome: &SignInOutcome,
        login_type: LoginType,
        provider: &Provider,
    ) -> Option<Self> {
        let forbidden = |title, text| Self::explained(StatusCode::FORBIDDEN, title, text);
        let conflict = |message: &str, detail: &str| {
            ApiError::rule(StatusCode::CONFLICT, message).with_detail(detail)
        };
        let SignInOutcome::Rejected(rejection) = outcome else {
            return None;
        };
        Some(match rejection {
            SignInRejection::OtherLoginType(stored) => forbidden(
                "Incorrect login type",
                incorrect_login_type(*stored, login_type),
            ),
            SignInRejection::OtherAccount => forbidden(
                "Linked to another account",
                "The user with this e-mail address signs in with another account or through \
                 another provider. Sign in the way you usually do, or ask an administrator."
                    .to_owned(),
            ),
            SignInRejection::Suspended => forbidden(
                "Your account is not active",
                inactive_text(UserStatus::Suspended),
            ),
            SignInRejection::SignUpDisabled => Self::Explained {
                status: StatusCode::FORBIDDEN,
                title: "Sign-ups are disabled",
                text: sign_ups_disabled(provider),
            },
            // Only conversions check the password.
            SignInRejection::PasswordChanged => {
                ApiError::from(Conflict::ConcurrentModification).into()
            }
            SignInRejection::EmailTaken => conflict(
                "The e-mail address from the provider belongs to another user.",
                "Nothing was changed. Ask an administrator.",
            )
            .into(),
            SignInRejection::UsernamesTaken => conflict(
                "No free username was found.",
                "Try again, or ask an administrator to create your user.",
            )
            .into(),
        })
    }

    /// Writes the audit row of a failed sign-in, if the provider identified a user. The row
    /// names no user.
    pub(super) fn record(&self, audit: &Audit) {
        let status = match self {
            Self::Unidentified(_)
            | Self::Rejected(ApiError::Unavailable(_) | ApiError::Internal(_)) => return,
            Self::Rejected(error) => error.status(),
            Self::Explained { status, .. } => *status,
            Self::NotAMember(_) => StatusCode::UNAUTHORIZED,
        };
        let entry = AuditEntry::new(AuditAction::Login, AuditResource::ApiKey, Uuid::nil(), "");
        audit.record_in_background(entry, audit.context_of(UserId(Uuid::nil()), status));
    }

    pub(super) fn into_response(self, request: &SignInRequest<'_>) -> Response {
        if request.is_device() {
            self.into_json().into_response()
        } else {
            self.into_page(request)
        }
    }

    fn into_json(self) -> ApiError {
        match self {
            Self::Unidentified(error) | Self::Rejected(error) => error,
            Self::Explained {
                status,
                title,
                text,
            } => ApiError::rule(status, title).with_detail(text.into_source()),
            Self::NotAMember(text) => {
                ApiError::rule(StatusCode::UNAUTHORIZED, "Unauthorized").with_detail(text)
            }
        }
    }

    /// Renders a page. An [`ApiError`] stays JSON unless the client prefers HTML.
    fn into_page(self, request: &SignInRequest<'_>) -> Response {
        let is_conversion = request.is_conversion();
        let back = if is_conversion {
            Back::Settings
        } else {
            Back::SignIn
        };
        match self {
            Self::Unidentified(error) | Self::Rejected(error) => {
                if !prefers_html(&request.callback.headers) {
                    return error.into_response();
                }
                let title = if is_conversion {
                    "Your login type was not changed"
                } else {
                    "You are not signed in"
                };
                page_of(error, title, back)
            }
            Self::Explained {
                status,
                title,
                text,
            } => Page {
                status,
                title,
                text,
                back,
            }
            .into_response(),
            Self::NotAMember(text) => {
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair("message", &text)
                    .append_pair("redirect", &without_origin(&request.redirect_target()))
                    .finish();
                let location = HeaderValue::try_from(format!("/login?{query}"))
                    .expect("form encoding is visible ASCII");
                let page = Page {
                    status: StatusCode::UNAUTHORIZED,
                    title: "You cannot sign in",
                    text: Text::Plain(text),
                    back,
                };
                ([(LOCATION, location)], page).into_response()
            }
        }
    }
}

/// Renders an API error as a page. Headers such as `Retry-After` are those of the JSON
/// response.
fn page_of(error: ApiError, title: &'static str, back: Back) -> Response {
    let text = format!("{error} {}", error.detail());
    let page = Page {
        status: error.status(),
        title,
        text: Text::Plain(text.trim_end().to_owned()),
        back,
    };
    let (mut head, _) = error.into_response().into_parts();
    let (page, body) = page.into_response().into_parts();
    head.headers.extend(page.headers);
    Response::from_parts(head, body)
}

/// Whether the client names HTML in `Accept` and prefers it to JSON. A client that accepts
/// anything gets JSON.
fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut json) = (0.0, 0.0);
    let values = headers.get_all(ACCEPT).iter();
    for range in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let quality: f32 = quality.map_or(1.0, |text| text.parse().unwrap_or(0.0));
        if media_type.eq_ignore_ascii_case("text/html") {
            html = quality;
        } else if media_type.eq_ignore_ascii_case("application/json") {
            json = quality;
        }
    }
    html > json
}

fn unidentified(error: &ProviderError, is_device: bool) -> ApiError {
    match error {
        ProviderError::Unavailable(_) => {
            tracing::warn!(%error, "a provider did not identify a user");
            ApiError::rule(
                StatusCode::BAD_GATEWAY,
                "The provider did not respond as expected. Try again.",
            )
            .with_detail(error.to_string())
        }
        ProviderError::Refused { code, description } => {
            let status = if SETTINGS_ERRORS.contains(&&**code) {
                tracing::warn!(%code, %error, "a provider rejected this server's settings");
                StatusCode::BAD_GATEWAY
            } else {
                StatusCode::BAD_REQUEST
            };
            // Programs compare the detail with the error codes of RFC 8628, 3.5.
            let detail = match description {
                Some(description) if !is_device => format!("{code}: {description}"),
                _ => code.clone(),
            };
            ApiError::rule(status, "The provider rejected the code.").with_detail(detail)
        }
    }
}

fn incorrect_login_type(stored: LoginType, used: LoginType) -> String {
    let hint = match stored {
        LoginType::Password => {
            " Sign in with your password; you can then change the login type in your account \
             settings."
        }
        _ => "",
    };
    format!(
        "The user with this e-mail address has the login type {:?}, not {:?}.{hint}",
        stored.as_str(),
        used.as_str()
    )
}

fn sign_ups_disabled(provider: &Provider) -> Text {
    let text = &provider.sign_ups_disabled_text;
    if text.trim().is_empty() {
        Text::Plain("You do not have an account here. To get one, ask an administrator.".to_owned())
    } else {
        Text::Markdown(text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_get_json() {
        for (accept, expected) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("Text/HTML;q=0.5, application/json;q=0.4", true),
            ("text/html, application/json", false),
            ("text/html;q=0", false),
            ("text/html;q=x", false),
            ("application/json, text/plain, */*", false),
            ("*/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_html(&headers), expected, "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
