//! `/organizations/{organization}/members`.

use http::Method;
use serde_json::json;
use usher_domain::{Listing, Page, User};
use usher_store::{Conflict, Member, MemberFilter};

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, ORGANIZATION, Role, alice, membership, organization},
};

const MEMBERS: &str = "/api/v2/organizations/default/members";
const PAGE: &str = "/api/v2/organizations/default/paginated-members";
const ALICES: &str = "/api/v2/organizations/default/members/alice";

fn app(role: Role) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.organizations
        .expect_find_organization()
        .returning(|_| Ok(Some(organization())));
    app
}

fn app_with(role: Role, target: User) -> TestApp {
    let mut app = app(role);
    app.knows(target);
    app
}

fn member() -> Member {
    Member {
        membership: membership(ALICE, &["organization-admin"]),
        username: "alice".into(),
        name: String::new(),
        avatar_url: String::new(),
        email: "alice@example.com".into(),
        site_roles: vec!["auditor".into()],
    }
}

fn expect_list(app: &mut TestApp, filter: MemberFilter, page: Page) {
    app.organizations
        .expect_list_members()
        .withf(move |id, asked, part| *id == ORGANIZATION && *asked == filter && *part == page)
        .times(1)
        .return_once(|_, _, _| {
            Ok(Listing {
                items: vec![member()],
                count: 7,
            })
        });
}

fn only_me() -> MemberFilter {
    MemberFilter {
        user_id: Some(CALLER),
        ..MemberFilter::default()
    }
}

#[tokio::test]
async fn callers_without_permission_to_list_members_see_only_themselves() {
    for role in Role::ALL {
        let mut app = app(role);
        let filter = if role == Role::Member {
            only_me()
        } else {
            MemberFilter::default()
        };
        expect_list(&mut app, filter, Page::default());

        let answer = app.get(MEMBERS).await;

        answer.assert_status(200);
        assert_eq!(
            answer.json,
            json!([{
                "username": "alice", "email": "alice@example.com",
                "global_roles": [{"name": "auditor", "display_name": "Auditor"}],
                "user_id": ALICE.0, "organization_id": ORGANIZATION.0,
                "created_at": "2025-12-03T03:04:05.678901Z",
                "updated_at": "2025-12-03T03:04:05.678901Z",
                "roles": [{
                    "name": "organization-admin", "display_name": "Organization Admin",
                    "organization_id": ORGANIZATION.0,
                }],
            }])
        );
    }
}

#[tokio::test]
async fn a_member_who_filters_for_another_user_gets_an_empty_list() {
    let path = format!("{MEMBERS}?q=user_id:{ALICE}");
    let answer = app(Role::Member).get(&path).await;
    assert_eq!(answer.json, json!([]));
}

#[tokio::test]
async fn a_member_is_found_by_name_and_only_in_the_organization() {
    let mut app = app_with(Role::OrganizationAdmin, alice());
    let only_alice = MemberFilter {
        user_id: Some(ALICE),
        include_system: true,
        ..MemberFilter::default()
    };
    expect_list(&mut app, only_alice, Page::default());
    app.organizations
        .expect_list_members()
        .returning(|_, _, _| {
            Ok(Listing {
                items: vec![],
                count: 0,
            })
        });

    let answer = app.get(ALICES).await;
    answer.assert_status(200);
    assert_eq!(answer.json["username"], "alice");
    assert_eq!(answer.json["user_id"], json!(ALICE.0));

    app.get(ALICES).await.assert_status(404);
}

#[tokio::test]
async fn filters_are_passed_to_the_store() {
    let mut app = app(Role::Owner);
    let filter = MemberFilter {
        user_id: Some(ALICE),
        github_user_id: Some(5),
        include_system: true,
    };
    expect_list(&mut app, filter, Page::default());
    let path = format!("{MEMBERS}?q=user_id:{ALICE}+github_user_id:5+include_system:true");
    app.get(&path).await.assert_status(200);
}

#[tokio::test]
async fn search_errors_are_reported() {
    let mut app = app(Role::Owner);
    for (q, field) in [
        ("foo:1", "foo"),
        ("user_id:x", "user_id"),
        ("github_user_id:x", "github_user_id"),
        ("github_user_id:9223372036854775808", "github_user_id"),
        ("include_system:maybe", "include_system"),
        ("alice", "q"),
        ("user_id:", "q"),
        ("%00", "q"),
    ] {
        let answer = app.get(&format!("{MEMBERS}?q={q}")).await;
        answer.assert_faults(&[field]);
    }
}

#[tokio::test]
async fn paging_requires_permission_to_read_all_members() {
    for role in Role::ALL {
        let mut app = app(role);
        let page = Page {
            limit: Some(2),
            offset: 1,
        };
        if role != Role::Member {
            expect_list(&mut app, MemberFilter::default(), page);
        }

        let answer = app.get(&format!("{PAGE}?limit=2&offset=1")).await;

        answer.assert_status(if role == Role::Member { 404 } else { 200 });
        if role != Role::Member {
            assert_eq!(answer.json["count"], 7);
        }
    }
}

