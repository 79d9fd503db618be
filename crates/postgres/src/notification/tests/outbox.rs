use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::time::timeout;
use usher_domain::{
    User, UserId,
    notification::{
        CUSTOM, InboxFilter, NewNotification, NotificationMethod, NotifierSettings,
        ONE_TIME_PASSCODE, Recipients, USER_ACCOUNT_CREATED,
    },
};
use usher_store::{NotificationStore, OutboxMessage, OutboxStore, RenderedNotification, UserStore};
use uuid::Uuid;

use super::{MAIL, message, outbox};
use crate::{
    PgOptions, PgStore,
    testing::{TestStore, command_line, now, run_concurrently},
};

const WORKER: Uuid = Uuid::from_u128(1);
const OTHER_WORKER: Uuid = Uuid::from_u128(2);

fn a_minute() -> TimeDelta {
    TimeDelta::minutes(1)
}

fn rendered() -> RenderedNotification {
    RenderedNotification {
        title: "Lunch".to_owned(),
        content: "Soup is ready".to_owned(),
        actions: vec![("Eat".to_owned(), "https://example.com/eat".to_owned())],
    }
}

async fn lease(store: &TestStore, worker: Uuid, at: DateTime<Utc>) -> Vec<OutboxMessage> {
    let leased = store.lease_messages(worker, 10, a_minute(), at).await;
    leased.unwrap()
}

/// A store with a user and as many messages for their inbox.
async fn with_messages(count: usize) -> (TestStore, User) {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let messages = vec![message(CUSTOM, ada.id); count];
    store.enqueue_notifications(messages, now()).await.unwrap();
    (store, ada)
}

async fn inbox_len(store: &TestStore, user: UserId) -> usize {
    let listed = store.list_inbox(user, InboxFilter::default()).await;
    listed.unwrap().0.len()
}

#[tokio::test]
async fn a_leased_message_comes_with_all_that_it_takes_to_write_it_out() {
    let store = TestStore::new().await.delivering(MAIL);
    let ada = store.add_user("ada").await;
    let target = Uuid::from_u128(7);
    let new = NewNotification {
        labels: vec![("initiator", "eve".to_owned())],
        targets: vec![target],
        ..message(USER_ACCOUNT_CREATED, ada.id)
    };
    store.enqueue_notifications(vec![new], now()).await.unwrap();
    store.sql("UPDATE users SET name = 'Ada L'").await;

    let leased = lease(&store, WORKER, now()).await;

    assert_eq!(leased.len(), 2);
    let methods: HashSet<_> = leased.iter().map(|message| message.method).collect();
    assert!(methods.contains(&NotificationMethod::Smtp));
    assert!(methods.contains(&NotificationMethod::Inbox));
    let template = store.find_template(USER_ACCOUNT_CREATED).await;
    let template = template.unwrap().unwrap();
    for message in leased {
        assert_eq!(message.template, template);
        assert_eq!(message.user_id, ada.id);
        assert_eq!(message.username, "ada");
        assert_eq!(message.name, "Ada L");
        assert_eq!(message.email, "ada@example.com");
        assert_eq!(message.labels, [("initiator".to_owned(), "eve".to_owned())]);
        assert_eq!(message.targets, [target]);
        assert_eq!((message.attempts, message.created_at), (0, now()));
    }
    for row in outbox(&store).await {
        assert_eq!(row["status"], "leased");
        assert_eq!(row["leased_by"], WORKER.to_string());
        assert_eq!(row["leased_until"], "2026-03-04T05:07:07.123456+00:00");
        assert_eq!(row["attempt_count"], 1);
    }
}

