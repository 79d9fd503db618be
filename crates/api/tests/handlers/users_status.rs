//! `PUT /users/{user}/status/…`.

use http::Method;
use usher_domain::{User, UserId, UserStatus};
use usher_store::Conflict;

use crate::{
    app::{Answer, TestApp},
    people::{ALICE, CALLER, Role, alice, olivia},
};

fn app(role: Role, target: User) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.knows(target);
    app
}

async fn put(app: &mut TestApp, user: &str, word: &str) -> Answer {
    let path = format!("/api/v2/users/{user}/status/{word}");
    app.call(Method::PUT, &path).await
}

/// Expects this change of the user's status.
fn expect_status(app: &mut TestApp, user: UserId, status: UserStatus) {
    app.users
        .expect_set_user_status()
        .withf(move |id, wanted, by| *id == user && *wanted == status && by.status_code == 200)
        .times(1)
        .return_once(|id, status, _| {
            Ok(Some(User {
                id,
                status,
                ..alice()
            }))
        });
}

#[tokio::test]
async fn owners_and_user_admins_may_suspend_and_activate_users() {
    for role in [Role::Owner, Role::UserAdmin] {
        for (word, status) in [
            ("suspend", UserStatus::Suspended),
            ("activate", UserStatus::Active),
        ] {
            let mut app = app(role, alice());
            expect_status(&mut app, ALICE, status);

            let answer = put(&mut app, "alice", word).await;

            answer.assert_status(200);
            assert_eq!(answer.json["status"], status.as_str());
        }
    }
}

#[tokio::test]
async fn other_callers_that_may_read_the_user_are_forbidden() {
    for role in [
        Role::TemplateAdmin,
        Role::Auditor,
        Role::OrganizationAdmin,
        Role::OrganizationUserAdmin,
    ] {
        for word in ["suspend", "activate"] {
            let mut app = app(role, alice());
            app.expect_attempt(403);
            put(&mut app, "alice", word).await.assert_status(403);
        }
    }
    for word in ["suspend", "activate"] {
        let mut app = app(Role::Member, alice());
        put(&mut app, "alice", word).await.assert_status(400);
    }
}

#[tokio::test]
async fn callers_cannot_suspend_themselves() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.expect_attempt(400);
        put(&mut app, &CALLER.to_string(), "suspend")
            .await
            .assert_status(400);
    }
}

#[tokio::test]
async fn activating_oneself_needs_permission() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        let may = matches!(role, Role::Owner | Role::UserAdmin);
        if may {
            expect_status(&mut app, CALLER, UserStatus::Active);
        } else {
            app.expect_attempt(403);
        }

        let answer = put(&mut app, "me", "activate").await;

        answer.assert_status(if may { 200 } else { 403 });
    }
}

#[tokio::test]
async fn suspending_an_owner_is_rejected_before_checking_permission() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let mut app = app(role, olivia());
        app.expect_attempt(400);
        put(&mut app, "olivia", "suspend").await.assert_status(400);
    }
}

#[tokio::test]
async fn conflicts_in_the_store_are_audited_as_attempts() {
    for (conflict, status) in [
        (Conflict::ConcurrentModification, 400),
        (Conflict::StaleCredential, 401),
    ] {
        let mut app = app(Role::Owner, alice());
        app.users
            .expect_set_user_status()
            .return_once(move |_, _, _| Err(conflict.into()));
        app.expect_attempt(status);

        put(&mut app, "alice", "suspend")
            .await
            .assert_status(status);
    }
}

#[tokio::test]
async fn the_body_is_ignored() {
    for body in ["", "{", "{\"status\":\"dormant\"}", "\u{0}"] {
        let mut app = app(Role::Owner, alice());
        expect_status(&mut app, ALICE, UserStatus::Suspended);
        let path = format!("/api/v2/users/{ALICE}/status/suspend");

        app.send(Method::PUT, &path, body).await.assert_status(200);
    }
}

#[tokio::test]
async fn other_statuses_are_not_found_and_other_methods_not_allowed() {
    let mut app = app(Role::Owner, alice());
    for word in ["dormant", "SUSPEND", ""] {
        put(&mut app, "alice", word).await.assert_status(404);
    }
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let answer = app.call(method, "/api/v2/users/alice/status/suspend").await;
        answer.assert_status(405);
        assert_eq!(answer.text, "");
    }
}
