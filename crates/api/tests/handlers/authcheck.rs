//! `POST /authcheck`.

use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    app::{Answer, TestApp},
    people::{ALICE, CALLER, ELSEWHERE, OLIVIA, ORGANIZATION, Role, alice},
};

const PATH: &str = "/api/v2/authcheck";

fn check(action: &str, object: impl Into<Value>) -> Value {
    let object = object.into();
    json!({"action": action, "object": object})
}

/// Sends a single check.
async fn ask(app: &mut TestApp, action: &str, object: Value) -> Answer {
    let body = json!({"checks": {"it": check(action, object)}});
    app.post(PATH, body).await
}

#[track_caller]
fn assert_answer(answer: &Answer, may: bool) {
    answer.assert_status(200);
    assert_eq!(answer.json, json!({ "it": may }), "{answer:?}");
}

#[tokio::test]
async fn an_empty_request_has_an_empty_response() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for body in [
        json!({}),
        Value::Null,
        json!({"checks": null}),
        json!({"checks": {}}),
    ] {
        let answer = app.post(PATH, body).await;
        answer.assert_status(200);
        assert_eq!(answer.json, json!({}));
    }
    app.send(Method::POST, PATH, "").await.assert_status(400);
}

#[tokio::test]
async fn results_have_the_names_of_their_checks() {
    let mut app = TestApp::signed_in_as(Role::Member);
    let read = || check("read", json!({"resource_type": "user", "owner_id": "me"}));
    let body = json!({"checks": {
        "A": read(),
        "a": check("delete", json!({"resource_type": "user", "owner_id": "me"})),
        "<b>": read(),
        "": read(),
    }});
    let answer = app.post(PATH, body).await;
    answer.assert_status(200);
    assert_eq!(
        answer.json,
        json!({"A": true, "a": false, "<b>": true, "": true})
    );
}

#[tokio::test]
async fn checks_on_a_resource_type_depend_on_the_role() {
    let rows: [(&str, &str, &[Role]); 6] = [
        ("create", "user", &[Role::Owner, Role::UserAdmin]),
        ("read", "audit_log", &[Role::Owner, Role::Auditor]),
        ("update", "deployment_config", &[Role::Owner]),
        ("create", "template", &[Role::Owner, Role::TemplateAdmin]),
        ("update", "notification_template", &[Role::Owner]),
        ("delete", "license", &[Role::Owner]),
    ];
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        for (action, kind, may) in rows {
            let answer = ask(&mut app, action, json!({"resource_type": kind})).await;
            assert_answer(&answer, may.contains(&role));
        }
    }
}

#[tokio::test]
async fn checks_on_owned_resources_depend_on_the_owner() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for (owner, may) in [
        (json!("me"), true),
        (json!(CALLER.0), true),
        (json!(CALLER.to_string().to_uppercase()), true),
        (json!(ALICE.0), false),
        (json!("caller"), false),
        (json!("x"), false),
        (json!(""), false),
        (Value::Null, false),
    ] {
        for kind in ["api_key", "workspace", "notification_preference"] {
            let object = json!({"resource_type": kind, "owner_id": owner});
            let answer = ask(&mut app, "update", object).await;
            // A workspace belongs to an organization, and none is given.
            assert_answer(&answer, may && kind != "workspace");
        }
    }
}

#[tokio::test]
async fn a_check_is_for_one_organization_or_for_any() {
    for (role, in_own) in [(Role::OrganizationAdmin, true), (Role::Member, false)] {
        let mut app = TestApp::signed_in_as(role);
        for (organization, any, may) in [
            (json!(ORGANIZATION.0), false, in_own),
            (json!(ELSEWHERE.0), false, false),
            (json!(ELSEWHERE.0), true, false),
            (json!("coder"), false, false),
            (json!("coder"), true, false),
            (Value::Null, false, false),
            (Value::Null, true, in_own),
            (json!(""), true, in_own),
        ] {
            let object = json!({
                "resource_type": "organization_member",
                "organization_id": organization,
                "any_org": any,
            });
            let answer = ask(&mut app, "create", object).await;
            assert_answer(&answer, may);
        }
    }
}

#[tokio::test]
async fn unknown_types_and_actions_are_not_allowed() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    for (action, kind) in [
        ("read", "teapot"),
        ("read", "User"),
        ("brew", "user"),
        ("*", "user"),
        ("", "user"),
        ("ssh", "user"),
    ] {
        let answer = ask(&mut app, action, json!({"resource_type": kind})).await;
        assert_answer(&answer, false);
    }
    let body = json!({"checks": {"it": {"object": {"resource_type": "user"}}}});
    assert_answer(&app.post(PATH, body).await, false);
}

#[tokio::test]
async fn a_missing_resource_type_is_reported_first() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    for object in [
        json!({}),
        Value::Null,
        json!({"resource_type": ""}),
        json!({"resource_type": null, "resource_id": "x"}),
        json!({"resource_type": "", "resource_id": "x"}),
    ] {
        ask(&mut app, "read", object).await.assert_faults(&[]);
    }
    let body = json!({"checks": {
        "good": check("read", json!({"resource_type": "user"})),
        "bad": {},
    }});
    app.post(PATH, body).await.assert_faults(&[]);
}