#[tokio::test]
async fn messages_are_leased_in_their_order_up_to_the_limit_and_not_before_their_time() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    for second in [3, 1, 2, 9] {
        let at = now() + TimeDelta::seconds(second);
        let new = vec![message(CUSTOM, ada.id)];
        store.enqueue_notifications(new, at).await.unwrap();
    }
    let at = now() + TimeDelta::seconds(5);
    let seconds = async |worker| {
        let leased = store.lease_messages(worker, 2, a_minute(), at).await;
        let since = |message: OutboxMessage| (message.created_at - now()).num_seconds();
        leased.unwrap().into_iter().map(since).collect::<Vec<_>>()
    };

    assert_eq!(seconds(WORKER).await, [1, 2]);
    assert_eq!(seconds(OTHER_WORKER).await, [3]);
    assert_eq!(seconds(WORKER).await, [0; 0]);
}

#[tokio::test]
async fn a_lease_that_ended_makes_the_message_due_for_anybody() {
    let (store, _) = with_messages(1).await;
    let first = lease(&store, WORKER, now()).await;
    let end = now() + a_minute();
    let before = end - TimeDelta::microseconds(1);
    assert_eq!(lease(&store, OTHER_WORKER, before).await, []);

    let second = lease(&store, OTHER_WORKER, end).await;

    assert_eq!(second.len(), 1);
    assert_eq!((second[0].id, second[0].attempts), (first[0].id, 1));
    // The first worker has lost its lease, and the second holds it.
    let id = first[0].id;
    assert_eq!(store.mark_sent(WORKER, id, end).await.unwrap(), None);
    let delivered = store.deliver_to_inbox(WORKER, id, rendered(), end).await;
    assert_eq!(delivered.unwrap(), None);
    let failed = store.mark_failed(WORKER, id, "late", None, end).await;
    assert_eq!(failed.unwrap(), None);
    assert_eq!(outbox(&store).await[0]["status"], "leased");
    let sent = store.mark_sent(OTHER_WORKER, id, end).await;
    assert_eq!(sent.unwrap(), Some(()));
}

