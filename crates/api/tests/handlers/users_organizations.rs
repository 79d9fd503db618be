//! `/users/{user}/organizations`.

use serde_json::json;
use usher_domain::{UserId, organization::OrganizationReference};

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, ORGANIZATION, Role, alice, elsewhere, organization},
};

fn with_list(app: &mut TestApp, of: UserId) {
    app.organizations
        .expect_list_organizations_of_user()
        .withf(move |id| *id == of)
        .times(1)
        .return_once(|_| Ok(vec![organization(), elsewhere()]));
}

fn with_names(app: &mut TestApp) {
    app.organizations
        .expect_find_organization()
        .returning(|reference| {
            let OrganizationReference::Name(name) = reference else {
                panic!("{reference:?} is not understood here");
            };
            Ok([organization(), elsewhere()]
                .into_iter()
                .find(|known| known.name.eq_ignore_ascii_case(&name)))
        });
}

#[tokio::test]
async fn readable_organizations_are_listed() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        with_list(&mut app, CALLER);

        let answer = app.get("/api/v2/users/me/organizations").await;

        answer.assert_status(200);
        let reads_all = !matches!(
            role,
            Role::Member | Role::OrganizationAdmin | Role::OrganizationUserAdmin
        );
        let count = answer.json.as_array().expect("an array").len();
        assert_eq!(count, if reads_all { 2 } else { 1 }, "{role:?}");
    }
}

#[tokio::test]
async fn all_fields_are_always_present() {
    let mut app = TestApp::signed_in_as(Role::Member);
    with_list(&mut app, CALLER);

    let answer = app.get("/api/v2/users/me/organizations").await;

    assert_eq!(
        answer.json,
        json!([{
            "id": ORGANIZATION.0, "name": "coder", "display_name": "Coder", "icon": "",
            "description": "Everybody", "created_at": "2025-12-03T03:04:05.678901Z",
            "updated_at": "2025-12-03T03:04:05.678901Z", "is_default": true,
        }])
    );
}

#[tokio::test]
async fn without_readable_organizations_the_list_is_empty() {
    let mut app = TestApp::with_allow_list(Role::Owner, &["user:*"]);
    with_list(&mut app, CALLER);
    let answer = app.get("/api/v2/users/me/organizations").await;
    assert_eq!(answer.json, json!([]));
}

#[tokio::test]
async fn organizations_of_others_are_listed_if_readable() {
    let mut auditor = TestApp::signed_in_as(Role::Auditor);
    auditor.knows(alice());
    with_list(&mut auditor, ALICE);
    auditor
        .get("/api/v2/users/alice/organizations")
        .await
        .assert_status(200);

    let mut member = TestApp::signed_in_as(Role::Member);
    member.knows(alice());
    for path in [
        "/api/v2/users/alice/organizations",
        "/api/v2/users/alice/organizations/coder",
    ] {
        member.get(path).await.assert_status(400);
    }
}

#[tokio::test]
async fn an_organization_is_found_by_name_ignoring_case_without_membership() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.knows(alice());
    with_names(&mut app);
    for path in [
        "me/organizations/coder",
        "me/organizations/CODER",
        "alice/organizations/elsewhere",
    ] {
        let answer = app.get(&format!("/api/v2/users/{path}")).await;
        answer.assert_status(200);
    }
}

#[tokio::test]
async fn unknown_and_unreadable_organizations_are_not_found() {
    let mut app = TestApp::signed_in_as(Role::Member);
    with_names(&mut app);
    let id = ORGANIZATION.to_string();
    let mut answers = Vec::new();
    for name in ["nowhere", "elsewhere", "default", &id, "%00"] {
        let answer = app
            .get(&format!("/api/v2/users/me/organizations/{name}"))
            .await;
        answer.assert_status(404);
        answers.push(answer.text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}
