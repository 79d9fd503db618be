//! Signing in through providers: GitHub, and any number of OpenID providers.
//!
//! The callback of a provider both starts and finishes. Without a code it sends the browser
//! to the provider (`start.rs`), with one it asks the provider who came (`finish.rs`) and has
//! the store find or make the user, or change how somebody signs in (`convert.rs`).

pub mod device;
pub mod github;
pub mod oidc;

mod convert;
mod finish;
mod page;
mod redirect;
mod refusal;
mod start;
pub(crate) mod state;

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{ALLOW, CACHE_CONTROL, REFERRER_POLICY},
};
use subtle::ConstantTimeEq as _;
use usher_domain::LoginType;
use usher_identity::{Flow, IdentityProvider};

use self::{redirect::own_path, state::States};
use crate::{ApiError, AppState, Audit, QueryParameters, RequestFacts, cookies};

/// The state of the attempt that the browser began last.
const STATE_COOKIE: &str = "oauth_state";
/// Where that browser wants to be afterwards.
const REDIRECT_COOKIE: &str = "oauth_redirect";

/// The providers that people sign in through.
#[derive(Clone, Default)]
pub struct Providers {
    /// GitHub, if people sign in there.
    pub github: Option<Provider>,
    /// OpenID providers. The first one has the paths and the place of the API that we
    /// speak; the others have [paths](oidc::further_callback) by their numbers, from 2 on.
    pub oidc: Vec<Provider>,
}

/// A provider, and how it is offered.
#[derive(Clone)]
pub struct Provider {
    /// Its client.
    pub client: Arc<dyn IdentityProvider>,
    /// Whether whoever comes from there for the first time gets the user whom an
    /// administrator made for that way to sign in with their address. Whoever runs the
    /// provider can say any address.
    pub may_claim_by_address: bool,
    /// Whether whoever comes from there for the first time gets an account.
    pub allow_sign_ups: bool,
    /// What others are told, in Markdown; empty is a sentence of ours.
    pub sign_ups_disabled_text: String,
    /// The text of the button.
    pub sign_in_text: String,
    /// Where the button's picture is; may be empty.
    pub icon_url: String,
}

impl Providers {
    /// The one that the account of a link is from. A link without an account is from the
    /// first of its kind; one of an issuer that no provider has is from the first whose
    /// issuer is not checked.
    pub(crate) fn of_link(&self, login_type: LoginType, link_id: &str) -> Option<&Provider> {
        let candidates = match login_type {
            LoginType::Github => self.github.as_slice(),
            LoginType::Oidc => &self.oidc,
            _ => &[],
        };
        let find = |is_it: fn(&dyn IdentityProvider, &str) -> bool| {
            candidates
                .iter()
                .find(|provider| is_it(&*provider.client, link_id))
        };
        // A lax one must not get the tokens of the one whose they are.
        find(|client, link_id| client.issued(link_id))
            .or_else(|| find(|client, link_id| client.may_have_issued(link_id)))
    }
}

/// One call of the callback of a provider.
struct Attempt<'a> {
    app: &'a AppState,
    provider: &'a Provider,
    /// The name that its states are made for.
    name: Cow<'static, str>,
    /// The path of the callback.
    path: &'a str,
    uri: &'a Uri,
    query: &'a QueryParameters,
    headers: &'a HeaderMap,
}

impl Attempt<'_> {
    async fn answer(&self, facts: &RequestFacts, audit: &Audit) -> Response {
        let mut response = match self.resumed().await {
            Ok(None) => start::start(self)
                .await
                .unwrap_or_else(ApiError::into_response),
            Ok(Some(flow)) => finish::finish(self, &flow, facts, audit).await,
            Err(error) => error.into_response(),
        };
        // The address holds a code, and the answer what is for this browser only.
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }

    /// The flow that comes back with a code; `None` if one is to be started.
    async fn resumed(&self) -> Result<Option<Flow>, ApiError> {
        if let Some(error) = self.parameter("error") {
            return Err(self.refused(error));
        }
        if self.parameter("code").is_none() {
            return Ok(None);
        }
        let state = self.parameter("state").ok_or_else(|| {
            ApiError::bad_request("The query parameter \"state\" must be given with a code.")
        })?;
        let unauthorized = |message: String| ApiError::rule(StatusCode::UNAUTHORIZED, message);
        let kept = cookies::read(self.headers, STATE_COOKIE)
            .filter(|kept| !kept.is_empty())
            .ok_or_else(|| {
                unauthorized(format!(
                    "The cookie {STATE_COOKIE:?} is missing: begin to sign in again."
                ))
            })?;
        if !bool::from(kept.as_bytes().ct_eq(state.as_bytes())) {
            return Err(unauthorized(
                "The state is not that of this browser: begin to sign in again.".to_owned(),
            ));
        }
        let flow = self.states().resume(&self.name, state).await?;
        flow.map(Some).ok_or_else(|| {
            unauthorized("The state is none of this server: begin to sign in again.".to_owned())
        })
    }

    /// What the provider says instead of a code (RFC 6749, 4.1.2.1).
    fn refused(&self, error: &str) -> ApiError {
        let description = self.parameter("error_description");
        let address = self
            .parameter("error_uri")
            .map(|address| format!("error_uri: {address}"));
        let detail = match (description, address) {
            (Some(description), Some(address)) => format!("{description}, {address}"),
            (Some(description), None) => description.to_owned(),
            (None, address) => address.unwrap_or_default(),
        };
        let message = format!("The provider answered with an error: {error}.");
        ApiError::bad_request(message).with_detail(detail)
    }

    fn states(&self) -> States<'_> {
        States {
            keys: &*self.app.signing_keys,
            now: self.app.clock.now(),
        }
    }

    /// A parameter that is not empty.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.first(name).filter(|value| !value.is_empty())
    }

    /// The target as the browser brings it; an empty cookie is an answer too.
    fn target(&self) -> String {
        cookies::read(self.headers, REDIRECT_COOKIE)
            .or_else(|| self.query.first("redirect").map(str::to_owned))
            .unwrap_or_default()
    }

    fn landing(&self) -> String {
        own_path(&self.target(), self.path)
    }

    /// Whether a program asks, which reads no pages.
    fn is_device(&self) -> bool {
        self.provider.client.uses_device_flow()
    }
}

/// A callback spends the code and makes a session, which a `HEAD` must not: whoever looks
/// ahead with one, such as a filter of mails, is no browser that comes back.
pub(super) async fn refuse_head(request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        let allowed = (ALLOW, HeaderValue::from_static("GET"));
        return (StatusCode::METHOD_NOT_ALLOWED, [allowed]).into_response();
    }
    next.run(request).await
}

fn not_set_up(provider: &str) -> ApiError {
    ApiError::bad_request(format!("{provider} is not set up for signing in."))
}

/// A value for a header, of text that is plain by its making.
fn header(name: &HeaderName, text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(text).map_err(|_| {
        let what = format!("the header {name} would not be plain text");
        ApiError::Internal(what.into())
    })
}
