//! `DELETE /users/{user}`.

use usher_domain::{
    User,
    audit::{AuditAction, AuditResource},
};
use usher_store::Conflict;

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, OLIVIA, Role, alice, key_id, now, olivia},
};

fn app(role: Role, target: User) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.knows(target);
    app
}

#[tokio::test]
async fn only_owners_and_user_admins_may_delete_users() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let mut app = app(role, alice());
        let is_owner = role == Role::Owner;
        let may = is_owner || role == Role::UserAdmin;
        if may {
            app.users
                .expect_delete_user()
                .withf(move |id, unless_owner, by| {
                    *id == ALICE
                        && *unless_owner != is_owner
                        && by.status_code == 200
                        && by.initiator.user_id == CALLER
                        && by.initiator.key_id == Some(key_id())
                        && by.initiator.at == now()
                })
                .times(1)
                .return_once(|_, _, _| Ok(Some(())));
        } else {
            app.expect_attempt(403);
        }

        let answer = app.delete("/api/v2/users/alice").await;

        answer.assert_status(if may { 200 } else { 403 });
        assert_ne!(answer.message(), "");
    }
}

#[tokio::test]
async fn members_cannot_find_out_whether_a_user_exists() {
    let mut app = app(Role::Member, olivia());
    app.delete("/api/v2/users/olivia").await.assert_status(400);
}

#[tokio::test]
async fn callers_cannot_delete_themselves() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.expect_attempt(403);

        let answer = app.delete(&format!("/api/v2/users/{CALLER}")).await;

        answer.assert_status(403);
        assert_eq!(answer.detail(), "", "it has its own message");
    }
}

#[tokio::test]
async fn only_owners_may_delete_owners() {
    let mut refusing = app(Role::UserAdmin, olivia());
    refusing.expect_attempt(403);
    refusing
        .delete("/api/v2/users/olivia")
        .await
        .assert_status(403);

    let mut taking = app(Role::Owner, olivia());
    taking
        .users
        .expect_delete_user()
        .withf(|id, unless_owner, _| *id == OLIVIA && !unless_owner)
        .return_once(|_, _, _| Ok(Some(())));
    taking
        .delete("/api/v2/users/olivia")
        .await
        .assert_status(200);
}

#[tokio::test]
async fn conflicts_in_the_store_are_audited_as_attempts() {
    for (conflict, status) in [
        (Conflict::LastOwner, 400),
        (Conflict::ConcurrentModification, 409),
        (Conflict::StaleCredential, 401),
    ] {
        let mut app = app(Role::Owner, olivia());
        app.users
            .expect_delete_user()
            .return_once(move |_, _, _| Err(conflict.into()));
        app.expect_attempt(status);

        app.delete("/api/v2/users/olivia")
            .await
            .assert_status(status);
    }
}

#[tokio::test]
async fn the_audited_attempt_names_the_target() {
    let mut app = app(Role::Auditor, alice());
    app.audit
        .expect_record_failure()
        .withf(|entry, by| {
            entry.action == AuditAction::Delete
                && entry.resource == AuditResource::User
                && entry.resource_id == ALICE.0
                && entry.target == "alice"
                && by.ip == Some(crate::app::CLIENT.into())
        })
        .times(1)
        .return_once(|_, _| Ok(()));

    app.delete("/api/v2/users/alice").await.assert_status(403);
}

#[tokio::test]
async fn a_key_with_an_allow_list_cannot_delete_other_users() {
    let mut app = TestApp::with_allow_list(Role::Owner, &[&format!("user:{CALLER}")]);
    app.knows(alice());
    app.delete("/api/v2/users/alice").await.assert_status(400);
}

#[tokio::test]
async fn a_key_with_an_allow_list_may_delete_the_users_in_it() {
    let mut app = TestApp::with_allow_list(Role::Owner, &[&format!("user:{ALICE}")]);
    app.knows(alice());
    app.users
        .expect_delete_user()
        .times(1)
        .return_once(|_, _, _| Ok(Some(())));

    app.delete("/api/v2/users/alice").await.assert_status(200);
}

#[tokio::test]
async fn deleting_again_by_id_succeeds() {
    let mut app = app(
        Role::Owner,
        User {
            is_deleted: true,
            ..alice()
        },
    );
    app.users
        .expect_delete_user()
        .return_once(|_, _, _| Ok(Some(())));

    app.delete(&format!("/api/v2/users/{ALICE}"))
        .await
        .assert_status(200);
}
