//! Kept counts on a real database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use diesel_async::AsyncPgConnection;
use tokio_postgres::Client;
use usher_store::{CountDrift, UserCountStore};

use super::{LIMIT, recount, tend};
use crate::{
    PgStore,
    testing::{TestStore, at_once, client},
};

/// Tends the counts as the server does, with buckets of a few users.
pub(crate) async fn tend_finely(store: &PgStore) {
    let finely = async |conn: &mut AsyncPgConnection| tend(conn, 2).await;
    store.pool.write_within(LIMIT, finely).await.unwrap();
}

async fn drifts(store: &PgStore) -> Vec<CountDrift> {
    store.check_user_counts().await.unwrap()
}

fn insert(names: &str) -> String {
    format!(
        "INSERT INTO users (id, email, username, status, hashed_password, created_at, updated_at)
         SELECT gen_random_uuid(), name || '@Example.com', name, 'active', '', now(), now()
         FROM unnest('{{{names}}}'::text[]) AS name"
    )
}

const COUNT: &str = "SELECT coalesce(sum(n), 0) FROM (
    SELECT n FROM user_totals UNION ALL SELECT d FROM user_count_deltas) AS kept";

const SEARCHED: &str = "SELECT coalesce(string_agg(key, ' ' ORDER BY key), '') FROM user_list";

#[tokio::test]
async fn whatever_happens_to_users_is_counted() {
    let store = TestStore::new().await;
    assert_eq!(store.value(COUNT).await, "0", "a system user counts");

    for (statement, count, searched) in [
        (&*insert("a,B,c,d,e,f,g,h"), "8", "a b c d e f g h"),
        (
            "UPDATE users SET username = 'Z' WHERE username = 'a'",
            "8",
            "b c d e f g h z",
        ),
        (
            "UPDATE users SET status = 'suspended' WHERE username IN ('B', 'c')",
            "8",
            "b c d e f g h z",
        ),
        (
            "UPDATE users SET login_type = 'oidc', email = 'X@y' WHERE username = 'c'",
            "8",
            "b c d e f g h z",
        ),
        (
            "UPDATE users SET deleted = true WHERE username IN ('d', 'e')",
            "6",
            "b c f g h z",
        ),
        (
            "UPDATE users SET status = 'dormant', username = 'D' WHERE username = 'd'",
            "6",
            "b c f g h z",
        ),
        (
            "UPDATE users SET deleted = false WHERE username = 'D'",
            "7",
            "b c d f g h z",
        ),
        (
            "UPDATE users SET is_system = true WHERE username = 'f'",
            "6",
            "b c d g h z",
        ),
        (
            "UPDATE users SET id = gen_random_uuid() WHERE username = 'g' AND NOT EXISTS
              (SELECT FROM user_status_changes WHERE user_id = users.id)",
            "6",
            "b c d g h z",
        ),
        ("UPDATE users SET last_seen_at = now()", "6", "b c d g h z"),
        (
            "BEGIN; UPDATE users SET deleted = true; ROLLBACK",
            "6",
            "b c d g h z",
        ),
        (
            "DELETE FROM user_status_changes; DELETE FROM user_deleted;
          DELETE FROM users WHERE username IN ('B', 'e', 'prebuilds')",
            "5",
            "c d g h z",
        ),
    ] {
        store.sql(statement).await;
        assert_eq!(store.value(COUNT).await, count, "{statement}");
        assert_eq!(store.value(SEARCHED).await, searched, "{statement}");
        assert_eq!(drifts(&store).await, [], "{statement}");
        tend_finely(&store).await;
        assert_eq!(store.value(COUNT).await, count, "{statement}");
        assert_eq!(
            store.value("SELECT count(*) FROM user_count_deltas").await,
            "0"
        );
        assert_eq!(drifts(&store).await, [], "{statement}");
    }
    store.sql("TRUNCATE users CASCADE").await;
    assert_eq!(drifts(&store).await, []);
    assert_eq!(store.value(COUNT).await, "0");
    assert_eq!(store.value(SEARCHED).await, "");
}

