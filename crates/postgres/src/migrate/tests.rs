use diesel_migrations::MigrationHarness;
use usher_local_postgres::testing::{TestCluster, TestDatabase};

use super::*;
use crate::testing::{client, run_concurrently};

async fn empty() -> TestDatabase {
    TestCluster::shared().await.database().await
}

async fn revert_all(url: &str) {
    let session = Session::open(url).await.unwrap();
    session
        .run(|connection| connection.revert_all_migrations(MIGRATIONS).map(drop))
        .await
        .unwrap();
}

async fn count(url: &str, what: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {what}");
    client(url)
        .await
        .query_one(&query, &[])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn migrations_are_applied_once_and_can_be_reverted_and_reapplied() {
    let database = empty().await;
    let known = i64::try_from(known_versions().unwrap().len()).unwrap();
    let tables = "pg_tables WHERE schemaname = 'public'";

    for _ in 0..2 {
        migrate(database.url()).await.unwrap();
        assert_eq!(
            count(database.url(), "__diesel_schema_migrations").await,
            known
        );
        assert_eq!(count(database.url(), "users").await, 1);
    }
    revert_all(database.url()).await;
    assert_eq!(count(database.url(), tables).await, 1);
    let functions = "pg_proc WHERE pronamespace = 'public'::regnamespace";
    assert_eq!(count(database.url(), functions).await, 0);
    migrate(database.url()).await.unwrap();
    assert_eq!(count(database.url(), "users").await, 1);
}

#[tokio::test]
async fn a_store_detects_pending_migrations() {
    let database = empty().await;
    let store = PgStore::lazy(&crate::PgOptions::new(database.url())).unwrap();
    assert!(store.is_migrated().await.is_err(), "nothing was migrated");
    migrate(database.url()).await.unwrap();
    assert!(store.is_migrated().await.unwrap());
    for other in [
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')",
        "DELETE FROM __diesel_schema_migrations WHERE version > '2026112400'",
    ] {
        let client = client(database.url()).await;
        client.batch_execute(other).await.unwrap();
        assert!(!store.is_migrated().await.unwrap(), "{other}");
    }
}

#[tokio::test]
async fn a_database_of_a_later_version_is_rejected() {
    let database = empty().await;
    migrate(database.url()).await.unwrap();
    let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')";
    client(database.url())
        .await
        .batch_execute(later)
        .await
        .unwrap();

    let error = migrate(database.url()).await.unwrap_err();

    assert!(
        matches!(&error, PgError::SchemaTooNew(versions) if versions == &["20990101000000"]),
        "{error:?}"
    );
    assert!(error.to_string().contains("20990101000000"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_migrations_one_does_the_work() {
    let database = empty().await;
    let url = database.url().to_owned();
    let tasks = (0..6).map(|_| {
        let url = url.clone();
        async move { migrate(&url).await }
    });

    for result in run_concurrently(tasks).await {
        result.unwrap();
    }

    assert_eq!(count(&url, "users").await, 1);
}

#[tokio::test]
async fn the_lock_is_only_taken_if_migrations_are_pending() {
    let database = empty().await;
    let holder = client(database.url()).await;
    let statement = format!("SELECT pg_advisory_lock({LOCK})");
    holder.batch_execute(&statement).await.unwrap();
    let url = database.url().to_owned();
    let waiting = tokio::spawn(async move { migrate(&url).await });
    tokio::time::sleep(LOCK_RETRY_INTERVAL * 3).await;
    assert!(!waiting.is_finished());

    holder
        .batch_execute("SELECT pg_advisory_unlock_all()")
        .await
        .unwrap();
    waiting.await.unwrap().unwrap();

    holder.batch_execute(&statement).await.unwrap();
    migrate(database.url()).await.unwrap();
}

#[tokio::test]
async fn a_failed_migration_reports_the_cause_and_can_be_retried() {
    let database = empty().await;
    let other = client(database.url()).await;
    other
        .batch_execute("CREATE TABLE api_keys (mine text)")
        .await
        .unwrap();

    let error = migrate(database.url()).await.unwrap_err();

    assert!(matches!(error, PgError::Migration(_)), "{error:?}");
    assert!(error.to_string().contains("api_keys"), "{error}");
    other.batch_execute("DROP TABLE api_keys").await.unwrap();
    migrate(database.url()).await.unwrap();
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    let error = migrate("postgres://ghost@127.0.0.1:1/x").await.unwrap_err();

    assert!(matches!(error, PgError::Unavailable(_)), "{error:?}");
}

/// A role that may not create the extension for searches.
#[tokio::test]
async fn without_the_right_to_create_an_extension_only_the_index_is_missing() {
    let database = empty().await;
    let role = "migrator_without_extensions";
    let admin = client(database.url()).await;
    admin
        .batch_execute(&format!(
            "DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
             GRANT ALL ON SCHEMA public TO {role}"
        ))
        .await
        .unwrap();
    let statement = format!("SET SESSION AUTHORIZATION {role}");
    admin.batch_execute(&statement).await.unwrap();
    let extension = "CREATE EXTENSION pg_trgm";
    assert!(admin.batch_execute(extension).await.is_err(), "it may");
    for migration in MigrationSource::<diesel::pg::Pg>::migrations(&MIGRATIONS).unwrap() {
        let name = migration.name().to_string();
        let up = format!("{}/migrations/{name}/up.sql", env!("CARGO_MANIFEST_DIR"));
        let sql = std::fs::read_to_string(up).unwrap();
        admin.batch_execute(&sql).await.unwrap();
    }

    let index = "pg_class WHERE relname = 'users_search_idx'";
    assert_eq!(count(database.url(), index).await, 0);
    assert_eq!(count(database.url(), "users").await, 1);
}
