//! `GET /users/roles`, and `/users/{user}/roles`.

use http::Method;
use serde_json::{Value, json};
use usher_domain::User;
use usher_store::Conflict;

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, ORGANIZATION, Role, alice, membership, olivia, texts},
};

const ALICES: &str = "/api/v2/users/alice/roles";

fn alice_with(roles: &[&str]) -> User {
    User {
        roles: texts(roles),
        ..alice()
    }
}

fn app(role: Role, target: User) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.knows(target);
    app
}

/// Expects the replacement of these roles.
fn expect_roles(app: &mut TestApp, replaces: &[&str], roles: &[&str]) {
    let (replaces, roles) = (texts(replaces), texts(roles));
    app.users
        .expect_set_user_roles()
        .withf(move |id, change, by| {
            *id == ALICE
                && change.replaces == replaces
                && change.roles == roles
                && by.status_code == 200
        })
        .times(1)
        .return_once(|_, change, _| {
            Ok(Some(User {
                roles: change.roles,
                ..alice()
            }))
        });
}

fn to(roles: &[&str]) -> Value {
    json!({"roles": roles})
}

#[tokio::test]
async fn all_users_may_list_the_site_roles_and_only_owners_assign_them() {
    for role in Role::ALL {
        let answer = TestApp::signed_in_as(role).get("/api/v2/users/roles").await;

        answer.assert_status(200);
        let listed = answer.json.as_array().expect("an array");
        assert_eq!(listed.len(), 4);
        for one in listed {
            assert_eq!(one["assignable"], role == Role::Owner, "{role:?}: {one}");
            assert_eq!(one["built_in"], true);
            assert_eq!(one.get("organization_id"), None);
        }
    }
}

#[tokio::test]
async fn a_restricted_key_cannot_list_them() {
    let path = "/api/v2/users/roles";
    let mut scoped = TestApp::with_scopes(Role::Owner, &["api_key:*"]);
    scoped.get(path).await.assert_status(403);
    let mut listed = TestApp::with_allow_list(Role::Owner, &["user:*"]);
    listed.get(path).await.assert_status(403);
    let mut listed = TestApp::with_allow_list(Role::Owner, &["assign_role:*"]);
    listed.get(path).await.assert_status(200);
}

#[tokio::test]
async fn the_callers_own_roles_need_no_further_store_call() {
    let mut app = TestApp::signed_in_as(Role::Owner);

    let answer = app.get("/api/v2/users/me/roles").await;

    answer.assert_status(200);
    assert_eq!(
        answer.json,
        json!({"roles": ["owner"], "organization_roles": {ORGANIZATION.to_string(): []}})
    );
}

#[tokio::test]
async fn only_owners_and_user_admins_may_read_roles_of_others() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let may = matches!(role, Role::Owner | Role::UserAdmin);
        let mut app = app(role, alice_with(&["auditor"]));
        if may {
            app.users
                .expect_list_memberships()
                .times(1)
                .return_once(|id| Ok(vec![membership(id, &["organization-admin"])]));
        }

        let answer = app.get(ALICES).await;

        answer.assert_status(if may { 200 } else { 404 });
        if may {
            let organizations = json!({ORGANIZATION.to_string(): ["organization-admin"]});
            assert_eq!(answer.json["organization_roles"], organizations);
            assert_eq!(answer.json["roles"], json!(["auditor"]));
        }
    }
}

#[tokio::test]
async fn a_deleted_user_has_no_organization_roles() {
    let gone = User {
        is_deleted: true,
        ..alice_with(&["auditor"])
    };
    let answer = app(Role::Owner, gone).get(ALICES).await;
    assert_eq!(
        answer.json,
        json!({"roles": ["auditor"], "organization_roles": {}})
    );
}

#[tokio::test]
async fn an_allow_list_must_contain_memberships_to_read_organization_roles() {
    let mut without = TestApp::with_allow_list(Role::Owner, &["user:*"]);
    let answer = without.get("/api/v2/users/me/roles").await;
    assert_eq!(answer.json["organization_roles"], json!({}));

    let mut with = TestApp::with_allow_list(Role::Owner, &["user:*", "organization_member:*"]);
    let answer = with.get("/api/v2/users/me/roles").await;
    assert_ne!(answer.json["organization_roles"], json!({}));
}

#[tokio::test]
async fn an_owner_may_set_roles_and_duplicates_are_removed() {
    let mut app = app(Role::Owner, alice_with(&["user-admin"]));
    expect_roles(&mut app, &["user-admin"], &["auditor", "template-admin"]);

    let answer = app
        .put(ALICES, to(&["template-admin", "auditor", "auditor"]))
        .await;

    answer.assert_status(200);
    assert_eq!(
        answer.json["roles"][0],
        json!({"name": "auditor", "display_name": "Auditor"})
    );
}

