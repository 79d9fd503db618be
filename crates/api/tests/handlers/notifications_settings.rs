//! `/notifications/settings`.

use http::Method;
use serde_json::{Value, json};
use usher_domain::audit::{AuditAction, AuditResource};
use uuid::Uuid;

use crate::{
    app::TestApp,
    people::{CALLER, Role},
};

const PATH: &str = "/api/v2/notifications/settings";
const PAUSED: &str = r#"{"notifier_paused":true}"#;
const RUNNING: &str = r#"{"notifier_paused":false}"#;

/// The store has these settings.
fn app(role: Role, stored: Option<&'static str>) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.notifications
        .expect_find_notifier_settings()
        .returning(move || Ok(stored.map(str::to_owned)));
    app
}

#[tokio::test]
async fn all_users_may_read_the_stored_or_default_settings() {
    for role in Role::ALL {
        for (stored, is_paused) in [
            (None, false),
            (Some(RUNNING), false),
            (Some(PAUSED), true),
            (Some("{\"notifier_paused\": true}"), true),
            (Some("{}"), false),
            (Some("nonsense"), false),
        ] {
            let answer = app(role, stored).get(PATH).await;
            answer.assert_status(200);
            assert_eq!(answer.json, json!({"notifier_paused": is_paused}));
        }
    }
}

#[tokio::test]
async fn an_owner_may_pause_and_resume() {
    for (stored, text, is_paused) in [
        (None, PAUSED, true),
        // Unset settings differ from the default.
        (None, RUNNING, false),
        (Some(PAUSED), RUNNING, false),
        (Some(RUNNING), PAUSED, true),
        // So does another spelling of the same settings.
        (Some("{\"notifier_paused\": true}"), PAUSED, true),
    ] {
        let mut app = app(Role::Owner, stored);
        app.notifications
            .expect_set_notifier_settings()
            .withf(move |given, paused, by| {
                given == text
                    && *paused == is_paused
                    && by.status_code == 200
                    && by.initiator.user_id == CALLER
            })
            .times(1)
            .return_once(|_, _, _| Ok(()));
        let answer = app.put(PATH, json!({"notifier_paused": is_paused})).await;
        answer.assert_status(200);
        assert_eq!(answer.json, json!({"notifier_paused": is_paused}));
    }
}

#[tokio::test]
async fn unchanged_settings_are_not_modified_for_any_caller() {
    for role in Role::ALL {
        for (stored, body) in [
            (PAUSED, json!({"notifier_paused": true})),
            (RUNNING, json!({"notifier_paused": false})),
            (RUNNING, json!({"notifier_paused": null})),
            (RUNNING, json!({})),
            (RUNNING, Value::Null),
        ] {
            let answer = app(role, Some(stored)).put(PATH, body).await;
            answer.assert_status(304);
            assert_eq!(answer.text, "");
            assert_eq!(answer.header("content-type"), None);
        }
    }
}

#[tokio::test]
async fn others_are_forbidden_and_the_attempt_is_audited() {
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Owner) {
        let mut app = app(role, None);
        app.audit
            .expect_record_failure()
            .withf(|entry, by| {
                entry.action == AuditAction::Write
                    && entry.resource == AuditResource::NotificationsSettings
                    && entry.resource_id != Uuid::nil()
                    && entry.target.is_empty()
                    && by.status_code == 403
            })
            .times(1)
            .return_once(|_, _| Ok(()));
        let answer = app.put(PATH, json!({"notifier_paused": true})).await;
        answer.assert_status(403);
        assert_eq!(answer.message(), "Forbidden.");
        assert_ne!(answer.detail(), "");
    }
}

#[tokio::test]
async fn an_invalid_body_is_reported_first_and_not_audited() {
    for role in [Role::Owner, Role::Member] {
        let mut app = TestApp::signed_in_as(role);
        for body in ["", "{", "[]", "{\"notifier_paused\":\"true\"}"] {
            app.send(Method::PUT, PATH, body).await.assert_faults(&[]);
        }
    }
}