#[tokio::test]
async fn an_empty_page_is_valid() {
    let mut app = app(Role::Owner);
    app.organizations
        .expect_list_members()
        .return_once(|_, _, _| {
            Ok(Listing {
                items: vec![],
                count: 0,
            })
        });
    let answer = app.get(&format!("{PAGE}?offset=99")).await;
    assert_eq!(answer.json, json!({"members": [], "count": 0}));
}

#[tokio::test]
async fn invalid_paging_is_reported() {
    let answer = app(Role::Owner)
        .get(&format!("{PAGE}?limit=x&offset=-1"))
        .await;
    answer.assert_faults(&["limit", "offset"]);
}

#[tokio::test]
async fn members_of_a_hidden_organization_are_not_found() {
    for path in [MEMBERS, PAGE, "/api/v2/organizations/default/members/roles"] {
        let mut app = TestApp::with_allow_list(Role::Owner, &["user:*", "organization_member:*"]);
        app.organizations
            .expect_find_organization()
            .returning(|_| Ok(Some(organization())));
        app.get(path).await.assert_status(404);
    }
}

#[tokio::test]
async fn owners_user_admins_and_administrators_may_add_members() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let may = !matches!(role, Role::Auditor | Role::TemplateAdmin);
        let mut app = app_with(role, alice());
        if may {
            app.organizations
                .expect_create_membership()
                .withf(|organization, user, by| {
                    *organization == ORGANIZATION && *user == ALICE && by.status_code == 200
                })
                .times(1)
                .return_once(|_, user, _| Ok(membership(user, &[])));
        }

        let answer = app.call(Method::POST, ALICES).await;

        answer.assert_status(if may { 200 } else { 404 });
        if may {
            assert_eq!(answer.json["user_id"], json!(ALICE.0));
            assert_eq!(answer.json["roles"], json!([]));
            assert_eq!(answer.json.get("username"), None);
        }
    }
}

#[tokio::test]
async fn a_user_the_caller_cannot_read_cannot_be_added() {
    let mut app = app(Role::Owner);
    app.expect_no_other_user();
    app.call(Method::POST, ALICES).await.assert_status(400);
    app_with(Role::Member, alice())
        .call(Method::POST, ALICES)
        .await
        .assert_status(400);
}

#[tokio::test]
async fn conflicts_when_adding_a_member_are_reported() {
    for (conflict, status) in [
        (Conflict::AlreadyMember, 400),
        (Conflict::UserDeleted, 400),
        (Conflict::NoSuchOrganization, 404),
        (Conflict::StaleCredential, 401),
    ] {
        let mut app = app_with(Role::Owner, alice());
        app.organizations
            .expect_create_membership()
            .return_once(move |_, _, _| Err(conflict.into()));

        let answer = app.call(Method::POST, ALICES).await;

        answer.assert_status(status);
        if conflict == Conflict::AlreadyMember {
            assert_eq!(answer.message(), "User is already an organization member");
        }
    }
}

#[tokio::test]
async fn owners_user_admins_and_administrators_may_remove_members() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let may = !matches!(role, Role::Auditor | Role::TemplateAdmin);
        let mut app = app_with(role, alice());
        if may {
            app.organizations
                .expect_delete_membership()
                .withf(|organization, user, by| {
                    *organization == ORGANIZATION && *user == ALICE && by.status_code == 204
                })
                .times(1)
                .return_once(|_, _, _| Ok(Some(())));
        }

        let answer = app.delete(ALICES).await;

        answer.assert_status(if may { 204 } else { 404 });
    }
}

#[tokio::test]
async fn callers_cannot_remove_themselves() {
    for role in Role::ALL {
        let answer = app(role).delete(&format!("{MEMBERS}/{CALLER}")).await;
        answer.assert_status(400);
        assert_eq!(answer.message(), "cannot remove self from an organization");
    }
}

#[tokio::test]
async fn members_cannot_find_out_whether_a_user_exists() {
    let mut app = app_with(Role::Member, alice());
    app.expect_no_other_user();
    let mut answers = Vec::new();
    for (method, path) in [
        (Method::DELETE, "alice"),
        (Method::DELETE, "missing"),
        (Method::PUT, "alice/roles"),
        (Method::PUT, "missing/roles"),
    ] {
        let answer = app.call(method, &format!("{MEMBERS}/{path}")).await;
        answers.push((answer.status, answer.text));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn users_who_are_deleted_or_not_members_cannot_be_removed() {
    let mut app = app_with(Role::Owner, alice());
    app.organizations
        .expect_delete_membership()
        .return_once(|_, _, _| Ok(None));
    app.delete(ALICES).await.assert_status(404);

    let gone = User {
        is_deleted: true,
        ..alice()
    };
    app_with(Role::Owner, gone)
        .delete(ALICES)
        .await
        .assert_status(404);
}
