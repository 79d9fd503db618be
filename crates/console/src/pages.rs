//! The shell that every page is: a document that names the script and the style, and holds
//! the token that ties it to the browser.

use axum::{
    Router, extract::Request, middleware::map_response, response::IntoResponse, routing::get,
};
use http::{
    Extensions, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use crate::{assets, headers};

const SHELL: &str = include_str!("shell.html");

/// The first words of the paths that pages have. On any other path the shell says that
/// there is nothing.
const WORDS: [&str; 11] = [
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

/// The pages, for every path that nobody else wants.
///
/// `csrf_token` finds in the extensions of a request the text that the API will want in the
/// header `X-CSRF-TOKEN` from the browser that gets this page.
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
                // A page that was kept would hold the token of another day.
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
    let word = path.trim_start_matches('/').split('/').next();
    if WORDS.contains(&word.unwrap_or_default()) {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    }
}

fn fill(shell: &str, token: &str) -> String {
    let token: String = token.chars().filter(|letter| is_plain(*letter)).collect();
    shell
        .replace("{{assets}}", &assets::base())
        .replace("{{csrf_token}}", &token)
}

/// Whether a letter may stand in a token, and so in an attribute as it is.
fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "+/=-_".contains(letter)
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

    async fn ask(
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
        let pages = pages(|found| found.get::<Token>().unwrap().0.to_owned());
        let (head, body) = pages.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_page_holds_its_token_and_is_never_kept() {
        let (head, body) = ask(Method::GET, "/users/x?q=1", "ab+/c=").await;

        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.headers["cache-control"], "no-store");
        assert!(
            body.contains(r#"<meta name="csrf-token" content="ab+/c=">"#),
            "{body}"
        );
        assert!(!body.contains("{{"), "{body}");
    }

    #[tokio::test]
    async fn a_token_cannot_leave_its_attribute() {
        let (_, body) = ask(Method::GET, "/", "\"><script>x</script>").await;

        assert!(body.contains(r#"content="scriptx/script">"#), "{body}");
    }

    #[tokio::test]
    async fn what_is_no_page_is_not_found() {
        for path in ["/nothing", "/usersx", "/robots.txt", "/index.html"] {
            let (head, body) = ask(Method::GET, path, "").await;
            assert_eq!(head.status, StatusCode::NOT_FOUND, "{path}");
            assert!(body.contains("<html"), "{path}");
        }
        for path in ["/", "/tasks", "/users/3/x", "/login/device"] {
            assert_eq!(
                ask(Method::GET, path, "").await.0.status,
                StatusCode::OK,
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn pages_are_read_only() {
        let (head, _) = ask(Method::POST, "/", "").await;
        assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn nothing_in_line_runs_and_nobody_frames_a_page() {
        let (head, body) = ask(Method::GET, "/", "").await;

        let policy = head.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"));
        assert_eq!(head.headers["x-content-type-options"], "nosniff");
        assert_eq!(head.headers["referrer-policy"], "no-referrer");
        for in_line in ["<style", "style=", "onload=", "<script>"] {
            assert!(!body.contains(in_line), "{in_line}");
        }
    }

    #[test]
    fn the_router_of_the_pages_knows_the_same_words() {
        let router = include_str!("../assets/router.js");
        let mut words: Vec<&str> = router
            .lines()
            .filter_map(|line| line.trim().strip_prefix("[\"/"))
            .filter_map(|rest| rest.split(['/', '"']).next())
            .collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words, WORDS);
    }
}
