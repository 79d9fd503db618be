//! `/notifications/inbox`.

use http::Method;
use serde_json::{Value, json};
use usher_domain::{
    UserId,
    notification::{InboxFilter, InboxNotification, ReadStatus},
};
use uuid::Uuid;

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, Role, TOKEN, now},
    stores::message,
};

const INBOX: &str = "/api/v2/notifications/inbox";
const ALL_READ: &str = "/api/v2/notifications/inbox/mark-all-as-read";
const ID: Uuid = Uuid::from_u128(0x1b);
const ONE: Uuid = Uuid::from_u128(1);
const TWO: Uuid = Uuid::from_u128(2);

fn path(id: impl std::fmt::Display) -> String {
    format!("{INBOX}/{id}/read-status")
}

fn read(is_read: bool) -> Value {
    json!({ "is_read": is_read })
}

fn message_of(user_id: UserId) -> InboxNotification {
    InboxNotification {
        user_id,
        ..message(ID)
    }
}

/// The inbox contains these messages.
fn app(messages: Vec<InboxNotification>, unread: u64) -> TestApp {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.notifications
        .expect_list_inbox()
        .withf(|user, _| *user == CALLER)
        .return_once(move |_, _| Ok((messages, unread)));
    app
}

#[tokio::test]
async fn an_empty_inbox_is_an_empty_list() {
    let answer = app(vec![], 0).get(INBOX).await;
    answer.assert_status(200);
    assert_eq!(answer.json, json!({"notifications": [], "unread_count": 0}));
}

#[tokio::test]
async fn messages_are_listed_with_the_unread_count() {
    let plain = InboxNotification {
        actions: Value::Null,
        icon: "/tea.png".into(),
        ..message_of(CALLER)
    };
    let about = InboxNotification {
        targets: Some(vec![ONE, TWO]),
        actions: json!([]),
        read_at: Some(now()),
        ..message_of(CALLER)
    };

    let answer = app(vec![message_of(CALLER), plain, about], 40)
        .get(INBOX)
        .await;

    answer.assert_status(200);
    assert_eq!(answer.json["unread_count"], 40);
    assert_eq!(
        answer.json["notifications"][0],
        json!({
            "id": ID,
            "user_id": CALLER.0,
            "template_id": message(ID).template_id,
            "targets": null,
            "title": "Tea",
            "content": "It is ready.",
            "icon": "DEFAULT_ICON_OTHER",
            "actions": [{"label": "Drink", "url": "https://tea.example"}],
            "read_at": null,
            "created_at": "2026-01-02T03:04:05.678901Z",
        })
    );
    assert_eq!(answer.json["notifications"][1]["actions"], Value::Null);
    assert_eq!(answer.json["notifications"][1]["icon"], "/tea.png");
    assert_eq!(answer.json["notifications"][2]["actions"], json!([]));
    assert_eq!(
        answer.json["notifications"][2]["targets"],
        json!([ONE, TWO])
    );
    assert_eq!(
        answer.json["notifications"][2]["read_at"],
        "2026-01-02T03:04:05.678901Z"
    );
}

#[tokio::test]
async fn a_message_without_an_icon_gets_that_of_its_group() {
    for (group, icon) in [
        ("Workspace Events", "DEFAULT_ICON_WORKSPACE"),
        ("User Events", "DEFAULT_ICON_ACCOUNT"),
        ("Template Events", "DEFAULT_ICON_TEMPLATE"),
        ("Task Events", "DEFAULT_ICON_OTHER"),
        ("", "DEFAULT_ICON_OTHER"),
    ] {
        let message = InboxNotification {
            group: group.into(),
            ..message_of(CALLER)
        };
        let answer = app(vec![message], 1).get(INBOX).await;
        assert_eq!(answer.json["notifications"][0]["icon"], icon, "{group}");
    }
}

#[tokio::test]
async fn filters_are_passed_to_the_store() {
    let nothing = InboxFilter::default();
    for (query, filter) in [
        (String::new(), nothing.clone()),
        (
            "?targets=&templates=&read_status=&starting_before=".into(),
            nothing.clone(),
        ),
        ("?read_status=all".into(), nothing.clone()),
        (
            "?read_status=unread".into(),
            InboxFilter {
                read_status: ReadStatus::Unread,
                ..nothing.clone()
            },
        ),
        (
            "?read_status=read".into(),
            InboxFilter {
                read_status: ReadStatus::Read,
                ..nothing.clone()
            },
        ),
        (
            format!("?targets={ONE},{TWO}"),
            InboxFilter {
                targets: vec![ONE, TWO],
                ..nothing.clone()
            },
        ),
        (
            format!("?templates={TWO}&starting_before={ONE}"),
            InboxFilter {
                templates: vec![TWO],
                starting_before: Some(ONE),
                ..nothing
            },
        ),
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        app.notifications
            .expect_list_inbox()
            .withf(move |user, given| *user == CALLER && *given == filter)
            .times(1)
            .return_once(|_, _| Ok((vec![], 0)));
        app.get(&format!("{INBOX}{query}")).await.assert_status(200);
    }
}

