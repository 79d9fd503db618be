use chrono::TimeDelta;
use serde_json::json;
use usher_domain::{
    UserId,
    notification::{CUSTOM, InboxFilter, ReadStatus, USER_ACCOUNT_CREATED},
};
use usher_store::NotificationStore;
use uuid::Uuid;

use crate::testing::{TestStore, now};

const TARGET: Uuid = Uuid::from_u128(70);
const OTHER_TARGET: Uuid = Uuid::from_u128(71);

/// Puts a message into an inbox that came so many minutes ago.
async fn put(store: &TestStore, id: u128, user: UserId, minutes_ago: i64, rest: &str) {
    let sql = format!(
        "INSERT INTO inbox_notifications \
         (id, user_id, created_at, template_id, targets, title, content, icon, actions, read_at) \
         VALUES ('{}', '{user}', '{}', {rest})",
        Uuid::from_u128(id),
        now() - TimeDelta::minutes(minutes_ago),
    );
    store.sql(&sql).await;
}

/// Three messages, of which the second was read.
async fn put_three(store: &TestStore, user: UserId) {
    let of_custom =
        format!("'{CUSTOM}', '{{{TARGET}, {OTHER_TARGET}}}', 'First', 'One', '', '[]', NULL");
    put(store, 1, user, 3, &of_custom).await;
    let of_account =
        format!("'{USER_ACCOUNT_CREATED}', NULL, 'Second', 'Two', 'i.png', 'null', now()");
    put(store, 2, user, 2, &of_account).await;
    let last =
        format!("'{USER_ACCOUNT_CREATED}', '{{{TARGET}}}', 'Third', 'Three', '', '[]', NULL");
    put(store, 3, user, 1, &last).await;
}

async fn ids(store: &TestStore, user: UserId, filter: InboxFilter) -> (Vec<u128>, u64) {
    let (listed, unread) = store.list_inbox(user, filter).await.unwrap();
    let ids = listed.into_iter().map(|message| message.id.as_u128());
    (ids.collect(), unread)
}

#[tokio::test]
async fn an_inbox_is_listed_newest_first_with_the_groups_of_its_templates() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    put_three(&store, ada.id).await;

    let (listed, unread) = store
        .list_inbox(ada.id, InboxFilter::default())
        .await
        .unwrap();

    assert_eq!(unread, 2);
    let [third, second, first] = listed.as_slice() else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (third.title.as_str(), third.content.as_str()),
        ("Third", "Three")
    );
    assert_eq!((third.group.as_str(), third.read_at), ("User Events", None));
    assert_eq!(third.targets, Some(vec![TARGET]));
    assert_eq!(third.user_id, ada.id);
    assert_eq!((second.icon.as_str(), &second.targets), ("i.png", &None));
    assert_eq!(second.actions, json!(null));
    assert!(second.read_at.is_some());
    assert_eq!(
        (first.group.as_str(), &first.actions),
        ("Custom Events", &json!([]))
    );
    assert_eq!(first.created_at, now() - TimeDelta::minutes(3));
    assert_eq!(
        ids(&store, bob.id, InboxFilter::default()).await,
        (vec![], 0)
    );
}

