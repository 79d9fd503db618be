//! `/notifications/templates/…` and `/notifications/dispatch-methods`.

use http::Method;
use serde_json::{Value, json};
use usher_domain::notification::{
    CUSTOM, NotificationMethod, NotificationTemplate, TROUBLESHOOTING, TemplateKind,
};

use crate::{
    app::TestApp,
    people::{CALLER, Role},
    stores::template,
};

fn path() -> String {
    format!("/api/v2/notifications/templates/{TROUBLESHOOTING}/method")
}

fn to(method: &str) -> Value {
    json!({ "method": method })
}

/// An owner, and a template with this delivery method.
fn app(method: Option<NotificationMethod>) -> TestApp {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.notifications
        .expect_find_template()
        .withf(|id| *id == TROUBLESHOOTING)
        .returning(move |id| {
            Ok(Some(NotificationTemplate {
                method,
                ..template(id, TemplateKind::System)
            }))
        });
    app
}

#[tokio::test]
async fn all_users_may_read_templates_of_both_kinds() {
    for (word, kind) in [
        ("system", TemplateKind::System),
        ("custom", TemplateKind::Custom),
    ] {
        for role in Role::ALL {
            let mut app = TestApp::signed_in_as(role);
            app.notifications
                .expect_list_templates()
                .withf(move |asked| *asked == kind)
                .times(1)
                .return_once(|kind| Ok(vec![template(CUSTOM, kind)]));
            let answer = app
                .get(&format!("/api/v2/notifications/templates/{word}"))
                .await;
            answer.assert_status(200);
            assert_eq!(
                answer.json,
                json!([{
                    "id": CUSTOM,
                    "name": "Tea",
                    "title_template": "Tea for {{.Labels.user}}",
                    "body_template": "It is **ready**.",
                    // A string that contains JSON.
                    "actions": "[{\"label\":\"Drink\",\"url\":\"{{base_url}}/tea\"}]",
                    "group": "Kitchen Events",
                    "method": "",
                    "kind": word,
                    "enabled_by_default": true,
                }])
            );
        }
    }
}

#[tokio::test]
async fn without_templates_the_list_is_empty_and_set_methods_are_returned() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.notifications
        .expect_list_templates()
        .times(1)
        .return_once(|_| Ok(vec![]));
    app.notifications.expect_list_templates().returning(|kind| {
        Ok(vec![NotificationTemplate {
            method: Some(NotificationMethod::Webhook),
            actions: json!([]),
            ..template(CUSTOM, kind)
        }])
    });
    let system = "/api/v2/notifications/templates/system";
    assert_eq!(app.get(system).await.json, json!([]));
    let answer = app.get(system).await;
    assert_eq!(answer.json[0]["method"], "webhook");
    assert_eq!(answer.json[0]["actions"], "[]");
}

#[tokio::test]
async fn the_default_method_is_configurable_and_the_list_is_fixed() {
    for (way, word) in [
        (NotificationMethod::Smtp, "smtp"),
        (NotificationMethod::Webhook, "webhook"),
        (NotificationMethod::Inbox, "inbox"),
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        app.settings.notification_method = way;
        let answer = app.get("/api/v2/notifications/dispatch-methods").await;
        answer.assert_status(200);
        assert_eq!(
            answer.json,
            json!({"available": ["smtp", "webhook"], "default": word})
        );
    }
}

#[tokio::test]
async fn an_owner_may_set_the_method_of_a_template() {
    for (word, way) in [
        ("smtp", NotificationMethod::Smtp),
        ("webhook", NotificationMethod::Webhook),
        ("inbox", NotificationMethod::Inbox),
    ] {
        let mut app = app(None);
        app.notifications
            .expect_set_template_method()
            .withf(move |id, given, by| {
                *id == TROUBLESHOOTING
                    && *given == way
                    && by.status_code == 200
                    && by.initiator.user_id == CALLER
            })
            .times(1)
            .return_once(|id, _, _| Ok(Some(template(id, TemplateKind::System))));
        let answer = app.put(&path(), to(word)).await;
        answer.assert_status(200);
        assert_ne!(answer.message(), "");
    }
}

#[tokio::test]
async fn setting_the_same_method_is_not_modified() {
    let mut app = app(Some(NotificationMethod::Webhook));
    let answer = app.put(&path(), to("webhook")).await;
    answer.assert_status(304);
    assert_eq!(answer.text, "");
    assert_eq!(answer.header("content-type"), None);
}

#[tokio::test]
async fn an_unknown_method_is_a_validation_error_and_not_audited() {
    let mut app = app(None);
    for word in ["", "SMTP", "pigeon", " smtp"] {
        app.put(&path(), to(word)).await.assert_faults(&["method"]);
    }
    app.put(&path(), json!({})).await.assert_faults(&["method"]);
    app.send(Method::PUT, &path(), "").await.assert_faults(&[]);
}

#[tokio::test]
async fn the_template_must_be_the_uuid_of_an_existing_one() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.notifications
        .expect_find_template()
        .returning(|_| Ok(None));
    app.put(&path(), to("smtp")).await.assert_status(404);
    for id in ["x", "%20", "custom", "39b1e189"] {
        let path = format!("/api/v2/notifications/templates/{id}/method");
        app.put(&path, to("smtp")).await.assert_status(400);
    }
}

#[tokio::test]
async fn others_cannot_find_out_whether_a_template_exists() {
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Owner) {
        let mut app = TestApp::signed_in_as(role);
        for (path, body) in [
            (path(), to("smtp")),
            (path(), to("pigeon")),
            (
                "/api/v2/notifications/templates/x/method".to_owned(),
                to("smtp"),
            ),
        ] {
            app.put(&path, body).await.assert_status(404);
        }
    }
}

#[tokio::test]
async fn a_concurrently_deleted_template_is_not_found() {
    let mut app = app(None);
    app.notifications
        .expect_set_template_method()
        .return_once(|_, _, _| Ok(None));
    app.put(&path(), to("smtp")).await.assert_status(404);
}

#[tokio::test]
async fn templates_cannot_be_listed_together_or_created() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.get("/api/v2/notifications/templates")
        .await
        .assert_status(404);
    let answer = app
        .post("/api/v2/notifications/templates/custom", json!({}))
        .await;
    answer.assert_status(405);
    assert_eq!(answer.text, "");
}
