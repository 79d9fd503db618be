//! What surrounds every request, routed or not: its identifier, its path in normal form,
//! the answers that need no route, the time limit, and the headers of every answer.

use std::{borrow::Cow, panic::AssertUnwindSafe};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
    uri::PathAndQuery,
};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use tracing::Instrument as _;
use usher_domain::{ApiToken, RequestId};
use uuid::Uuid;

use crate::{
    ApiError, AppState, RequestFacts, Settings,
    csrf::{self, CsrfToken},
    error::Challenge,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-coder-request-id");
const BUILD_VERSION: HeaderName = HeaderName::from_static("x-coder-build-version");
const OWN_VERSION: HeaderName = HeaderName::from_static("x-usher-version");

/// The fixed paths below `/users`, with the methods that they have. With any
/// other method the word is the name of a user.
const FIXED_WORDS: [(&str, &[Method]); 8] = [
    ("authmethods", &[Method::GET]),
    ("first", &[Method::GET, Method::POST]),
    ("login", &[Method::POST]),
    ("logout", &[Method::POST]),
    ("otp/change-password", &[Method::POST]),
    ("otp/request", &[Method::POST]),
    ("roles", &[Method::GET]),
    ("validate-password", &[Method::POST]),
];

/// Surrounds a request. It must stand outside of the router, since it changes the path.
pub(crate) async fn envelope(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let settings = &*state.settings;
    let id = RequestId(Uuid::new_v4());
    let facts = RequestFacts::of(&request, id, settings);
    request.extensions_mut().insert(facts);
    normalize_path(&mut request);

    let surroundings = Surroundings::of(&request);
    request
        .extensions_mut()
        .insert(surroundings.csrf_token.clone());
    let mut response = if surroundings.is_preflight {
        StatusCode::OK.into_response()
    } else if let Some(refusal) = csrf::refuse(request.method(), request.uri(), request.headers()) {
        refusal
    } else {
        // The query is left out of the span: it may hold a session.
        let span = tracing::info_span!(
            "request",
            request.id = %id,
            http.method = %request.method(),
            http.path = &*without_secrets(request.uri().path()),
        );
        respond(next, request, settings).instrument(span).await
    };
    surroundings.finish(&mut response, id, settings);
    response
}

async fn respond(next: Next, request: Request, settings: &Settings) -> Response {
    // A panic is a fault of ours: it is answered and logged, and others go on.
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match timeout(settings.request_timeout, work).await {
        Ok(Ok(response)) => {
            tracing::debug!(http.status = response.status().as_u16(), "answered");
            response
        }
        Ok(Err(_)) => ApiError::Internal("a handler panicked".into()).into_response(),
        Err(_) => ApiError::Unavailable(None).into_response(),
    }
}

/// What the answer's headers depend on.
struct Surroundings {
    is_preflight: bool,
    asks_for_get: bool,
    has_origin: bool,
    csrf_token: CsrfToken,
}

impl Surroundings {
    fn of(request: &Request) -> Self {
        let headers = request.headers();
        let asked_method = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
        let has_origin = headers.contains_key(ORIGIN);
        Self {
            is_preflight: request.method() == Method::OPTIONS
                && has_origin
                && asked_method.is_some(),
            asks_for_get: asked_method
                .map_or(request.method() == Method::GET, |method| method == "GET"),
            has_origin,
            csrf_token: CsrfToken::of(headers),
        }
    }

    fn finish(self, response: &mut Response, id: RequestId, settings: &Settings) {
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
        if settings.allow_all_cors && self.has_origin && self.asks_for_get {
            allow_origin(headers, self.is_preflight);
        }
        if !self.is_preflight {
            headers.append(VARY, HeaderValue::from_static("Origin"));
            headers.append(VARY, HeaderValue::from_static("Cookie"));
            self.csrf_token.issue(headers, settings);
        }
    }
}

/// The challenge of RFC 6750, section 3, with the metadata of RFC 9728.
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

/// The path as the log may have it. The command line sends whole tokens where the names of
/// keys stand.
fn without_secrets(path: &str) -> Cow<'_, str> {
    // No token does without the sign between its halves, or an escape for it.
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

/// Brings the path into its normal form, in which the router knows it: single slashes,
/// none at the end, and fixed words told from users of the same name.
fn normalize_path(request: &mut Request) {
    let path = request.uri().path();
    let mut normal = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    escape_user_named_like_a_fixed_word(&mut normal, request.method());
    if normal != path {
        replace_path(request.uri_mut(), &normal);
    }
}

/// `DELETE /users/first` is about a user whose name is `first`. A percent-escape for the
/// first letter of the name keeps the router from the route of the fixed word.
fn escape_user_named_like_a_fixed_word(path: &mut String, method: &Method) {
    let Some(word) = path.strip_prefix("/api/v2/users/") else {
        return;
    };
    let is_user = FIXED_WORDS
        .iter()
        .any(|(fixed, methods)| *fixed == word && !methods.contains(method));
    if is_user {
        let (prefix, letter) = (path.len() - word.len(), word.as_bytes()[0]);
        path.replace_range(prefix..=prefix, &format!("%{letter:02X}"));
    }
}

fn replace_path(uri: &mut Uri, path: &str) {
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if let Ok(path_and_query) = PathAndQuery::try_from(path_and_query) {
        let mut parts = std::mem::take(uri).into_parts();
        parts.path_and_query = Some(path_and_query);
        *uri = Uri::from_parts(parts).expect("only the path was replaced");
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn normal(method: Method, uri: &str) -> String {
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Body::empty())
            .unwrap();
        normalize_path(&mut request);
        request.uri().to_string()
    }

    #[test]
    fn slashes_are_joined_and_the_query_stays() {
        assert_eq!(
            normal(Method::GET, "//api//v2/users//me/?a=//"),
            "/api/v2/users/me?a=//"
        );
        assert_eq!(normal(Method::GET, "/"), "/");
        assert_eq!(normal(Method::GET, "/api/v2/"), "/api/v2");
        assert_eq!(
            normal(Method::GET, "/api/v2/users/a%2Fb"),
            "/api/v2/users/a%2Fb"
        );
    }

    #[test]
    fn the_secret_half_of_a_token_is_not_logged() {
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

    #[test]
    fn a_fixed_word_without_the_method_is_a_user() {
        assert_eq!(
            normal(Method::GET, "/api/v2/users/first"),
            "/api/v2/users/first"
        );
        assert_eq!(
            normal(Method::DELETE, "/api/v2/users/first"),
            "/api/v2/users/%66irst"
        );
        assert_eq!(
            normal(Method::GET, "/api/v2/users/logout/"),
            "/api/v2/users/%6Cogout"
        );
        assert_eq!(
            normal(Method::GET, "/api/v2/users/First"),
            "/api/v2/users/First"
        );
    }
}
