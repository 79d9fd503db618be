//! `GET /audit`.

use std::net::IpAddr;

use serde_json::{Value, json};
use usher_domain::{
    Listing, OrganizationId, Page, User,
    audit::{AuditAction, AuditResource},
    audit_filter::AuditFilter,
};
use usher_store::{AuditRecord, AuditedOrganization, Credential};
use uuid::Uuid;

use crate::{
    app::TestApp,
    people::{
        ALICE, CALLER, ORGANIZATION, Role, alice, credential, elsewhere, membership, now,
        organization, texts,
    },
};

const PATH: &str = "/api/v2/audit";

/// Alice was suspended.
fn record() -> AuditRecord {
    AuditRecord {
        id: Uuid::from_u128(0xa0),
        request_id: Uuid::from_u128(0xa2),
        time: now(),
        ip: Some(IpAddr::from([192, 0, 2, 7])),
        user_agent: "tea/1".into(),
        action: AuditAction::Write,
        resource: AuditResource::User,
        resource_id: ALICE.0,
        target: "alice".into(),
        icon: String::new(),
        diff: json!({"status": {"old": "active", "new": "suspended", "secret": false}}),
        status_code: 200,
        additional_fields: json!({}),
        organization: None,
        user: Some(alice()),
        is_deleted: false,
    }
}

fn returning(app: &mut TestApp, items: Vec<AuditRecord>, count: u64) {
    app.audit_log
        .expect_list_audit()
        .return_once(move |_| Ok(Listing { items, count }));
}

/// The entry as an owner reads it.
async fn on_wire(record: AuditRecord) -> Value {
    let mut app = TestApp::signed_in_as(Role::Owner);
    returning(&mut app, vec![record], 1);
    let answer = app.get(PATH).await;
    answer.assert_status(200);
    answer.json["audit_logs"][0].clone()
}

/// Expects a query for entries of these organizations, or of all if `None`.
fn expect_visible(app: &mut TestApp, visible: Option<Vec<OrganizationId>>) {
    app.audit_log
        .expect_list_audit()
        .withf(move |query| query.visible == visible && query.caller == CALLER)
        .times(1)
        .return_once(|_| {
            Ok(Listing {
                items: vec![],
                count: 0,
            })
        });
}

fn with_organization_roles(roles: &[&str]) -> Credential {
    let mut credential = credential(Role::Member);
    credential.memberships = vec![membership(CALLER, roles)];
    credential
}

#[tokio::test]
async fn owners_and_auditors_may_read_all_entries() {
    for role in [Role::Owner, Role::Auditor] {
        let mut app = TestApp::signed_in_as(role);
        expect_visible(&mut app, None);
        let answer = app.get(PATH).await;
        answer.assert_status(200);
        assert_eq!(answer.json, json!({"audit_logs": [], "count": 0}));
    }
}

#[tokio::test]
async fn organization_auditors_may_read_entries_of_their_organization() {
    for role in ["organization-admin", "organization-auditor"] {
        let mut credential = with_organization_roles(&[role]);
        let mut other = membership(CALLER, &[]);
        other.organization_id = elsewhere().id;
        credential.memberships.push(other);
        let mut app = TestApp::with_credential(credential);
        expect_visible(&mut app, Some(vec![ORGANIZATION]));
        app.get(PATH).await.assert_status(200);
    }
}

#[tokio::test]
async fn others_are_forbidden_even_with_an_invalid_query() {
    let others = [
        credential(Role::UserAdmin),
        credential(Role::TemplateAdmin),
        credential(Role::Member),
        with_organization_roles(&["organization-user-admin"]),
        with_organization_roles(&["organization-template-admin"]),
        with_organization_roles(&["organization-workspace-creation-ban"]),
    ];
    for credential in others {
        let mut app = TestApp::with_credential(credential);
        for query in ["", "?limit=x", "?q=nonsense", "?q=%00"] {
            let answer = app.get(&format!("{PATH}{query}")).await;
            answer.assert_status(403);
            assert_eq!(answer.message(), "Forbidden.");
        }
    }
    let mut narrow = TestApp::with_scopes(Role::Owner, &["user:read_personal"]);
    narrow.get(PATH).await.assert_status(403);
}

