//! `/notifications/settings`.

use http::Method;
use serde_json::{Value, json};
use usher_domain::{
    audit::{AuditAction, AuditResource},
    notification::NotifierSettings,
};
use uuid::Uuid;

use crate::{
    app::TestApp,
    people::{CALLER, Role},
};

const PATH: &str = "/api/v2/notifications/settings";
const PAUSED: NotifierSettings = NotifierSettings { is_paused: true };
const RUNNING: NotifierSettings = NotifierSettings { is_paused: false };

/// An app whose store has these settings.
fn app(role: Role, stored: Option<NotifierSettings>) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.notifications
        .expect_find_notifier_settings()
        .returning(move || Ok(stored));
    app
}

#[tokio::test]
async fn every_caller_reads_the_stored_settings_or_the_defaults() {
    for role in Role::ALL {
        for (stored, is_paused) in [(None, false), (Some(RUNNING), false), (Some(PAUSED), true)] {
            let answer = app(role, stored).get(PATH).await;
            answer.assert_status(200);
            assert_eq!(answer.json, json!({"notifier_paused": is_paused}));
        }
    }
}

#[tokio::test]
async fn an_owner_pauses_and_resumes_the_notifier() {
    for (stored, new) in [
        (None, PAUSED),
        // Missing settings differ from stored defaults.
        (None, RUNNING),
        (Some(PAUSED), RUNNING),
        (Some(RUNNING), PAUSED),
    ] {
        let mut app = app(Role::Owner, stored);
        app.notifications
            .expect_set_notifier_settings()
            .withf(move |given, by| {
                *given == new && by.status_code == 200 && by.initiator.user_id == CALLER
            })
            .times(1)
            .return_once(|_, _| Ok(()));
        let body = json!({"notifier_paused": new.is_paused});
        let answer = app.put(PATH, body.clone()).await;
        answer.assert_status(200);
        assert_eq!(answer.json, body);
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
async fn other_callers_are_forbidden_and_audited() {
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
