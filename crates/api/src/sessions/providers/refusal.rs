//! Why somebody who comes from a provider is not let in, and how it is told: as a page where
//! people see it, as JSON where a program asks.

use axum::{
    body::to_bytes,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use url::form_urlencoded;
use usher_domain::{LoginType, UserStatus};
use usher_identity::{IdentifyError, ProviderError};
use usher_store::{Conflict, SignInOutcome, StoreError};

use super::{
    Attempt, Provider,
    page::{Back, Page, Text},
    state,
};
use crate::{ApiError, caller::inactive_text};

/// What the provider is told to be at fault for, though it answers with an error of OAuth:
/// the settings here or there.
const FAULTS_OF_SETTINGS: [&str; 6] = [
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "incorrect_client_credentials",
    "redirect_uri_mismatch",
];

/// How long a refusal may be that becomes a page.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// A refusal.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing is known of who came.
    Unknown(ApiError),
    /// Told as JSON.
    Json(ApiError),
    /// Told as a page.
    Page(Page),
    /// Told on the sign-in page, which the browser may go back to.
    SignInPage(String),
}

impl Refusal {
    fn page(status: StatusCode, title: &str, text: impl Into<String>) -> Self {
        Self::Page(Page {
            status,
            title: title.to_owned(),
            text: Text::Plain(text.into()),
            back: Back::SignIn,
        })
    }

    /// Why the provider does not say who came.
    pub(super) fn of_provider(error: IdentifyError, is_device: bool) -> Self {
        match error {
            IdentifyError::Provider(error) => Self::Unknown(no_identity(&error, is_device)),
            IdentifyError::Pending => Self::Unknown(
                ApiError::bad_request("The code was not confirmed yet.")
                    .with_detail("authorization_pending"),
            ),
            IdentifyError::Unusable { message, detail } => {
                Self::Json(ApiError::bad_request(message).with_detail(detail.unwrap_or_default()))
            }
            IdentifyError::UnusableGroups(text) => {
                Self::page(StatusCode::BAD_REQUEST, "Malformed groups", text)
            }
            IdentifyError::NotAMember(text) => Self::SignInPage(text),
            IdentifyError::AddressRefused(text) => {
                Self::Json(ApiError::rule(StatusCode::FORBIDDEN, text))
            }
            IdentifyError::NotInGroup(text) => {
                Self::page(StatusCode::FORBIDDEN, "Not in an allowed group", text)
            }
        }
    }

    /// Why the store does not let them in. `None` if it does.
    pub(super) fn of_outcome(
        outcome: &SignInOutcome,
        comes_by: LoginType,
        provider: &Provider,
    ) -> Option<Self> {
        let forbidden = |title, text| Self::page(StatusCode::FORBIDDEN, title, text);
        let refusal = match outcome {
            SignInOutcome::SignedIn { .. } => return None,
            SignInOutcome::OtherLoginType(usual) => {
                forbidden("Incorrect login type", other_way(*usual, comes_by))
            }
            SignInOutcome::OtherAccount => forbidden(
                "Another account",
                "The user with this address signs in with another account, or through another \
                 provider. Sign in as you usually do, or ask an administrator."
                    .to_owned(),
            ),
            SignInOutcome::Suspended => forbidden(
                "Your account is not active",
                inactive_text(UserStatus::Suspended),
            ),
            // Only of a change of the way to sign in.
            SignInOutcome::PasswordChanged => Self::Json(Conflict::ConcurrentModification.into()),
            SignInOutcome::SignUpClosed => Self::Page(Page {
                status: StatusCode::FORBIDDEN,
                title: "Sign-ups are disabled".to_owned(),
                text: sign_ups_disabled(provider),
                back: Back::SignIn,
            }),
            SignInOutcome::AddressTaken => Self::Json(
                ApiError::rule(
                    StatusCode::CONFLICT,
                    "The address that the provider says belongs to another user.",
                )
                .with_detail("Nothing was changed. Please ask an administrator."),
            ),
            SignInOutcome::UsernamesTaken => Self::Json(
                ApiError::rule(
                    StatusCode::CONFLICT,
                    "Every username that was tried is taken.",
                )
                .with_detail("Please try again, or ask an administrator to create your user."),
            ),
        };
        Some(refusal)
    }

    /// The status of the audit row, if somebody is known to have been refused.
    pub(super) fn recorded_status(&self) -> Option<StatusCode> {
        match self {
            Self::Unknown(_) | Self::Json(ApiError::Unavailable(_) | ApiError::Internal(_)) => None,
            Self::Json(error) => Some(error.status()),
            Self::Page(page) => Some(page.status),
            Self::SignInPage(_) => Some(StatusCode::UNAUTHORIZED),
        }
    }

