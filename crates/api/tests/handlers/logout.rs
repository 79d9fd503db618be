//! `POST /users/logout`.

use http::Method;
use usher_store::StoreError;

use crate::{
    app::TestApp,
    people::{Role, key_id},
};

const PATH: &str = "/api/v2/users/logout";

fn expect_log_out(app: &mut TestApp, found: Option<()>) {
    app.sessions
        .expect_log_out()
        .withf(|key, by| *key == key_id() && by.status_code == 200)
        .times(1)
        .return_once(move |_, _| Ok(found));
}

#[tokio::test]
async fn the_session_is_revoked_and_its_cookie_cleared() {
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_log_out(&mut app, Some(()));

    let answer = app.call(Method::POST, PATH).await;

    answer.assert_status(200);
    assert_ne!(answer.message(), "");
    assert_eq!(
        answer.cookies(),
        ["coder_session_token=; Path=/; Max-Age=0"]
    );
}

#[tokio::test]
async fn signing_out_of_a_missing_session_succeeds() {
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_log_out(&mut app, None);
    app.call(Method::POST, PATH).await.assert_status(200);
}

#[tokio::test]
async fn every_key_may_revoke_itself() {
    for mut app in [
        TestApp::with_scopes(Role::Member, &["workspace:read"]),
        TestApp::with_scopes(Role::Member, &[]),
        TestApp::with_allow_list(Role::Member, &["workspace:*"]),
    ] {
        expect_log_out(&mut app, Some(()));
        app.call(Method::POST, PATH).await.assert_status(200);
    }
}

#[tokio::test]
async fn the_body_is_ignored() {
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_log_out(&mut app, Some(()));
    app.send(Method::POST, PATH, "{").await.assert_status(200);
}

#[tokio::test]
async fn the_cookie_is_not_cleared_if_the_store_is_unavailable() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.sessions
        .expect_log_out()
        .return_once(|_, _| Err(StoreError::Unavailable("away".into())));

    let answer = app.call(Method::POST, PATH).await;

    answer.assert_status(503);
    assert!(answer.cookies().is_empty());
}