#[tokio::test]
async fn nothing_is_leased_while_the_notifier_is_paused() {
    let (store, _) = with_messages(1).await;
    for (is_paused, leased) in [(true, 0), (false, 1)] {
        store
            .set_notifier_settings(NotifierSettings { is_paused }, &command_line())
            .await
            .unwrap();
        assert_eq!(lease(&store, WORKER, now()).await.len(), leased);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_at_once_take_different_messages() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    let ada = store.add_user("ada").await;
    let messages = vec![message(CUSTOM, ada.id); 100];
    store.enqueue_notifications(messages, now()).await.unwrap();
    let tasks = (0..8_u128).map(|worker| {
        let store = store.share();
        async move {
            let mut taken = Vec::new();
            for _ in 0..10 {
                let worker = Uuid::from_u128(worker);
                let leased = store.lease_messages(worker, 7, a_minute(), now()).await;
                taken.extend(leased.unwrap().into_iter().map(|message| message.id));
            }
            taken
        }
    });

    let taken = run_concurrently(tasks).await.concat();

    assert_eq!(taken.len(), 100);
    assert_eq!(taken.into_iter().collect::<HashSet<_>>().len(), 100);
    let attempts = "SELECT DISTINCT attempt_count FROM notification_messages";
    assert_eq!(store.column(attempts).await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_comes_to_the_inbox_once_however_often_it_is_delivered() {
    let store = TestStore::with(|options| options.max_connections = 16).await;
    let ada = store.add_user("ada").await;
    let new = vec![message(CUSTOM, ada.id); 3];
    store.enqueue_notifications(new, now()).await.unwrap();
    // Two workers believe that each message is theirs, since the lease of the first ended.
    let first = lease(&store, WORKER, now()).await;
    let later = now() + a_minute();
    let second = lease(&store, OTHER_WORKER, later).await;
    assert_eq!((first.len(), second.len()), (3, 3));
    let held = first.iter().map(|message| (WORKER, message.id));
    let held = held.chain(second.iter().map(|message| (OTHER_WORKER, message.id)));
    let held: Vec<_> = held.cycle().take(24).collect();
    let tasks = held.into_iter().map(|(worker, id)| {
        let store = store.share();
        async move { store.deliver_to_inbox(worker, id, rendered(), later).await }
    });

    let results = run_concurrently(tasks).await;

    let delivered = results
        .into_iter()
        .filter(|result| result.as_ref().unwrap().is_some());
    assert_eq!(delivered.count(), 3);
    assert_eq!(inbox_len(&store, ada.id).await, 3);
}

#[tokio::test]
async fn a_delivered_message_is_in_the_inbox_as_it_was_written_out() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let about = NewNotification {
        targets: vec![Uuid::from_u128(7)],
        ..message(CUSTOM, ada.id)
    };
    let messages = vec![message(CUSTOM, ada.id), about];
    store.enqueue_notifications(messages, now()).await.unwrap();
    let at = now() + TimeDelta::seconds(5);

    for leased in lease(&store, WORKER, now()).await {
        let delivered = store.deliver_to_inbox(WORKER, leased.id, rendered(), at);
        assert_eq!(delivered.await.unwrap(), Some(()));
    }

    let listed = store.list_inbox(ada.id, InboxFilter::default()).await;
    let (listed, unread) = listed.unwrap();
    assert_eq!((listed.len(), unread), (2, 2));
    for message in &listed {
        assert_eq!(message.template_id, CUSTOM);
        assert_eq!(message.title, "Lunch");
        assert_eq!(message.content, "Soup is ready");
        assert_eq!(message.icon, "");
        assert_eq!(
            message.actions,
            json!([{"label": "Eat", "url": "https://example.com/eat"}])
        );
        assert_eq!((message.read_at, message.created_at), (None, at));
    }
    let targets: Vec<_> = listed.into_iter().map(|message| message.targets).collect();
    assert!(targets.contains(&None));
    assert!(targets.contains(&Some(vec![Uuid::from_u128(7)])));
    for row in outbox(&store).await {
        assert_eq!(row["status"], "sent");
        assert_eq!(row["due_at"], json!(null));
    }
}

#[tokio::test]
async fn a_message_that_does_not_reach_the_inbox_is_not_sent() {
    let (store, ada) = with_messages(1).await;
    let leased = lease(&store, WORKER, now()).await;
    store
        .sql("ALTER TABLE inbox_notifications ADD CHECK (title = '')")
        .await;

    let delivered = store.deliver_to_inbox(WORKER, leased[0].id, rendered(), now());

    assert!(delivered.await.is_err());
    assert_eq!(outbox(&store).await[0]["status"], "leased");
    assert_eq!(inbox_len(&store, ada.id).await, 0);
}

#[tokio::test]
async fn what_goes_by_mail_is_not_put_into_the_inbox() {
    let store = TestStore::new().await.delivering(MAIL);
    let ada = store.add_user("ada").await;
    let new = vec![message(ONE_TIME_PASSCODE, ada.id)];
    store.enqueue_notifications(new, now()).await.unwrap();
    let leased = lease(&store, WORKER, now()).await;

    let delivered = store.deliver_to_inbox(WORKER, leased[0].id, rendered(), now());

    assert_eq!(delivered.await.unwrap(), None);
    assert_eq!(inbox_len(&store, ada.id).await, 0);
}

#[tokio::test]
async fn a_failed_message_is_tried_again_when_it_is_time() {
    let (store, _) = with_messages(1).await;
    let id = lease(&store, WORKER, now()).await[0].id;
    let retry_at = now() + TimeDelta::minutes(5);

    let failed = store.mark_failed(WORKER, id, "no answer", Some(retry_at), now());
    assert_eq!(failed.await.unwrap(), Some(()));

    let row = &outbox(&store).await[0];
    assert_eq!(row["status"], "temporary_failure");
    assert_eq!(row["status_reason"], "no answer");
    // It was let go, so that nothing more can be said of it.
    let again = store.mark_failed(WORKER, id, "no answer", None, now());
    assert_eq!(again.await.unwrap(), None);
    let before = retry_at - TimeDelta::microseconds(1);
    assert_eq!(lease(&store, WORKER, before).await, []);
    let leased = lease(&store, WORKER, retry_at).await;
    assert_eq!(leased[0].attempts, 1);
    store.mark_sent(WORKER, id, retry_at).await.unwrap();
    let row = &outbox(&store).await[0];
    assert_eq!(
        (&row["status"], &row["status_reason"]),
        (&json!("sent"), &json!(null))
    );
}

#[tokio::test]
async fn a_message_that_is_given_up_is_not_tried_again() {
    let (store, _) = with_messages(1).await;
    let id = lease(&store, WORKER, now()).await[0].id;

    let failed = store.mark_failed(WORKER, id, "no such mailbox", None, now());

    assert_eq!(failed.await.unwrap(), Some(()));
    let row = &outbox(&store).await[0];
    assert_eq!(row["status"], "permanent_failure");
    assert_eq!(row["status_reason"], "no such mailbox");
    let years_later = now() + TimeDelta::days(1000);
    assert_eq!(lease(&store, WORKER, years_later).await, []);
}

#[tokio::test]
async fn a_passcode_is_wiped_once_it_is_sent_or_given_up() {
    let passcode = NewNotification {
        labels: vec![
            ("one_time_passcode", "let-me-in".to_owned()),
            ("other", "stays".to_owned()),
        ],
        ..message(ONE_TIME_PASSCODE, UserId(Uuid::nil()))
    };
    for end in ["sent", "given up", "turned off"] {
        let store = TestStore::new().await.delivering(MAIL);
        let user_id = store.add_user("ada").await.id;
        let new = NewNotification {
            recipients: Recipients::User(user_id),
            ..passcode.clone()
        };
        store.enqueue_notifications(vec![new], now()).await.unwrap();
        let leased = lease(&store, WORKER, now()).await;
        let id = leased[0].id;
        assert!(
            leased[0]
                .labels
                .contains(&("one_time_passcode".to_owned(), "let-me-in".to_owned()))
        );
        // It is still there for another attempt.
        let failed = store.mark_failed(WORKER, id, "busy", Some(now()), now());
        failed.await.unwrap();
        assert!(outbox(&store).await[0].to_string().contains("let-me-in"));
        if end == "turned off" {
            let said = vec![(ONE_TIME_PASSCODE, true)];
            let set = store.set_notification_preferences(user_id, said, now());
            set.await.unwrap();
        }

        let leased = lease(&store, WORKER, now()).await;
        match end {
            "sent" => store.mark_sent(WORKER, id, now()).await.unwrap(),
            "given up" => {
                let failed = store.mark_failed(WORKER, id, "no", None, now());
                failed.await.unwrap()
            }
            _ => leased.is_empty().then_some(()),
        }
        .unwrap();

        let row = &outbox(&store).await[0];
        assert!(!row.to_string().contains("let-me-in"), "{end}: {row}");
        assert_eq!(
            row["payload"],
            json!({"labels": {"other": "stays"}}),
            "{end}"
        );
    }
}

#[tokio::test]
async fn a_message_of_a_disabled_template_is_not_sent() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let eve = store.add_user("eve").await;
    let messages = [&ada, &bob, &eve].map(|user| message(CUSTOM, user.id));
    let enqueued = store.enqueue_notifications(messages.to_vec(), now()).await;
    enqueued.unwrap();
    let said = vec![(CUSTOM, true)];
    let set = store
        .set_notification_preferences(ada.id, said, now())
        .await;
    set.unwrap();
    store
        .delete_user(bob.id, false, &command_line())
        .await
        .unwrap();

    let leased = lease(&store, WORKER, now()).await;

    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].user_id, eve.id);
    let inhibited = "SELECT count(*) FROM notification_messages WHERE status = 'inhibited'";
    assert_eq!(store.value(inhibited).await, "2");
    let years_later = now() + TimeDelta::days(1000);
    assert_eq!(lease(&store, WORKER, years_later).await.len(), 1);
}