#[tokio::test]
async fn a_page_has_100_entries_by_default() {
    for (query, limit, offset) in [
        ("", 100, 0),
        ("?limit=0", 100, 0),
        ("?limit=", 100, 0),
        ("?limit=5&offset=7", 5, 7),
        ("?offset=7", 100, 7),
        ("?limit=2147483647", 2_147_483_647, 0),
    ] {
        let mut app = TestApp::signed_in_as(Role::Owner);
        let page = Page {
            limit: Some(limit),
            offset,
        };
        app.audit_log
            .expect_list_audit()
            .withf(move |query| query.page == page && query.filter == AuditFilter::default())
            .times(1)
            .return_once(|_| {
                Ok(Listing {
                    items: vec![],
                    count: 400,
                })
            });
        let answer = app.get(&format!("{PATH}{query}")).await;
        answer.assert_status(200);
        // The count is the number of matches, also past the last page.
        assert_eq!(answer.json, json!({"audit_logs": [], "count": 400}));
    }
}

#[tokio::test]
async fn paging_errors_are_reported_before_search_errors() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    for (query, faults) in [
        ("limit=-1&offset=x&q=nonsense", &["limit", "offset"][..]),
        ("limit=2147483648", &["limit"]),
        ("q=nonsense", &["resource_type"]),
        ("q=color:red+action:sing", &["color", "action"]),
        ("q=a:b:c", &["q"]),
        ("q=action:", &["q"]),
        ("q=action:write+action:write", &["action"]),
        ("q=user+api_key", &["resource_type"]),
        ("q=date_from:yesterday", &["date_from"]),
        ("q=resource_id:x", &["resource_id"]),
        ("q=a%00b", &["q"]),
    ] {
        let answer = app.get(&format!("{PATH}?{query}")).await;
        answer.assert_faults(faults);
    }
}

#[tokio::test]
async fn the_search_is_passed_to_the_store() {
    let mut app = TestApp::signed_in_as(Role::Auditor);
    app.audit_log
        .expect_list_audit()
        .withf(|query| {
            query.filter
                == AuditFilter {
                    resource: Some(AuditResource::User),
                    action: Some(AuditAction::Write),
                    username: Some("me".into()),
                    resource_target: Some("alice".into()),
                    ..AuditFilter::default()
                }
                && query.caller == CALLER
                && query.organization.is_none()
        })
        .times(1)
        .return_once(|_| {
            Ok(Listing {
                items: vec![],
                count: 0,
            })
        });
    let query = "?q=USER+action:Write+username:me+resource_target:%22Alice%22";
    app.get(&format!("{PATH}{query}")).await.assert_status(200);
}

#[tokio::test]
async fn an_organization_is_found_by_name_if_the_caller_may_read_it() {
    let mut app = TestApp::signed_in_as(Role::OrganizationAdmin);
    app.organizations
        .expect_find_organization()
        .return_once(|_| Ok(Some(organization())));
    app.audit_log
        .expect_list_audit()
        .withf(|query| {
            query.organization == Some(ORGANIZATION)
                && query.visible.as_deref() == Some(&[ORGANIZATION][..])
        })
        .times(1)
        .return_once(|_| {
            Ok(Listing {
                items: vec![],
                count: 0,
            })
        });
    app.get(&format!("{PATH}?q=organization:Coder"))
        .await
        .assert_status(200);

    for found in [None, Some(elsewhere())] {
        let mut app = TestApp::signed_in_as(Role::OrganizationAdmin);
        app.organizations
            .expect_find_organization()
            .return_once(|_| Ok(found));
        app.get(&format!("{PATH}?q=organization:elsewhere"))
            .await
            .assert_faults(&["organization"]);
    }
}

#[tokio::test]
async fn an_entry_has_all_fields() {
    let row = on_wire(record()).await;
    assert_eq!(
        row,
        json!({
            "id": Uuid::from_u128(0xa0),
            "request_id": Uuid::from_u128(0xa2),
            "time": "2026-01-02T03:04:05.678901Z",
            "ip": "192.0.2.7",
            "user_agent": "tea/1",
            "resource_type": "user",
            "resource_id": ALICE.0,
            "resource_target": "alice",
            "resource_icon": "",
            "action": "write",
            "diff": {"status": {"old": "active", "new": "suspended", "secret": false}},
            "status_code": 200,
            "additional_fields": {},
            "description": "{user} updated user {target}",
            "resource_link": "/users?filter=alice",
            "is_deleted": false,
            "organization_id": Uuid::nil(),
            "user": row["user"],
        })
    );
    assert_eq!(row["user"]["username"], "alice");
    assert_eq!(row["user"]["organization_ids"], json!([]));
    assert_eq!(row["user"]["roles"], json!([]));
}