#[tokio::test]
async fn one_insert_may_also_update_and_do_nothing() {
    let store = TestStore::new().await;
    store.sql(&insert("a,b")).await;

    let upsert = insert("A,b,c")
        + " ON CONFLICT (lower(username)) WHERE NOT deleted
            DO UPDATE SET status = 'suspended' WHERE users.username = 'a'";
    store.sql(&upsert).await;

    assert_eq!(store.value(COUNT).await, "3");
    assert_eq!(drifts(&store).await, []);
}

#[tokio::test]
async fn a_bucket_that_has_grown_is_divided() {
    let store = TestStore::new().await;
    let buckets = "SELECT string_agg(DISTINCT lo, ',' ORDER BY lo) FROM user_buckets";
    store.sql(&insert("a,b,c,d,e,f,g,h,i")).await;

    tend_finely(&store).await;
    assert_eq!(store.value(buckets).await, ",c,e,g,i");

    store.sql(&insert("c1,c2,c3,c4,c5,c6,c7")).await;
    tend_finely(&store).await;
    assert_eq!(store.value(buckets).await, ",c,c2,c4,c6,d,e,g,i");
    assert_eq!(drifts(&store).await, []);
}

#[tokio::test]
async fn one_round_at_a_time_tends_the_counts() {
    let store = TestStore::new().await;
    store.sql(&insert("a")).await;
    let other = client(store.url()).await;
    let turn = "BEGIN; SELECT pg_advisory_xact_lock(x'75736804'::bigint)";
    other.batch_execute(turn).await.unwrap();

    store.fold_user_counts().await.unwrap();
    assert_eq!(
        store.value("SELECT count(*) FROM user_count_deltas").await,
        "1"
    );

    other.batch_execute("ROLLBACK").await.unwrap();
    store.fold_user_counts().await.unwrap();
    assert_eq!(
        store.value("SELECT count(*) FROM user_count_deltas").await,
        "0"
    );
}

#[tokio::test]
async fn an_import_past_the_triggers_is_found_and_put_right() {
    let store = TestStore::new().await;
    store.sql(&insert("a,b,c")).await;
    store.fold_user_counts().await.unwrap();
    store.sql(&insert("d")).await;

    let past = format!(
        "SET session_replication_role = replica;
         {};
         UPDATE users SET email = 'other@example.com' WHERE username = 'b';
         UPDATE users SET deleted = true WHERE username = 'c';
         INSERT INTO user_list SELECT * FROM user_list WHERE key = 'a';
         RESET session_replication_role",
        insert("e,f")
    );
    store.sql(&past).await;

    let found = drifts(&store).await;
    let drift = |what: &str, kept, counted| CountDrift {
        what: what.to_owned(),
        kept,
        counted,
    };
    assert_eq!(
        found,
        [
            drift("users of status active and login type password", 4, 5),
            drift(
                "users from \"\" on of status active and login type password",
                4,
                5
            ),
            drift("users who are not found by a search", 0, 3),
            drift("users who are found by a search, but are not there", 3, 0),
        ]
    );
    store.recount_users().await.unwrap();
    assert_eq!(drifts(&store).await, []);
    assert_eq!(store.value(COUNT).await, "5");
    // The delta of d stayed, and still counts once.
    store.fold_user_counts().await.unwrap();
    assert_eq!(drifts(&store).await, []);
}

#[tokio::test]
async fn who_searches_without_the_index_is_told() {
    let store = TestStore::new().await;
    assert!(store.has_search_index().await.unwrap());

    store.sql("DROP INDEX user_list_search_idx").await;

    assert!(!store.has_search_index().await.unwrap());
}

