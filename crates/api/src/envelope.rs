//! The outermost middleware, for every request, routed or not: request identifiers, path
//! normalization, CORS preflights, the timeout, and the headers of every response.

use std::{borrow::Cow, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use tracing::Instrument as _;
use usher_domain::{ApiToken, RequestId};
use uuid::Uuid;

use crate::{
    ApiError, AppState, RequestFacts, Settings,
    csrf::CsrfToken,
    error::Challenge,
    paths::{self, ShadowedUsers},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-coder-request-id");
const BUILD_VERSION: HeaderName = HeaderName::from_static("x-coder-build-version");
const OWN_VERSION: HeaderName = HeaderName::from_static("x-usher-version");

/// Wraps the router. It cannot be a layer of it, because it changes the path.
pub(crate) async fn envelope(
    State((state, shadowed)): State<(AppState, Arc<ShadowedUsers>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let settings = &*state.settings;
    let id = RequestId(Uuid::new_v4());
    let facts = RequestFacts::of(&request, id, settings);
    request.extensions_mut().insert(facts);
    paths::normalize(&mut request, &shadowed);

    let context = ResponseContext::of(&request);
    request.extensions_mut().insert(context.csrf_token.clone());
    let mut response = if context.is_preflight {
        StatusCode::OK.into_response()
    } else {
        // The span has no query, which may contain a session token.
        let span = tracing::info_span!(
            "request",
            request.id = %id,
            http.method = %request.method(),
            http.path = &*without_secrets(request.uri().path()),
        );
        respond(next, request, settings).instrument(span).await
    };
    context.add_headers(&mut response, id, settings);
    response
}

async fn respond(next: Next, request: Request, settings: &Settings) -> Response {
    // A panic must not close the connection: it is logged and answered with 500.
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match timeout(settings.request_timeout, work).await {
        Ok(Ok(response)) => {
            tracing::debug!(http.status = response.status().as_u16(), "responded");
            response
        }
        Ok(Err(_)) => ApiError::Internal("a handler panicked".into()).into_response(),
        Err(_) => ApiError::Unavailable(None).into_response(),
    }
}

/// The facts of a request that the headers of its response depend on.
struct ResponseContext {
    is_preflight: bool,
    is_for_get: bool,
    has_origin: bool,
    csrf_token: CsrfToken,
}

impl ResponseContext {
    fn of(request: &Request) -> Self {
        let headers = request.headers();
        let requested_method = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
        let has_origin = headers.contains_key(ORIGIN);
        Self {
            is_preflight: request.method() == Method::OPTIONS
                && has_origin
                && requested_method.is_some(),
            is_for_get: requested_method
                .map_or(request.method() == Method::GET, |method| method == "GET"),
            has_origin,
            csrf_token: CsrfToken::of(headers),
        }
    }

    fn add_headers(self, response: &mut Response, id: RequestId, settings: &Settings) {
        let challenge = response.extensions_mut().remove::<Challenge>();
        let headers = response.headers_mut();
        if challenge.is_some() {
            headers.insert(WWW_AUTHENTICATE, challenge_header(settings));
        }
        let mut text = Uuid::encode_buffer();
        headers.insert(
            REQUEST_ID,
            header(id.0.hyphenated().encode_lower(&mut text)),
        );
        headers.insert(BUILD_VERSION, header(&settings.build_version));
        headers.insert(
            OWN_VERSION,
            HeaderValue::from_static(env!("CARGO_PKG_VERSION")),
        );
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if settings.allow_all_cors && self.has_origin && self.is_for_get {
            allow_origin(headers, self.is_preflight);
        }
        if !self.is_preflight {
            headers.append(VARY, HeaderValue::from_static("Origin"));
            headers.append(VARY, HeaderValue::from_static("Cookie"));
            self.csrf_token.issue(headers, settings);
        }
    }
}

/// The challenge of RFC 6750, section 3, with the resource metadata of RFC 9728.
fn challenge_header(settings: &Settings) -> HeaderValue {
    let base = settings.access_url.as_str().trim_end_matches('/');
    header(&format!(
        "Bearer realm=\"coder\", error=\"invalid_token\", \
         error_description=\"The access token is missing, invalid or has expired\", \
         resource_metadata=\"{base}/.well-known/oauth-protected-resource\""
    ))
}

fn allow_origin(headers: &mut HeaderMap, is_preflight: bool) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if is_preflight {
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET"),
        );
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Accept, Content-Type, X-LATENCY-CHECK, X-CSRF-TOKEN"),
        );
    }
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}

/// Redacts tokens in a path for the log: Coder's CLI sends whole tokens in place of key names.
fn without_secrets(path: &str) -> Cow<'_, str> {
    // Every token contains a hyphen, or its escape.
    if !path.contains(['-', '%']) {
        return Cow::Borrowed(path);
    }
    let segments = path.split('/').map(|segment| {
        let text = percent_decode_str(segment).decode_utf8_lossy();
        match ApiToken::parse(&text) {
            Ok(token) => Cow::Owned(format!("{}-[REDACTED]", token.id)),
            Err(_) => Cow::Borrowed(segment),
        }
    });
    Cow::Owned(segments.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_part_of_a_token_is_not_logged() {
        let id = "abcdefghij";
        let secret = "ABCDEFGHIJKLMNOPQRSTUV";
        for token in [
            format!("{id}-{secret}"),
            format!("{id}%2D%41{}", &secret[1..]),
        ] {
            assert_eq!(
                without_secrets(&format!("/api/v2/users/me/keys/{token}")),
                "/api/v2/users/me/keys/abcdefghij-[REDACTED]"
            );
        }
        let path = "/api/v2/users/a-b/keys/tokens/my%20token";
        assert_eq!(without_secrets(path), path);
    }
}