#[tokio::test]
async fn labels_of_others_are_read_as_well_as_they_can_be() {
    let (store, _) = with_messages(3).await;
    let payloads = [
        "{}",
        "{\"labels\": [1]}",
        "{\"labels\": {\"a\": 1, \"b\": null, \"c\": \"x\"}}",
    ];
    for payload in payloads {
        let sql = format!(
            "UPDATE notification_messages SET payload = '{payload}' WHERE id = \
             (SELECT id FROM notification_messages WHERE payload = '{{\"labels\": {{}}}}' LIMIT 1)"
        );
        store.sql(&sql).await;
    }

    let leased = lease(&store, WORKER, now()).await;

    let mut labels: Vec<_> = leased.into_iter().map(|message| message.labels).collect();
    labels.sort();
    let pairs = [("a", "1"), ("b", "null"), ("c", "x")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(labels, [vec![], vec![], pairs.to_vec()]);
}

#[tokio::test]
async fn old_messages_are_deleted_once_there_is_nothing_more_to_do_with_them() {
    let (store, ada) = with_messages(4).await;
    let leased = lease(&store, WORKER, now()).await;
    let (sent, given_up) = (leased[0].id, leased[1].id);
    store.mark_sent(WORKER, sent, now()).await.unwrap();
    let failed = store.mark_failed(WORKER, given_up, "no", None, now());
    failed.await.unwrap();
    let failed = store.mark_failed(WORKER, leased[2].id, "busy", Some(now()), now());
    failed.await.unwrap();
    // More than one batch.
    let sql = format!(
        "INSERT INTO notification_messages (id, notification_template_id, user_id, method, status, \
         created_by, payload, created_at) \
         SELECT gen_random_uuid(), '{CUSTOM}', '{}', 'inbox', 'sent', '', '{{}}', '{}' \
         FROM generate_series(1, 2500)",
        ada.id,
        now(),
    );
    store.sql(&sql).await;

    let none = store.delete_old_messages(now()).await.unwrap();
    let old = store
        .delete_old_messages(now() + TimeDelta::seconds(1))
        .await;

    assert_eq!((none, old.unwrap()), (0, 2502));
    let left = "SELECT status FROM notification_messages ORDER BY status";
    assert_eq!(store.column(left).await, ["leased", "temporary_failure"]);
}

#[tokio::test]
async fn subscribers_of_every_store_are_signaled_when_a_message_is_committed() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let replica = PgStore::lazy(&PgOptions::new(store.url())).unwrap();
    let mut own = store.subscribe().await.unwrap();
    let mut other = replica.subscribe().await.unwrap();

    store
        .enqueue_notifications(vec![message(CUSTOM, ada.id)], now())
        .await
        .unwrap();

    own.next().await.unwrap();
    other.next().await.unwrap();
}

#[tokio::test]
async fn a_duplicate_message_signals_nothing() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let enqueue = async |template| {
        let messages = vec![message(template, ada.id)];
        store.enqueue_notifications(messages, now()).await.unwrap();
    };
    enqueue(USER_ACCOUNT_CREATED).await;
    let mut enqueued = store.subscribe().await.unwrap();

    enqueue(USER_ACCOUNT_CREATED).await;

    let signal = timeout(Duration::from_millis(200), enqueued.next()).await;
    assert!(signal.is_err());
}

#[tokio::test]
async fn a_subscription_ends_with_its_connection() {
    let store = TestStore::new().await;
    let mut enqueued = store.subscribe().await.unwrap();

    store
        .sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN %'",
        )
        .await;

    assert_eq!(enqueued.next().await, None);
}
