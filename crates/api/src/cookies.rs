//! The cookies that answers set.

use cookie::Cookie;
use http::HeaderValue;

use crate::{SameSite, Settings, credential::SESSION_COOKIE};

/// A cookie that scripts cannot read and that ends with the browser, as a header value.
pub(crate) fn set_cookie(name: &str, value: &str, settings: &Settings) -> HeaderValue {
    let same_site = match settings.same_site_auth_cookie {
        SameSite::Lax => cookie::SameSite::Lax,
        SameSite::None => cookie::SameSite::None,
    };
    let cookie = Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .secure(settings.secure_auth_cookie)
        .same_site(same_site)
        .build();
    HeaderValue::try_from(cookie.to_string()).expect("names and values of ours are plain text")
}

/// Takes the session cookie from the browser.
pub(crate) fn clear_session() -> HeaderValue {
    HeaderValue::try_from(format!("{SESSION_COOKIE}=; Path=/; Max-Age=0")).expect("plain text")
}
