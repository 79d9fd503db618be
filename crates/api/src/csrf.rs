//! Protection against cross-site request forgery.
//!
//! A browser attaches the session cookie to requests of other sites too. So a request with that
//! cookie and an unsafe method must prove that it is not one of those: by the token of another
//! cookie in a header, or by the session itself in a place where only programs put it.

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, StatusCode,
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

/// Why a request may come from another site. Clients expect the response as plain text.
#[derive(Debug)]
pub(crate) struct CsrfError(String);

impl IntoResponse for CsrfError {
    fn into_response(self) -> Response {
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        let headers = [(CONTENT_TYPE, content_type)];
        (StatusCode::BAD_REQUEST, headers, self.0).into_response()
    }
}

/// Checks that the request does not come from another site.
pub(crate) fn check(request: &Request) -> Result<(), CsrfError> {
    let headers = request.headers();
    if request.method().is_safe() {
        return Ok(());
    }
    let Some(session) = cookie(headers, SESSION_COOKIE) else {
        return Ok(());
    };
    if bearer(headers).is_some()
        || query_parameter(request.uri(), SESSION_COOKIE).as_deref() == Some(&*session)
    {
        return Ok(());
    }
    match session_header(headers) {
        Some(header) if header == session => Ok(()),
        Some(_) => Err(CsrfError(format!(
            "The session cookie and the {SESSION_HEADER} header differ."
        ))),
        None if has_token(headers) => Ok(()),
        None => Err(CsrfError(format!(
            "A request with the session cookie must send the value of the {TOKEN_COOKIE} cookie \
             in the {TOKEN_HEADER} header."
        ))),
    }
}

fn has_token(headers: &HeaderMap) -> bool {
    let Some(expected) = valid_token(headers) else {
        return false;
    };
    headers
        .get(TOKEN_HEADER)
        .is_some_and(|given| given.as_bytes().ct_eq(expected.as_bytes()).into())
}

/// Returns the token of the cookie, if it has the form of the tokens that this service issues.
fn valid_token(headers: &HeaderMap) -> Option<String> {
    cookie(headers, TOKEN_COOKIE).filter(|token| {
        STANDARD
            .decode(token)
            .is_ok_and(|bytes| bytes.len() == TOKEN_BYTES)
    })
}

/// The CSRF token of the browser that sent a request.
///
/// An extension of every request that reaches a page of
/// [`router_with_pages`](crate::router_with_pages). Scripts of the page must send it in the
/// header `X-CSRF-TOKEN`.
#[derive(Clone)]
pub struct CsrfToken {
    text: String,
    is_new: bool,
}

impl CsrfToken {
    /// Returns the token of the request, or else a new one.
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

    /// Returns the token as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Sets the cookie if the token is new.
    pub(crate) fn issue(&self, headers: &mut HeaderMap, settings: &Settings) {
        if self.is_new {
            let value = set_cookie(TOKEN_COOKIE, &self.text, settings);
            headers.append(SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn is_rejected(headers: &[(&'static str, &str)], uri: &str) -> bool {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(Body::empty()).unwrap()).is_err()
    }

    #[test]
    fn a_session_cookie_alone_is_rejected() {
        let session = [("cookie", "coder_session_token=s")];
        assert!(is_rejected(&session, "/"));
        assert!(!is_rejected(&[("cookie", "coder_session_token=")], "/"));
        assert!(!is_rejected(&[], "/"));
    }

    #[test]
    fn the_token_must_be_in_the_cookie_and_in_the_header() {
        let cookies = format!("coder_session_token=s; csrf_token={TOKEN}");
        let both = [("cookie", cookies.as_str()), ("x-csrf-token", TOKEN)];
        assert!(!is_rejected(&both, "/"));
        assert!(is_rejected(&both[..1], "/"));
        let no_cookie = [("cookie", "coder_session_token=s"), ("x-csrf-token", TOKEN)];
        assert!(is_rejected(&no_cookie, "/"));
        let other_token = TOKEN.replace('A', "B");
        let other = [both[0], ("x-csrf-token", other_token.as_str())];
        assert!(is_rejected(&other, "/"));
        let malformed = [
            ("cookie", "coder_session_token=s; csrf_token=x"),
            ("x-csrf-token", "x"),
        ];
        assert!(is_rejected(&malformed, "/"));
    }

    #[test]
    fn a_program_that_repeats_the_session_is_accepted() {
        let session = ("cookie", "coder_session_token=s");
        for (repeated, rejected) in [("s", false), ("t", true)] {
            let header = ("coder-session-token", repeated);
            assert_eq!(is_rejected(&[session, header], "/"), rejected);
            let uri = format!("/?coder_session_token={repeated}");
            assert_eq!(is_rejected(&[session], &uri), rejected);
        }
        assert!(!is_rejected(&[session, ("authorization", "Bearer t")], "/"));
        assert!(is_rejected(&[session], "/?access_token=s"));
    }
}
