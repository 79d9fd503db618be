//! Sign-in through providers: GitHub, and any number of OpenID providers.
//!
//! A provider's callback starts a sign-in and finishes it. Without a code it redirects the
//! browser to the provider (`start.rs`). With one it asks the provider for the user's
//! identity and has the store find or create the user (`finish.rs`), or change the user's
//! login type (`convert.rs`). What stops a sign-in is a `SignInError` (`error.rs`), which
//! becomes a page or JSON in one place.

pub mod device;
pub mod github;
pub mod oidc;

pub(crate) mod conversion;
pub(crate) mod state;

mod convert;
mod error;
mod finish;
mod page;
mod redirect;
mod start;

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts, Request},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{ALLOW, CACHE_CONTROL, REFERRER_POLICY},
    request::Parts,
};
use subtle::ConstantTimeEq as _;
use usher_domain::LoginType;
use usher_identity::{Flow, IdentityProvider};

use self::{error::SignInError, state::States};
use crate::{ApiError, AppState, Audit, QueryParameters, cookies};

/// The cookie with the state of the sign-in that the browser started last.
const STATE_COOKIE: &str = "oauth_state";
/// The cookie with the path to redirect to after that sign-in.
const REDIRECT_COOKIE: &str = "oauth_redirect";

/// The providers that users sign in through.
#[derive(Clone, Default)]
pub struct Providers {
    /// GitHub, if configured.
    pub github: Option<Provider>,
    /// The OpenID providers. The first one has the callback path and the field of the
    /// reference API; the others have [numbered paths](oidc::numbered_callback), from 2 on.
    pub oidc: Vec<Provider>,
}

/// A provider and its settings.
#[derive(Clone)]
pub struct Provider {
    /// The client that talks to the provider.
    pub client: Arc<dyn IdentityProvider>,
    /// Whether a first sign-in is linked to an existing user of this login type by its
    /// e-mail address. The provider's operator can claim any address.
    pub may_claim_by_address: bool,
    /// Whether a first sign-in creates a user.
    pub allow_sign_ups: bool,
    /// What a user without an account reads if sign-ups are disabled, in Markdown. If empty,
    /// a default text is shown.
    pub sign_ups_disabled_text: String,
    /// The text of the sign-in button.
    pub sign_in_text: String,
    /// The URL of the button's icon; may be empty.
    pub icon_url: String,
}

impl Providers {
    /// Returns the provider that issued the account of a link: the one whose issuer matches,
    /// else the first that accepts any issuer. A link without an account belongs to the
    /// first provider of its type.
    pub(crate) fn of_link(&self, login_type: LoginType, link_id: &str) -> Option<&Provider> {
        let candidates = match login_type {
            LoginType::Github => self.github.as_slice(),
            LoginType::Oidc => &self.oidc,
            _ => &[],
        };
        let find = |matches: fn(&dyn IdentityProvider, &str) -> bool| {
            candidates
                .iter()
                .find(|provider| matches(&*provider.client, link_id))
        };
        // A provider that accepts any issuer must not receive the tokens of another one.
        find(|client, link_id| client.issued(link_id))
            .or_else(|| find(|client, link_id| client.may_have_issued(link_id)))
    }
}

/// What a callback needs of its HTTP request.
pub struct Callback {
    app: AppState,
    uri: Uri,
    query: QueryParameters,
    headers: HeaderMap,
    audit: Audit,
}

impl<S> FromRequestParts<S> for Callback
where
    AppState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self {
            app: AppState::from_ref(state),
            uri: parts.uri.clone(),
            query: QueryParameters::from_request_parts(parts, state).await?,
            headers: parts.headers.clone(),
            audit: Audit::from_request_parts(parts, state).await?,
        })
    }
}

/// A request to the callback of a provider.
struct SignInRequest<'a> {
    provider: &'a Provider,
    /// The name that the provider's states are bound to.
    state_name: Cow<'static, str>,
    /// The path of the callback.
    path: &'a str,
    callback: &'a Callback,
}

