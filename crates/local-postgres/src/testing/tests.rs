use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use super::*;

static PREPARED: AtomicUsize = AtomicUsize::new(0);

#[tokio::test]
async fn a_database_is_a_copy_of_its_template() {
    let database = migrated().await;

    let client = connect(database.url()).await;

    assert_eq!(number_of_users(&client).await, 1);
}

#[tokio::test]
async fn databases_of_tests_are_separate() {
    let (mine, theirs) = (migrated().await, migrated().await);
    let client = connect(mine.url()).await;
    client
        .batch_execute("INSERT INTO users VALUES ('bob')")
        .await
        .unwrap();

    let other = connect(theirs.url()).await;

    assert_eq!(number_of_users(&client).await, 2);
    assert_eq!(number_of_users(&other).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_tests_prepare_a_template_once() {
    let many: Vec<_> = (0..8).map(|_| tokio::spawn(migrated())).collect();

    let mut names = Vec::new();
    for database in many {
        names.push(database.await.unwrap().name().to_owned());
    }

    names.sort();
    names.dedup();
    assert_eq!(names.len(), 8);
    assert_eq!(PREPARED.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_dropped_database_is_removed_even_while_in_use() {
    let cluster = TestCluster::shared().await;
    let database = cluster.database().await;
    let _client = connect(database.url()).await;
    let name = database.name().to_owned();
    let client = connect(&cluster.cluster().url("postgres")).await;
    drop(database);

    let start = Instant::now();
    let query = "SELECT 1 FROM pg_database WHERE datname = $1";
    while client.query_opt(query, &[&name]).await.unwrap().is_some() {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_test_cluster_does_not_sync_and_allows_many_connections() {
    let cluster = TestCluster::shared().await.cluster();
    let client = connect(&cluster.url("postgres")).await;

    for (setting, value) in [
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("max_connections", "400"),
        ("autovacuum", "on"),
    ] {
        let row = client.query_one(&format!("SHOW {setting}"), &[]).await;
        assert_eq!(row.unwrap().get::<_, String>(0), value, "{setting}");
    }
}

#[tokio::test]
async fn a_stopped_cluster_is_removed() {
    let cluster = TestCluster::start().await;
    let directory = cluster.cluster().directory().to_owned();
    let socket_directory = cluster.cluster().endpoint().socket_directory().to_owned();
    assert!(directory.exists() && socket_directory.exists());

    cluster.stop().await;

    assert!(!directory.exists() && !socket_directory.exists());
}

async fn migrated() -> TestDatabase {
    TestCluster::shared()
        .await
        .database_from_template("migrated", async |url| {
            PREPARED.fetch_add(1, Ordering::Relaxed);
            let client = connect(&url).await; // left open; the template is closed nevertheless
            let statements = "CREATE TABLE users (name text); INSERT INTO users VALUES ('ada')";
            client.batch_execute(statements).await.unwrap();
        })
        .await
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn number_of_users(client: &Client) -> i64 {
    let row = client.query_one("SELECT count(*) FROM users", &[]).await;
    row.unwrap().get(0)
}
