//! Where a request carries its credential. The first source that is not empty wins; a bad
//! one is not made up for by a later one.

use cookie::Cookie;
use http::{
    HeaderMap, Uri,
    header::{AUTHORIZATION, COOKIE},
};

/// The cookie, and the query parameter, that hold a session.
pub(crate) const SESSION_COOKIE: &str = "coder_session_token";
/// The header that holds a session.
pub(crate) const SESSION_HEADER: &str = "coder-session-token";
const ACCESS_TOKEN_PARAMETER: &str = "access_token";

/// The credential of a request, as text.
pub(crate) fn find(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    cookie(headers, SESSION_COOKIE)
        .or_else(|| query_parameter(uri, SESSION_COOKIE))
        .or_else(|| session_header(headers))
        .or_else(|| bearer(headers))
        .or_else(|| {
            query_parameter(uri, ACCESS_TOKEN_PARAMETER)
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty())
        })
}

/// The value of a cookie, unless it is empty.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        // Odd bytes in one cookie must not hide another.
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .find_map(|value| {
            Cookie::split_parse(value.as_ref())
                .filter_map(Result::ok)
                .find(|cookie| cookie.name() == name)
                .map(|cookie| cookie.value().to_owned())
        })
        .filter(|value| !value.is_empty())
}

/// The value of a query parameter, unless it is empty.
pub(crate) fn query_parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}

/// The value of the session header, unless it is empty.
pub(crate) fn session_header(headers: &HeaderMap) -> Option<String> {
    headers
        .get(SESSION_HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

/// The token of a bearer header (RFC 6750, 2.1), unless it is empty.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn found(headers: &[(&'static str, &'static str)], uri: &str) -> Option<String> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        find(&headers, &uri.parse().unwrap())
    }

    #[test]
    fn the_sources_are_tried_in_their_order() {
        let cookie = ("cookie", "theme=dark; coder_session_token=cookie");
        let header = ("coder-session-token", "header");
        let bearer = ("authorization", "Bearer bearer");
        let both = "/?coder_session_token=query&access_token=access";
        assert_eq!(
            found(&[cookie, header, bearer], both).as_deref(),
            Some("cookie")
        );
        assert_eq!(found(&[header, bearer], both).as_deref(), Some("query"));
        assert_eq!(
            found(&[header, bearer], "/?access_token=access").as_deref(),
            Some("header")
        );
        assert_eq!(
            found(&[bearer], "/?access_token=access").as_deref(),
            Some("bearer")
        );
        assert_eq!(
            found(&[], "/?access_token=%20access%20").as_deref(),
            Some("access")
        );
        assert_eq!(found(&[], "/"), None);
    }

    #[test]
    fn empty_sources_and_other_schemes_are_passed_over() {
        let empty = [
            ("cookie", "coder_session_token="),
            ("coder-session-token", ""),
            ("authorization", "Bearer "),
        ];
        assert_eq!(found(&empty, "/?access_token=a").as_deref(), Some("a"));
        assert_eq!(found(&[("authorization", "Basic abc")], "/"), None);
        assert_eq!(found(&[("authorization", "abc")], "/"), None);
        assert_eq!(
            found(&[("authorization", "bEaReR  abc ")], "/").as_deref(),
            Some("abc")
        );
    }
}
