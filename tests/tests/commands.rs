//! The program as an operator uses it: commands, settings, starting and stopping.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use usher_tests::database::Database;
use usher_tests::deployment::PASSWORD;
use usher_tests::exchange::{self, Request, Response};
use usher_tests::server::{Server, usher};

/// How long a server may take to start or stop.
const TIMEOUT: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_settings_runs_its_own_postgres_and_keeps_its_data() {
    let directory = DataDirectory::new().unwrap();

    let mut server = directory.start().await.unwrap();
    let output = server.output();
    assert!(
        output.contains(&format!("is ready at {}\n", server.url)),
        "{output}"
    );
    assert!(output.contains("coder login"), "{output}");
    let first = suggested_body(&output);
    let created = server.post("/api/v2/users/first", &first).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let token = server.sign_in(&first).await.unwrap();
    assert!(server.stop().await.unwrap().success());
    assert!(
        !directory
            .data()
            .join("postgres/data/postmaster.pid")
            .exists()
    );

    let mut server = directory.start().await.unwrap();
    assert!(!server.output().contains("curl"), "{}", server.output());
    let me = Request::new("GET", "/api/v2/users/me").token(&token);
    assert_eq!(server.send(&me).await.status, 200);

    // Commands work while the server runs; a second server does not start.
    let second = directory.run(&["server", "--http-address=127.0.0.1:0"], "");
    assert_eq!(second.status.code(), Some(1));
    assert!(
        stderr(&second).contains("is in use by process"),
        "{second:?}"
    );
    let created = directory.run(&create("bob"), PASSWORD);
    assert!(created.status.success(), "{created:?}");
    let bob = json!({"email": "bob@example.com", "password": PASSWORD});
    assert!(server.sign_in(&bob).await.is_ok());
    assert!(server.stop().await.unwrap().success());

    // Without a server, commands start Postgres themselves.
    let migrated = directory.run(&["migrate"], "");
    assert!(migrated.status.success(), "{migrated:?}");
    let reset = directory.run(&["reset-password", "bob"], "Another-Secure-2");
    assert!(reset.status.success(), "{reset:?}");
    assert!(
        !directory
            .data()
            .join("postgres/data/postmaster.pid")
            .exists()
    );
}

#[test]
fn data_of_another_major_version_is_rejected_with_instructions() {
    let directory = DataDirectory::new().unwrap();
    let data = directory.data().join("postgres/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "12\n").unwrap();

    let output = directory.run(&["server", "--http-address=127.0.0.1:0"], "");

    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains("created by Postgres 12"), "{error}");
    assert!(error.contains("pg_dump"), "{error}");
    assert_eq!(fs::read_to_string(data.join("PG_VERSION")).unwrap(), "12\n");
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = Database::empty().await;
    let versions = "SELECT count(*), max(run_on) FROM __diesel_schema_migrations";

    let first = run_on(&database, &["migrate"], "");
    assert!(first.status.success(), "{first:?}");
    let applied = database.query(versions).await.unwrap();
    let second = run_on(&database, &["migrate"], "");

    assert!(second.status.success(), "{second:?}");
    assert_eq!(database.query(versions).await.unwrap(), applied);
}

#[tokio::test]
async fn other_commands_reject_a_database_that_is_not_migrated() {
    let database = Database::empty().await;

    let output = run_on(&database, &create("alice"), PASSWORD);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("usher migrate"), "{output:?}");
}

#[tokio::test]
async fn an_owner_can_be_created_whether_or_not_users_exist() {
    let server = Server::start().await.unwrap();

    for name in ["alice", "bob"] {
        let created = run_on(server.database(), &create(name), PASSWORD);
        assert!(created.status.success(), "{created:?}");
        let credentials = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        let token = sign_in(server.base_url(), &credentials).await.unwrap();
        let me = Request::new("GET", "/api/v2/users/me").token(&token);
        let me = server.send(&me).await.unwrap().json().unwrap();
        assert_eq!(me["username"], name);
        assert_eq!(me["status"], "active");
        assert_eq!(me["roles"][0]["name"], "owner");
        assert_eq!(me["organization_ids"].as_array().unwrap().len(), 1);
    }

    let again = run_on(server.database(), &create("ALICE"), PASSWORD);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is taken"), "{again:?}");
    let rows = "SELECT user_id, action, resource_target, status_code FROM audit_logs \
                WHERE action = 'create' ORDER BY time";
    let no_user = "00000000-0000-0000-0000-000000000000";
    assert_eq!(
        server.database().query(rows).await.unwrap(),
        format!("{no_user}|create|alice|201\n{no_user}|create|bob|201")
    );
}

