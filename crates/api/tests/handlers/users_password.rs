//! `PUT /users/{user}/password`.

use serde_json::{Value, json};
use usher_domain::{LoginType, PasswordHash, User, password_hash::Scratch};
use usher_store::{Conflict, Credential};

use crate::{
    app::{CHEAP, TestApp},
    people::{ALICE, CALLER, Role, STRONG, alice, credential, olivia},
};

const ALICES: &str = "/api/v2/users/alice/password";
const MINE: &str = "/api/v2/users/me/password";
const CURRENT: &str = "SomeSecurePassword!";

fn hash(password: &str) -> PasswordHash {
    let mut scratch = Scratch::default();
    PasswordHash::argon2id(&password.into(), [3; 16], CHEAP, &mut scratch)
}

fn matches(hash: &PasswordHash, password: &str) -> bool {
    hash.verify(&password.into(), &mut Scratch::default())
}

/// A caller with the role, and a target whose password is [`CURRENT`].
fn app(role: Role, target: User) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.knows(target);
    with_current_password(&mut app);
    app
}

fn me(role: Role) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    with_current_password(&mut app);
    app
}

fn with_current_password(app: &mut TestApp) {
    app.users
        .expect_find_password_hash()
        .returning(|_| Ok(Some(hash(CURRENT))));
}

fn to(new: &str) -> Value {
    json!({"password": new})
}

fn from_to(old: &str, new: &str) -> Value {
    json!({"old_password": old, "password": new})
}

#[tokio::test]
async fn users_may_change_their_own_password_with_the_current_one() {
    for role in Role::ALL {
        let mut app = me(role);
        app.users
            .expect_set_user_password()
            .withf(move |id, change, by| {
                *id == CALLER
                    && matches(&change.hash, STRONG)
                    && change.replaces.as_ref() == Some(&hash(CURRENT))
                    && change.unless_owner == (role != Role::Owner)
                    && by.status_code == 204
            })
            .times(1)
            .return_once(|_, _, _| Ok(Some(())));

        let answer = app.put(MINE, from_to(CURRENT, STRONG)).await;

        answer.assert_status(204);
        assert_eq!(answer.text, "");
    }
}

#[tokio::test]
async fn owners_and_user_admins_may_set_a_members_password() {
    for role in [Role::Owner, Role::UserAdmin] {
        let mut app = app(role, alice());
        app.users
            .expect_set_user_password()
            .withf(|id, change, _| *id == ALICE && change.replaces.is_none())
            .times(1)
            .return_once(|_, _, _| Ok(Some(())));

        app.put(ALICES, to(STRONG)).await.assert_status(204);
    }
}

#[tokio::test]
async fn others_are_forbidden_before_the_body_is_read() {
    for role in [
        Role::TemplateAdmin,
        Role::Auditor,
        Role::OrganizationAdmin,
        Role::OrganizationUserAdmin,
    ] {
        for body in ["{", "{}", r#"{"password":"weak"}"#] {
            let mut app = TestApp::signed_in_as(role);
            app.knows(alice());
            app.expect_attempt(404);

            app.send(http::Method::PUT, ALICES, body)
                .await
                .assert_status(404);
        }
    }
    app(Role::Member, alice())
        .put(ALICES, to(STRONG))
        .await
        .assert_status(400);
}

#[tokio::test]
async fn a_user_admin_cannot_set_an_owners_password() {
    let mut app = app(Role::UserAdmin, olivia());
    app.expect_attempt(403);

    let answer = app.put("/api/v2/users/olivia/password", to(STRONG)).await;

    answer.assert_status(403);
}

#[tokio::test]
async fn a_user_admin_cannot_test_an_owners_password() {
    // Neither as the current nor as the new one, since the response would confirm it.
    for body in [
        to(CURRENT),
        from_to(CURRENT, STRONG),
        from_to("Wrong-Password-1", STRONG),
    ] {
        let mut app = app(Role::UserAdmin, olivia());
        app.audit.expect_record_failure().returning(|_, _| Ok(()));

        let answer = app.put("/api/v2/users/olivia/password", body).await;

        answer.assert_status(403);
    }
}

#[tokio::test]
async fn the_password_of_a_concurrently_promoted_owner_is_not_changed() {
    let mut app = app(Role::UserAdmin, alice());
    app.users
        .expect_set_user_password()
        .withf(|_, change, _| change.unless_owner)
        .return_once(|_, _, _| Err(Conflict::ConcurrentModification.into()));
    app.expect_attempt(409);

    app.put(ALICES, to(STRONG)).await.assert_status(409);
}

#[tokio::test]
async fn a_missing_password_is_a_validation_error() {
    for body in [json!({}), to(""), json!({"password": null}), Value::Null] {
        let mut app = app(Role::Owner, alice());
        app.expect_attempt(400);
        app.put(ALICES, body).await.assert_faults(&["password"]);
    }
}

