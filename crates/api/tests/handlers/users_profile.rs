//! `PUT /users/{user}/profile`.

use serde_json::json;
use usher_domain::{User, UserId};
use usher_store::Conflict;

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, Role, alice},
};

const ALICES: &str = "/api/v2/users/alice/profile";
const MINE: &str = "/api/v2/users/me/profile";

/// Expects this change of the user's profile.
fn expect_profile(app: &mut TestApp, of: UserId, username: &'static str, name: &'static str) {
    app.users
        .expect_set_user_profile()
        .withf(move |id, change, by| {
            *id == of
                && change.username.as_str() == username
                && change.name.as_str() == name
                && by.status_code == 200
        })
        .times(1)
        .return_once(|id, change, _| {
            Ok(Some(User {
                id,
                username: change.username,
                name: change.name,
                ..alice()
            }))
        });
}

fn app(role: Role) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.knows(alice());
    app
}

#[tokio::test]
async fn owners_and_user_admins_may_rename_any_user() {
    for role in [Role::Owner, Role::UserAdmin] {
        let mut app = app(role);
        expect_profile(&mut app, ALICE, "alicia", "Alicia");

        let body = json!({"username": "alicia", "name": "Alicia"});
        let answer = app.put(ALICES, body).await;

        answer.assert_status(200);
        assert_eq!(answer.json["username"], "alicia");
        assert_eq!(answer.json["name"], "Alicia");
    }
}

#[tokio::test]
async fn others_may_not_rename_users_or_find_out_whether_a_name_is_taken() {
    for role in [
        Role::TemplateAdmin,
        Role::Auditor,
        Role::OrganizationAdmin,
        Role::OrganizationUserAdmin,
    ] {
        let mut app = app(role);
        app.expect_attempt(404);
        app.put(ALICES, json!({"username": "olivia"}))
            .await
            .assert_status(404);
    }
}

#[tokio::test]
async fn others_may_not_set_the_display_name_of_another_user() {
    for role in [
        Role::TemplateAdmin,
        Role::Auditor,
        Role::OrganizationAdmin,
        Role::OrganizationUserAdmin,
    ] {
        let mut app = app(role);
        app.expect_attempt(403);
        let body = json!({"username": "alice", "name": "X"});
        app.put(ALICES, body).await.assert_status(403);
    }
}

#[tokio::test]
async fn users_may_set_their_display_name_and_a_missing_one_clears_it() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        expect_profile(&mut app, CALLER, "caller", "Me  Myself");
        expect_profile(&mut app, CALLER, "caller", "");

        let named = json!({"username": "caller", "name": "Me  Myself"});
        app.put(MINE, named).await.assert_status(200);
        let answer = app.put(MINE, json!({"username": "caller"})).await;

        answer.assert_status(200);
        assert_eq!(answer.json.get("name"), None);
    }
}

#[tokio::test]
async fn renaming_oneself_needs_permission_even_to_change_case() {
    for (role, status) in [
        (Role::Owner, 200),
        (Role::UserAdmin, 200),
        (Role::Member, 404),
        (Role::Auditor, 404),
    ] {
        let mut app = TestApp::signed_in_as(role);
        if status == 200 {
            expect_profile(&mut app, CALLER, "Caller", "");
        } else {
            app.expect_attempt(404);
        }

        app.put(MINE, json!({"username": "Caller"}))
            .await
            .assert_status(status);
    }
}

#[tokio::test]
async fn validation_errors_are_reported_before_missing_permission() {
    for (body, fields) in [
        (json!({"name": " Mr Bean"}), &["username", "name"][..]),
        (json!({"username": "a b"}), &["username"]),
        (json!({"username": "alice", "name": "x\u{3000}"}), &["name"]),
        (json!({"username": "alice", "name": "Z\u{0}"}), &["name"]),
    ] {
        let mut app = app(Role::Auditor);
        app.expect_attempt(400);
        app.put(ALICES, body).await.assert_faults(fields);
    }
}

#[tokio::test]
async fn a_taken_username_is_a_conflict_that_names_the_field() {
    let mut app = app(Role::Owner);
    app.users
        .expect_set_user_profile()
        .return_once(|_, _, _| Err(Conflict::Username.into()));
    app.expect_attempt(409);

    let answer = app.put(ALICES, json!({"username": "olivia"})).await;

    answer.assert_status(409);
    assert_eq!(answer.fields(), ["username"]);
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_profile(&mut app, CALLER, "caller", "");
    let body = json!({
        "username": "caller", "email": "x@example.com", "roles": ["owner"], "status": "active",
        "avatar_url": "https://example.com", "id": ALICE.0,
    });

    app.put(MINE, body).await.assert_status(200);
}

#[tokio::test]
async fn a_deleted_user_is_not_found() {
    let mut app = app(Role::Owner);
    app.users
        .expect_set_user_profile()
        .return_once(|_, _, _| Ok(None));
    app.expect_attempt(404);

    app.put(ALICES, json!({"username": "alice"}))
        .await
        .assert_status(404);
}

#[tokio::test]
async fn users_the_caller_cannot_read_cannot_be_changed() {
    let body = json!({"username": "alice", "name": "X"});
    app(Role::Member)
        .put(ALICES, body.clone())
        .await
        .assert_status(400);
    let mut listed = TestApp::with_allow_list(Role::Owner, &[&format!("user:{CALLER}")]);
    listed.knows(alice());
    listed.put(ALICES, body).await.assert_status(400);
}
