use chrono::TimeDelta;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use usher_domain::{
    UserId,
    notification::{
        CUSTOM, Delivery, NewNotification, NotificationMethod, ONE_TIME_PASSCODE, Recipients,
        TROUBLESHOOTING, USER_ACCOUNT_CREATED,
    },
};
use usher_store::{NotificationStore, UserStore};
use uuid::Uuid;

use super::{super::enqueue::InsertMessages, MAIL, message, methods, outbox};
use crate::{
    PgError,
    testing::{
        TestStore, command_line, now,
        plan::{Explain, assert_uses_an_index},
        run_concurrently,
    },
};

/// Disabled unless a user enables it.
const TASK_IDLE: Uuid = Uuid::from_u128(0xd4a6_271c_cced_4ed0_84ad_afd0_2a9c_7799);

async fn enqueue(store: &TestStore, message: NewNotification) {
    let enqueued = store.enqueue_notifications(vec![message], now()).await;
    enqueued.unwrap();
}

#[tokio::test]
async fn a_message_waits_for_the_inbox_and_the_way_of_the_deployment() {
    let store = TestStore::new().await.delivering(MAIL);
    let ada = store.add_user("ada").await;
    let target = Uuid::from_u128(7);
    let new = NewNotification {
        labels: vec![("custom_title", "Lunch".to_owned()), ("n", "1".to_owned())],
        targets: vec![target],
        ..message(CUSTOM, ada.id)
    };

    enqueue(&store, new).await;

    let rows = outbox(&store).await;
    assert_eq!(rows.len(), 2);
    for (row, method) in rows.iter().zip(["inbox", "smtp"]) {
        assert_eq!(row["method"], method);
        assert_eq!(row["notification_template_id"], CUSTOM.to_string());
        assert_eq!(row["user_id"], ada.id.to_string());
        assert_eq!(row["status"], "pending");
        assert_eq!(row["created_by"], "tests");
        assert_eq!(
            row["payload"],
            json!({"labels": {"custom_title": "Lunch", "n": "1"}})
        );
        assert_eq!(row["targets"], json!([target]));
        assert_eq!(row["created_at"], "2026-03-04T05:06:07.123456+00:00");
        assert_eq!(row["attempt_count"], 0);
    }
}

#[tokio::test]
async fn a_message_about_nothing_has_no_targets() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;

    enqueue(&store, message(CUSTOM, ada.id)).await;

    assert_eq!(outbox(&store).await[0]["targets"], json!(null));
}

#[tokio::test]
async fn the_way_of_the_template_comes_before_that_of_the_deployment() {
    let both = Delivery {
        smtp: true,
        webhook: true,
        default: NotificationMethod::Smtp,
    };
    let webhook_only = Delivery {
        smtp: false,
        ..both
    };
    let by_webhook = Delivery {
        default: NotificationMethod::Webhook,
        ..both
    };
    for (delivery, of_template, expected) in [
        (Delivery::default(), None, &["inbox"][..]),
        (both, None, &["inbox", "smtp"]),
        (by_webhook, None, &["inbox", "webhook"]),
        (webhook_only, None, &["inbox"]),
        (
            both,
            Some(NotificationMethod::Webhook),
            &["inbox", "webhook"],
        ),
        (MAIL, Some(NotificationMethod::Webhook), &["inbox"]),
        (both, Some(NotificationMethod::Inbox), &["inbox"]),
    ] {
        let store = TestStore::new().await.delivering(delivery);
        let ada = store.add_user("ada").await;
        if let Some(method) = of_template {
            let set = store
                .set_template_method(CUSTOM, method, &command_line())
                .await;
            set.unwrap();
        }

        enqueue(&store, message(CUSTOM, ada.id)).await;

        assert_eq!(
            methods(&store).await,
            expected,
            "{delivery:?} {of_template:?}"
        );
    }
}

#[tokio::test]
async fn a_passcode_never_goes_to_the_inbox() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    enqueue(&store, message(ONE_TIME_PASSCODE, ada.id)).await;
    assert_eq!(methods(&store).await, [""; 0]);

    let store = store.delivering(MAIL);
    enqueue(&store, message(ONE_TIME_PASSCODE, ada.id)).await;
    assert_eq!(methods(&store).await, ["smtp"]);

    let set = store
        .set_template_method(
            ONE_TIME_PASSCODE,
            NotificationMethod::Inbox,
            &command_line(),
        )
        .await;
    set.unwrap();
    enqueue(&store, message(ONE_TIME_PASSCODE, ada.id)).await;
    assert_eq!(methods(&store).await, ["smtp"]);
}

#[tokio::test]
async fn who_does_not_want_it_gets_none() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let id = ada.id;
    let said = async |template, is_disabled| {
        let said = vec![(template, is_disabled)];
        let set = store.set_notification_preferences(id, said, now()).await;
        set.unwrap();
    };

    enqueue(&store, message(TASK_IDLE, id)).await;
    said(CUSTOM, true).await;
    enqueue(&store, message(CUSTOM, id)).await;
    assert_eq!(methods(&store).await, [""; 0]);

    said(TASK_IDLE, false).await;
    enqueue(&store, message(TASK_IDLE, id)).await;
    assert_eq!(methods(&store).await, ["inbox"]);
    said(CUSTOM, false).await;
    enqueue(&store, message(CUSTOM, id)).await;
    assert_eq!(methods(&store).await, ["inbox", "inbox"]);
}

