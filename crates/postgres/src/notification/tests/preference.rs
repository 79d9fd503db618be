use chrono::TimeDelta;
use usher_domain::notification::{CUSTOM, NotificationPreference, USER_ACCOUNT_CREATED};
use usher_store::{Conflict, NotificationStore, StoreError};
use uuid::Uuid;

use crate::testing::{TestStore, now, run_concurrently};

fn preference(
    template_id: Uuid,
    is_disabled: bool,
    updated_at: chrono::DateTime<chrono::Utc>,
) -> NotificationPreference {
    NotificationPreference {
        template_id,
        is_disabled,
        updated_at,
    }
}

#[tokio::test]
async fn what_was_said_is_kept_with_the_time_of_the_last_saying() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    let rows = store.audit().await.len();
    assert_eq!(
        store.list_notification_preferences(ada.id).await.unwrap(),
        []
    );
    let (first, second) = (now(), now() + TimeDelta::hours(1));
    let both = vec![(CUSTOM, true), (USER_ACCOUNT_CREATED, false)];
    store
        .set_notification_preferences(ada.id, both, first)
        .await
        .unwrap();

    // The same again moves the time too; a template named twice counts as named last.
    let again = vec![(CUSTOM, false), (CUSTOM, true)];
    let set = store
        .set_notification_preferences(ada.id, again, second)
        .await;

    let expected = [
        preference(CUSTOM, true, second),
        preference(USER_ACCOUNT_CREATED, false, first),
    ];
    assert_eq!(set.unwrap(), expected);
    let nothing = store.set_notification_preferences(ada.id, Vec::new(), second);
    assert_eq!(nothing.await.unwrap(), expected);
    assert_eq!(
        store.list_notification_preferences(bob.id).await.unwrap(),
        []
    );
    let made_at = "SELECT DISTINCT created_at = '2026-03-04T05:06:07.123456Z' \
                   FROM notification_preferences";
    assert_eq!(store.column(made_at).await, ["t"]);
    assert_eq!(store.audit().await.len(), rows);
}

#[tokio::test]
async fn a_template_that_is_none_undoes_the_others() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let said = vec![(CUSTOM, true), (Uuid::nil(), true)];

    let set = store
        .set_notification_preferences(ada.id, said, now())
        .await;

    assert!(
        matches!(set, Err(StoreError::Conflict(Conflict::NoSuchTemplate))),
        "{set:?}"
    );
    assert_eq!(
        store.list_notification_preferences(ada.id).await.unwrap(),
        []
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_say_it_the_other_way_around_do_not_wait_for_each_other() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let tasks = (0..16).map(|i| {
        let (store, id) = (store.share(), ada.id);
        let mut said = vec![(CUSTOM, true), (USER_ACCOUNT_CREATED, true)];
        if i % 2 == 0 {
            said.reverse();
        }
        async move { store.set_notification_preferences(id, said, now()).await }
    });

    for result in run_concurrently(tasks).await {
        result.unwrap();
    }
}