#[tokio::test]
async fn only_some_resource_types_have_uuids() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    for kind in ["organization", "api_key", "audit_log", "teapot"] {
        for id in [ALICE.to_string(), "x".to_owned()] {
            let object = json!({"resource_type": kind, "resource_id": id});
            ask(&mut app, "read", object)
                .await
                .assert_faults(&["resource_type"]);
        }
    }
    for kind in ["user", "workspace", "template", "group"] {
        let object = json!({"resource_type": kind, "resource_id": "x"});
        ask(&mut app, "read", object)
            .await
            .assert_faults(&["resource_id"]);
    }
}

#[tokio::test]
async fn checks_and_their_objects_must_be_json_objects() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    for question in [
        json!([{"resource_type": "user"}, "read"]),
        check("read", json!(["user"])),
        check("read", json!("user")),
        json!("user"),
    ] {
        let answer = app.post(PATH, json!({"checks": {"it": question}})).await;
        answer.assert_faults(&[]);
    }
}

#[tokio::test]
async fn an_invalid_uuid_is_rejected_for_every_action() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    let object = json!({"resource_type": "user", "resource_id": "x"});
    ask(&mut app, "brew", object)
        .await
        .assert_faults(&["resource_id"]);
}

#[tokio::test]
async fn a_user_resource_id_takes_precedence_over_the_owner() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        let object = json!({
            "resource_type": "user", "resource_id": ALICE.0, "owner_id": "me",
        });
        let answer = ask(&mut app, "read", object.clone()).await;
        assert_answer(&answer, role.reads_everybody());
        let answer = ask(&mut app, "read_personal", object.clone()).await;
        assert_answer(&answer, matches!(role, Role::Owner | Role::UserAdmin));
        let answer = ask(&mut app, "brew", object).await;
        assert_answer(&answer, false);
    }
}

#[tokio::test]
async fn actions_on_missing_or_unreadable_users_are_not_allowed() {
    let mut owner = TestApp::signed_in_as(Role::Owner);
    owner.expect_no_other_user();
    // No user is looked up here.
    let mut member = TestApp::signed_in_as(Role::Member);
    for app in [&mut owner, &mut member] {
        for action in ["read", "update", "delete", "create", "read_personal"] {
            let object = json!({"resource_type": "user", "resource_id": OLIVIA.0});
            assert_answer(&ask(app, action, object).await, false);
        }
    }
    let oneself = json!({"resource_type": "user", "resource_id": CALLER.0});
    assert_answer(
        &ask(&mut member, "read_personal", oneself.clone()).await,
        true,
    );
    assert_answer(&ask(&mut member, "delete", oneself).await, false);
}

#[tokio::test]
async fn workspaces_templates_and_groups_do_not_exist() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    for kind in ["workspace", "template", "group"] {
        let object = json!({"resource_type": kind, "resource_id": ALICE.0});
        assert_answer(&ask(&mut app, "read", object).await, false);
    }
}

#[tokio::test]
async fn the_numbers_of_lookups_and_checks_are_limited() {
    let ask_times = |times: usize, object: Value| {
        let questions = (0..times).map(|n| (n.to_string(), check("read", object.clone())));
        json!({"checks": questions.collect::<Map<_, _>>()})
    };
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.knows(alice());
    let by_id = json!({"resource_type": "user", "resource_id": ALICE.0});
    let by_kind = json!({"resource_type": "user"});
    for (times, object, status) in [
        (10, &by_id, 200),
        (11, &by_id, 400),
        (500, &by_kind, 200),
        (1_001, &by_kind, 400),
    ] {
        let answer = app.post(PATH, ask_times(times, object.clone())).await;
        answer.assert_status(status);
    }
}

#[tokio::test]
async fn checks_respect_the_limits_of_the_callers_key() {
    let mut app = TestApp::with_scopes(Role::Owner, &["api_key:*"]);
    let mine = |kind: &str| json!({"resource_type": kind, "owner_id": "me"});
    assert_answer(&ask(&mut app, "create", mine("api_key")).await, true);
    assert_answer(&ask(&mut app, "create", mine("user")).await, false);
    let alice = json!({"resource_type": "user", "resource_id": ALICE.0});
    assert_answer(&ask(&mut app, "read", alice.clone()).await, false);

    let mut app = TestApp::with_allow_list(Role::Owner, &["workspace:*"]);
    assert_answer(&ask(&mut app, "read", alice).await, false);
}

#[tokio::test]
async fn field_names_of_checks_are_case_insensitive() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    let body = json!({"Checks": {"It": {
        "Action": "read",
        "Object": {"Resource_Type": "user"},
    }}});
    let answer = app.post(PATH, body).await;
    answer.assert_status(200);
    assert_eq!(answer.json, json!({"It": true}));
}
