//! `usher doctor` reports problems and changes nothing.

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

/// Runs it with these settings, named without `USHER_`. It runs asynchronously, since the
/// servers that it checks may run on this thread.
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

/// Returns the line of a check.
fn line(output: &Output, check: &str) -> String {
    let lines = lines(output);
    let found = lines.iter().find(|line| {
        let (_, rest) = line.split_once(' ').unwrap_or_default();
        rest.trim_start().starts_with(&format!("{check}: "))
    });
    found
        .unwrap_or_else(|| panic!("no line for {check}: {output:?}"))
        .clone()
}

#[tokio::test]
async fn a_deployment_without_problems_is_ok() -> Result<()> {
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
    for check in [
        "settings",
        "access URL",
        "database",
        "migrations",
        "clock",
        "encryption keys",
        "notifications",
    ] {
        line(&output, check);
    }
    let provider = line(&output, "OpenID provider");
    let callback = "https://users.example.com/api/v2/users/oidc/callback";
    assert!(provider.contains(callback), "{provider}");
    assert!(output.stderr.is_empty(), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn problems_are_reported_with_their_remedy_and_without_secrets() -> Result<()> {
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
    for (check, level, remedy) in [
        ("settings", "warning", "did you mean USHER_ACCESS_URL?"),
        ("access URL", "warning", "add a proxy that terminates TLS"),
        ("database", "error", "USHER_PG_CONNECTION_URL"),
        ("mail", "error", "USHER_EMAIL_SMARTHOST"),
        ("webhook", "error", "USHER_NOTIFICATIONS_WEBHOOK_ENDPOINT"),
        ("OpenID provider", "error", "USHER_OIDC_"),
    ] {
        let line = line(&output, check);
        assert!(line.starts_with(level) && line.contains(remedy), "{line}");
    }
    let text = format!("{output:?}");
    assert!(text.contains("4 problems found"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
    Ok(())
}

#[tokio::test]
async fn older_and_newer_schemas_are_distinguished() -> Result<()> {
    let database = Database::empty().await;
    let settings = [("PG_CONNECTION_URL", database.url())];

    let before = doctor(&settings).await?;
    assert_eq!(before.status.code(), Some(0), "a warning is not an error");
    let migrations = line(&before, "migrations");
    assert!(migrations.starts_with("warning"), "{migrations}");
    assert!(migrations.contains("usher migrate"), "{migrations}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.query(tables).await?, "0");

    let database = Database::migrated().await;
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')";
    database.query(newer).await?;
    let after = doctor(&[("PG_CONNECTION_URL", database.url())]).await?;
    assert_eq!(after.status.code(), Some(1));
    assert!(line(&after, "migrations").starts_with("error"), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn a_missing_encryption_key_is_reported() -> Result<()> {
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
    // Every user has an SSH key, which is encrypted.
    let body =
        json!({"email": "o@example.com", "username": "o", "password": "SomeSecurePassword!1"});
    let created = server
        .send(&Request::new("POST", "/api/v2/users/first").json(&body))
        .await?;
    assert_eq!(created.status, 201, "{}", created.body);

    let check = async |keys| {
        let settings = [
            ("PG_CONNECTION_URL", database.url()),
            ("EXTERNAL_TOKEN_ENCRYPTION_KEYS", keys),
        ];
        let output = doctor(&settings).await?;
        anyhow::Ok((output.status.code(), line(&output, "encryption keys")))
    };
    let (status, line) = check(second).await?;
    assert_eq!(status, Some(1));
    assert!(line.starts_with("error"), "{line}");
    let (status, line) = check(&format!("{second},{first}")).await?;
    assert_eq!(status, Some(0), "{line}");
    assert!(line.starts_with("ok"), "{line}");
    Ok(())
}

#[tokio::test]
async fn the_bundled_postgres_is_neither_started_nor_stopped() -> Result<()> {
    let temporary = TempDir::new()?;
    // As root, Postgres runs under another account.
    fs::set_permissions(temporary.path(), Permissions::from_mode(0o711))?;
    let data = temporary.path().join("data");
    let directory = data.to_str().expect("a UTF-8 path");
    let settings = [("DATA_DIR", directory)];
    let is_running = |data: &Path| data.join("postgres/data/postmaster.pid").exists();

    let untouched = doctor(&settings).await?;
    assert_eq!(untouched.status.code(), Some(0), "{untouched:?}");
    assert!(line(&untouched, "data directory").starts_with("ok"));
    assert!(line(&untouched, "Postgres").starts_with("ok"));
    assert!(!data.exists(), "doctor created the data directory");

    let mut server = Setup::default()
        .set("PG_CONNECTION_URL", "")
        .set("DATA_DIR", directory)
        .start()
        .await?;
    let running = doctor(&settings).await?;
    assert_eq!(running.status.code(), Some(0), "{running:?}");
    let database = line(&running, "database");
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
