//! Lists in parts.

use std::time::Duration;

use diesel::pg::Pg;
use futures_util::StreamExt as _;
use usher_domain::{Page, User, UserFilter, UserId};
use usher_store::{UserListPart, UserListQuery, UserListStream, UserStore, Visibility};
use uuid::Uuid;

use crate::{
    testing::TestStore,
    user::{list::Cursor, statement::DeclareStatement},
};

fn everybody() -> UserListQuery {
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

/// All the names, and the count at the end.
async fn read(mut stream: UserListStream) -> (Vec<String>, u64) {
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
    panic!("there is no count");
}

/// A list of everybody begins with the first rows of an index, and not with sorting all.
#[tokio::test]
async fn a_whole_list_is_not_sorted_first() {
    let store = with_users(1500).await;
    store.sql("ANALYZE users").await;
    for (after, offset) in [(None, 0), (None, 700), (Some("user-0100"), 0)] {
        let mut query = everybody();
        query.page.offset = offset;
        let cursor = Cursor::after(after);
        let statement = DeclareStatement::new(&query, &cursor);
        let text = diesel::debug_query::<Pg, _>(&statement).to_string();
        let (sql, values) = text.split_once(" -- binds: [").unwrap();
        let mut sql = sql.to_owned();
        let values = values.trim_end_matches(']').replace('"', "'");
        // The last one first: $1 is the beginning of $10.
        for (n, value) in values
            .split(", ")
            .enumerate()
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            sql = sql.replace(&format!("${}", n + 1), value);
        }

        let plan = store.column(&format!("EXPLAIN {sql}")).await.join("\n");

        assert!(plan.contains("users_username_lower_idx"), "{plan}");
        assert!(!plan.contains("Sort Key: (lower("), "{plan}");
        assert!(!plan.contains("Sort Key: users"), "{plan}");
    }
}

/// Waits until no transaction is open any more.
async fn assert_all_is_given_back(store: &TestStore) {
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
async fn a_list_in_parts_is_the_list() {
    let store = with_users(1203).await;
    let names: Vec<String> = (1..=1203).map(|n| format!("user-{n:04}")).collect();

    assert_eq!(
        read(open(&store, everybody()).await).await,
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
                    ..everybody()
                },
            )
            .await,
        )
        .await;
        assert_eq!(listed, (expected.to_vec(), 1203), "{page:?}");
    }
    let suspended = UserListQuery {
        filter: UserFilter::parse("status:suspended user-").unwrap(),
        ..everybody()
    };
    assert_eq!(read(open(&store, suspended).await).await.1, 401);
    assert_all_is_given_back(&store).await;
}

#[tokio::test]
async fn a_list_in_parts_without_users_counts_none() {
    let store = with_users(3).await;
    for (after, offset) in [(None, 3), (Some(UserId(Uuid::from_u128(5))), 0)] {
        let page = Page {
            limit: None,
            offset,
        };
        let query = UserListQuery {
            after,
            page,
            ..everybody()
        };
        assert_eq!(read(open(&store, query).await).await, (vec![], 0));
    }
}

#[tokio::test]
async fn all_parts_are_of_one_moment() {
    let store = with_users(1500).await;
    let mut stream = open(&store, everybody()).await;
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
async fn who_wants_no_more_gives_the_connection_back() {
    let store = with_users(2500).await;
    let mut stream = open(&store, everybody()).await;
    next(&mut stream).await;

    drop(stream);

    assert_all_is_given_back(&store).await;
    assert_eq!(read(open(&store, everybody()).await).await.1, 2500);
}

#[tokio::test]
async fn a_list_that_breaks_off_has_no_count() {
    let store = with_users(2500).await;
    let mut stream = open(&store, everybody()).await;
    next(&mut stream).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND state = 'idle in transaction'";
    // It reads ahead at first, and then waits within its transaction for who takes the parts.
    let mut ended = store.value(end).await;
    for _ in 0..1000 {
        if ended != "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        ended = store.value(end).await;
    }
    assert_eq!(ended, "1");

    let mut counts = 0;
    while let Some(Ok(part)) = stream.next().await {
        counts += usize::from(matches!(part, UserListPart::Count(_)));
    }

    assert_eq!(counts, 0);
    assert_eq!(read(open(&store, everybody()).await).await.1, 2500);
}

#[tokio::test]
async fn long_lists_leave_connections_to_others() {
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
    let slow = open(&store, everybody()).await;

    assert!(
        store.stream_users(everybody()).await.is_err(),
        "one at a time"
    );
    assert!(store.has_users().await.unwrap());

    drop(slow);
    assert_eq!(read(open(&store, everybody()).await).await.1, 2000);
}