#[tokio::test]
async fn an_empty_list_removes_all_roles() {
    for body in [to(&[]), json!({"roles": null}), json!({}), Value::Null] {
        let mut app = app(Role::Owner, alice_with(&["auditor"]));
        expect_roles(&mut app, &["auditor"], &[]);
        app.put(ALICES, body).await.assert_status(200);
    }
}

#[tokio::test]
async fn an_owner_may_add_and_remove_owners() {
    let mut making = app(Role::Owner, alice());
    expect_roles(&mut making, &[], &["owner"]);
    making.put(ALICES, to(&["owner"])).await.assert_status(200);

    let mut unmaking = app(Role::Owner, alice_with(&["owner"]));
    expect_roles(&mut unmaking, &["owner"], &[]);
    unmaking.put(ALICES, to(&[])).await.assert_status(200);
}

#[tokio::test]
async fn callers_cannot_change_their_own_roles() {
    for role in Role::ALL {
        for body in ["{", r#"{"roles":["owner"]}"#] {
            let mut app = TestApp::signed_in_as(role);
            app.expect_attempt(400);
            let path = format!("/api/v2/users/{CALLER}/roles");
            app.send(Method::PUT, &path, body).await.assert_faults(&[]);
        }
    }
}

#[tokio::test]
async fn unknown_site_roles_are_reported_before_missing_permission() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        for name in [
            "nonsense",
            "",
            "x:",
            "Owner",
            " owner",
            "organization-admin",
            "member",
            "organization-admin:00000000-0000-0000-0000-00000000000a",
            "prebuilds-orchestrator",
            "custom-site-role",
        ] {
            let mut app = app(role, alice());
            app.expect_attempt(400);

            let answer = app.put(ALICES, to(&["auditor", name])).await;

            answer.assert_faults(&[]);
            assert!(answer.message().contains(name), "{answer:?}");
            assert_eq!(answer.detail(), "");
        }
    }
}

#[tokio::test]
async fn a_malformed_body_is_reported_before_missing_permission() {
    let mut app = app(Role::Auditor, alice());
    app.expect_attempt(400);
    app.put(ALICES, json!({"roles": "owner"}))
        .await
        .assert_status(400);
}

#[tokio::test]
async fn callers_that_cannot_assign_roles_are_forbidden_even_without_a_change() {
    for role in [
        Role::TemplateAdmin,
        Role::Auditor,
        Role::OrganizationAdmin,
        Role::OrganizationUserAdmin,
    ] {
        for roles in [&["auditor"][..], &[], &["owner"]] {
            let mut app = app(role, alice());
            app.expect_attempt(403);
            app.put(ALICES, to(roles)).await.assert_status(403);
        }
    }
    app(Role::Member, alice())
        .put(ALICES, to(&[]))
        .await
        .assert_status(400);
}

#[tokio::test]
async fn a_user_admin_cannot_assign_or_unassign_roles() {
    for (stored, wanted) in [
        (&[][..], &["auditor"][..]),
        (&[], &["owner"]),
        (&[], &["user-admin"]),
        (&["auditor"], &[]),
        (&["owner"], &[]),
        (&["auditor"], &["auditor", "template-admin"]),
    ] {
        let mut app = app(Role::UserAdmin, alice_with(stored));
        app.expect_attempt(400);

        app.put(ALICES, to(wanted)).await.assert_faults(&[]);
    }
}

#[tokio::test]
async fn a_user_admin_may_set_unchanged_roles() {
    for roles in [&[][..], &["auditor"], &["template-admin"]] {
        let mut app = app(Role::UserAdmin, alice_with(roles));
        expect_roles(&mut app, roles, roles);
        app.put(ALICES, to(roles)).await.assert_status(200);
    }
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
            .expect_set_user_roles()
            .return_once(move |_, _, _| Err(conflict.into()));
        app.expect_attempt(status);

        let answer = app.put("/api/v2/users/olivia/roles", to(&[])).await;

        answer.assert_status(status);
    }
}

#[tokio::test]
async fn an_allow_list_must_contain_role_assignment_to_set_roles() {
    let mut without = TestApp::with_allow_list(Role::Owner, &["user:*"]);
    without.knows(alice());
    without.expect_attempt(403);
    without
        .put(ALICES, to(&["auditor"]))
        .await
        .assert_status(403);

    let mut with = TestApp::with_allow_list(Role::Owner, &["user:*", "assign_role:*"]);
    with.knows(alice());
    expect_roles(&mut with, &[], &["auditor"]);
    with.put(ALICES, to(&["auditor"])).await.assert_status(200);
}

#[tokio::test]
async fn too_many_roles_are_a_validation_error() {
    let mut app = app(Role::Owner, alice());
    app.users
        .expect_set_user_roles()
        .returning(|_, _, _| Ok(Some(alice())));
    app.audit.expect_record_failure().returning(|_, _| Ok(()));

    let answer = app
        .put(ALICES, json!({"roles": vec!["auditor"; 20_000]}))
        .await;

    answer.assert_faults(&["roles"]);
}
