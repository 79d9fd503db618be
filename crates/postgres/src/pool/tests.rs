use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use usher_domain::ApiKeyId;
use usher_store::{SessionStore, SiteStore, StoreError, UserLookup, UserStore};

use crate::{
    PgError, PgOptions, PgStore,
    testing::{TestStore, client, command_line, user},
};

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

const KILL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'usher'";

/// Opens all connections, so that the pool is full afterwards.
async fn fill(store: &TestStore) {
    let key = ApiKeyId::from_stored("0123456789".to_owned());
    store.find_credential(&key).await.unwrap();
    let tasks = (0..9).map(|_| {
        let store = store.share();
        async move {
            let wait = async |conn: &mut diesel_async::AsyncPgConnection| -> Result<(), PgError> {
                use diesel_async::RunQueryDsl;
                let sleep = diesel::sql_query("SELECT pg_sleep(0.1)");
                sleep.execute(conn).await?;
                Ok(())
            };
            store.pool.read(wait).await.unwrap();
        }
    });
    crate::testing::run_concurrently(tasks).await;
    assert_eq!(store.pool.connections.status().size, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_succeed_after_all_connections_were_terminated() {
    let store = TestStore::new().await;
    for round in 0..5 {
        fill(&store).await;

        assert_eq!(store.column(KILL).await.len(), 10);

        // Without waiting for the pool to notice.
        store.has_users().await.unwrap();
        store.ping().await.unwrap();
        fill(&store).await;
        assert_eq!(store.column(KILL).await.len(), 10);
        let name = format!("user-{round}");
        store
            .create_user(user(&name), &command_line())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_connection_lost_during_a_change_is_an_unavailable_error() {
    let store = TestStore::new().await;
    let blocker = client(store.url()).await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE gitsshkeys")
        .await
        .unwrap();
    let creating = tokio::spawn({
        let store = store.share();
        async move { store.create_user(user("ada"), &command_line()).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;

    store.column(KILL).await;

    let result = creating.await.unwrap();
    assert!(is_unavailable(&result), "{result:?}");
    drop(blocker);
    let ada = store
        .find_user(UserLookup::Username("ada".to_owned()))
        .await;
    assert_eq!(ada.unwrap(), None);
}

#[tokio::test]
async fn a_statement_that_waits_too_long_is_canceled_by_the_server() {
    let store = TestStore::with(|options| {
        options.statement_timeout = Some(Duration::from_millis(200));
    })
    .await;
    let blocker = client(store.url()).await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE users")
        .await
        .unwrap();

    let reading = store.has_users().await;
    let writing = store.create_user(user("ada"), &command_line()).await;

    assert!(is_unavailable(&reading), "{reading:?}");
    assert!(is_unavailable(&writing), "{writing:?}");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    store
        .create_user(user("ada"), &command_line())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_call_times_out_if_the_server_never_responds() {
    let store = TestStore::with(|options| {
        options.statement_timeout = None;
        options.call_timeout = Duration::from_millis(300);
        options.max_connections = 1;
    })
    .await;
    let blocker = client(store.url()).await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE users")
        .await
        .unwrap();
    let begin = Instant::now();

    let reading = store.has_users().await;
    let writing = store.create_user(user("ada"), &command_line()).await;

    assert!(begin.elapsed() < Duration::from_secs(2));
    assert!(is_unavailable(&reading), "{reading:?}");
    assert!(is_unavailable(&writing), "{writing:?}");
    // Neither connection is reused while it still runs a statement.
    store.ping().await.unwrap();
    blocker.batch_execute("ROLLBACK").await.unwrap();
    store.has_users().await.unwrap();
}

#[tokio::test]
async fn with_default_timeouts_a_call_fails_within_five_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // It accepts connections and never responds.
    let url = format!("postgres://usher@127.0.0.1:{port}/usher?sslmode=disable");
    let store = PgStore::lazy(&PgOptions::new(url.clone())).unwrap();
    let begin = Instant::now();

    let (one, other) = tokio::join!(store.has_users(), store.ping());

    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(is_unavailable(&one) && is_unavailable(&other));
    drop(listener);
    let refused = store.ping().await;
    assert!(is_unavailable(&refused), "{refused:?}");
    let error = PgStore::connect(PgOptions::new(url)).await.unwrap_err();
    assert!(matches!(error, PgError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn waiting_for_a_free_connection_times_out() {
    let store = TestStore::with(|options| {
        options.max_connections = 1;
        options.acquire_timeout = Duration::from_millis(100);
    })
    .await;
    let blocker = client(store.url()).await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE users")
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let store = store.share();
        async move { store.has_users().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;

    let late = store.ping().await;

    assert!(is_unavailable(&late), "{late:?}");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_canceled_at_any_point_leave_the_pool_usable() {
    let store = TestStore::with(|options| options.max_connections = 2).await;
    for i in 0..100_u64 {
        let creating = {
            let store = store.share();
            async move {
                store
                    .create_user(user(&format!("u-{i}")), &command_line())
                    .await
            }
        };
        let _ = tokio::time::timeout(Duration::from_micros(i * 50), creating).await;
    }

    for _ in 0..4 {
        store.ping().await.unwrap();
    }

    // A user is created as a whole or not at all.
    let halves = "SELECT count(*) FROM users LEFT JOIN gitsshkeys ON user_id = users.id \
                  WHERE user_id IS NULL AND NOT is_system";
    assert_eq!(store.value(halves).await, "0");
    let rows = "SELECT (SELECT count(*) FROM audit_logs) = count(*) FROM users WHERE NOT is_system";
    assert_eq!(store.value(rows).await, "t");
}
