//! Response headers and cross-origin requests.

use http::{Method, StatusCode};
use uuid::Uuid;

use crate::{
    app::{Answer, TestApp},
    people::{Role, alice},
};

const BUILD_INFO: &str = "/api/v2/buildinfo";

#[track_caller]
fn assert_own_headers(answer: &Answer) {
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-coder-build-version"), Some("v2.29.0"));
    assert!(answer.header("x-usher-version").is_some());
    let id = answer.header("x-coder-request-id").expect("an id");
    let id = Uuid::parse_str(id).expect("a UUID");
    assert_eq!(id.get_version_num(), 4);
}

#[tokio::test]
async fn all_responses_have_the_headers_whatever_their_status() {
    let cookie = [("Cookie", "coder_session_token=x")];
    let preflight = [
        ("Origin", "https://x.example"),
        ("Access-Control-Request-Method", "GET"),
    ];
    let mut app = TestApp::anonymous();
    app.site.expect_ping().returning(|| Ok(()));
    for (method, path, headers, status) in [
        (Method::GET, "/healthz", &[][..], 200),
        (Method::GET, BUILD_INFO, &[], 200),
        (Method::GET, "/api/v2/users/me", &[], 401),
        (Method::GET, "/api/v2/nothing", &[], 404),
        (Method::GET, "/", &[], 404),
        (Method::POST, BUILD_INFO, &[], 405),
        (Method::POST, "/api/v2/users/login", &[], 400),
        (Method::POST, "/api/v2/users/login", &cookie, 400),
        (Method::OPTIONS, BUILD_INFO, &preflight, 200),
    ] {
        let answer = app.bare(method, path, headers).await;
        answer.assert_status(status);
        assert_own_headers(&answer);
    }
}

#[tokio::test]
async fn a_panic_is_a_500_with_the_headers_and_without_details() {
    let mut app = TestApp::anonymous();
    app.site
        .expect_ping()
        .returning(|| std::panic::resume_unwind(Box::new("a secret")));
    app.may_be_at_fault = true;

    let answer = app.get("/healthz").await;

    answer.assert_status(500);
    assert_own_headers(&answer);
    assert!(!answer.text.contains("secret"), "{answer:?}");
    assert_ne!(answer.message(), "");
}

#[tokio::test]
async fn the_version_is_configurable() {
    let mut app = TestApp::anonymous();
    app.settings.build_version = "v2.30.1".into();
    let answer = app.get("/api/v2/nothing").await;
    assert_eq!(answer.header("x-coder-build-version"), Some("v2.30.1"));
}

#[tokio::test]
async fn each_request_has_a_unique_id_that_audit_entries_share() {
    let mut app = TestApp::signed_in_as(Role::Auditor);
    app.knows(alice());
    let (sender, rows) = std::sync::mpsc::channel();
    app.audit.expect_record_failure().returning(move |_, by| {
        sender.send(by.request_id).expect("it is awaited");
        Ok(())
    });
    for _ in 0..2 {
        let answer = app.delete("/api/v2/users/alice").await;
        let id = rows.recv().expect("a row").to_string();
        assert_eq!(answer.header("x-coder-request-id"), Some(&*id));
    }
}

#[tokio::test]
async fn json_responses_have_a_content_type() {
    for path in [BUILD_INFO, "/api/v2/nothing", "/api/v2/users/me"] {
        let answer = TestApp::anonymous().get(path).await;
        assert_eq!(
            answer.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        assert!(answer.text.ends_with('\n'));
    }
}

#[tokio::test]
async fn responses_vary_by_origin_and_cookie() {
    let answer = TestApp::anonymous().get(BUILD_INFO).await;
    let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Origin", "Cookie"]);
}

fn cors_headers(answer: &Answer) -> Vec<&str> {
    answer
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

async fn preflight(app: &mut TestApp, path: &str, method: &str) -> Answer {
    let headers = [
        ("Origin", "https://x.example"),
        ("Access-Control-Request-Method", method),
    ];
    app.bare(Method::OPTIONS, path, &headers).await
}

#[tokio::test]
async fn by_default_cross_origin_requests_are_not_allowed() {
    let mut app = TestApp::anonymous();
    for path in [BUILD_INFO, "/api/v2/users/me", "/api/v2/nothing"] {
        let answer = preflight(&mut app, path, "GET").await;
        answer.assert_status(200);
        assert_eq!(answer.text, "");
        assert!(cors_headers(&answer).is_empty());

        let answer = app.get_with(path, &[("Origin", "https://x.example")]).await;
        assert!(cors_headers(&answer).is_empty());
    }
}

#[tokio::test]
async fn with_the_flag_all_origins_may_get_without_credentials() {
    let mut app = TestApp::anonymous();
    app.settings.allow_all_cors = true;
    let answer = preflight(&mut app, "/api/v2/users/me", "GET").await;
    answer.assert_status(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);

    let answer = app
        .get_with(BUILD_INFO, &[("Origin", "https://x.example")])
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(cors_headers(&app.get(BUILD_INFO).await).is_empty());
}

#[tokio::test]
async fn with_the_flag_other_cross_origin_methods_are_not_allowed() {
    let mut app = TestApp::anonymous();
    app.settings.allow_all_cors = true;
    for method in ["POST", "PUT", "DELETE"] {
        let answer = preflight(&mut app, "/api/v2/users/login", method).await;
        answer.assert_status(200);
        assert!(cors_headers(&answer).is_empty());
    }
    let origin = [("Origin", "https://x.example")];
    let answer = app.bare(Method::POST, "/api/v2/users/login", &origin).await;
    assert!(cors_headers(&answer).is_empty());
}

#[tokio::test]
async fn other_options_requests_are_not_allowed() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for path in ["/api/v2/users/me", BUILD_INFO, "/api/v2/users"] {
        let answer = app.call(Method::OPTIONS, path).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{answer:?}");
    }
}