    /// The answer to a browser that wants to be at `target` afterwards, and came with this
    /// state.
    pub(super) fn tell_browser(self, target: &str, state: &str) -> Response {
        let back = if state::is_conversion(state) {
            Back::Settings
        } else {
            Back::SignIn
        };
        match self {
            Self::Unknown(error) | Self::Json(error) => error.into_response(),
            Self::Page(page) => Page { back, ..page }.into_response(),
            Self::SignInPage(text) => {
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair("message", &text)
                    .append_pair("redirect", target)
                    .finish();
                let page = Page {
                    status: StatusCode::UNAUTHORIZED,
                    title: "You may not sign in".to_owned(),
                    text: Text::Plain(text),
                    back,
                };
                let mut response = page.into_response();
                let location = HeaderValue::try_from(format!("/login?{query}"));
                let location = location.expect("a form is plain text");
                response.headers_mut().insert(LOCATION, location);
                response
            }
        }
    }

    /// The answer to a program.
    pub(super) fn tell_program(self) -> Response {
        let error = match self {
            Self::Unknown(error) | Self::Json(error) => error,
            Self::Page(page) => {
                ApiError::rule(page.status, page.title).with_detail(page.text.source())
            }
            Self::SignInPage(text) => {
                ApiError::rule(StatusCode::UNAUTHORIZED, "Unauthorized").with_detail(text)
            }
        };
        error.into_response()
    }
}

/// The answer as who asked reads it: a refusal in JSON becomes a page where the browser asks
/// for one.
pub(super) async fn readable(attempt: &Attempt<'_>, response: Response) -> Response {
    let (is_success, is_page) = (!is_refusal(response.status()), !is_json(&response));
    if is_success || is_page || attempt.is_device() || !prefers_pages(attempt.headers) {
        return response;
    }
    let is_change = ["state", "oidc_merge_state"]
        .iter()
        .any(|name| attempt.parameter(name).is_some_and(state::is_conversion));
    let (title, back) = if is_change {
        ("How you sign in was not changed", Back::Settings)
    } else {
        ("You are not signed in", Back::SignIn)
    };
    let (mut head, body) = response.into_parts();
    let body = to_bytes(body, MAX_REFUSAL_BYTES).await.unwrap_or_default();
    let told: usher_api_types::Response = serde_json::from_slice(&body).unwrap_or_default();
    let page = Page {
        status: head.status,
        title: title.to_owned(),
        text: Text::Plain(format!("{} {}", told.message, told.detail)),
        back,
    };
    let (page, body) = page.into_response().into_parts();
    head.headers.remove(CONTENT_LENGTH);
    for (name, value) in &page.headers {
        head.headers.insert(name, value.clone());
    }
    Response::from_parts(head, body)
}

fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// Whether HTML is named, and better liked than JSON. Programs that take anything get JSON.
fn prefers_pages(headers: &HeaderMap) -> bool {
    let (mut html, mut json) = (0.0, 0.0);
    let values = headers.get_all(ACCEPT).iter();
    for range in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let quality: f32 = quality.map_or(1.0, |text| text.parse().unwrap_or(0.0));
        if kind.eq_ignore_ascii_case("text/html") {
            html = quality;
        } else if kind.eq_ignore_ascii_case("application/json") {
            json = quality;
        }
    }
    html > json
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Json(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Json(error.into())
    }
}

fn no_identity(error: &ProviderError, is_device: bool) -> ApiError {
    match error {
        ProviderError::Unavailable(_) => {
            tracing::warn!(%error, "a provider could not be asked who signs in");
            ApiError::rule(
                StatusCode::BAD_GATEWAY,
                "The provider could not be asked who you are. Please try again.",
            )
            .with_detail(error.to_string())
        }
        ProviderError::Refused { code, description } => {
            let is_ours = FAULTS_OF_SETTINGS.contains(&&**code);
            let status = if is_ours {
                tracing::warn!(%code, %error, "a provider refuses this service");
                StatusCode::BAD_GATEWAY
            } else {
                StatusCode::BAD_REQUEST
            };
            // Programs wait for some of these words.
            let detail = match description {
                Some(description) if !is_device => format!("{code}: {description}"),
                _ => code.clone(),
            };
            ApiError::rule(status, "The provider did not accept the code.").with_detail(detail)
        }
    }
}

fn other_way(usual: LoginType, comes_by: LoginType) -> String {
    let (usual_word, word) = (usual.as_str(), comes_by.as_str());
    let hint = match usual {
        LoginType::Password => {
            " Sign in by password; then you can change the way to sign in in your account settings."
        }
        _ => "",
    };
    format!("The user with this address signs in by {usual_word:?}, not by {word:?}.{hint}")
}

fn sign_ups_disabled(provider: &Provider) -> Text {
    let text = &provider.sign_ups_disabled_text;
    if text.trim().is_empty() {
        let text = "You have no account here yet, and none is made by signing in. Please ask an \
                    administrator for one.";
        Text::Plain(text.to_owned())
    } else {
        Text::Markdown(text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_json() {
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
            assert_eq!(prefers_pages(&headers), expected, "{accept}");
        }
        assert!(!prefers_pages(&HeaderMap::new()));
    }
}
