//! `/users/{user}/notifications/preferences`.

use http::Method;
use serde_json::{Map, Value, json};
use usher_domain::notification::{CUSTOM, NotificationPreference, TROUBLESHOOTING};
use usher_store::Conflict;
use uuid::Uuid;

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, Role, alice, now},
};

const MINE: &str = "/api/v2/users/me/notifications/preferences";
const ALICES: &str = "/api/v2/users/alice/notifications/preferences";

fn said(template_id: Uuid, is_disabled: bool) -> NotificationPreference {
    NotificationPreference {
        template_id,
        is_disabled,
        updated_at: now(),
    }
}

fn body(map: &Value) -> Value {
    json!({ "template_disabled_map": map })
}

#[tokio::test]
async fn without_preferences_the_response_is_null() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.notifications
        .expect_list_notification_preferences()
        .withf(|user| *user == CALLER)
        .return_once(|_| Ok(vec![]));
    let answer = app.get(MINE).await;
    answer.assert_status(200);
    assert_eq!(answer.text, "null\n");
}

#[tokio::test]
async fn preferences_are_listed() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.notifications
        .expect_list_notification_preferences()
        .return_once(|_| Ok(vec![said(CUSTOM, true), said(TROUBLESHOOTING, false)]));
    assert_eq!(
        app.get(MINE).await.json,
        json!([
            {"id": CUSTOM, "disabled": true, "updated_at": "2026-01-02T03:04:05.678901Z"},
            {"id": TROUBLESHOOTING, "disabled": false, "updated_at": "2026-01-02T03:04:05.678901Z"},
        ])
    );
}

#[tokio::test]
async fn changes_are_stored_and_all_preferences_returned() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.notifications
        .expect_set_notification_preferences()
        .withf(|user, disabled, at| {
            let mut disabled = disabled.clone();
            disabled.sort_unstable();
            *user == CALLER
                && disabled == [(CUSTOM, false), (TROUBLESHOOTING, true)]
                && *at == now()
        })
        .times(1)
        .return_once(|_, _, _| Ok(vec![said(Uuid::nil(), true), said(CUSTOM, false)]));
    let map = json!({
        CUSTOM.to_string().to_uppercase(): null,
        TROUBLESHOOTING.to_string(): true,
    });

    let answer = app.put(MINE, body(&map)).await;

    answer.assert_status(200);
    assert_eq!(answer.json.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn an_empty_request_changes_nothing() {
    for request in [json!({}), Value::Null, body(&Value::Null), body(&json!({}))] {
        let mut app = TestApp::signed_in_as(Role::Member);
        app.notifications
            .expect_set_notification_preferences()
            .withf(|_, disabled, _| disabled.is_empty())
            .times(1)
            .return_once(|_, _, _| Ok(vec![]));
        let answer = app.put(MINE, request).await;
        answer.assert_status(200);
        assert_eq!(answer.text, "null\n");
    }
}

#[tokio::test]
async fn invalid_template_ids_are_reported_before_missing_permission() {
    let mut app = TestApp::signed_in_as(Role::Auditor);
    app.knows(alice());
    for path in [MINE, ALICES] {
        for bad in ["", "x", "39b1e189-c857-4b0c-877a-511144c1851"] {
            let map = json!({CUSTOM.to_string(): true, bad: true});
            let answer = app.put(path, body(&map)).await;
            answer.assert_faults(&[]);
            assert_eq!(
                answer.message(),
                "Unable to parse notification template UUID."
            );
            assert_ne!(answer.detail(), "");
        }
        app.send(Method::PUT, path, "{").await.assert_faults(&[]);
        app.put(path, body(&json!({CUSTOM.to_string(): "true"})))
            .await
            .assert_faults(&[]);
    }
}

#[tokio::test]
async fn a_template_that_does_not_exist_is_a_bad_request() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.notifications
        .expect_set_notification_preferences()
        .return_once(|_, _, _| Err(Conflict::NoSuchTemplate.into()));
    let map = json!({Uuid::from_u128(1).to_string(): true});
    app.put(MINE, body(&map)).await.assert_status(400);
}

#[tokio::test]
async fn the_number_of_preferences_per_request_is_limited() {
    let map = |length: u128| -> Value {
        let entries = (0..length).map(|n| (Uuid::from_u128(n).to_string(), json!(true)));
        Value::Object(entries.collect::<Map<_, _>>())
    };
    let mut app = TestApp::signed_in_as(Role::Member);
    app.notifications
        .expect_set_notification_preferences()
        .withf(|_, disabled, _| disabled.len() == 128)
        .times(1)
        .return_once(|_, _, _| Ok(vec![]));
    app.put(MINE, body(&map(128))).await.assert_status(200);
    app.put(MINE, body(&map(129)))
        .await
        .assert_faults(&["template_disabled_map"]);
}

#[tokio::test]
async fn only_owners_may_access_preferences_of_others_without_an_audit_entry() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        if role == Role::Owner {
            app.notifications
                .expect_list_notification_preferences()
                .withf(|user| *user == ALICE)
                .return_once(|_| Ok(vec![]));
            app.notifications
                .expect_set_notification_preferences()
                .withf(|user, _, _| *user == ALICE)
                .return_once(|_, _, _| Ok(vec![]));
        }
        let expected = match role {
            Role::Owner => 200,
            Role::Member => 400,
            _ => 403,
        };
        app.get(ALICES).await.assert_status(expected);
        app.put(ALICES, json!({})).await.assert_status(expected);
    }
}

#[tokio::test]
async fn an_allow_list_must_contain_preferences() {
    let own = format!("user:{CALLER}");
    let mut app = TestApp::with_allow_list(Role::Owner, &[&own]);
    app.get(MINE).await.assert_status(403);
    app.put(MINE, json!({})).await.assert_status(403);

    let mut app = TestApp::with_allow_list(Role::Member, &[&own, "notification_preference:*"]);
    app.notifications
        .expect_list_notification_preferences()
        .return_once(|_| Ok(vec![]));
    app.get(MINE).await.assert_status(200);
}