#[tokio::test]
async fn a_reset_password_replaces_the_old_one_and_revokes_sessions() {
    let server = Server::start().await.unwrap();
    assert!(
        run_on(server.database(), &create("alice"), PASSWORD)
            .status
            .success()
    );
    let old = json!({"email": "alice@example.com", "password": PASSWORD});
    let token = sign_in(server.base_url(), &old).await.unwrap();

    let weak = run_on(server.database(), &["reset-password", "alice"], "weak");
    assert_eq!(weak.status.code(), Some(1));
    assert!(stderr(&weak).contains("too easy to guess"), "{weak:?}");
    let unknown = run_on(server.database(), &["reset-password", "carol"], PASSWORD);
    assert!(
        stderr(&unknown).contains("user carol not found"),
        "{unknown:?}"
    );
    let empty = run_on(server.database(), &["reset-password", "alice"], "");
    assert!(stderr(&empty).contains("no password given"), "{empty:?}");
    let reset = ["reset-password", "Alice@example.com"];
    let reset = run_on(server.database(), &reset, "Another-Secure-2\n");
    assert!(reset.status.success(), "{reset:?}");

    let me = Request::new("GET", "/api/v2/users/me").token(&token);
    assert_eq!(server.send(&me).await.unwrap().status, 401);
    assert!(sign_in(server.base_url(), &old).await.is_err());
    let new = json!({"email": "alice@example.com", "password": "Another-Secure-2"});
    assert!(sign_in(server.base_url(), &new).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recount_checks_and_repairs_the_maintained_counts() {
    let database = Database::migrated().await;
    let created = run_on(&database, &create("carol"), PASSWORD);
    assert!(created.status.success(), "{created:?}");

    let right = run_on(&database, &["recount"], "");
    assert!(stdout(&right).contains("are correct"), "{right:?}");
    let loss = "DELETE FROM user_count_deltas; DELETE FROM user_totals";
    database.query(loss).await.unwrap();
    let wrong = run_on(&database, &["recount"], "");
    assert!(wrong.status.success(), "{wrong:?}");
    assert!(
        stdout(&wrong).contains("0 maintained, 1 counted"),
        "{wrong:?}"
    );
    assert!(stdout(&wrong).contains("Fixed "), "{wrong:?}");
    let again = run_on(&database, &["recount"], "");
    assert!(stdout(&again).contains("are correct"), "{again:?}");
}

#[test]
fn an_invalid_setting_prevents_the_start_and_is_named() {
    for (name, value, rule) in [
        ("SESSION_DURATION", "0", "must be longer than zero"),
        ("SAMESITE_AUTH_COOKIE", "strict", "must be `lax` or `none`"),
        ("DISABLE_PASSWORD_AUTH", "yes", "must be `true` or `false`"),
        ("HTTP_ADDRESS", "3000", "must be host:port"),
        ("PASSWORD_HASH_PASSES", "0", "not valid Argon2id parameters"),
    ] {
        let mut command = usher("server").unwrap();
        let output = command
            .env(format!("USHER_{name}"), value)
            .output()
            .unwrap();

        assert_eq!(output.status.code(), Some(2), "{name}");
        let error = stderr(&output);
        let flag = format!("--{}", name.to_lowercase().replace('_', "-"));
        assert!(error.contains(&format!("{flag} (USHER_{name})")), "{error}");
        assert!(error.contains(rule), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_connection_error_does_not_contain_the_database_password() {
    let output = usher("reset-password")
        .unwrap()
        .arg("alice")
        .env("USHER_PASSWORD", PASSWORD)
        .env(
            "USHER_PG_CONNECTION_URL",
            "postgres://u:topsecret@127.0.0.1:1/d",
        )
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains("USHER_PG_CONNECTION_URL"), "{error}");
    assert!(!error.contains("topsecret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_completes_requests_before_it_stops() {
    let mut server = Server::start().await.unwrap();
    let mut stream = start_request(&server).await.unwrap();
    let base = server.base_url().to_owned();

    let stopped = tokio::spawn(async move { server.stop_gracefully().await });
    let host = base.strip_prefix("http://").unwrap();
    while TcpStream::connect(host).await.is_ok() {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    stream.write_all(b"\"}").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();

    assert!(response.starts_with("HTTP/1.1 4"), "{response}");
    assert!(
        response.to_lowercase().contains("connection: close"),
        "{response}"
    );
    assert!(stopped.await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_writes_pending_audit_rows_before_it_stops() {
    let mut server = Server::start().await.unwrap();
    let first = json!({"username": "ada", "email": "ada@example.com", "password": PASSWORD});
    let first = Request::new("POST", "/api/v2/users/first").json(&first);
    assert_eq!(server.send(&first).await.unwrap().status, 201);
    let database = server.database().clone();
    let blocker = database.connect().await.unwrap();
    let lock = "BEGIN; LOCK TABLE audit_logs IN EXCLUSIVE MODE";
    blocker.batch_execute(lock).await.unwrap();
    let login = json!({"email": "ada@example.com", "password": "wrong"});
    let login = Request::new("POST", "/api/v2/users/login").json(&login);
    assert_eq!(server.send(&login).await.unwrap().status, 401);
    let waiting = "SELECT count(*) FROM pg_locks
                   WHERE NOT granted AND relation = 'audit_logs'::regclass
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while database.query(waiting).await.unwrap() == "0" {
        tokio::time::sleep(POLL_INTERVAL).await;
    }

    let pid = Pid::from_raw(server.pid().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    while !server.log().contains("shutting down") {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    blocker.batch_execute("COMMIT").await.unwrap();
    let status = server.wait().await.unwrap();

    assert!(status.success());
    let rows = "SELECT count(*) FROM audit_logs WHERE action = 'login' AND status_code = 401";
    assert_eq!(database.query(rows).await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_the_server_immediately() {
    let mut server = Server::start().await.unwrap();
    let _stream = start_request(&server).await.unwrap();
    let start = Instant::now();

    let pid = Pid::from_raw(server.pid().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    while !server.log().contains("shutting down") {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let status = server.stop_gracefully().await.unwrap();

    assert_eq!(status.code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// Sends the head of a request and a part of its body.
async fn start_request(server: &Server) -> Result<TcpStream> {
    let host = server
        .base_url()
        .strip_prefix("http://")
        .context("no URL")?;
    let mut stream = TcpStream::connect(host).await?;
    let head = format!(
        "POST /api/v2/users/login HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\n{{\"email\":"
    );
    stream.write_all(head.as_bytes()).await?;
    // A later request on another connection, so that the first one has been read.
    ensure!(server.send(&Request::new("GET", "/healthz")).await?.status == 200);
    Ok(stream)
}

fn create(name: &str) -> Vec<String> {
    vec![
        "create-admin-user".to_owned(),
        format!("--username={name}"),
        format!("--email={name}@example.com"),
    ]
}

/// Runs a command on a database, with a standard input.
fn run_on(database: &Database, arguments: &[impl AsRef<str>], input: &str) -> Output {
    run(
        arguments,
        input,
        ("USHER_PG_CONNECTION_URL", database.url()),
    )
    .unwrap()
}

fn run(arguments: &[impl AsRef<str>], input: &str, setting: (&str, &str)) -> Result<Output> {
    let mut file = tempfile::tempfile()?;
    std::io::Write::write_all(&mut file, input.as_bytes())?;
    std::io::Seek::rewind(&mut file)?;
    let mut command = usher(arguments[0].as_ref())?;
    command
        .args(arguments[1..].iter().map(AsRef::as_ref))
        .env(setting.0, setting.1)
        .stdin(file);
    Ok(command.output()?)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn sign_in(base: &str, credentials: &Value) -> Result<String> {
    let login = Request::new("POST", "/api/v2/users/login").json(credentials);
    let response = exchange::send(base, &login).await?;
    ensure!(response.status == 201, "{}", response.body);
    let token = response.json().context("not JSON")?["session_token"].take();
    Ok(token.as_str().context("no token")?.to_owned())
}

/// Returns the body of the request that a new server suggests.
fn suggested_body(output: &str) -> Value {
    let start = output.find('{').expect("a body");
    let end = output.find('}').expect("a complete body");
    let mut body: Value = serde_json::from_str(&output[start..=end]).expect("JSON");
    // A password is suggested only on a terminal.
    assert_eq!(body["password"], "PASSWORD");
    body["password"] = PASSWORD.into();
    body
}

/// A data directory for a server without settings.
struct DataDirectory(TempDir);

impl DataDirectory {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir_in("/tmp")?;
        // As root, Postgres runs under another account.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o711))?;
        Ok(Self(directory))
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn run(&self, arguments: &[impl AsRef<str>], input: &str) -> Output {
        let data = self.data();
        run(arguments, input, ("USHER_DATA_DIR", data.to_str().unwrap())).unwrap()
    }

    /// Starts a server and waits until it is ready.
    async fn start(&self) -> Result<ZeroConfig> {
        let stdout = self.0.path().join("out");
        let log = self.0.path().join("log");
        let child = usher("server")?
            .env("USHER_DATA_DIR", self.data())
            .env("USHER_HTTP_ADDRESS", "127.0.0.1:0")
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut server = ZeroConfig {
            child,
            url: String::new(),
            stdout,
        };
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            let output = server.output();
            if let Some((_, rest)) = output.split_once(" is ready at ") {
                let url = rest.lines().next().context("no URL")?;
                url.clone_into(&mut server.url);
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                bail!(
                    "the server exited with {status}:\n{}",
                    fs::read_to_string(log)?
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!(
            "the server did not become ready:\n{}",
            fs::read_to_string(log)?
        )
    }
}

/// A server without settings. Dropping it kills the server, which stops its Postgres.
struct ZeroConfig {
    child: Child,
    url: String,
    stdout: PathBuf,
}

impl ZeroConfig {
    /// Returns its standard output so far.
    fn output(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    async fn send(&self, request: &Request) -> Response {
        exchange::send(&self.url, request).await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        self.send(&Request::new("POST", path).json(body)).await
    }

    async fn sign_in(&self, credentials: &Value) -> Result<String> {
        sign_in(&self.url, credentials).await
    }

    async fn stop(&mut self) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!("the server did not stop")
    }
}

impl Drop for ZeroConfig {
    fn drop(&mut self) {
        // These fail only if the process has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