#[tokio::test]
async fn filters_hold_together_and_do_not_change_the_count_of_the_unread() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    put_three(&store, ada.id).await;
    let other = format!("'{CUSTOM}', NULL, 'Other', '', '', '[]', NULL");
    put(&store, 9, bob.id, 2, &other).await;
    let all = InboxFilter::default();
    let about = |targets: &[Uuid]| InboxFilter {
        targets: targets.to_vec(),
        ..all.clone()
    };
    let of = |templates: &[Uuid]| InboxFilter {
        templates: templates.to_vec(),
        ..all.clone()
    };
    let before = |id: u128| InboxFilter {
        starting_before: Some(Uuid::from_u128(id)),
        ..all.clone()
    };
    let status = |read_status| InboxFilter {
        read_status,
        ..all.clone()
    };

    for (filter, expected) in [
        (about(&[TARGET]), vec![3, 1]),
        (about(&[OTHER_TARGET, TARGET]), vec![1]),
        (about(&[Uuid::nil()]), vec![]),
        (of(&[CUSTOM]), vec![1]),
        (of(&[CUSTOM, USER_ACCOUNT_CREATED]), vec![3, 2, 1]),
        (of(&[Uuid::nil()]), vec![]),
        (status(ReadStatus::Read), vec![2]),
        (status(ReadStatus::Unread), vec![3, 1]),
        (before(2), vec![1]),
        (before(1), vec![]),
        // Unknown, or another's.
        (before(8), vec![3, 2, 1]),
        (before(9), vec![3, 2, 1]),
        (
            InboxFilter {
                read_status: ReadStatus::Unread,
                starting_before: Some(Uuid::from_u128(3)),
                ..about(&[TARGET])
            },
            vec![1],
        ),
    ] {
        let listed = ids(&store, ada.id, filter.clone()).await;
        assert_eq!(listed, (expected, 2), "{filter:?}");
    }
}

#[tokio::test]
async fn twenty_five_are_listed_and_the_rest_begins_where_they_end() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    for id in 1..=30 {
        // Three at a time.
        let text = format!("'{CUSTOM}', NULL, '', '', '', '[]', NULL");
        put(&store, id, ada.id, i64::try_from(id / 3).unwrap(), &text).await;
    }

    let (first, unread) = ids(&store, ada.id, InboxFilter::default()).await;
    let next = InboxFilter {
        starting_before: first.last().map(|id| Uuid::from_u128(*id)),
        ..InboxFilter::default()
    };
    let (second, _) = ids(&store, ada.id, next).await;

    assert_eq!((first.len(), second.len(), unread), (25, 5, 30));
    let mut all = [first, second].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=30));
}

#[tokio::test]
async fn a_message_is_marked_as_read_and_as_unread() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    put_three(&store, ada.id).await;
    let id = Uuid::from_u128(3);

    let read = store
        .set_inbox_read(id, Some(now()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read.read_at, Some(now()));
    assert_eq!(read.group, "User Events");
    assert_eq!(store.find_inbox_notification(id).await.unwrap(), Some(read));
    assert_eq!(store.count_unread(ada.id).await.unwrap(), 1);

    let unread = store.set_inbox_read(id, None).await.unwrap().unwrap();
    assert_eq!(unread.read_at, None);
    assert_eq!(store.count_unread(ada.id).await.unwrap(), 2);

    let nothing = Uuid::nil();
    assert_eq!(store.set_inbox_read(nothing, None).await.unwrap(), None);
    assert_eq!(store.find_inbox_notification(nothing).await.unwrap(), None);
}

#[tokio::test]
async fn all_of_ones_own_are_marked_as_read_and_keep_the_time_they_have() {
    let store = TestStore::new().await;
    let (ada, bob) = (store.add_user("ada").await, store.add_user("bob").await);
    put_three(&store, ada.id).await;
    let other = format!("'{CUSTOM}', NULL, 'Other', '', '', '[]', NULL");
    put(&store, 9, bob.id, 2, &other).await;
    let before = store.find_inbox_notification(Uuid::from_u128(2)).await;

    store.set_all_inbox_read(ada.id, now()).await.unwrap();

    assert_eq!(store.count_unread(ada.id).await.unwrap(), 0);
    assert_eq!(store.count_unread(bob.id).await.unwrap(), 1);
    let after = store.find_inbox_notification(Uuid::from_u128(2)).await;
    assert_eq!(after.unwrap(), before.unwrap());
    let first = store.find_inbox_notification(Uuid::from_u128(1)).await;
    assert_eq!(first.unwrap().unwrap().read_at, Some(now()));
}