#[tokio::test]
async fn deleted_and_missing_users_get_no_messages() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    store
        .delete_user(ada.id, false, &command_line())
        .await
        .unwrap();
    let prebuilds = "SELECT id FROM users WHERE is_system";
    let system: Uuid = store.value(prebuilds).await.parse().unwrap();

    for id in [ada.id, UserId(Uuid::nil()), UserId(system)] {
        enqueue(&store, message(CUSTOM, id)).await;
    }
    enqueue(&store, message(Uuid::nil(), ada.id)).await;

    assert_eq!(methods(&store).await, [""; 0]);
}

#[tokio::test]
async fn what_was_said_on_the_same_day_is_not_said_again() {
    let store = TestStore::new().await.delivering(MAIL);
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let base = NewNotification {
        labels: vec![("username", "eve".to_owned())],
        targets: vec![Uuid::from_u128(7)],
        ..message(USER_ACCOUNT_CREATED, ada.id)
    };
    let count = async || methods(&store).await.len();
    let enqueue = async |new: &NewNotification, at| {
        let enqueued = store.enqueue_notifications(vec![new.clone()], at).await;
        enqueued.unwrap();
    };

    enqueue(&base, now()).await;
    enqueue(&base, now() + TimeDelta::hours(18)).await;
    assert_eq!(count().await, 2);

    // 5:06 and 23:06 are one day, wherever the server is.
    enqueue(&base, now() + TimeDelta::hours(19)).await;
    assert_eq!(count().await, 4);
    let to_another = NewNotification {
        recipients: Recipients::User(bob.id),
        ..base.clone()
    };
    let of_another = NewNotification {
        targets: vec![Uuid::from_u128(8)],
        ..base.clone()
    };
    let other_labels = NewNotification {
        labels: vec![("username", "mal".to_owned())],
        ..base
    };
    for new in [to_another, of_another, other_labels] {
        enqueue(&new, now()).await;
        enqueue(&new, now()).await;
    }
    assert_eq!(count().await, 10);
}

#[tokio::test]
async fn what_is_waited_for_is_said_each_time() {
    let store = TestStore::new().await.delivering(MAIL);
    let ada = store.add_user("ada").await;

    for template in [CUSTOM, TROUBLESHOOTING, ONE_TIME_PASSCODE] {
        for _ in 0..2 {
            enqueue(&store, message(template, ada.id)).await;
        }
    }

    assert_eq!(methods(&store).await.len(), 10);
    let hashes = "SELECT count(dedupe_hash) FROM notification_messages";
    assert_eq!(store.value(hashes).await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_is_said_once_however_many_say_it_at_once() {
    let store = TestStore::with(|options| options.max_connections = 16)
        .await
        .delivering(MAIL);
    let ada = store.add_user("ada").await;
    let tasks = (0..16).map(|_| {
        let (store, id) = (store.share(), ada.id);
        async move {
            let new = message(USER_ACCOUNT_CREATED, id);
            store.enqueue_notifications(vec![new], now()).await
        }
    });

    for result in run_concurrently(tasks).await {
        result.unwrap();
    }

    assert_eq!(methods(&store).await, ["inbox", "smtp"]);
}

#[tokio::test]
async fn messages_of_one_call_are_put_in_together_or_not_at_all() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let sql = format!(
        "ALTER TABLE notification_messages ADD CHECK (user_id <> '{}')",
        bob.id
    );
    store.sql(&sql).await;
    let both = vec![message(CUSTOM, ada.id), message(CUSTOM, bob.id)];

    let enqueued = store.enqueue_notifications(both, now()).await;

    assert!(enqueued.is_err());
    assert_eq!(methods(&store).await, [""; 0]);
}

const LOAD: &str = "
INSERT INTO users (id, email, username, rbac_roles, hashed_password, created_at, updated_at)
SELECT gen_random_uuid(), 'mail' || n, 'user-' || n,
       CASE WHEN n % 1000 = 0 THEN '{owner}' WHEN n % 100 = 0 THEN '{auditor}' ELSE '{}' END::text[],
       '', now(), now()
FROM generate_series(1, 100000) n;
";

#[tokio::test]
async fn receivers_are_found_by_an_index_at_a_hundred_thousand_users() {
    let store = TestStore::new().await;
    store.sql(LOAD).await;
    store.sql("VACUUM ANALYZE users").await;
    for recipients in [
        Recipients::UserManagers,
        Recipients::User(UserId(Uuid::nil())),
    ] {
        let message = NewNotification {
            template_id: USER_ACCOUNT_CREATED,
            recipients,
            labels: Vec::new(),
            targets: Vec::new(),
            created_by: "tests",
        };
        let explain = async |conn: &mut AsyncPgConnection| -> Result<Value, PgError> {
            let statement = InsertMessages::new(MAIL, &message, now());
            Ok(Explain(statement).get_result(conn).await?)
        };
        let plan = store.share().pool.read(explain).await.unwrap();
        assert_uses_an_index("users", &format!("{recipients:?}"), &plan);
    }
}
