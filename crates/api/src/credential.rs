//! The credential of a request: where it is found, and the response if it is rejected.
//!
//! The first source that is not empty is used, even if its credential turns out to be invalid.

use http::{HeaderMap, Uri, header::AUTHORIZATION};
use usher_domain::{CredentialError, UserStatus, time::to_wire};

use crate::{ApiError, cookies};

/// The name of the cookie and of the query parameter for the credential.
pub(crate) const SESSION_COOKIE: &str = "coder_session_token";
/// The name of the header for the credential.
pub(crate) const SESSION_HEADER: &str = "coder-session-token";
const ACCESS_TOKEN_PARAMETER: &str = "access_token";

/// Returns the credential of a request.
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

/// Returns the value of a cookie, `None` if it is empty.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    cookies::read(headers, name).filter(|value| !value.is_empty())
}

/// Returns the value of a query parameter, `None` if it is empty.
pub(crate) fn query_parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}

/// Returns the value of the session header, `None` if it is empty.
pub(crate) fn session_header(headers: &HeaderMap) -> Option<String> {
    headers
        .get(SESSION_HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

/// Returns the bearer token (RFC 6750, 2.1), `None` if it is empty.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
        .filter(|token| !token.is_empty())
}

/// Maps a rejected credential to its 401 response.
pub(crate) fn rejected(error: CredentialError) -> ApiError {
    ApiError::signed_out(match error {
        CredentialError::WrongSecret => "The API key's secret is invalid.".to_owned(),
        CredentialError::Expired(at) => format!("API key expired at {}.", to_wire(at)),
        CredentialError::Unlinked => "Sign in through the provider again.".to_owned(),
        CredentialError::LinkExpired(at) => {
            format!("The provider's access token expired at {}.", to_wire(at))
        }
        CredentialError::Inactive(status) => return inactive(status, String::new()),
    })
}

/// The 401 response to a user who is not active.
pub(crate) fn inactive(status: UserStatus, detail: String) -> ApiError {
    ApiError::Unauthenticated {
        message: inactive_text(status),
        detail,
    }
}

/// The message for a user who is not active.
pub(crate) fn inactive_text(status: UserStatus) -> String {
    format!(
        "Your account is not active (status: \"{}\"). Contact an admin to reactivate it.",
        status.as_str()
    )
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
    fn sources_are_tried_in_order() {
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
    fn empty_sources_and_other_schemes_are_skipped() {
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
