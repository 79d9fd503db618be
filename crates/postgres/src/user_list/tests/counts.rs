//! Maintained counts on a real database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_postgres::Client;
use usher_store::{CountDrift, UserCountStore};

use crate::{
    PgStore,
    testing::{TestStore, client, run_concurrently},
};

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
    SELECT n FROM user_totals UNION ALL SELECT d FROM user_count_deltas) AS counts";

const DELTAS: &str = "SELECT count(*) FROM user_count_deltas";

#[tokio::test]
async fn every_change_of_users_is_counted() {
    let store = TestStore::new().await;
    assert_eq!(store.value(COUNT).await, "0", "a system user counts");

    for (statement, count) in [
        (&*insert("a,B,c,d,e,f,g,h"), "8"),
        ("UPDATE users SET username = 'Z' WHERE username = 'a'", "8"),
        (
            "UPDATE users SET status = 'suspended' WHERE username IN ('B', 'c')",
            "8",
        ),
        (
            "UPDATE users SET login_type = 'oidc', email = 'X@y' WHERE username = 'c'",
            "8",
        ),
        (
            "UPDATE users SET deleted = true WHERE username IN ('d', 'e')",
            "6",
        ),
        (
            "UPDATE users SET status = 'dormant', username = 'D' WHERE username = 'd'",
            "6",
        ),
        ("UPDATE users SET deleted = false WHERE username = 'D'", "7"),
        (
            "UPDATE users SET is_system = true WHERE username = 'f'",
            "6",
        ),
        ("UPDATE users SET last_seen_at = now()", "6"),
        ("BEGIN; UPDATE users SET deleted = true; ROLLBACK", "6"),
        (
            "DELETE FROM user_status_changes; DELETE FROM user_deleted;
             DELETE FROM users WHERE username IN ('B', 'e', 'prebuilds')",
            "5",
        ),
    ] {
        store.sql(statement).await;
        assert_eq!(store.value(COUNT).await, count, "{statement}");
        assert_eq!(drifts(&store).await, [], "{statement}");
        store.fold_user_counts().await.unwrap();
        assert_eq!(store.value(COUNT).await, count, "{statement}");
        assert_eq!(store.value(DELTAS).await, "0");
        assert_eq!(drifts(&store).await, [], "{statement}");
    }
    store.sql("TRUNCATE users CASCADE").await;
    assert_eq!(drifts(&store).await, []);
    assert_eq!(store.value(COUNT).await, "0");
}

#[tokio::test]
async fn a_statement_adds_one_delta_per_kind() {
    let store = TestStore::new().await;
    for (statement, deltas) in [
        (
            "INSERT INTO users (id, email, username, status, hashed_password, created_at, updated_at)
             SELECT gen_random_uuid(), n::text, n::text, (ARRAY['active', 'dormant'])[1 + n % 2],
                    '', now(), now()
             FROM generate_series(1, 1000) n",
            "2",
        ),
        ("UPDATE users SET last_seen_at = now()", "0"),
        (
            "DELETE FROM user_status_changes; DELETE FROM users WHERE NOT is_system",
            "2",
        ),
    ] {
        store.sql(statement).await;
        assert_eq!(store.value(DELTAS).await, deltas, "{statement}");
        store.fold_user_counts().await.unwrap();
    }
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
async fn folding_skips_while_another_server_folds() {
    let store = TestStore::new().await;
    store.sql(&insert("a")).await;
    let other = client(store.url()).await;
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(x'75736804'::bigint)";
    other.batch_execute(lock).await.unwrap();

    store.fold_user_counts().await.unwrap();
    assert_eq!(store.value(DELTAS).await, "1");

    other.batch_execute("ROLLBACK").await.unwrap();
    store.fold_user_counts().await.unwrap();
    assert_eq!(store.value(DELTAS).await, "0");
}

#[tokio::test]
async fn an_import_without_triggers_is_detected_and_repaired() {
    let store = TestStore::new().await;
    store.sql(&insert("a,b,c")).await;
    store.fold_user_counts().await.unwrap();
    store.sql(&insert("d")).await;

    let past = format!(
        "SET session_replication_role = replica;
         {};
         UPDATE users SET deleted = true WHERE username = 'c';
         RESET session_replication_role",
        insert("e,f")
    );
    store.sql(&past).await;

    let drift = CountDrift {
        what: "users of status active and login type password".to_owned(),
        maintained: 4,
        counted: 5,
    };
    assert_eq!(drifts(&store).await, [drift]);
    store.recount_users().await.unwrap();
    assert_eq!(drifts(&store).await, []);
    assert_eq!(store.value(COUNT).await, "5");
    // The delta of d is still there and counts once.
    store.fold_user_counts().await.unwrap();
    assert_eq!(drifts(&store).await, []);
}

#[tokio::test]
async fn a_missing_search_index_is_detected() {
    let store = TestStore::new().await;
    assert!(store.has_search_index().await.unwrap());

    store.sql("DROP INDEX users_search_idx").await;

    assert!(!store.has_search_index().await.unwrap());
}

#[tokio::test]
async fn concurrent_folds_and_recounts_keep_the_counts_exact() {
    let store = TestStore::new().await;
    store.sql(&insert("a,b,c,d,e,f,g,h,i,j")).await;

    let tasks = (0..8).map(|n| {
        let store = store.share();
        async move {
            if n % 2 == 0 {
                store.fold_user_counts().await.unwrap();
            } else {
                store.recount_users().await.unwrap();
            }
        }
    });
    run_concurrently(tasks).await;

    assert_eq!(drifts(&store).await, []);
}

/// Changes users of this writer and shared ones; some changes are rolled back.
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
async fn counts_are_exact_at_every_moment_with_many_writers() {
    let store = TestStore::new().await;
    let usernames: Vec<String> = (0..40).map(|n| format!("p{n}")).collect();
    store.sql(&insert(&usernames.join(","))).await;
    let is_over = Arc::new(AtomicBool::new(false));

    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(client(store.url()).await);
    }
    let folding = tokio::spawn({
        let (store, is_over) = (store.share(), Arc::clone(&is_over));
        async move {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                store.fold_user_counts().await.unwrap();
                if rounds % 8 == 7 {
                    store.recount_users().await.unwrap();
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
                assert_eq!(drifts(&store).await, [], "after {checks} checks");
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
    run_concurrently(writers).await;
    is_over.store(true, Ordering::Relaxed);

    assert!(folding.await.unwrap() > 1);
    assert!(checking.await.unwrap() > 1);
    assert_eq!(drifts(&store).await, []);
    store.fold_user_counts().await.unwrap();
    assert_eq!(drifts(&store).await, []);
    assert_eq!(store.value(DELTAS).await, "0");
}
