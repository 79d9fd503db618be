//! `/users/first`.

use serde_json::{Value, json};
use usher_domain::{LoginType, SiteRole, User, UserStatus};
use usher_store::{Conflict, NewUser};

use crate::{
    app::TestApp,
    people::{ORGANIZATION, STRONG, TOKEN, now, olivia},
};

const PATH: &str = "/api/v2/users/first";

fn olivia_as_asked() -> Value {
    json!({"email": "olivia@example.com", "username": "olivia", "password": STRONG})
}

fn app(has_users: bool) -> TestApp {
    let mut app = TestApp::anonymous();
    app.users
        .expect_has_users()
        .returning(move || Ok(has_users));
    app
}

fn made(new: &NewUser) -> User {
    User {
        id: new.id,
        organization_ids: vec![ORGANIZATION],
        ..olivia()
    }
}

#[tokio::test]
async fn the_status_code_says_whether_a_user_exists() {
    let none = app(false).get(PATH).await;
    none.assert_status(404);
    assert_ne!(none.message(), "");
    assert_eq!(none.header("x-coder-build-version"), Some("v2.29.0"));

    let some = app(true).get(PATH).await;
    some.assert_status(200);
    assert_ne!(some.message(), "");
}

#[tokio::test]
async fn the_first_user_is_an_active_owner() {
    let mut app = app(false);
    app.users
        .expect_create_first_user()
        .withf(|new| {
            new.username.as_str() == "olivia"
                && new.roles == [SiteRole::Owner]
                && new.status == UserStatus::Active
                && new.login_type == LoginType::Password
                && new.password.as_str().starts_with("$argon2id$")
                && new.ssh_key.public_key.starts_with("ssh-")
                && new.created_at == now()
        })
        .times(1)
        .return_once(|new| Ok(made(&new)));

    let answer = app.post(PATH, olivia_as_asked()).await;

    answer.assert_status(201);
    assert_eq!(answer.json["organization_id"], json!(ORGANIZATION.0));
    assert!(answer.json["user_id"].is_string());
    assert!(answer.cookies().is_empty());
}

#[tokio::test]
async fn it_works_with_password_sign_in_disabled() {
    let mut app = app(false);
    app.settings.password_auth = false;
    app.users
        .expect_create_first_user()
        .return_once(|new| Ok(made(&new)));

    app.post(PATH, olivia_as_asked()).await.assert_status(201);
}

#[tokio::test]
async fn keys_and_session_cookies_are_ignored() {
    for header in [
        ("Coder-Session-Token", TOKEN),
        ("Cookie", "coder_session_token=x"),
    ] {
        app(false)
            .get_with(PATH, &[header])
            .await
            .assert_status(404);
        let answer = app(true).bare(http::Method::POST, PATH, &[header]).await;
        assert_eq!(
            answer.detail(),
            "EOF while parsing a value at line 1 column 0"
        );
    }
}

#[tokio::test]
async fn only_one_first_user_can_be_created() {
    app(true)
        .post(PATH, olivia_as_asked())
        .await
        .assert_status(409);
}

#[tokio::test]
async fn concurrent_requests_that_lose_are_conflicts() {
    for conflict in [
        Conflict::FirstUserExists,
        Conflict::Username,
        Conflict::Email,
    ] {
        let mut app = app(false);
        app.users
            .expect_create_first_user()
            .return_once(move |_| Err(conflict.into()));

        app.post(PATH, olivia_as_asked()).await.assert_status(409);
    }
}

#[tokio::test]
async fn validation_errors_are_reported_before_the_conflict() {
    let mut app = TestApp::anonymous();
    let answer = app.post(PATH, json!({})).await;
    answer.assert_faults(&["email", "username", "password"]);
    let named = json!({"email": "x", "username": "new", "name": " x", "password": ""});
    let answer = app.post(PATH, named).await;
    answer.assert_faults(&["email", "username", "name", "password"]);
}

#[tokio::test]
async fn the_conflict_is_reported_before_a_weak_password() {
    let mut weak = olivia_as_asked();
    weak["password"] = json!("password");
    app(true).post(PATH, weak.clone()).await.assert_status(409);
    app(false)
        .post(PATH, weak)
        .await
        .assert_faults(&["password"]);
}

#[tokio::test]
async fn trial_data_is_accepted_and_ignored() {
    let mut app = app(false);
    app.users
        .expect_create_first_user()
        .return_once(|new| Ok(made(&new)));
    let mut body = olivia_as_asked();
    body["trial"] = json!(false);
    body["trial_info"] = json!({"first_name": "", "developers": "", "other": 1});

    app.post(PATH, body).await.assert_status(201);
}
