//! Unknown paths and methods.

use http::Method;

use crate::{
    app::TestApp,
    people::{Role, organization},
};

#[tokio::test]
async fn an_unknown_path_is_reported() {
    for path in [
        "/api/v2/nothing",
        "/api/v2/user",
        "/api/v2/USERS",
        "/api",
        "/",
        "/api/v2/%ff",
        "/api/v2/%00",
    ] {
        let answer = TestApp::anonymous().get(path).await;
        answer.assert_status(404);
        assert_eq!(answer.message(), "Route not found.", "{path}");
    }
}

#[tokio::test]
async fn under_users_and_organizations_authentication_comes_before_routing() {
    for (method, path) in [
        (Method::GET, "/api/v2/users/x/y"),
        (Method::GET, "/api/v2/users/login"),
        (Method::POST, "/api/v2/users/authmethods"),
        (Method::PATCH, "/api/v2/users/me"),
        (Method::PATCH, "/api/v2/users"),
        (Method::GET, "/api/v2/users/%ff"),
        (Method::GET, "/api/v2/organizations/x/y"),
        (Method::PATCH, "/api/v2/organizations/x/members"),
    ] {
        let answer = TestApp::anonymous().call(method, path).await;
        answer.assert_status(401);
    }
}

#[tokio::test]
async fn otp_is_a_username_for_methods_without_an_otp_route() {
    for (method, path) in [
        (Method::GET, "/api/v2/users/otp/request"),
        (Method::PUT, "/api/v2/users/otp/change-password"),
    ] {
        TestApp::anonymous()
            .call(method.clone(), path)
            .await
            .assert_status(401);
        let mut app = TestApp::signed_in_as(Role::Member);
        app.call(method, path).await.assert_status(404);
    }
}

#[tokio::test]
async fn with_a_credential_unknown_paths_are_reported_without_a_user_lookup() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for path in [
        "/api/v2/users/missing/nothing",
        "/api/v2/users/me/status",
        "/api/v2/users/me/keys/a/b",
        "/api/v2/organizations/x/nothing",
    ] {
        let answer = app.get(path).await;
        answer.assert_status(404);
        assert_eq!(answer.message(), "Route not found.", "{path}");
    }
}

#[tokio::test]
async fn the_response_to_a_wrong_method_has_an_empty_body() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    for (method, path) in [
        (Method::PATCH, "/api/v2/users"),
        (Method::DELETE, "/api/v2/users"),
        (Method::POST, "/api/v2/users/me"),
        (Method::GET, "/api/v2/users/me/profile"),
        (Method::POST, "/api/v2/users/me/status/suspend"),
        (Method::PUT, "/api/v2/organizations"),
        (Method::POST, "/api/v2/buildinfo"),
        (Method::TRACE, "/api/v2/users/me"),
        (
            Method::from_bytes(b"BREW").expect("a method"),
            "/api/v2/users",
        ),
    ] {
        let answer = app.call(method, path).await;
        answer.assert_status(405);
        assert_eq!(answer.text, "", "{path}");
    }
}

#[tokio::test]
async fn head_responses_have_no_body() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for path in ["/api/v2/users/me", "/api/v2/buildinfo", "/latency-check"] {
        let answer = app.call(Method::HEAD, path).await;
        assert!([200, 405].contains(&answer.status.as_u16()), "{answer:?}");
        assert_eq!(answer.text, "");
    }
}

#[tokio::test]
async fn repeated_slashes_are_ignored() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.organizations
        .expect_find_organization()
        .returning(|_| Ok(Some(organization())));
    app.users.expect_has_users().returning(|| Ok(true));
    for path in [
        "/api/v2/users/me/",
        "//api/v2//users///me",
        "/api/v2/users/roles/",
        "/api/v2/organizations/default/",
        "/api/v2/organizations/default/members/roles/",
        "/api/v2/experiments/",
        "/api/v2/users/first/",
        "/api//v2/",
    ] {
        app.get(path).await.assert_status(200);
    }
}

#[tokio::test]
async fn an_escaped_slash_is_part_of_a_name() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.expect_no_other_user();
    app.get("/api/v2/users/me%2Froles").await.assert_status(400);
}

#[tokio::test]
async fn fixed_path_segments_are_not_token_names_or_key_ids() {
    let mut app = TestApp::signed_in_as(Role::Member);
    let config = app.get("/api/v2/users/me/keys/tokens/tokenconfig").await;
    assert!(config.json["max_token_lifetime"].is_i64(), "{config:?}");
}

#[tokio::test]
async fn unauthenticated_probes_of_clients_get_401() {
    // Clients use this to detect that a server requires signing in.
    for path in [
        "/api/v2/regions",
        "/api/v2/experiments",
        "/api/v2/appearance",
        "/api/v2/organizations",
    ] {
        TestApp::anonymous().get(path).await.assert_status(401);
    }
}
