//! Protection of browsers against requests that other sites make in their name.
//!
//! A request that a browser sends by itself carries the session cookie and nothing else
//! that only our pages know. So an unsafe request with that cookie must also carry the
//! token of another cookie in a header, or the session once more where only a program
//! puts it.

use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{CONTENT_TYPE, SET_COOKIE},
};
use rand::RngExt as _;
use subtle::ConstantTimeEq;

use crate::{
    Settings,
    cookies::set_cookie,
    credential::{SESSION_COOKIE, SESSION_HEADER, bearer, cookie, query_parameter, session_header},
};

const TOKEN_COOKIE: &str = "csrf_token";
const TOKEN_HEADER: &str = "x-csrf-token";
const TOKEN_BYTES: usize = 32;
/// There is nobody yet in whose name it could be called.
const EXEMPT: &str = "/api/v2/users/first";

/// The answer to a request that may be another site's; `None` if it is not.
pub(crate) fn refuse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    if method.is_safe() || !uri.path().starts_with("/api") || uri.path() == EXEMPT {
        return None;
    }
    let session = cookie(headers, SESSION_COOKIE)?;
    if bearer(headers).is_some()
        || query_parameter(uri, SESSION_COOKIE).as_deref() == Some(&*session)
    {
        return None;
    }
    let message = match session_header(headers) {
        Some(header) if header == session => return None,
        Some(_) => format!("The cookie and the header {SESSION_HEADER} hold different sessions."),
        None if has_token(headers) => return None,
        None => format!(
            "A request with the session cookie must carry the value of the cookie {TOKEN_COOKIE} in the header {TOKEN_HEADER}."
        ),
    };
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    Some(
        (
            StatusCode::BAD_REQUEST,
            [(CONTENT_TYPE, content_type)],
            message,
        )
            .into_response(),
    )
}

fn has_token(headers: &HeaderMap) -> bool {
    let Some(expected) = valid_token(headers) else {
        return false;
    };
    headers
        .get(TOKEN_HEADER)
        .is_some_and(|given| given.as_bytes().ct_eq(expected.as_bytes()).into())
}

/// The token of the request's cookie, if it is one that this service may have made.
fn valid_token(headers: &HeaderMap) -> Option<String> {
    cookie(headers, TOKEN_COOKIE).filter(|token| {
        STANDARD
            .decode(token)
            .is_ok_and(|bytes| bytes.len() == TOKEN_BYTES)
    })
}

/// The token of the browser that a request comes from.
///
/// It is among the extensions of every request that reaches a page of
/// [`router_with_pages`](crate::router_with_pages), and what that page has to send in the
/// header `X-CSRF-TOKEN`.
#[derive(Clone)]
pub struct CsrfToken {
    text: String,
    is_new: bool,
}

impl CsrfToken {
    /// The one that the request brings, or else a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if let Some(text) = valid_token(headers) {
            return Self {
                text,
                is_new: false,
            };
        }
        let token: [u8; TOKEN_BYTES] = rand::rng().random();
        Self {
            text: STANDARD.encode(token),
            is_new: true,
        }
    }

    /// The text that goes into the page.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Gives it to the client if it is new.
    pub(crate) fn issue(&self, headers: &mut HeaderMap, settings: &Settings) {
        if self.is_new {
            let value = set_cookie(TOKEN_COOKIE, &self.text, settings);
            headers.append(SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn is_refused(headers: &[(&'static str, &str)], uri: &str) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        refuse(&Method::POST, &uri.parse().unwrap(), &headers).is_some()
    }

    #[test]
    fn a_session_cookie_alone_is_refused() {
        let session = [("cookie", "coder_session_token=s")];
        assert!(is_refused(&session, "/api/v2/users/logout"));
        assert!(is_refused(&session, "/api/v2/no/such/path"));
        assert!(!is_refused(&session, "/api/v2/users/first"));
        assert!(!is_refused(&session, "/healthz"));
        assert!(!is_refused(
            &[("cookie", "coder_session_token=")],
            "/api/v2/users"
        ));
        assert!(!is_refused(&[], "/api/v2/users"));
    }

    #[test]
    fn the_token_must_be_in_the_cookie_and_in_the_header() {
        let cookies = format!("coder_session_token=s; csrf_token={TOKEN}");
        let both = [("cookie", cookies.as_str()), ("x-csrf-token", TOKEN)];
        assert!(!is_refused(&both, "/api/v2/users"));
        assert!(is_refused(&both[..1], "/api/v2/users"));
        let no_cookie = [("cookie", "coder_session_token=s"), ("x-csrf-token", TOKEN)];
        assert!(is_refused(&no_cookie, "/api/v2/users"));
        let other = [
            ("cookie", cookies.as_str()),
            (
                "x-csrf-token",
                "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB=",
            ),
        ];
        assert!(is_refused(&other, "/api/v2/users"));
        let chosen = [
            ("cookie", "coder_session_token=s; csrf_token=x"),
            ("x-csrf-token", "x"),
        ];
        assert!(is_refused(&chosen, "/api/v2/users"));
    }

    #[test]
    fn a_program_that_sends_the_session_once_more_is_let_through() {
        let session = ("cookie", "coder_session_token=s");
        assert!(!is_refused(
            &[session, ("coder-session-token", "s")],
            "/api/v2/users"
        ));
        assert!(is_refused(
            &[session, ("coder-session-token", "t")],
            "/api/v2/users"
        ));
        assert!(!is_refused(
            &[session],
            "/api/v2/users?coder_session_token=s"
        ));
        assert!(is_refused(
            &[session],
            "/api/v2/users?coder_session_token=t"
        ));
        assert!(!is_refused(
            &[session, ("authorization", "Bearer t")],
            "/api/v2/users"
        ));
        assert!(is_refused(&[session], "/api/v2/users?access_token=s"));
    }
}
