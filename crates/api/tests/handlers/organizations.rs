//! `/organizations` and `/organizations/{organization}`.

use serde_json::{Value, json};
use usher_domain::{Organization, organization::OrganizationReference};
use usher_store::Conflict;

use crate::{
    app::TestApp,
    people::{CALLER, ELSEWHERE, ORGANIZATION, Role, elsewhere, organization},
};

const PATH: &str = "/api/v2/organizations";
const DEFAULT: &str = "/api/v2/organizations/default";

/// The store has both organizations.
fn app(role: Role) -> TestApp {
    with_both(TestApp::signed_in_as(role))
}

fn with_both(mut app: TestApp) -> TestApp {
    app.organizations
        .expect_find_organization()
        .returning(|reference| {
            Ok([organization(), elsewhere()]
                .into_iter()
                .find(|known| match &reference {
                    OrganizationReference::Default => known.is_default,
                    OrganizationReference::Id(id) => known.id == *id,
                    OrganizationReference::Name(name) => known.name.eq_ignore_ascii_case(name),
                }))
        });
    app
}

fn with_list(mut app: TestApp) -> TestApp {
    app.organizations
        .expect_list_organizations()
        .times(1)
        .return_once(|| Ok(vec![organization(), elsewhere()]));
    app
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .expect("an array")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect()
}

#[tokio::test]
async fn users_may_list_the_organizations_they_may_read() {
    for role in Role::ALL {
        let answer = with_list(TestApp::signed_in_as(role)).get(PATH).await;
        answer.assert_status(200);
        let expected: &[&str] = match role {
            Role::Member | Role::OrganizationAdmin | Role::OrganizationUserAdmin => &["coder"],
            _ => &["coder", "elsewhere"],
        };
        assert_eq!(names(&answer.json), expected, "{role:?}");
    }
}

#[tokio::test]
async fn a_restricted_key_lists_only_what_it_allows() {
    let listed = format!("organization:{ELSEWHERE}");
    for (app, expected) in [
        (
            TestApp::with_scopes(Role::Member, &["organization:read"]),
            &["coder"][..],
        ),
        (
            TestApp::with_scopes(Role::Owner, &["organization:*"]),
            &["coder", "elsewhere"],
        ),
        (
            TestApp::with_scopes(Role::Owner, &["user:read_personal"]),
            &[],
        ),
        (
            TestApp::with_allow_list(Role::Owner, &[&listed]),
            &["elsewhere"],
        ),
        (TestApp::with_allow_list(Role::Owner, &["user:*"]), &[]),
    ] {
        let answer = with_list(app).get(PATH).await;
        assert_eq!(names(&answer.json), expected);
    }
}

#[tokio::test]
async fn an_organization_is_found_by_id_and_by_name() {
    let mut app = app(Role::Member);
    let id = ORGANIZATION.0;
    for name in [
        "default".to_owned(),
        "00000000-0000-0000-0000-000000000000".to_owned(),
        "coder".to_owned(),
        "CODER".to_owned(),
        id.to_string(),
        id.simple().to_string(),
    ] {
        let answer = app.get(&format!("{PATH}/{name}")).await;
        answer.assert_status(200);
        assert_eq!(answer.json["id"], json!(id), "{name}");
    }
}

#[tokio::test]
async fn a_hidden_organization_is_reported_as_missing() {
    let mut app = app(Role::Member);
    let hidden = app.get(&format!("{PATH}/elsewhere")).await;
    let unknown = app.get(&format!("{PATH}/nowhere")).await;
    hidden.assert_status(404);
    assert_eq!(hidden.text, unknown.text);
    for odd in ["%00", "%ff", "DEFAULT", "a%00b"] {
        app.get(&format!("{PATH}/{odd}")).await.assert_status(404);
    }
}

#[tokio::test]
async fn a_scoped_key_needs_the_scope_to_read_an_organization() {
    let mut with = with_both(TestApp::with_scopes(Role::Member, &["organization:read"]));
    with.get(DEFAULT).await.assert_status(200);
    let mut without = with_both(TestApp::with_scopes(Role::Owner, &["api_key:*"]));
    without.get(DEFAULT).await.assert_status(404);
}

