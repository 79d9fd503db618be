//! `usher doctor` says what is wrong and disturbs nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;
use usher_fake_provider::FakeProvider;
use usher_tests::database::Database;
use usher_tests::exchange::Request;
use usher_tests::server::{Setup, usher};

/// Runs it with these settings, named without `USHER_`, off this thread: what it looks at
/// may be served on this one.
async fn doctor(settings: &[(&str, &str)]) -> Result<Output> {
    let mut command = usher("doctor")?;
    for (name, value) in settings {
        command.env(format!("USHER_{name}"), value);
    }
    Ok(tokio::process::Command::from(command).output().await?)
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// The line about something.
fn line(output: &Output, about: &str) -> String {
    let lines = lines(output);
    let found = lines.iter().find(|line| {
        let (_, rest) = line.split_once(' ').unwrap_or_default();
        rest.trim_start().starts_with(&format!("{about}: "))
    });
    found
        .unwrap_or_else(|| panic!("nothing about {about}: {output:?}"))
        .clone()
}

#[tokio::test]
async fn a_deployment_without_faults_is_all_ok() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let database = Database::migrated().await;
    let issuer = format!("{}/oidc", provider.url());

    let output = doctor(&[
        ("PG_CONNECTION_URL", database.url()),
        ("ACCESS_URL", "https://users.example.com"),
        ("OIDC_ISSUER_URL", &issuer),
        ("OIDC_CLIENT_ID", "me"),
        ("OIDC_CLIENT_SECRET", "secret"),
    ])
    .await?;

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for line in lines(&output) {
        assert!(line.starts_with("ok "), "{line}");
    }
    for about in [
        "settings",
        "access URL",
        "database",
        "migrations",
        "clock",
        "encryption keys",
        "notifications",
    ] {
        line(&output, about);
    }
    let provider = line(&output, "OpenID provider");
    let callback = "https://users.example.com/api/v2/users/oidc/callback";
    assert!(provider.contains(callback), "{provider}");
    assert!(output.stderr.is_empty(), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_remedy_and_no_secret() -> Result<()> {
    let provider = FakeProvider::start().await?;
    provider.control(&json!({"down": true}))?;
    let issuer = format!("{}/oidc", provider.url());

    let output = doctor(&[
        (
            "PG_CONNECTION_URL",
            "postgres://me:hidden-1@127.0.0.1:1/usher",
        ),
        ("ACCESS_URL", "http://users.example.com"),
        ("OIDC_ISSUER_URL", &issuer),
        ("OIDC_CLIENT_ID", "me"),
        ("OIDC_CLIENT_SECRET", "hidden-2"),
        ("EMAIL_SMARTHOST", "127.0.0.1:1"),
        ("EMAIL_FROM", "usher@example.com"),
        ("EMAIL_AUTH_USERNAME", "me"),
        ("EMAIL_AUTH_PASSWORD", "hidden-3"),
        (
            "NOTIFICATIONS_WEBHOOK_ENDPOINT",
            "http://me:hidden-4@127.0.0.1:1/",
        ),
        ("ACESS_URL", "hidden-5"),
    ])
    .await?;

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for (about, level, remedy) in [
        ("settings", "warning", "did you mean USHER_ACCESS_URL?"),
        (
            "access URL",
            "warning",
            "put a proxy that does TLS in front",
        ),
        ("database", "error", "USHER_PG_CONNECTION_URL"),
        ("mail", "error", "USHER_EMAIL_SMARTHOST"),
        ("webhook", "error", "USHER_NOTIFICATIONS_WEBHOOK_ENDPOINT"),
        ("OpenID provider", "error", "USHER_OIDC_"),
    ] {
        let line = line(&output, about);
        assert!(line.starts_with(level) && line.contains(remedy), "{line}");
    }
    let told = format!("{output:?}");
    assert!(told.contains("4 things must be mended"), "{told}");
    assert!(!told.contains("hidden"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_database_before_and_after_this_version_is_told_apart() -> Result<()> {
    let database = Database::empty().await;
    let settings = [("PG_CONNECTION_URL", database.url())];

    let before = doctor(&settings).await?;
    assert_eq!(before.status.code(), Some(0), "a warning is no failure");
    let migrations = line(&before, "migrations");
    assert!(migrations.starts_with("warning"), "{migrations}");
    assert!(migrations.contains("usher migrate"), "{migrations}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.query(tables).await?, "0");

    let database = Database::migrated().await;
    let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')";
    database.query(later).await?;
    let after = doctor(&[("PG_CONNECTION_URL", database.url())]).await?;
    assert_eq!(after.status.code(), Some(1));
    assert!(line(&after, "migrations").starts_with("error"), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn a_lost_encryption_key_is_found() -> Result<()> {
    let database = Database::migrated().await;
    let (first, second) = (
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    );
    let server = Setup::default()
        .on(&database)
        .set("EXTERNAL_TOKEN_ENCRYPTION_KEYS", first)
        .start()
        .await?;
    // Everybody gets an SSH key, which is a secret.
    let body =
        json!({"email": "o@example.com", "username": "o", "password": "SomeSecurePassword!1"});
    let made = server
        .send(&Request::new("POST", "/api/v2/users/first").json(&body))
        .await?;
    assert_eq!(made.status, 201, "{}", made.body);

    let found = async |keys| {
        let settings = [
            ("PG_CONNECTION_URL", database.url()),
            ("EXTERNAL_TOKEN_ENCRYPTION_KEYS", keys),
        ];
        let output = doctor(&settings).await?;
        anyhow::Ok((output.status.code(), line(&output, "encryption keys")))
    };
    let (status, told) = found(second).await?;
    assert_eq!(status, Some(1));
    assert!(told.starts_with("error"), "{told}");
    let (status, told) = found(&format!("{second},{first}")).await?;
    assert_eq!(status, Some(0), "{told}");
    assert!(told.starts_with("ok"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_postgres_of_our_own_is_neither_started_nor_stopped() -> Result<()> {
    let place = TempDir::new()?;
    // Postgres runs as another account if we are root.
    fs::set_permissions(place.path(), Permissions::from_mode(0o711))?;
    let data = place.path().join("data");
    let directory = data.to_str().expect("a plain path");
    let settings = [("DATA_DIR", directory)];
    let is_running = |data: &Path| data.join("postgres/data/postmaster.pid").exists();

    let untouched = doctor(&settings).await?;
    assert_eq!(untouched.status.code(), Some(0), "{untouched:?}");
    assert!(line(&untouched, "data directory").starts_with("ok"));
    assert!(line(&untouched, "Postgres").starts_with("ok"));
    assert!(!data.exists(), "it has made something");

    let mut server = Setup::default()
        .set("PG_CONNECTION_URL", "")
        .set("DATA_DIR", directory)
        .start()
        .await?;
    let beside = doctor(&settings).await?;
    assert_eq!(beside.status.code(), Some(0), "{beside:?}");
    let database = line(&beside, "database");
    assert!(
        database.contains("Postgres of a running server"),
        "{database}"
    );
    let health = server.send(&Request::new("GET", "/healthz")).await?;
    assert_eq!(health.status, 200);

    assert!(server.stop_gracefully().await?.success());
    let stopped = doctor(&settings).await?;
    assert_eq!(stopped.status.code(), Some(0), "{stopped:?}");
    assert!(line(&stopped, "data directory").contains("not running"));
    assert!(!is_running(&data));
    Ok(())
}
