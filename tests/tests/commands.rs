//! The program as operators meet it: its commands, its settings, starting and stopping.

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
use usher_tests::exchange::{self, Answer, Request};
use usher_tests::server::{Server, usher};

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(20);

const PASSWORD: &str = "SomeSecurePassword!1";

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_there_is_a_server_and_its_data_stays() {
    let place = Place::new().unwrap();

    let mut server = place.start().await.unwrap();
    let told = server.told();
    assert!(
        told.contains(&format!("is ready at {}\n", server.url)),
        "{told}"
    );
    assert!(told.contains("coder login"), "{told}");
    let first = suggested_body(&told);
    let made = server.post("/api/v2/users/first", &first).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let token = server.sign_in(&first).await.unwrap();
    assert!(server.stop().await.unwrap().success());
    assert!(!place.data().join("postgres/data/postmaster.pid").exists());

    let mut server = place.start().await.unwrap();
    assert!(!server.told().contains("curl"), "{}", server.told());
    let me = Request::new("GET", "/api/v2/users/me").token(&token);
    assert_eq!(server.send(&me).await.status, 200);

    // Commands work beside the server; a second server does not.
    let second = place.run(&["server", "--http-address=127.0.0.1:0"], "");
    assert_eq!(second.status.code(), Some(1));
    assert!(
        complaint(&second).contains("is in use by process"),
        "{second:?}"
    );
    let made = place.run(&create("bob"), PASSWORD);
    assert!(made.status.success(), "{made:?}");
    let bob = json!({"email": "bob@example.com", "password": PASSWORD});
    assert!(server.sign_in(&bob).await.is_ok());
    assert!(server.stop().await.unwrap().success());

    // And without one they start the database themselves.
    let migrated = place.run(&["migrate"], "");
    assert!(migrated.status.success(), "{migrated:?}");
    let reset = place.run(&["reset-password", "bob"], "Another-Secure-2");
    assert!(reset.status.success(), "{reset:?}");
    assert!(!place.data().join("postgres/data/postmaster.pid").exists());
}