#[tokio::test]
async fn only_owners_may_create_organizations() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        if role == Role::Owner {
            app.organizations
                .expect_create_organization()
                .withf(|new, by| {
                    new.name.as_str() == "lab"
                        && new.display_name == "lab"
                        && by.initiator.user_id == CALLER
                })
                .times(1)
                .return_once(|new, _| {
                    Ok(Organization {
                        id: new.id,
                        name: "lab".into(),
                        ..elsewhere()
                    })
                });
        }
        let answer = app.post(PATH, json!({"name": "lab"})).await;
        answer.assert_status(if role == Role::Owner { 201 } else { 403 });
    }
}

#[tokio::test]
async fn a_new_organization_is_validated() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    for (body, fields) in [
        (json!({}), &["name"][..]),
        (
            json!({"name": "a b", "display_name": " x"}),
            &["name", "display_name"],
        ),
        (json!({"name": "new"}), &["name"]),
        (json!({"name": "default"}), &["name"]),
        (
            json!({"name": "lab", "display_name": "x".repeat(65)}),
            &["display_name"],
        ),
        (json!({"name": "lab", "icon": "\u{0}"}), &["icon"]),
        (json!({"name": 1}), &[]),
    ] {
        app.post(PATH, body).await.assert_faults(fields);
    }
}

#[tokio::test]
async fn a_taken_name_is_a_conflict_that_names_the_field() {
    let mut app = app(Role::Owner);
    app.organizations
        .expect_create_organization()
        .return_once(|_, _| Err(Conflict::OrganizationName.into()));
    app.organizations
        .expect_set_organization()
        .return_once(|_, _, _| Err(Conflict::OrganizationName.into()));
    for answer in [
        app.post(PATH, json!({"name": "lab"})).await,
        app.patch(DEFAULT, json!({"name": "lab"})).await,
    ] {
        answer.assert_status(409);
        assert_eq!(answer.fields(), ["name"]);
    }
}

#[tokio::test]
async fn owners_and_its_administrators_may_change_it() {
    for role in Role::ALL {
        let may = matches!(role, Role::Owner | Role::OrganizationAdmin);
        let mut app = app(role);
        if may {
            app.organizations
                .expect_set_organization()
                .withf(|id, change, _| {
                    *id == ORGANIZATION
                        && change.name.is_none()
                        && change.display_name.as_deref() == Some("Lab")
                        && change.description.as_deref() == Some("")
                        && change.icon.is_none()
                })
                .times(1)
                .return_once(|_, _, _| Ok(Some(organization())));
        }
        let body = json!({"display_name": "Lab", "description": "", "icon": null});
        let answer = app.patch(DEFAULT, body).await;
        answer.assert_status(if may { 200 } else { 403 });
    }
}

#[tokio::test]
async fn a_change_is_validated() {
    let mut app = app(Role::Owner);
    for (body, fields) in [
        (json!({"name": "a b"}), &["name"][..]),
        (json!({"name": "default"}), &["name"]),
        (json!({"display_name": "x "}), &["display_name"]),
        (json!({"description": 5}), &[]),
    ] {
        app.patch(DEFAULT, body).await.assert_faults(fields);
    }
}

#[tokio::test]
async fn owners_and_its_administrators_may_delete_it() {
    for role in Role::ALL {
        let may = matches!(role, Role::Owner | Role::OrganizationAdmin);
        let mut app = app(role);
        if may {
            app.organizations
                .expect_delete_organization()
                .withf(|id, by| *id == ORGANIZATION && by.status_code == 200)
                .times(1)
                .return_once(|_, _| Ok(Some(())));
        }
        let answer = app.delete(DEFAULT).await;
        answer.assert_status(if may { 200 } else { 403 });
    }
}

#[tokio::test]
async fn the_reason_why_an_organization_cannot_be_deleted_is_reported() {
    for (outcome, status) in [
        (Err(Conflict::DefaultOrganization), 400),
        (Err(Conflict::OrganizationNotEmpty), 400),
        (Ok(None), 404),
    ] {
        let mut app = app(Role::Owner);
        app.organizations
            .expect_delete_organization()
            .return_once(move |_, _| outcome.map_err(Into::into));
        app.delete(DEFAULT).await.assert_status(status);
    }
}

#[tokio::test]
async fn administrators_have_no_permissions_in_other_organizations() {
    let mut app = app(Role::OrganizationAdmin);
    app.delete(&format!("{PATH}/elsewhere"))
        .await
        .assert_status(404);
    app.patch(&format!("{PATH}/elsewhere"), json!({}))
        .await
        .assert_status(404);
}
