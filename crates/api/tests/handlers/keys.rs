//! `/users/{user}/keys`: CLI sessions, and keys by ID.

use chrono::TimeDelta;
use http::Method;
use serde_json::json;
use usher_domain::{ApiKey, ApiKeyId, ApiToken, LoginType, Scope, User, UserId};
use usher_store::Conflict;

use crate::{
    app::{CLIENT, TestApp},
    people::{ALICE, CALLER, Role, alice, credential, key_of, now, olivia},
};

const MINE: &str = "/api/v2/users/me/keys";
const ALICES: &str = "/api/v2/users/alice/keys";

/// The store has the key `0123456789` of this user.
fn with_key_of(mut app: TestApp, owner: UserId) -> TestApp {
    app.api_keys.expect_find_key().returning(move |id| {
        let key = ApiKey {
            id: id.clone(),
            ..key_of(owner)
        };
        Ok(Some(key).filter(|key| key.id.as_str() == "0123456789"))
    });
    app
}

#[tokio::test]
async fn a_cli_session_is_unrestricted_and_sets_no_cookie() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.api_keys
        .expect_create_key()
        .withf(|key, by| {
            key.user_id == CALLER
                && key.login_type == LoginType::Password
                && key.token_name.as_str().is_empty()
                && key.scopes == [Scope::ALL]
                && key.lifetime_seconds == 604_800
                && key.expires_at == now() + TimeDelta::days(7)
                && key.ip == Some(CLIENT.into())
                && by.status_code == 201
        })
        .times(1)
        .return_once(|_, _| Ok(()));

    let answer = app.call(Method::POST, MINE).await;

    answer.assert_status(201);
    assert!(answer.cookies().is_empty());
    let key = answer.json["key"].as_str().expect("a key");
    assert!(ApiToken::parse(key).is_ok(), "{key}");
}

#[tokio::test]
async fn the_stored_digest_matches_the_returned_key() {
    let mut app = TestApp::signed_in_as(Role::Member);
    let (sender, stored) = std::sync::mpsc::channel();
    app.api_keys.expect_create_key().return_once(move |key, _| {
        sender
            .send((key.id, key.hashed_secret))
            .expect("it is awaited");
        Ok(())
    });

    let answer = app.call(Method::POST, MINE).await;

    let token = ApiToken::parse(answer.json["key"].as_str().expect("a key")).expect("a token");
    assert_eq!(
        stored.recv().expect("a key"),
        (token.id, token.secret.digest())
    );
}

#[tokio::test]
async fn only_users_themselves_and_owners_may_create_keys() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        if role == Role::Owner {
            app.api_keys
                .expect_create_key()
                .withf(|key, _| key.user_id == ALICE)
                .return_once(|_, _| Ok(()));
        }

        let answer = app.call(Method::POST, ALICES).await;

        answer.assert_status(if role == Role::Owner { 201 } else { 403 });
    }
}

#[tokio::test]
async fn deleted_users_and_system_accounts_cannot_have_keys() {
    for (target, status) in [
        (
            User {
                is_deleted: true,
                ..alice()
            },
            400,
        ),
        (
            User {
                is_system: true,
                ..alice()
            },
            403,
        ),
    ] {
        let mut app = TestApp::signed_in_as(Role::Owner);
        app.knows(target);
        app.call(Method::POST, &format!("/api/v2/users/{ALICE}/keys"))
            .await
            .assert_status(status);
    }
}

#[tokio::test]
async fn conflicts_in_the_store_are_reported() {
    for (conflict, status) in [
        (Conflict::UserDeleted, 400),
        (Conflict::StaleCredential, 401),
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        app.api_keys
            .expect_create_key()
            .return_once(move |_, _| Err(conflict.into()));

        app.call(Method::POST, MINE).await.assert_status(status);
    }
}

#[tokio::test]
async fn a_restricted_key_cannot_create_an_unrestricted_one() {
    for entries in [&["user:*", "api_key:*"][..], &["user:*"]] {
        let mut app = TestApp::with_allow_list(Role::Owner, entries);
        app.call(Method::POST, MINE).await.assert_status(403);
    }
    let mut app = TestApp::with_scopes(Role::Owner, &["api_key:*"]);
    app.call(Method::POST, MINE).await.assert_status(404);
}