#[test]
fn data_of_another_major_version_is_refused_with_the_way_out() {
    let place = Place::new().unwrap();
    let data = place.data().join("postgres/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "12\n").unwrap();

    let refused = place.run(&["server", "--http-address=127.0.0.1:0"], "");

    assert_eq!(refused.status.code(), Some(1));
    let complaint = complaint(&refused);
    assert!(complaint.contains("made by Postgres 12"), "{complaint}");
    assert!(complaint.contains("pg_dump"), "{complaint}");
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
async fn a_database_that_is_not_migrated_is_not_touched_by_other_commands() {
    let database = Database::empty().await;

    let refused = run_on(&database, &create("alice"), PASSWORD);

    assert_eq!(refused.status.code(), Some(1));
    assert!(complaint(&refused).contains("usher migrate"), "{refused:?}");
}

#[tokio::test]
async fn an_owner_is_created_from_the_command_line_whoever_is_there() {
    let server = Server::start().await.unwrap();

    for name in ["alice", "bob"] {
        let made = run_on(server.database(), &create(name), PASSWORD);
        assert!(made.status.success(), "{made:?}");
        let who = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        let token = sign_in(server.base_url(), &who).await.unwrap();
        let me = Request::new("GET", "/api/v2/users/me").token(&token);
        let me = server.send(&me).await.unwrap().json().unwrap();
        assert_eq!(me["username"], name);
        assert_eq!(me["status"], "active");
        assert_eq!(me["roles"][0]["name"], "owner");
        assert_eq!(me["organization_ids"].as_array().unwrap().len(), 1);
    }

    let again = run_on(server.database(), &create("ALICE"), PASSWORD);
    assert_eq!(again.status.code(), Some(1));
    assert!(complaint(&again).contains("is taken"), "{again:?}");
    let rows = "SELECT user_id, action, resource_target, status_code FROM audit_logs \
                WHERE action = 'create' ORDER BY time";
    let nobody = "00000000-0000-0000-0000-000000000000";
    assert_eq!(
        server.database().query(rows).await.unwrap(),
        format!("{nobody}|create|alice|201\n{nobody}|create|bob|201")
    );
}

#[tokio::test]
async fn a_reset_password_is_the_new_one_and_ends_sessions() {
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
    assert!(complaint(&weak).contains("too easy to guess"), "{weak:?}");
    let unknown = run_on(server.database(), &["reset-password", "carol"], PASSWORD);
    assert!(complaint(&unknown).contains("no user carol"), "{unknown:?}");
    let nothing = run_on(server.database(), &["reset-password", "alice"], "");
    assert!(
        complaint(&nothing).contains("no password was given"),
        "{nothing:?}"
    );
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
async fn a_recount_says_whether_the_kept_numbers_are_right_and_puts_them_right() {
    let database = Database::migrated().await;
    let made = run_on(&database, &create("carol"), PASSWORD);
    assert!(made.status.success(), "{made:?}");

    let right = run_on(&database, &["recount"], "");
    assert!(told(&right).contains("are right"), "{right:?}");
    let loss = "DELETE FROM user_count_deltas; DELETE FROM user_list";
    database.query(loss).await.unwrap();
    let wrong = run_on(&database, &["recount"], "");
    assert!(wrong.status.success(), "{wrong:?}");
    assert!(told(&wrong).contains("0 kept, 1 counted"), "{wrong:?}");
    assert!(told(&wrong).contains("have been put right"), "{wrong:?}");
    let again = run_on(&database, &["recount"], "");
    assert!(told(&again).contains("are right"), "{again:?}");
}

#[test]
fn what_cannot_be_read_stops_the_start_and_is_named() {
    for (name, value, rule) in [
        ("SESSION_DURATION", "0", "must be longer than zero"),
        ("SAMESITE_AUTH_COOKIE", "strict", "must be `lax` or `none`"),
        ("DISABLE_PASSWORD_AUTH", "yes", "must be `true` or `false`"),
        ("HTTP_ADDRESS", "3000", "must be host:port"),
        ("PASSWORD_HASH_PASSES", "0", "no parameters of Argon2id"),
    ] {
        let mut command = usher("server").unwrap();
        let refused = command
            .env(format!("USHER_{name}"), value)
            .output()
            .unwrap();

        assert_eq!(refused.status.code(), Some(2), "{name}");
        let complaint = complaint(&refused);
        let flag = format!("--{}", name.to_lowercase().replace('_', "-"));
        assert!(
            complaint.contains(&format!("{flag} (USHER_{name})")),
            "{complaint}"
        );
        assert!(complaint.contains(rule), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        assert!(refused.stdout.is_empty());
    }
}

#[test]
fn a_failure_does_not_repeat_the_password_of_the_database() {
    let failed = usher("reset-password")
        .unwrap()
        .arg("alice")
        .env("USHER_PASSWORD", PASSWORD)
        .env(
            "USHER_PG_CONNECTION_URL",
            "postgres://u:topsecret@127.0.0.1:1/d",
        )
        .output()
        .unwrap();

    assert_eq!(failed.status.code(), Some(1));
    let complaint = complaint(&failed);
    assert!(complaint.contains("USHER_PG_CONNECTION_URL"), "{complaint}");
    assert!(!complaint.contains("topsecret"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_answered_before_the_server_stops() {
    let mut server = Server::start().await.unwrap();
    let mut stream = half_a_request(&server).await.unwrap();
    let base = server.base_url().to_owned();

    let stopped = tokio::spawn(async move { server.stop_gracefully().await });
    let host = base.strip_prefix("http://").unwrap();
    while TcpStream::connect(host).await.is_ok() {
        tokio::time::sleep(PAUSE).await;
    }
    stream.write_all(b"\"}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert!(stopped.await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_audit_log_that_no_answer_waited_for_is_not_lost() {
    let mut server = Server::start().await.unwrap();
    let first = json!({"username": "ada", "email": "ada@example.com", "password": PASSWORD});
    let first = Request::new("POST", "/api/v2/users/first").json(&first);
    assert_eq!(server.send(&first).await.unwrap().status, 201);
    let database = server.database().clone();
    let holder = database.connect().await.unwrap();
    let lock = "BEGIN; LOCK TABLE audit_logs IN EXCLUSIVE MODE";
    holder.batch_execute(lock).await.unwrap();
    let login = json!({"email": "ada@example.com", "password": "wrong"});
    let login = Request::new("POST", "/api/v2/users/login").json(&login);
    assert_eq!(server.send(&login).await.unwrap().status, 401);
    let waiting = "SELECT count(*) FROM pg_locks
                   WHERE NOT granted AND relation = 'audit_logs'::regclass
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while database.query(waiting).await.unwrap() == "0" {
        tokio::time::sleep(PAUSE).await;
    }

    let pid = Pid::from_raw(server.pid().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    while !server.log().contains("stopping") {
        tokio::time::sleep(PAUSE).await;
    }
    holder.batch_execute("COMMIT").await.unwrap();
    let status = server.wait().await.unwrap();

    assert!(status.success());
    let rows = "SELECT count(*) FROM audit_logs WHERE action = 'login' AND status_code = 401";
    assert_eq!(database.query(rows).await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_server_at_once() {
    let mut server = Server::start().await.unwrap();
    let _stream = half_a_request(&server).await.unwrap();
    let start = Instant::now();

    let pid = Pid::from_raw(server.pid().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    while !server.log().contains("stopping") {
        tokio::time::sleep(PAUSE).await;
    }
    let status = server.stop_gracefully().await.unwrap();

    assert_eq!(status.code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// Sends the head of a request and the beginning of its body.
async fn half_a_request(server: &Server) -> Result<TcpStream> {
    let host = server.base_url().strip_prefix("http://").context("a URL")?;
    let mut stream = TcpStream::connect(host).await?;
    let head = format!(
        "POST /api/v2/users/login HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\n{{\"email\":"
    );
    stream.write_all(head.as_bytes()).await?;
    // Asked over another connection later, so the first one has been read.
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

/// Runs a command on a database, with a text as its standard input.
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

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn sign_in(base: &str, who: &Value) -> Result<String> {
    let login = Request::new("POST", "/api/v2/users/login").json(who);
    let answer = exchange::send(base, &login).await?;
    ensure!(answer.status == 201, "{}", answer.body);
    let token = answer.json().context("JSON")?["session_token"].take();
    Ok(token.as_str().context("a token")?.to_owned())
}

/// The body of the request that a new server proposes.
fn suggested_body(told: &str) -> Value {
    let start = told.find('{').expect("there is a body");
    let end = told.find('}').expect("it ends");
    let mut body: Value = serde_json::from_str(&told[start..=end]).expect("it is JSON");
    // Only a terminal is told a password that would do.
    assert_eq!(body["password"], "PASSWORD");
    body["password"] = "SomeSecurePassword!1".into();
    body
}

/// A data directory for a server without settings.
struct Place(TempDir);

impl Place {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir_in("/tmp")?;
        // Postgres runs as another account if we are root.
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

    /// Starts a server there and waits until it says that it is ready.
    async fn start(&self) -> Result<ZeroConfig> {
        let output = self.0.path().join("out");
        let log = self.0.path().join("log");
        let child = usher("server")?
            .env("USHER_DATA_DIR", self.data())
            .env("USHER_HTTP_ADDRESS", "127.0.0.1:0")
            .stdout(File::create(&output)?)
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut server = ZeroConfig {
            child,
            url: String::new(),
            output,
        };
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let told = server.told();
            if let Some((_, rest)) = told.split_once(" is ready at ") {
                let url = rest.lines().next().context("a URL")?;
                url.clone_into(&mut server.url);
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                bail!(
                    "the server has ended with {status}:\n{}",
                    fs::read_to_string(log)?
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!(
            "the server does not become ready:\n{}",
            fs::read_to_string(log)?
        )
    }
}

/// A server without settings. It is killed when the value is dropped, which stops its
/// Postgres too.
struct ZeroConfig {
    child: Child,
    url: String,
    output: PathBuf,
}

impl ZeroConfig {
    /// What it has printed.
    fn told(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    async fn send(&self, request: &Request) -> Answer {
        exchange::send(&self.url, request).await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&Request::new("POST", path).json(body)).await
    }

    async fn sign_in(&self, who: &Value) -> Result<String> {
        sign_in(&self.url, who).await
    }

    async fn stop(&mut self) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("the server does not stop")
    }
}

impl Drop for ZeroConfig {
    fn drop(&mut self) {
        // Either may fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
