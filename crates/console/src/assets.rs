//! The files of the pages: kept for ever under the name of their version, checked again
//! under any other.

use std::borrow::Cow;

use axum::{
    Router,
    body::Body,
    extract::Path,
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
    },
};

use crate::headers;

/// A file of the pages.
struct Asset {
    /// Its path below `assets/`.
    name: &'static str,
    content: &'static [u8],
    /// The same by gzip.
    compressed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where the files of this version are; no slash at the end.
pub(crate) fn base() -> String {
    format!("/assets/{VERSION}")
}

/// The files of the pages, below `/assets/`.
///
/// They are the same for everybody. So they need no cookie, and should stand outside of
/// what adds any.
pub fn assets() -> Router {
    Router::new()
        .route("/assets/{version}/{*name}", get(asset))
        .layer(map_response(headers::protect))
}

async fn asset(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // A page of another version may ask this replica during an upgrade.
    let kept = if version == VERSION && override_directory().is_none() {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let etag = format!("W/\"{VERSION}\"");
    let mut response = if override_directory().is_none() && knows(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let content_type = HeaderValue::from_static(media_type(asset.name));
        let mut response = ([(CONTENT_TYPE, content_type)], Body::empty()).into_response();
        *response.body_mut() = match (read_override(asset.name), accepts_gzip(&headers)) {
            (Some(content), _) => content.into(),
            (None, true) => {
                let gzip = HeaderValue::from_static("gzip");
                response.headers_mut().insert(CONTENT_ENCODING, gzip);
                asset.compressed.into()
            }
            (None, false) => asset.content.into(),
        };
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(etag) = etag.parse() {
        headers.insert(ETAG, etag);
    }
    response
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, kind)| kind) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// Whether the client has this version.
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|value| value.to_str().ok());
    known.any(|value| {
        value
            .split(',')
            .any(|one| matches!(one.trim(), "*") || one.trim() == etag)
    })
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(is_gzip))
}

fn is_gzip(coding: &str) -> bool {
    let mut parts = coding.split(';').map(str::trim);
    let is_named = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
    let quality = parts.find_map(|part| part.strip_prefix("q="));
    is_named && quality.is_none_or(|text| text.parse().is_ok_and(|quality: f32| quality > 0.0))
}

/// Where to read the files anew with every request, so that a change shows without a build.
/// Only debug builds look.
fn override_directory() -> Option<std::path::PathBuf> {
    if cfg!(debug_assertions) {
        std::env::var_os("CONSOLE_ASSETS_DIR").map(Into::into)
    } else {
        None
    }
}

fn read_override(name: &str) -> Option<Cow<'static, [u8]>> {
    let path = override_directory()?.join(name);
    std::fs::read(path).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::extract::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str, with: &[(&str, &str)]) -> (http::response::Parts, Vec<u8>) {
        let mut request = Request::builder().uri(path);
        for (name, value) in with {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let (head, body) = assets().oneshot(request).await.unwrap().into_parts();
        (head, body.collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn files_of_this_version_are_kept_and_others_checked() {
        let (own, content) = ask(&format!("{}/app.js", base()), &[]).await;
        assert_eq!(
            own.headers["content-type"],
            "text/javascript; charset=utf-8"
        );
        assert!(
            own.headers["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        assert!(!content.is_empty());

        let (other, same) = ask("/assets/other/app.js", &[]).await;
        assert_eq!(other.headers["cache-control"], "no-cache");
        assert_eq!(content, same);

        let etag = other.headers["etag"].to_str().unwrap();
        let (known, nothing) = ask("/assets/other/app.js", &[("if-none-match", etag)]).await;
        assert_eq!(known.status, StatusCode::NOT_MODIFIED);
        assert!(nothing.is_empty());
    }

    #[tokio::test]
    async fn who_takes_gzip_gets_the_same_shorter() {
        let path = format!("{}/pages/tasks.js", base());
        let (plain, content) = ask(&path, &[("accept-encoding", "gzip;q=0, br")]).await;
        assert!(!plain.headers.contains_key("content-encoding"));

        let (packed, compressed) = ask(&path, &[("accept-encoding", "br, gzip")]).await;
        assert_eq!(packed.headers["content-encoding"], "gzip");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*compressed)
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, content);
        assert!(compressed.len() < content.len());
    }

    #[tokio::test]
    async fn nothing_but_the_files_is_served() {
        for name in [
            "nothing.js",
            "../src/lib.rs",
            "..%2Fsrc%2Flib.rs",
            "pages",
            "pages/",
        ] {
            let (head, _) = ask(&format!("{}/{name}", base()), &[]).await;
            assert_eq!(head.status, StatusCode::NOT_FOUND, "{name}");
        }
    }

    #[test]
    fn all_files_together_are_less_than_a_first_load_may_be() {
        let total: usize = ASSETS.iter().map(|asset| asset.compressed.len()).sum();
        assert!(total < 100_000, "{total} bytes");
    }

    #[test]
    fn the_shell_names_files_that_exist() {
        let shell = include_str!("shell.html");
        let mut named = shell.split("{{assets}}/").skip(1);
        assert!(named.clone().count() > 2);
        assert!(named.all(|rest| {
            let name = rest.split('"').next().unwrap();
            let exists = ASSETS.iter().any(|asset| asset.name == name);
            assert!(exists, "{name}");
            exists
        }));
    }
}