#[tokio::test]
async fn a_token_cannot_create_a_session_that_outlives_it() {
    let mut credential = credential(Role::Member);
    credential.key.login_type = LoginType::Token;
    credential.key.lifetime_seconds = 7_200;
    let mut app = TestApp::with_credential(credential);
    app.api_keys
        .expect_create_key()
        .withf(|key, _| key.lifetime_seconds == 7_200)
        .times(1)
        .return_once(|_, _| Ok(()));

    app.call(Method::POST, MINE).await.assert_status(201);
}

#[tokio::test]
async fn a_key_may_be_read_by_its_user_and_by_owners_under_any_user() {
    let mut own = with_key_of(TestApp::signed_in_as(Role::Member), CALLER);
    let answer = own.get("/api/v2/users/me/keys/0123456789").await;
    answer.assert_status(200);
    assert_eq!(
        answer.json,
        json!({
            "id": "0123456789", "user_id": CALLER.0,
            "last_used": "2026-01-02T03:04:05.678901Z", "expires_at": "2026-01-03T03:04:05.678901Z",
            "created_at": "2026-01-02T03:04:05.678901Z", "updated_at": "2026-01-02T03:04:05.678901Z",
            "login_type": "password", "scope": "all", "scopes": ["coder:all"], "token_name": "",
            "lifetime_seconds": 86_400, "allow_list": ["*:*"],
        })
    );
    let mut owner = with_key_of(TestApp::signed_in_as(Role::Owner), ALICE);
    owner
        .get("/api/v2/users/me/keys/0123456789")
        .await
        .assert_status(200);
}

#[tokio::test]
async fn another_users_key_is_reported_as_missing() {
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Owner) {
        let mut app = with_key_of(TestApp::signed_in_as(role), olivia().id);
        for method in [Method::GET, Method::DELETE] {
            let hidden = app
                .call(method.clone(), "/api/v2/users/me/keys/0123456789")
                .await;
            let unknown = app.call(method, "/api/v2/users/me/keys/9876543210").await;
            hidden.assert_status(404);
            assert_eq!(hidden.text, unknown.text);
        }
    }
}

#[tokio::test]
async fn a_key_can_be_deleted_only_once() {
    let mut app = with_key_of(TestApp::signed_in_as(Role::Member), CALLER);
    let id = ApiKeyId::from_stored("0123456789".into());
    app.api_keys
        .expect_delete_key()
        .withf(move |key, by| *key == id && by.status_code == 204)
        .times(1)
        .return_once(|_, _| Ok(Some(())));
    app.api_keys.expect_delete_key().returning(|_, _| Ok(None));

    let first = app.delete("/api/v2/users/me/keys/0123456789").await;
    first.assert_status(204);
    assert_eq!(first.text, "");
    app.delete("/api/v2/users/me/keys/0123456789")
        .await
        .assert_status(404);
}

#[tokio::test]
async fn an_allow_list_must_contain_all_keys_to_allow_access_to_keys() {
    let mut without = with_key_of(TestApp::with_allow_list(Role::Owner, &["user:*"]), CALLER);
    let mut with = with_key_of(
        TestApp::with_allow_list(Role::Owner, &["user:*", "api_key:*"]),
        CALLER,
    );
    with.api_keys
        .expect_delete_key()
        .return_once(|_, _| Ok(Some(())));
    let path = "/api/v2/users/me/keys/0123456789";
    without.get(path).await.assert_status(404);
    without.delete(path).await.assert_status(404);
    with.get(path).await.assert_status(200);
    with.delete(path).await.assert_status(204);
}

#[tokio::test]
async fn malformed_ids_are_not_found() {
    let mut app = with_key_of(TestApp::signed_in_as(Role::Owner), CALLER);
    for id in ["%00", "a%20b", "%27%3B--", "0123456789%00"] {
        app.get(&format!("{MINE}/{id}")).await.assert_status(404);
        app.delete(&format!("{MINE}/{id}")).await.assert_status(404);
    }
}
