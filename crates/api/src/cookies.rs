//! The cookies that answers set and requests bring.

use chrono::{DateTime, Utc};
use cookie::{Cookie, CookieBuilder, time::OffsetDateTime};
use http::{HeaderMap, HeaderValue, header::COOKIE};

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
    clear(SESSION_COOKIE)
}

/// Takes a cookie from the browser.
pub(crate) fn clear(name: &str) -> HeaderValue {
    HeaderValue::try_from(format!("{name}=; Path=/; Max-Age=0")).expect("plain text")
}

/// Takes the session cookie from the browser, with the attributes that it had.
pub(crate) fn clear_own_session(settings: &Settings) -> HeaderValue {
    let gone = cookie(SESSION_COOKIE, "", settings).max_age(cookie::time::Duration::ZERO);
    header(gone)
}

/// The value of a cookie of the request; an empty one counts.
pub(crate) fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get_all(COOKIE).iter().find_map(|value| {
        let value = String::from_utf8_lossy(value.as_bytes());
        Cookie::split_parse(value.as_ref())
            .filter_map(Result::ok)
            .find(|cookie| cookie.name() == name)
            .map(|cookie| cookie.value().to_owned())
    })
}