#[tokio::test]
async fn a_malformed_body_is_reported_without_a_field() {
    let mut app = app(Role::Owner, alice());
    app.expect_attempt(400);
    let answer = app.put(ALICES, json!({"password": 7})).await;
    answer.assert_faults(&[]);
    assert_ne!(answer.detail(), "");
}

#[tokio::test]
async fn users_of_other_login_types_cannot_have_a_password() {
    for login_type in [LoginType::None, LoginType::Github, LoginType::Oidc] {
        let target = User {
            login_type,
            ..alice()
        };
        for new in [STRONG, "weak"] {
            let mut app = app(Role::Owner, target.clone());
            app.expect_attempt(400);
            app.put(ALICES, to(new)).await.assert_faults(&[]);
        }
        let mut app = app(Role::Owner, target);
        app.expect_attempt(400);
        app.put(ALICES, json!({}))
            .await
            .assert_faults(&["password"]);
    }
}

#[tokio::test]
async fn the_current_password_is_required_for_ones_own_even_for_owners() {
    for role in [Role::Owner, Role::Member] {
        for new in [STRONG, "weak"] {
            let mut app = me(role);
            app.expect_attempt(400);
            app.put(MINE, to(new)).await.assert_faults(&[]);
        }
    }
}

#[tokio::test]
async fn a_weak_password_is_reported_before_a_wrong_current_one() {
    for body in [from_to("wrong", "weak"), from_to(CURRENT, "weak")] {
        let mut app = me(Role::Member);
        app.expect_attempt(400);
        app.put(MINE, body).await.assert_faults(&["password"]);
    }
    let mut by_admin = app(Role::UserAdmin, alice());
    by_admin.expect_attempt(400);
    by_admin
        .put(ALICES, to("weak"))
        .await
        .assert_faults(&["password"]);
}

#[tokio::test]
async fn a_wrong_current_password_is_a_validation_error_for_all_callers() {
    let mut mine = me(Role::Member);
    mine.expect_attempt(400);
    mine.put(MINE, from_to("wrong", STRONG))
        .await
        .assert_faults(&["old_password"]);

    let mut alices = app(Role::Owner, alice());
    alices.expect_attempt(400);
    let answer = alices.put(ALICES, from_to("wrong", CURRENT)).await;
    answer.assert_faults(&["old_password"]);
}

#[tokio::test]
async fn the_new_password_must_differ() {
    let mut app = app(Role::Owner, alice());
    app.expect_attempt(400);

    let answer = app.put(ALICES, to(CURRENT)).await;

    answer.assert_faults(&[]);
    assert!(
        answer
            .message()
            .contains("New password cannot match old password.")
    );
}

#[tokio::test]
async fn a_password_of_ten_megabytes_is_rejected_and_never_hashed() {
    let long = "aB3!".repeat(200_000);
    for body in [to(&long), from_to(&long, STRONG)] {
        let mut app = me(Role::Member);
        app.audit.expect_record_failure().returning(|_, _| Ok(()));
        app.put(MINE, body).await.assert_status(400);
    }
}

#[tokio::test]
async fn a_concurrently_changed_password_is_a_conflict() {
    let mut app = me(Role::Member);
    app.users
        .expect_set_user_password()
        .return_once(|_, _, _| Err(Conflict::ConcurrentModification.into()));
    app.expect_attempt(409);

    app.put(MINE, from_to(CURRENT, STRONG))
        .await
        .assert_status(409);
}

#[tokio::test]
async fn a_concurrently_revoked_session_changes_nothing() {
    let mut app = me(Role::Member);
    app.users
        .expect_set_user_password()
        .return_once(|_, _, _| Err(Conflict::StaleCredential.into()));
    app.expect_attempt(401);

    app.put(MINE, from_to(CURRENT, STRONG))
        .await
        .assert_status(401);
}

#[tokio::test]
async fn a_key_with_restricted_scopes_changes_nothing() {
    let mut app = TestApp::with_scopes(Role::Owner, &["user:update_personal"]);
    app.put(MINE, from_to(CURRENT, STRONG))
        .await
        .assert_status(404);
}

#[tokio::test]
async fn responses_never_contain_a_password() {
    let caller = Credential {
        ..credential(Role::Member)
    };
    let mut app = TestApp::with_credential(caller);
    with_current_password(&mut app);
    app.audit.expect_record_failure().returning(|_, _| Ok(()));
    for (old, new) in [
        ("Wrong-Secret-1", STRONG),
        (CURRENT, CURRENT),
        (CURRENT, "weak-one"),
    ] {
        let answer = app.put(MINE, from_to(old, new)).await;
        answer.assert_status(400);
        for secret in [old, new] {
            assert!(!answer.text.contains(secret), "{answer:?}");
        }
    }
}
