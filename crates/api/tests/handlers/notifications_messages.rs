//! `POST /notifications/test` and `/notifications/custom`.

use http::Method;
use serde_json::{Value, json};
use usher_domain::notification::{CUSTOM, Recipients, TROUBLESHOOTING};

use crate::{
    app::TestApp,
    people::{CALLER, Role, now},
};

const TEST: &str = "/api/v2/notifications/test";
const OWN: &str = "/api/v2/notifications/custom";

fn content(title: impl Into<Value>, message: impl Into<Value>) -> Value {
    json!({"content": {"title": title.into(), "message": message.into()}})
}

/// Expects one message to the caller with this text.
fn expect_message(app: &mut TestApp, title: &str, message: &str) {
    let labels = vec![
        ("custom_title", title.to_owned()),
        ("custom_message", message.to_owned()),
    ];
    app.notifications
        .expect_enqueue_notifications()
        .withf(move |messages, at| {
            let [message] = &messages[..] else {
                return false;
            };
            message.template_id == CUSTOM
                && message.recipients == Recipients::User(CALLER)
                && message.labels == labels
                && message.targets.is_empty()
                && *at == now()
        })
        .times(1)
        .return_once(|_, _| Ok(()));
}

#[tokio::test]
async fn an_owner_may_send_a_test_message_and_the_body_is_ignored() {
    for body in ["", "{", "{}"] {
        let mut app = TestApp::signed_in_as(Role::Owner);
        app.notifications
            .expect_enqueue_notifications()
            .withf(|messages, at| {
                messages.len() == 1
                    && messages[0].template_id == TROUBLESHOOTING
                    && messages[0].recipients == Recipients::User(CALLER)
                    && messages[0].targets.is_empty()
                    && *at == now()
            })
            .times(1)
            .return_once(|_, _| Ok(()));
        let answer = app.send(Method::POST, TEST, body).await;
        answer.assert_status(204);
        assert_eq!(answer.text, "");
    }
}

#[tokio::test]
async fn others_may_not_send_test_messages() {
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Owner) {
        let mut app = TestApp::signed_in_as(role);
        app.post(TEST, json!({})).await.assert_status(403);
    }
}

#[tokio::test]
async fn users_may_send_messages_to_themselves() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        expect_message(&mut app, " Tea ", "It is\n<b>ready</b>.");
        let answer = app
            .post(OWN, content(" Tea ", "It is\n<b>ready</b>."))
            .await;
        answer.assert_status(204);
        assert_eq!(answer.text, "");
    }
}

#[tokio::test]
async fn length_is_counted_in_bytes_including_whitespace() {
    let longest = ("ä".repeat(60), "ä".repeat(1_000));
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_message(&mut app, &longest.0, &longest.1);
    app.post(OWN, content(longest.0, longest.1))
        .await
        .assert_status(204);
    for (title, message, field) in [
        ("x".repeat(121), "x".to_owned(), "title"),
        ("ä".repeat(60) + " ", "x".to_owned(), "title"),
        ("x".to_owned(), "x".repeat(2_001), "message"),
        ("x".repeat(121), "x".repeat(2_001), "title"),
    ] {
        let answer = app.post(OWN, content(title, message)).await;
        answer.assert_faults(&[]);
        assert_eq!(answer.message(), "Invalid request body");
        assert!(answer.detail().contains(field), "{answer:?}");
    }
}

#[tokio::test]
async fn empty_texts_are_reported_before_long_ones() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for body in [
        json!({}),
        Value::Null,
        json!({"content": null}),
        json!({"content": {}}),
        content("", "x"),
        content("x", ""),
        content(" \n\t", "x"),
        content("x", " "),
        content(Value::Null, "x"),
        content("x".repeat(121), " "),
        content(" ".repeat(121), "x"),
    ] {
        let answer = app.post(OWN, body).await;
        answer.assert_faults(&[]);
        assert_eq!(answer.message(), "Invalid request body");
    }
}

#[tokio::test]
async fn the_content_must_be_an_object() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for body in [
        json!({"content": "x"}),
        json!({"content": []}),
        json!({"content": ["Tea", "It is ready."]}),
        json!({"content": 1}),
        content(1, "x"),
    ] {
        let answer = app.post(OWN, body).await;
        answer.assert_faults(&[]);
        assert_ne!(answer.message(), "Invalid request body");
    }
    app.send(Method::POST, OWN, "").await.assert_faults(&[]);
}

#[tokio::test]
async fn field_names_of_the_content_are_case_insensitive() {
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_message(&mut app, "Tea", "ready");
    let body = json!({"Content": {"Title": "Tea", "MESSAGE": "ready"}});
    app.post(OWN, body).await.assert_status(204);
}

#[tokio::test]
async fn a_key_needs_permission_to_send_and_validation_comes_first() {
    let mut app = TestApp::with_scopes(Role::Owner, &["api_key:*"]);
    app.post(OWN, content("", "")).await.assert_status(400);
    app.post(OWN, content("Tea", "ready"))
        .await
        .assert_status(403);
    app.post(TEST, json!({})).await.assert_status(403);
}
