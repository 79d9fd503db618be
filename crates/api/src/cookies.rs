//! Cookies of requests and responses.

use chrono::{DateTime, Utc};
use cookie::{Cookie, CookieBuilder, time::OffsetDateTime};
use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::{SameSite, Settings};

/// Returns the header value of an `HttpOnly` cookie that lasts until the browser is closed.
pub(crate) fn set_cookie(name: &str, value: &str, settings: &Settings) -> HeaderValue {
    header(cookie(name, value, settings))
}

/// Returns the header value of an `HttpOnly` cookie that expires at a given time.
pub(crate) fn set_cookie_until(
    name: &str,
    value: &str,
    expires_at: DateTime<Utc>,
    settings: &Settings,
) -> HeaderValue {
    let seconds = expires_at.timestamp();
    let expires = OffsetDateTime::from_unix_timestamp(seconds).expect("a time within range");
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
    HeaderValue::try_from(cookie.build().to_string()).expect("names and values are visible ASCII")
}

/// Deletes a cookie in the browser.
pub(crate) fn clear(name: &str) -> HeaderValue {
    HeaderValue::try_from(format!("{name}=; Path=/; Max-Age=0")).expect("names are visible ASCII")
}

/// Deletes a cookie in the browser, with the attributes of [`set_cookie`].
pub(crate) fn clear_securely(name: &str, settings: &Settings) -> HeaderValue {
    header(cookie(name, "", settings).max_age(cookie::time::Duration::ZERO))
}

/// Returns the value of a cookie of the request, even if it is empty.
pub(crate) fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get_all(COOKIE).iter().find_map(|value| {
        // Invalid bytes in one cookie must not hide another.
        let value = String::from_utf8_lossy(value.as_bytes());
        Cookie::split_parse(value.as_ref())
            .filter_map(Result::ok)
            .find(|cookie| cookie.name() == name)
            .map(|cookie| cookie.value().to_owned())
    })
}