#[tokio::test]
async fn unknown_values_are_empty_or_null() {
    let row = on_wire(AuditRecord {
        request_id: Uuid::nil(),
        ip: None,
        user_agent: String::new(),
        user: None,
        ..record()
    })
    .await;
    assert_eq!(row["ip"], "");
    assert_eq!(row["user_agent"], "");
    assert_eq!(row["request_id"], json!(Uuid::nil()));
    assert!(row.as_object().is_some_and(|row| row.contains_key("user")));
    assert_eq!(row["user"], Value::Null);
}

#[tokio::test]
async fn an_entry_of_an_organization_includes_it() {
    let row = on_wire(AuditRecord {
        organization: Some(AuditedOrganization {
            id: ORGANIZATION,
            name: "coder".into(),
            display_name: "Coder".into(),
            icon: "/tea.png".into(),
        }),
        ..record()
    })
    .await;
    assert_eq!(row["organization_id"], json!(ORGANIZATION.0));
    assert_eq!(
        row["organization"],
        json!({
            "id": ORGANIZATION.0, "name": "coder",
            "display_name": "Coder", "icon": "/tea.png",
        })
    );
}

#[tokio::test]
async fn only_existing_users_have_a_link() {
    let of = |resource, target: &str, is_deleted| AuditRecord {
        resource,
        target: target.to_owned(),
        is_deleted,
        ..record()
    };
    for (record, link) in [
        (
            of(AuditResource::User, "alice", false),
            "/users?filter=alice",
        ),
        (
            of(AuditResource::User, "a&b c", false),
            "/users?filter=a%26b+c",
        ),
        (of(AuditResource::User, "alice", true), ""),
        (of(AuditResource::ApiKey, "ci", false), ""),
        (of(AuditResource::NotificationsSettings, "", false), ""),
        (of(AuditResource::OrganizationMember, "alice", false), ""),
    ] {
        assert_eq!(on_wire(record).await["resource_link"], link);
    }
}

#[tokio::test]
async fn the_description_states_the_action_and_whether_it_succeeded() {
    for (action, resource, done, refused) in [
        (
            AuditAction::Create,
            AuditResource::User,
            "{user} created user {target}",
            "{user} unsuccessfully attempted to create user {target}",
        ),
        (
            AuditAction::Delete,
            AuditResource::ApiKey,
            "{user} deleted token {target}",
            "{user} unsuccessfully attempted to delete token {target}",
        ),
        (
            AuditAction::Write,
            AuditResource::GitSshKey,
            "{user} updated git ssh key",
            "{user} unsuccessfully attempted to write git ssh key",
        ),
        (
            AuditAction::Create,
            AuditResource::ConvertLogin,
            "{user} created login type conversion {target}",
            "{user} unsuccessfully attempted to create login type conversion {target}",
        ),
        (
            AuditAction::Login,
            AuditResource::ApiKey,
            "{user} logged in",
            "{user} unsuccessfully attempted to login",
        ),
        (
            AuditAction::Logout,
            AuditResource::ApiKey,
            "{user} logged out",
            "{user} unsuccessfully attempted to logout",
        ),
        (
            AuditAction::Register,
            AuditResource::ApiKey,
            "{user} registered",
            "{user} unsuccessfully attempted to register",
        ),
        (
            AuditAction::Write,
            AuditResource::OrganizationMember,
            "{user} updated organization member {target}",
            "{user} unsuccessfully attempted to write organization member {target}",
        ),
    ] {
        for (status_code, expected) in [
            (200, done),
            (201, done),
            (303, done),
            (400, refused),
            (500, refused),
        ] {
            let row = on_wire(AuditRecord {
                action,
                resource,
                status_code,
                ..record()
            })
            .await;
            assert_eq!(row["description"], expected, "{status_code}");
        }
    }
}

#[tokio::test]
async fn the_description_of_a_password_reset_request_has_no_user() {
    let row = on_wire(AuditRecord {
        action: AuditAction::RequestPasswordReset,
        status_code: 204,
        ..record()
    })
    .await;
    let description = row["description"].as_str().expect("a text");
    assert!(!description.contains("{user}"), "{description}");
    assert!(description.ends_with("user {target}"), "{description}");
}

#[tokio::test]
async fn the_roles_of_the_user_are_included() {
    let row = on_wire(AuditRecord {
        user: Some(User {
            roles: texts(&["owner"]),
            ..alice()
        }),
        ..record()
    })
    .await;
    assert_eq!(row["user"]["roles"][0]["name"], "owner");
}
