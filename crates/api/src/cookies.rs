//! The cookies that answers set.

use chrono::{DateTime, Utc};
use cookie::{Cookie, CookieBuilder, time::OffsetDateTime};
use http::HeaderValue;

use crate::{SameSite, Settings, credential::SESSION_COOKIE};

/// A cookie that scripts cannot read and that ends with the browser, as a header value.
pub(crate) fn set_cookie(name: &str, value: &str, settings: &Settings) -> HeaderValue {
    header(cookie(name, value, settings))
}

/// A cookie that scripts cannot read and that ends at a time, as a header value.
pub(crate) fn set_cookie_until(
    name: &str,
    value: &str,
    expires_at: DateTime<Utc>,
    settings: &Settings,
) -> HeaderValue {
    let seconds = expires_at.timestamp();
    let expires = OffsetDateTime::from_unix_timestamp(seconds).expect("a time of our own");
    header(cookie(name, value, settings).expires(expires))
}

fn cookie<'a>(name: &'a str, value: &'a str, settings: &Settings) -> CookieBuilder<'a> {
    let same_site = match settings.same_site_auth_cookie {
        SameSite::Lax => cookie::SameSite::Lax,
        SameSite::None => cookie::SameSite::None,
    };
    Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .secure(settings.secure_auth_cookie)
        .same_site(same_site)
}

fn header(cookie: CookieBuilder<'_>) -> HeaderValue {
    HeaderValue::try_from(cookie.build().to_string())
        .expect("names and values of ours are plain text")
}

/// Takes the session cookie from the browser.
pub(crate) fn clear_session() -> HeaderValue {
    HeaderValue::try_from(format!("{SESSION_COOKIE}=; Path=/; Max-Age=0")).expect("plain text")
}