impl SignInRequest<'_> {
    async fn respond(&self) -> Response {
        let mut response = match self.handle().await {
            Ok(response) => response,
            Err(error) => {
                error.record(self.audit());
                error.into_response(self)
            }
        };
        // The URL contains the code, and the response is for this browser only.
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }

    async fn handle(&self) -> Result<Response, SignInError> {
        match self.returning_flow().await {
            Ok(Some(flow)) => finish::finish(self, &flow).await,
            Ok(None) => start::start(self).await.map_err(SignInError::Unidentified),
            Err(error) => Err(SignInError::Unidentified(error)),
        }
    }

    /// Returns the flow of a browser that comes back with a code, `None` without a code.
    async fn returning_flow(&self) -> Result<Option<Flow>, ApiError> {
        if let Some(error) = self.parameter("error") {
            return Err(self.provider_error(error));
        }
        if self.parameter("code").is_none() {
            return Ok(None);
        }
        let state = self.parameter("state").ok_or_else(|| {
            ApiError::bad_request(
                "The query parameter \"state\" is required together with \"code\".",
            )
        })?;
        let cookie = cookies::read(&self.callback.headers, STATE_COOKIE)
            .filter(|cookie| !cookie.is_empty())
            .ok_or_else(|| start_again(&format!("The cookie {STATE_COOKIE:?} is missing.")))?;
        if !bool::from(cookie.as_bytes().ct_eq(state.as_bytes())) {
            return Err(start_again("This sign-in was not started in this browser."));
        }
        let flow = self.states().resume(&self.state_name, state).await?;
        flow.map(Some)
            .ok_or_else(|| start_again("This sign-in was not started on this server."))
    }

    /// The error that the provider sends instead of a code (RFC 6749, 4.1.2.1).
    fn provider_error(&self, error: &str) -> ApiError {
        let description = self.parameter("error_description").map(str::to_owned);
        let uri = self
            .parameter("error_uri")
            .map(|uri| format!("error_uri: {uri}"));
        let detail: Vec<String> = description.into_iter().chain(uri).collect();
        ApiError::bad_request(format!("The provider returned an error: {error}."))
            .with_detail(detail.join(", "))
    }

    fn app(&self) -> &AppState {
        &self.callback.app
    }

    fn audit(&self) -> &Audit {
        &self.callback.audit
    }

    fn states(&self) -> States<'_> {
        States {
            keys: &*self.app().signing_keys,
            now: self.app().clock.now(),
        }
    }

    /// Returns a query parameter, `None` if it is empty.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.callback
            .query
            .first(name)
            .filter(|value| !value.is_empty())
    }

    /// Returns where the browser asked to be redirected afterwards. The cookie takes
    /// precedence even if it is empty.
    fn redirect_target(&self) -> String {
        cookies::read(&self.callback.headers, REDIRECT_COOKIE)
            .or_else(|| self.callback.query.first("redirect").map(str::to_owned))
            .unwrap_or_default()
    }

    /// Whether a user is changing their login type, rather than signing in.
    fn is_conversion(&self) -> bool {
        ["state", "oidc_merge_state"]
            .into_iter()
            .filter_map(|name| self.parameter(name))
            .any(state::is_conversion)
    }

    /// Whether the client is a program that polls for a device's sign-in, and needs JSON.
    fn is_device(&self) -> bool {
        self.provider.client.uses_device_flow()
    }

    /// The status of the response to a successful sign-in.
    fn success_status(&self) -> StatusCode {
        if self.is_device() {
            StatusCode::OK
        } else {
            StatusCode::TEMPORARY_REDIRECT
        }
    }
}

/// Answers `HEAD` with 405. A callback spends the code and creates a session, so it must not
/// run for a mail filter that prefetches the link.
pub(super) async fn refuse_head(request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        let allowed = (ALLOW, HeaderValue::from_static("GET"));
        return (StatusCode::METHOD_NOT_ALLOWED, [allowed]).into_response();
    }
    next.run(request).await
}

fn start_again(reason: &str) -> ApiError {
    let message = format!("{reason} Start again from the sign-in page.");
    ApiError::rule(StatusCode::UNAUTHORIZED, message)
}

fn not_configured(provider: &str) -> ApiError {
    ApiError::bad_request(format!("{provider} is not configured for sign-in."))
}

fn header(name: &HeaderName, text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(text).map_err(|_| {
        let error = format!("the value of the header {name} is not visible ASCII");
        ApiError::Internal(error.into())
    })
}
