//! Streamed lists.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use futures_util::StreamExt as _;
use serde_json::Value;
use usher_domain::{Page, User, UserFilter, UserId};
use usher_store::{UserListPart, UserListQuery, UserListStream, UserStore, Visibility};
use uuid::Uuid;

use crate::{
    PgError,
    testing::{
        TestStore,
        plan::{Explain, assert_uses_an_index},
    },
    user_list::statement::{DeclareStatement, Start},
};

fn all_users() -> UserListQuery {
    UserListQuery {
        filter: UserFilter::default(),
        visible: Visibility::All,
        after: None,
        page: Page::default(),
    }
}

/// A store with users `user-0001` and so on.
async fn with_users(count: u32) -> TestStore {
    let store = TestStore::new().await;
    let insert = format!(
        "INSERT INTO users (id, email, username, status, hashed_password, created_at, updated_at)
         SELECT gen_random_uuid(), n || '@example.com', 'user-' || lpad(n::text, 4, '0'),
                CASE WHEN n % 3 = 0 THEN 'suspended' ELSE 'active' END, '', now(), now()
         FROM generate_series(1, {count}) n"
    );
    store.sql(&insert).await;
    store
}

async fn open(store: &TestStore, query: UserListQuery) -> UserListStream {
    store.stream_users(query).await.unwrap()
}

async fn next(stream: &mut UserListStream) -> Vec<User> {
    match stream.next().await {
        Some(Ok(UserListPart::Users(users))) => users,
        other => panic!("{other:?}"),
    }
}

/// All usernames, and the count at the end.
pub(super) async fn read(mut stream: UserListStream) -> (Vec<String>, u64) {
    let mut names = Vec::new();
    while let Some(part) = stream.next().await {
        match part.unwrap() {
            UserListPart::Users(users) => {
                names.extend(users.iter().map(|user| user.username.to_string()));
            }
            UserListPart::Count(count) => {
                assert!(stream.next().await.is_none());
                return (names, count);
            }
        }
    }
    panic!("the count is missing");
}

/// The first part of a list of all users needs only the beginning of an index.
#[tokio::test]
async fn a_whole_list_is_not_sorted_first() {
    let store = with_users(1500).await;
    store.sql("ANALYZE users").await;
    for (after, offset) in [(None, 0), (None, 700), (Some("user-0100"), 0)] {
        let mut query = all_users();
        query.page.offset = offset;
        let start = after.map_or_else(Start::beginning, Start::after);
        let explain = async |conn: &mut AsyncPgConnection| -> Result<Value, PgError> {
            let statement = DeclareStatement::new(&query, &start);
            Ok(Explain(statement).get_result(conn).await?)
        };

        let plan = store.share().pool.read(explain).await.unwrap();

        assert_uses_an_index("users", "the whole list", &plan);
        assert!(!plan.to_string().contains(r#""Sort""#), "{plan:#}");
    }
}

/// Waits until no transaction is open.
async fn assert_no_open_transaction(store: &TestStore) {
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'";
    for _ in 0..200 {
        if store.value(open).await == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a transaction is still open");
}

#[tokio::test]
async fn a_streamed_list_is_the_whole_list() {
    let store = with_users(1203).await;
    let names: Vec<String> = (1..=1203).map(|n| format!("user-{n:04}")).collect();

    assert_eq!(
        read(open(&store, all_users()).await).await,
        (names.clone(), 1203)
    );
    for (limit, offset, expected) in [
        (None, 200, &names[200..]),
        (Some(1100), 0, &names[..1100]),
        (Some(600), 100, &names[100..700]),
        (Some(5000), 1200, &names[1200..]),
    ] {
        let page = Page { limit, offset };
        let listed = read(
            open(
                &store,
                UserListQuery {
                    page,
                    ..all_users()
                },
            )
            .await,
        )
        .await;
        assert_eq!(listed, (expected.to_vec(), 1203), "{page:?}");
    }
    let suspended = UserListQuery {
        filter: UserFilter::parse("status:suspended user-").unwrap(),
        ..all_users()
    };
    assert_eq!(read(open(&store, suspended).await).await.1, 401);
    assert_no_open_transaction(&store).await;
}

#[tokio::test]
async fn a_streamed_list_without_users_has_count_zero() {
    let store = with_users(3).await;
    for (after, offset) in [(None, 3), (Some(UserId(Uuid::from_u128(5))), 0)] {
        let page = Page {
            limit: None,
            offset,
        };
        let query = UserListQuery {
            after,
            page,
            ..all_users()
        };
        assert_eq!(read(open(&store, query).await).await, (vec![], 0));
    }
}

#[tokio::test]
async fn all_parts_are_of_one_snapshot() {
    let store = with_users(1500).await;
    let mut stream = open(&store, all_users()).await;
    let first = next(&mut stream).await.len();

    store
        .sql(
            "UPDATE users SET deleted = true WHERE username > 'user-0700';
             UPDATE users SET username = 'a' WHERE username = 'user-0600'",
        )
        .await;

    let (names, count) = read(stream).await;
    assert_eq!((first + names.len(), count), (1500, 1500));
    assert!(names.contains(&"user-0600".to_owned()));
}

#[tokio::test]
async fn a_dropped_stream_releases_its_connection() {
    let store = with_users(2500).await;
    let mut stream = open(&store, all_users()).await;
    next(&mut stream).await;

    drop(stream);

    assert_no_open_transaction(&store).await;
    assert_eq!(read(open(&store, all_users()).await).await.1, 2500);
}

#[tokio::test]
async fn a_stream_that_fails_has_no_count() {
    let store = with_users(2500).await;
    let mut stream = open(&store, all_users()).await;
    next(&mut stream).await;
    let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND state = 'idle in transaction'";
    // The task reads ahead and then waits, inside its transaction, for the stream to be read.
    let mut terminated = store.value(terminate).await;
    for _ in 0..1000 {
        if terminated != "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        terminated = store.value(terminate).await;
    }
    assert_eq!(terminated, "1");

    let mut counts = 0;
    while let Some(Ok(part)) = stream.next().await {
        counts += usize::from(matches!(part, UserListPart::Count(_)));
    }

    assert_eq!(counts, 0);
    assert_eq!(read(open(&store, all_users()).await).await.1, 2500);
}

#[tokio::test]
async fn long_lists_leave_connections_to_other_calls() {
    let store = TestStore::with(|options| {
        options.max_connections = 4;
        options.acquire_timeout = Duration::from_millis(300);
    })
    .await;
    store
        .sql(
            "INSERT INTO users (id, email, username, hashed_password, created_at, updated_at)
             SELECT gen_random_uuid(), n::text, 'u' || n, '', now(), now()
             FROM generate_series(1, 2000) n",
        )
        .await;
    let slow = open(&store, all_users()).await;

    assert!(
        store.stream_users(all_users()).await.is_err(),
        "one at a time"
    );
    assert!(store.has_users().await.unwrap());

    drop(slow);
    assert_eq!(read(open(&store, all_users()).await).await.1, 2000);
}
