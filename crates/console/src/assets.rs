//! Serves the asset files: immutable under the path of this version, revalidated under any
//! other.

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

struct Asset {
    /// The path below `assets/`.
    name: &'static str,
    content: &'static [u8],
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Returns the path of this version's assets, without a trailing slash.
pub(crate) fn base() -> String {
    format!("/assets/{VERSION}")
}

/// Returns the routes of the asset files, below `/assets/`.
///
/// The files do not depend on the caller: mount the routes outside of any middleware that
/// sets cookies.
pub fn assets() -> Router {
    Router::new()
        .route("/assets/{version}/{*name}", get(asset))
        .layer(map_response(headers::protect))
}

async fn asset(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // During an upgrade, pages of another version may send requests to this replica.
    let cache_control = if version == VERSION && override_directory().is_none() {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let etag = format!("W/\"{VERSION}\"");
    let mut response = if override_directory().is_none() && matches_etag(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let content_type = HeaderValue::from_static(media_type(asset.name));
        let mut response = ([(CONTENT_TYPE, content_type)], Body::empty()).into_response();
        *response.body_mut() = match (read_override(asset.name), accepts_gzip(&headers)) {
            (Some(content), _) => content.into(),
            (None, true) => {
                let gzip = HeaderValue::from_static("gzip");
                response.headers_mut().insert(CONTENT_ENCODING, gzip);
                asset.gzip.into()
            }
            (None, false) => asset.content.into(),
        };
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
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

fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| {
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

/// Returns the directory that a debug build reads the files from on every request, so that
/// changes are visible without a build.
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

    async fn get(path: &str, headers: &[(&str, &str)]) -> (http::response::Parts, Vec<u8>) {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let (head, body) = assets().oneshot(request).await.unwrap().into_parts();
        (head, body.collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn files_of_this_version_are_immutable_and_others_are_revalidated() {
        let (current, content) = get(&format!("{}/app.js", base()), &[]).await;
        assert_eq!(
            current.headers["content-type"],
            "text/javascript; charset=utf-8"
        );
        assert!(
            current.headers["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        assert!(!content.is_empty());

        let (other, same) = get("/assets/other/app.js", &[]).await;
        assert_eq!(other.headers["cache-control"], "no-cache");
        assert_eq!(content, same);

        let etag = other.headers["etag"].to_str().unwrap();
        let (not_modified, empty) = get("/assets/other/app.js", &[("if-none-match", etag)]).await;
        assert_eq!(not_modified.status, StatusCode::NOT_MODIFIED);
        assert!(empty.is_empty());
    }

    #[tokio::test]
    async fn clients_that_accept_gzip_get_the_compressed_copy() {
        let path = format!("{}/pages/tasks.js", base());
        let (plain, content) = get(&path, &[("accept-encoding", "gzip;q=0, br")]).await;
        assert!(!plain.headers.contains_key("content-encoding"));

        let (gzip, compressed) = get(&path, &[("accept-encoding", "br, gzip")]).await;
        assert_eq!(gzip.headers["content-encoding"], "gzip");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*compressed)
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, content);
        assert!(compressed.len() < content.len());
    }

    #[tokio::test]
    async fn only_asset_files_are_served() {
        for name in [
            "nothing.js",
            "../src/lib.rs",
            "..%2Fsrc%2Flib.rs",
            "pages",
            "pages/",
        ] {
            let (head, _) = get(&format!("{}/{name}", base()), &[]).await;
            assert_eq!(head.status, StatusCode::NOT_FOUND, "{name}");
        }
    }

    #[test]
    fn all_files_together_compress_to_less_than_100_kb() {
        let total: usize = ASSETS.iter().map(|asset| asset.gzip.len()).sum();
        assert!(total < 100_000, "{total} bytes");
    }

    #[test]
    fn the_shell_refers_to_existing_files() {
        let shell = include_str!("shell.html");
        let mut references = shell.split("{{assets}}/").skip(1);
        assert!(references.clone().count() > 2);
        assert!(references.all(|rest| {
            let name = rest.split('"').next().unwrap();
            let exists = ASSETS.iter().any(|asset| asset.name == name);
            assert!(exists, "{name}");
            exists
        }));
    }

    #[test]
    fn modules_have_no_import_cycles() {
        let mut modules: Vec<_> = ASSETS
            .iter()
            .filter(|asset| is_module(asset.name))
            .map(|asset| (asset.name, imports(asset)))
            .collect();
        // Removes modules whose imports are all removed; a cycle would remain.
        loop {
            let names: Vec<_> = modules.iter().map(|(name, _)| *name).collect();
            modules.retain(|(_, imports)| imports.iter().any(|name| names.contains(&&**name)));
            if modules.len() == names.len() {
                break;
            }
        }
        assert!(modules.is_empty(), "{modules:?}");
    }

    fn is_module(path: &str) -> bool {
        path.rsplit_once('.').is_some_and(|(_, kind)| kind == "js")
    }

    /// Returns the modules that a module imports, statically or dynamically.
    fn imports(asset: &Asset) -> Vec<String> {
        let text = str::from_utf8(asset.content).unwrap();
        let directory = asset.name.rsplit_once('/').map_or("", |(path, _)| path);
        text.split('"')
            .filter(|part| is_module(part))
            .filter_map(|path| match path.strip_prefix("../") {
                Some(name) => Some(name.to_owned()),
                None => path.strip_prefix("./").map(|name| {
                    format!("{directory}/{name}")
                        .trim_start_matches('/')
                        .to_owned()
                }),
            })
            .collect()
    }
}