#[tokio::test]
async fn invalid_parameters_are_reported_in_order() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for (query, faults) in [
        ("targets=x", &["targets"][..]),
        ("starting_before=x", &["starting_before"]),
        (
            "b=1&starting_before=x&templates=x&a=2&targets=x",
            &["targets", "templates", "starting_before", "b", "a"],
        ),
        ("limit=1", &["limit"]),
        ("READ_STATUS=all", &["READ_STATUS"]),
        ("read_status=x&targets=x", &["targets"]),
        ("read_status=x", &[]),
        ("read_status=Unread", &[]),
    ] {
        let answer = app.get(&format!("{INBOX}?{query}")).await;
        answer.assert_faults(faults);
    }
    let one_bad = format!("{INBOX}?targets={ONE},x");
    app.get(&one_bad).await.assert_faults(&["targets"]);
}

#[tokio::test]
async fn a_credential_in_the_query_is_not_a_filter() {
    let mut app = app(vec![], 0);
    app.sessions
        .expect_find_credential()
        .returning(|_| Ok(Some(crate::people::credential(Role::Member))));
    let path = format!("{INBOX}?coder_session_token={TOKEN}");
    app.bare(Method::GET, &path, &[]).await.assert_status(200);
}

#[tokio::test]
async fn marking_a_message_as_read_sets_its_time_and_as_unread_clears_it() {
    for (body, read_at) in [
        (read(true), Some(now())),
        (read(false), None),
        (json!({}), None),
        (json!({"is_read": null}), None),
        (Value::Null, None),
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        app.notifications
            .expect_find_inbox_notification()
            .withf(|id| *id == ID)
            .return_once(|_| Ok(Some(message_of(CALLER))));
        app.notifications
            .expect_set_inbox_read()
            .withf(move |id, at| *id == ID && *at == read_at)
            .times(1)
            .return_once(|_, read_at| {
                Ok(Some(InboxNotification {
                    read_at,
                    ..message_of(CALLER)
                }))
            });
        app.notifications
            .expect_count_unread()
            .withf(|user| *user == CALLER)
            .return_once(|_| Ok(7));

        let answer = app.put(&path(ID), body).await;

        answer.assert_status(200);
        assert_eq!(answer.json["unread_count"], 7);
        assert_eq!(answer.json["notification"]["id"], json!(ID));
        assert_eq!(
            answer.json["notification"]["read_at"].is_string(),
            read_at.is_some()
        );
    }
}

#[tokio::test]
async fn owners_may_mark_messages_of_others_and_get_their_own_unread_count() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.notifications
            .expect_find_inbox_notification()
            .return_once(|_| Ok(Some(message_of(ALICE))));
        if role == Role::Owner {
            app.notifications
                .expect_set_inbox_read()
                .return_once(|_, _| Ok(Some(message_of(ALICE))));
            app.notifications
                .expect_count_unread()
                .withf(|user| *user == CALLER)
                .return_once(|_| Ok(0));
        }
        app.put(&path(ID), read(true))
            .await
            .assert_status(if role == Role::Owner { 200 } else { 404 });
    }
}

#[tokio::test]
async fn messages_of_others_are_reported_as_missing() {
    let answer_about = |message: Option<InboxNotification>| async move {
        let mut app = TestApp::signed_in_as(Role::UserAdmin);
        app.notifications
            .expect_find_inbox_notification()
            .return_once(|_| Ok(message));
        app.put(&path(ID), read(true)).await
    };
    let unknown = answer_about(None).await;
    unknown.assert_status(404);
    let other_users = answer_about(Some(message_of(ALICE))).await;
    assert_eq!(unknown.text, other_users.text);
}

#[tokio::test]
async fn a_concurrently_deleted_message_is_not_found() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.notifications
        .expect_find_inbox_notification()
        .return_once(|_| Ok(Some(message_of(CALLER))));
    app.notifications
        .expect_set_inbox_read()
        .return_once(|_, _| Ok(None));
    app.put(&path(ID), read(true)).await.assert_status(404);
}

#[tokio::test]
async fn a_message_id_must_be_a_uuid() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for id in ["x", "%20", "0", "00000000-0000-0000-0000-00000000001"] {
        app.put(&path(id), read(true)).await.assert_status(400);
    }
    app.send(Method::PUT, &path(ID), "{")
        .await
        .assert_status(400);
    app.put(&path(ID), json!({"is_read": "true"}))
        .await
        .assert_status(400);
}

#[tokio::test]
async fn users_may_mark_all_messages_as_read_and_the_body_is_ignored() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.notifications
            .expect_set_all_inbox_read()
            .withf(|user, at| *user == CALLER && *at == now())
            .times(1)
            .return_once(|_, _| Ok(()));
        let answer = app.send(Method::PUT, ALL_READ, "{").await;
        answer.assert_status(204);
        assert_eq!(answer.text, "");
    }
}

#[tokio::test]
async fn an_allow_list_must_contain_inbox_messages() {
    let mut app = TestApp::with_allow_list(Role::Owner, &["user:*"]);
    app.notifications
        .expect_find_inbox_notification()
        .returning(|_| Ok(Some(message_of(CALLER))));
    app.get(INBOX).await.assert_status(403);
    app.call(Method::PUT, ALL_READ).await.assert_status(403);
    app.put(&path(ID), read(true)).await.assert_status(404);

    let mut app = TestApp::with_allow_list(Role::Member, &["inbox_notification:*"]);
    app.notifications
        .expect_list_inbox()
        .return_once(|_, _| Ok((vec![], 0)));
    app.get(INBOX).await.assert_status(200);
}