#[tokio::test]
async fn two_who_tend_and_recount_at_once_do_not_get_in_each_others_way() {
    let store = TestStore::new().await;
    store.sql(&insert("a,b,c,d,e,f,g,h,i,j")).await;

    let tasks = (0..8).map(|n| {
        let store = store.share();
        async move {
            if n % 2 == 0 {
                tend_finely(&store).await;
            } else {
                store.recount_users().await.unwrap();
            }
        }
    });
    at_once(tasks).await;

    assert_eq!(drifts(&store).await, []);
}

/// What a writer does to its own users and to those of all, some of it in vain.
async fn write(client: &Client, writer: u32, round: u32) {
    let mine = format!("w{writer}-{round}");
    let other = (writer * 7 + round * 13) % 40;
    let statement = match (writer + round) % 8 {
        0 => format!(
            "BEGIN; {}; SAVEPOINT s; UPDATE users SET username = username || '-x'
             WHERE username = '{mine}-a'; ROLLBACK TO s; COMMIT",
            insert(&format!("{mine}-a,{mine}-b"))
        ),
        1 => format!("BEGIN; {}; ROLLBACK", insert(&mine)),
        2 => format!(
            "UPDATE users SET status = CASE status WHEN 'active' THEN 'suspended' ELSE 'active' END
             WHERE username = 'p{other}'"
        ),
        3 => format!("UPDATE users SET deleted = NOT deleted WHERE username = 'p{other}'"),
        4 => format!("UPDATE users SET username = 'R{writer}-{round}' WHERE username = 'p{other}'"),
        5 => format!(
            "BEGIN; UPDATE users SET login_type = 'oidc' WHERE username = 'p{other}';
             SAVEPOINT s; {}; RELEASE s; COMMIT",
            insert(&mine)
        ),
        6 => format!(
            "BEGIN; DELETE FROM user_status_changes WHERE user_id IN
                 (SELECT id FROM users WHERE username LIKE 'w{writer}-%');
             DELETE FROM user_deleted WHERE user_id IN
                 (SELECT id FROM users WHERE username LIKE 'w{writer}-%');
             DELETE FROM users WHERE username LIKE 'w{writer}-%'; COMMIT"
        ),
        _ => format!(
            "BEGIN; UPDATE users SET deleted = true WHERE username LIKE 'w{writer}-%'; ROLLBACK"
        ),
    };
    client.batch_execute(&statement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_at_every_moment_under_many_writers() {
    let store = TestStore::new().await;
    let people: Vec<String> = (0..40).map(|n| format!("p{n}")).collect();
    store.sql(&insert(&people.join(","))).await;
    let is_over = Arc::new(AtomicBool::new(false));

    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(client(store.url()).await);
    }
    let tending = tokio::spawn({
        let (store, is_over) = (store.share(), Arc::clone(&is_over));
        async move {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                tend_finely(&store).await;
                if rounds % 8 == 7 {
                    let anew = async |conn: &mut AsyncPgConnection| recount(conn, 3).await;
                    store.pool.write_within(LIMIT, anew).await.unwrap();
                }
                rounds += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            rounds
        }
    });
    let checking = tokio::spawn({
        let (store, is_over) = (store.share(), Arc::clone(&is_over));
        async move {
            let mut checks = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(drifts(&store).await, [], "after {checks} good checks");
                checks += 1;
            }
            checks
        }
    });
    let writers = clients
        .into_iter()
        .zip(0..)
        .map(|(client, writer)| async move {
            for round in 0..60 {
                write(&client, writer, round).await;
            }
        });
    at_once(writers).await;
    is_over.store(true, Ordering::Relaxed);

    assert!(tending.await.unwrap() > 1);
    assert!(checking.await.unwrap() > 1);
    assert_eq!(drifts(&store).await, []);
    tend_finely(&store).await;
    assert_eq!(drifts(&store).await, []);
    assert_eq!(
        store.value("SELECT count(*) FROM user_count_deltas").await,
        "0"
    );
}
