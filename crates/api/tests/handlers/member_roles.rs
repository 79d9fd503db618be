//! `/organizations/{organization}/members/…/roles`.

use http::Method;
use serde_json::json;
use usher_store::Conflict;

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, ORGANIZATION, Role, alice, membership, organization, texts},
};

const LIST: &str = "/api/v2/organizations/default/members/roles";
const ALICES: &str = "/api/v2/organizations/default/members/alice/roles";

fn app(role: Role) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.organizations
        .expect_find_organization()
        .returning(|_| Ok(Some(organization())));
    app
}

/// Alice is a member with these roles.
fn app_with(role: Role, roles: &'static [&'static str]) -> TestApp {
    let mut app = app(role);
    app.knows(alice());
    app.organizations
        .expect_find_membership()
        .returning(|_, user| Ok(Some(membership(user, roles))));
    app
}

fn expect_roles(app: &mut TestApp, replaces: &[&str], roles: &[&str]) {
    let (replaces, roles) = (texts(replaces), texts(roles));
    app.organizations
        .expect_set_membership_roles()
        .withf(move |organization, user, old, new, by| {
            *organization == ORGANIZATION
                && *user == ALICE
                && *old == replaces
                && *new == roles
                && by.status_code == 200
        })
        .times(1)
        .return_once(|_, user, _, _, _| Ok(Some(membership(user, &["organization-auditor"]))));
}

#[tokio::test]
async fn readers_may_list_the_five_roles_and_administrators_assign_them() {
    for role in Role::ALL {
        let answer = app(role).get(LIST).await;
        answer.assert_status(200);
        let listed = answer.json.as_array().expect("an array");
        assert_eq!(listed.len(), 5);
        let may = matches!(role, Role::Owner | Role::OrganizationAdmin);
        for one in listed {
            assert_eq!(one["assignable"], may, "{role:?}: {one}");
            assert_eq!(one["organization_id"], json!(ORGANIZATION.0));
        }
    }
}

#[tokio::test]
async fn owners_and_administrators_may_set_roles_and_duplicates_are_removed() {
    for role in [Role::Owner, Role::OrganizationAdmin] {
        let mut app = app_with(role, &["organization-user-admin"]);
        expect_roles(
            &mut app,
            &["organization-user-admin"],
            &["organization-auditor"],
        );
        let body = json!({"roles": ["organization-auditor", "organization-auditor"]});

        let answer = app.put(ALICES, body).await;

        answer.assert_status(200);
        assert_eq!(
            answer.json["roles"][0]["display_name"],
            "Organization Auditor"
        );
    }
}

#[tokio::test]
async fn an_empty_list_removes_all_roles() {
    for body in [json!({"roles": []}), json!({"roles": null}), json!({})] {
        let mut app = app_with(Role::OrganizationAdmin, &["organization-auditor"]);
        expect_roles(&mut app, &["organization-auditor"], &[]);
        app.put(ALICES, body).await.assert_status(200);
    }
}

#[tokio::test]
async fn others_are_forbidden_after_the_body_was_validated() {
    for role in [Role::TemplateAdmin, Role::Auditor] {
        let mut app = app_with(role, &[]);
        app.put(ALICES, json!({"roles": "x"}))
            .await
            .assert_status(400);
        app.put(ALICES, json!({"roles": ["owner"]}))
            .await
            .assert_status(400);
        app.put(ALICES, json!({"roles": []}))
            .await
            .assert_status(403);
    }
}

#[tokio::test]
async fn callers_cannot_assign_or_unassign_roles_beyond_their_own() {
    for role in [Role::UserAdmin, Role::OrganizationUserAdmin] {
        let give = json!({"roles": ["organization-admin"]});
        app_with(role, &[])
            .put(ALICES, give.clone())
            .await
            .assert_status(403);
        app_with(role, &["organization-admin"])
            .put(ALICES, json!({}))
            .await
            .assert_status(403);
        let mut unchanged = app_with(role, &["organization-admin"]);
        expect_roles(
            &mut unchanged,
            &["organization-admin"],
            &["organization-admin"],
        );
        unchanged.put(ALICES, give).await.assert_status(200);
    }
}

#[tokio::test]
async fn unknown_organization_roles_are_rejected() {
    for name in [
        "nonsense",
        "",
        "owner",
        "auditor",
        "organization-member",
        "Organization-Admin",
        "organization-admin:00000000-0000-0000-0000-00000000000a",
    ] {
        let mut app = app_with(Role::Owner, &[]);
        let answer = app.put(ALICES, json!({"roles": [name]})).await;
        answer.assert_faults(&[]);
        assert!(answer.message().contains(name), "{answer:?}");
    }
}

#[tokio::test]
async fn callers_cannot_change_their_own_roles() {
    for role in Role::ALL {
        let mut app = app(role);
        app.organizations
            .expect_find_membership()
            .returning(|_, user| Ok(Some(membership(user, &[]))));
        let path = format!("/api/v2/organizations/default/members/{CALLER}/roles");
        app.send(Method::PUT, &path, "{").await.assert_status(400);
    }
}

#[tokio::test]
async fn a_user_who_is_not_a_member_is_not_found_first() {
    let mut app = app(Role::Owner);
    app.knows(alice());
    app.organizations
        .expect_find_membership()
        .returning(|_, _| Ok(None));
    app.send(Method::PUT, ALICES, "{").await.assert_status(404);
}

#[tokio::test]
async fn concurrently_changed_roles_are_a_conflict() {
    let mut app = app_with(Role::Owner, &[]);
    app.organizations
        .expect_set_membership_roles()
        .return_once(|_, _, _, _, _| Err(Conflict::ConcurrentModification.into()));
    app.put(ALICES, json!({})).await.assert_status(409);
}

#[tokio::test]
async fn too_many_roles_are_a_validation_error() {
    let mut app = app_with(Role::Owner, &[]);
    app.organizations
        .expect_set_membership_roles()
        .returning(|_, user, _, _, _| Ok(Some(membership(user, &[]))));
    let body = json!({"roles": vec!["organization-auditor"; 20_000]});
    app.put(ALICES, body).await.assert_faults(&["roles"]);
}
