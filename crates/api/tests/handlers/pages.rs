//! Pages next to the API.

use axum::{Extension, Router, routing::get};
use usher_api::CsrfToken;

use crate::app::TestApp;

const CSRF: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A page that contains its CSRF token.
fn app() -> TestApp {
    let page = async |Extension(token): Extension<CsrfToken>| token.as_str().to_owned();
    TestApp::anonymous().with_pages(Router::new().fallback(get(page)))
}

#[tokio::test]
async fn a_page_contains_the_browsers_token() {
    let cookie = format!("csrf_token={CSRF}");
    let answer = app().get_with("/people", &[("Cookie", &cookie)]).await;
    answer.assert_status(200);
    assert_eq!(answer.text, CSRF);
    assert_eq!(answer.header("set-cookie"), None);
}

#[tokio::test]
async fn a_browser_without_a_token_gets_a_cookie_with_that_of_the_page() {
    for cookie in ["a=b", "csrf_token=chosen"] {
        let answer = app().get_with("/", &[("Cookie", cookie)]).await;
        let given = answer.header("set-cookie").unwrap_or_default();
        let expected = format!("csrf_token={};", answer.text);
        assert!(given.starts_with(&expected), "{given}");
        assert!(given.contains("HttpOnly"), "{given}");
        assert!(answer.header("x-coder-request-id").is_some());
    }
}

#[tokio::test]
async fn api_paths_have_no_pages() {
    for path in [
        "/api",
        "/api/v2/nothing",
        "//api//nothing",
        "/.well-known/nothing",
    ] {
        let answer = app().get(path).await;
        answer.assert_status(404);
        assert_eq!(
            answer.header("content-type"),
            Some("application/json; charset=utf-8"),
            "{path}"
        );
    }
    app().get("/apis").await.assert_status(200);
}
