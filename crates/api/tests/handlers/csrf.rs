//! Protection against cross-site request forgery.

use http::Method;

use crate::{
    app::{Answer, TestApp},
    people::{Role, TOKEN, alice, credential, key_id},
};

const CSRF: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const LOGOUT: &str = "/api/v2/users/logout";

/// An app in which a member signs out.
fn app() -> TestApp {
    let mut app = TestApp::anonymous();
    app.sessions
        .expect_find_credential()
        .returning(|key| Ok(Some(credential(Role::Member)).filter(|_| *key == key_id())));
    app.sessions.expect_log_out().returning(|_, _| Ok(Some(())));
    app
}

fn session() -> String {
    format!("coder_session_token={TOKEN}")
}

async fn post(path: &str, headers: &[(&str, &str)]) -> Answer {
    app().bare(Method::POST, path, headers).await
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    answer.assert_status(400);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_ne!(answer.text, "");
}

#[tokio::test]
async fn a_session_cookie_alone_is_rejected() {
    for path in [
        LOGOUT,
        "/api/v2/users",
        "/api/v2/users/login",
        "/api/v2/users/otp/request",
        "/api/v2/users/validate-password",
        "/api/v2/no/such/path",
        "//api//v2//users//logout/",
    ] {
        for cookie in [&*session(), "coder_session_token=bad"] {
            let answer = TestApp::anonymous()
                .bare(Method::POST, path, &[("Cookie", cookie)])
                .await;
            assert_refused(&answer);
        }
    }
}

#[tokio::test]
async fn every_unsafe_method_is_checked() {
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let cookie = session();
        let answer = TestApp::anonymous()
            .bare(method, "/api/v2/users/me", &[("Cookie", &cookie)])
            .await;
        assert_refused(&answer);
    }
}

#[tokio::test]
async fn safe_methods_need_no_token() {
    let cookie = session();
    let answer = app()
        .get_with("/api/v2/users/me", &[("Cookie", &cookie)])
        .await;
    answer.assert_status(200);
}

#[tokio::test]
async fn the_same_token_in_cookie_and_header_is_accepted() {
    let cookies = format!("{}; csrf_token={CSRF}", session());
    post(LOGOUT, &[("Cookie", &cookies), ("X-CSRF-TOKEN", CSRF)])
        .await
        .assert_status(200);
    assert_refused(&post(LOGOUT, &[("Cookie", &cookies)]).await);
    assert_refused(&post(LOGOUT, &[("Cookie", &cookies), ("X-CSRF-TOKEN", "x")]).await);
    assert_refused(&post(LOGOUT, &[("Cookie", &session()), ("X-CSRF-TOKEN", CSRF)]).await);
}

#[tokio::test]
async fn the_session_token_in_a_header_is_accepted_and_another_is_rejected() {
    let cookie = session();
    let query = format!("{LOGOUT}?coder_session_token={TOKEN}");
    let other = format!("{LOGOUT}?coder_session_token=x");
    let access = format!("{LOGOUT}?access_token={TOKEN}");
    let once_more = [("Cookie", &*cookie), ("Coder-Session-Token", TOKEN)];
    let differing = [("Cookie", &*cookie), ("Coder-Session-Token", "x")];
    let empty = [("Cookie", &*cookie), ("Coder-Session-Token", "")];
    post(LOGOUT, &once_more).await.assert_status(200);
    post(&query, &[("Cookie", &cookie)])
        .await
        .assert_status(200);
    assert_refused(&post(&other, &[("Cookie", &cookie)]).await);
    assert_refused(&post(&access, &[("Cookie", &cookie)]).await);
    let texts = [post(LOGOUT, &differing).await, post(LOGOUT, &empty).await];
    texts.iter().for_each(assert_refused);
    assert_ne!(texts[0].text, texts[1].text);
}

#[tokio::test]
async fn a_bearer_header_bypasses_the_check_but_the_cookie_authenticates() {
    let cookie = session();
    let bearer = [("Cookie", &*cookie), ("Authorization", "Bearer other")];
    post(LOGOUT, &bearer).await.assert_status(200);
    let basic = [("Cookie", &*cookie), ("Authorization", "Basic other")];
    assert_refused(&post(LOGOUT, &basic).await);
}

#[tokio::test]
async fn requests_without_the_session_cookie_need_no_token() {
    let bearer = format!("Bearer {TOKEN}");
    let access = format!("{LOGOUT}?access_token={TOKEN}");
    post(LOGOUT, &[("Coder-Session-Token", TOKEN)])
        .await
        .assert_status(200);
    post(LOGOUT, &[("Authorization", &bearer)])
        .await
        .assert_status(200);
    post(&access, &[]).await.assert_status(200);
    let empty = [
        ("Cookie", "coder_session_token="),
        ("Coder-Session-Token", TOKEN),
    ];
    post(LOGOUT, &empty).await.assert_status(200);
}

#[tokio::test]
async fn only_the_first_user_route_is_exempt_not_similar_usernames() {
    let cookie = session();
    let answer = post("/api/v2/users/first", &[("Cookie", &cookie)]).await;
    assert!(answer.json.is_object(), "{answer:?}");

    for (method, path) in [
        (Method::PUT, "/api/v2/users/firstborn/password"),
        (Method::POST, "/api/v2/users/first-lady/keys"),
        (Method::POST, "/api/v2/users/first/keys/tokens"),
        (Method::DELETE, "/api/v2/users/firstborn"),
        (Method::PUT, "/api/v2/organizations/x/members/users/first"),
    ] {
        let mut app = app();
        app.knows(alice());
        app.expect_no_other_user();
        let answer = app.bare(method, path, &[("Cookie", &cookie)]).await;
        assert_refused(&answer);
    }
}

#[tokio::test]
async fn a_client_without_a_token_gets_one() {
    let answer = TestApp::anonymous().get("/api/v2/buildinfo").await;
    let cookie = answer.header("set-cookie").expect("a cookie");
    let value = cookie.strip_prefix("csrf_token=").expect("the token");
    let (value, attributes) = value.split_once(';').expect("attributes");
    assert_eq!(value.len(), 44, "{cookie}");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(attributes.contains(part), "{cookie}");
    }
    for part in ["Max-Age", "Expires", "Secure", "Domain"] {
        assert!(!attributes.contains(part), "{cookie}");
    }
    let again = TestApp::anonymous().get("/api/v2/buildinfo").await;
    assert_ne!(again.header("set-cookie"), Some(cookie));
}

#[tokio::test]
async fn a_client_with_a_token_keeps_it() {
    let mut app = TestApp::anonymous();
    let cookie = format!("csrf_token={CSRF}");
    let kept = app
        .get_with("/api/v2/buildinfo", &[("Cookie", &cookie)])
        .await;
    assert_eq!(kept.header("set-cookie"), None);
    let replaced = app
        .get_with("/api/v2/buildinfo", &[("Cookie", "csrf_token=x")])
        .await;
    assert!(replaced.header("set-cookie").is_some());
}
