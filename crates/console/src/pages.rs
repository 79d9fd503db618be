//! The shell that is served for every page: an HTML document that loads the scripts and the
//! stylesheet and carries the CSRF token.

use axum::{
    Router, extract::Request, middleware::map_response, response::IntoResponse, routing::get,
};
use http::{
    Extensions, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use crate::{assets, headers};

const SHELL: &str = include_str!("shell.html");

/// The first segments of the paths of pages. Any other path gets the shell with status 404.
const FIRST_SEGMENTS: [&str; 11] = [
    "",
    "audit",
    "cli-auth",
    "deployment",
    "login",
    "organizations",
    "reset-password",
    "settings",
    "setup",
    "tasks",
    "users",
];

/// Returns a router that serves the pages as its fallback.
///
/// `csrf_token` reads from the request's extensions the token that the page sends to the API
/// in the header `X-CSRF-TOKEN`.
pub fn pages(csrf_token: impl Fn(&Extensions) -> String + Clone + Send + Sync + 'static) -> Router {
    let shell = move |request: Request| {
        let token = csrf_token(request.extensions());
        let status = status_of(request.uri().path());
        async move {
            let headers = [
                (
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/html; charset=utf-8"),
                ),
                // A cached page would carry an old token.
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (status, headers, fill(SHELL, &token)).into_response()
        }
    };
    Router::new()
        .fallback_service(get(shell))
        .layer(map_response(headers::protect))
}

fn status_of(path: &str) -> StatusCode {
    let segment = path.trim_start_matches('/').split('/').next();
    if FIRST_SEGMENTS.contains(&segment.unwrap_or_default()) {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    }
}

fn fill(shell: &str, token: &str) -> String {
    let token: String = token.chars().filter(|c| is_token_char(*c)).collect();
    shell
        .replace("{{assets}}", &assets::base())
        .replace("{{csrf_token}}", &token)
}

/// Whether the character may occur in a token. None of these needs escaping in HTML.
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/=-_".contains(c)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Method;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[derive(Clone)]
    struct Token(&'static str);

    async fn send(
        method: Method,
        path: &str,
        token: &'static str,
    ) -> (http::response::Parts, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .extension(Token(token))
            .body(Body::empty())
            .unwrap();
        let pages = pages(|extensions| extensions.get::<Token>().unwrap().0.to_owned());
        let (head, body) = pages.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_page_carries_its_token_and_is_not_cached() {
        let (head, body) = send(Method::GET, "/users/x?q=1", "ab+/c=").await;

        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.headers["cache-control"], "no-store");
        assert!(
            body.contains(r#"<meta name="csrf-token" content="ab+/c=">"#),
            "{body}"
        );
        assert!(!body.contains("{{"), "{body}");
    }

    #[tokio::test]
    async fn a_token_cannot_break_out_of_its_attribute() {
        let (_, body) = send(Method::GET, "/", "\"><script>x</script>").await;

        assert!(body.contains(r#"content="scriptx/script">"#), "{body}");
    }

    #[tokio::test]
    async fn unknown_paths_are_not_found() {
        for path in ["/nothing", "/usersx", "/robots.txt", "/index.html"] {
            let (head, body) = send(Method::GET, path, "").await;
            assert_eq!(head.status, StatusCode::NOT_FOUND, "{path}");
            assert!(body.contains("<html"), "{path}");
        }
        for path in ["/", "/tasks", "/users/3/x", "/login/device"] {
            assert_eq!(
                send(Method::GET, path, "").await.0.status,
                StatusCode::OK,
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn pages_are_read_only() {
        let (head, _) = send(Method::POST, "/", "").await;
        assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn inline_code_and_framing_are_forbidden() {
        let (head, body) = send(Method::GET, "/", "").await;

        let policy = head.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"));
        assert_eq!(head.headers["x-content-type-options"], "nosniff");
        assert_eq!(head.headers["referrer-policy"], "no-referrer");
        for inline in ["<style", "style=", "onload=", "<script>"] {
            assert!(!body.contains(inline), "{inline}");
        }
    }

    #[test]
    fn the_route_table_has_the_same_first_segments() {
        let router = include_str!("../assets/router.js");
        let mut segments: Vec<&str> = router
            .lines()
            .filter_map(|line| line.trim().strip_prefix("[\"/"))
            .filter_map(|rest| rest.split(['/', '"']).next())
            .collect();
        segments.sort_unstable();
        segments.dedup();
        assert_eq!(segments, FIRST_SEGMENTS);
    }
}
