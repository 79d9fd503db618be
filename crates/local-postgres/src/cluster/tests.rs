use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::*;
use crate::testing::use_programs_for_tests;

#[tokio::test]
async fn a_restart_keeps_the_data() {
    let place = Place::new();
    let cluster = Cluster::open(place.options()).await.unwrap();
    assert!(cluster.ensure_database("usher").await.unwrap());
    assert!(!cluster.ensure_database("usher").await.unwrap());
    let client = connect(&cluster.url("usher")).await;
    client
        .batch_execute("CREATE TABLE kept AS SELECT 42 AS number")
        .await
        .unwrap();
    cluster.stop().await.unwrap();
    assert!(!place.data().join("postmaster.pid").exists());

    let cluster = Cluster::open(place.options()).await.unwrap();

    let client = connect(&cluster.url("usher")).await;
    let number: i32 = one(&client, "SELECT number FROM kept").await;
    assert_eq!(number, 42);
    assert_eq!(show(&client, "server_encoding").await, "UTF8");
    assert_eq!(show(&client, "fsync").await, "on");
    assert_eq!(show(&client, "listen_addresses").await, "");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn postgres_never_runs_as_root() {
    let place = Place::new();
    let cluster = Cluster::open(place.options()).await.unwrap();

    let owner = fs::metadata(place.data()).unwrap().uid();
    let runner = user_of(cluster.postmaster.id());

    assert_ne!(runner, 0);
    assert_eq!(runner, owner);
    if !is_root() {
        assert_eq!(runner, rustix::process::geteuid().as_raw());
    }
    assert_eq!(mode_of(&place.data()), 0o700);
    assert_eq!(mode_of(cluster.endpoint().socket_directory()), 0o700);
    assert_eq!(mode_of(&place.path.join("postgres.log")), 0o600);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_who_the_first_is() {
    let place = Place::new();
    let cluster = Cluster::open(place.options()).await.unwrap();

    let error = Cluster::open(place.options()).await.unwrap_err();

    let ours = std::process::id().to_string();
    assert!(
        matches!(&error, Error::InUse { process, .. } if *process == ours),
        "{error:?}"
    );
    let found = Cluster::running(&place.path).unwrap();
    assert_eq!(&found, cluster.endpoint());
    cluster.stop().await.unwrap();
    assert_eq!(Cluster::running(&place.path), None);
}

#[tokio::test]
async fn a_postgres_that_was_left_running_does_not_hold_the_next_start_back() {
    let place = Place::new();
    let mut cluster = Cluster::open(place.options()).await.unwrap();
    let left = cluster.postmaster.id();
    let client = connect(&cluster.url("postgres")).await;
    client
        .batch_execute("CREATE TABLE kept AS SELECT 42 AS number")
        .await
        .unwrap();
    // As after `kill -9` of us and of the watchdog.
    cluster.watchdog.kill();
    std::mem::forget(cluster.postmaster);
    drop(cluster.directory);

    let cluster = Cluster::open(place.options()).await.unwrap();

    assert_ne!(cluster.postmaster.id(), left);
    let client = connect(&cluster.url("postgres")).await;
    let number: i32 = one(&client, "SELECT number FROM kept").await;
    assert_eq!(number, 42);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_process_that_has_taken_the_number_of_a_dead_postgres_does_not_hold_the_start_back() {
    let place = Place::new();
    let cluster = Cluster::open(place.options()).await.unwrap();
    let file = fs::read_to_string(place.data().join("postmaster.pid")).unwrap();
    let own = user_of(cluster.postmaster.id());
    cluster.stop().await.unwrap();
    let mut bystander = Directory::claim(&place.path)
        .unwrap()
        .account()
        .command(Path::new("/bin/sleep"))
        .arg("60")
        .spawn()
        .unwrap();
    assert_eq!(user_of(bystander.id()), own);
    let lines: Vec<&str> = file.lines().skip(1).collect();
    let stale = format!("{}\n{}\n", bystander.id(), lines.join("\n"));
    let file = place.data().join("postmaster.pid");
    fs::write(&file, stale).unwrap();
    Account::for_cluster(&place.data())
        .unwrap()
        .give(&file)
        .unwrap();

    let cluster = Cluster::open(place.options()).await.unwrap();

    cluster.stop().await.unwrap();
    assert_eq!(bystander.try_wait().unwrap(), None);
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn an_interrupted_initdb_does_not_count() {
    let place = Place::new();
    fs::create_dir_all(place.path.join("data.new/base")).unwrap();

    let cluster = Cluster::open(place.options()).await.unwrap();

    cluster.stop().await.unwrap();
    assert!(!place.path.join("data.new").exists());
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_refused_and_left_as_it_is() {
    let place = Place::new();
    fs::create_dir_all(place.data()).unwrap();
    fs::write(place.data().join("PG_VERSION"), "7\n").unwrap();

    let error = Cluster::open(place.options()).await.unwrap_err();

    let text = error.to_string();
    assert!(
        matches!(error, Error::OtherMajor { cluster: 7, .. }),
        "{text}"
    );
    assert!(text.contains("made by Postgres 7"), "{text}");
    assert!(text.contains("pg_dump"), "{text}");
    let version = fs::read_to_string(place.data().join("PG_VERSION")).unwrap();
    assert_eq!(version, "7\n");
}

#[tokio::test]
async fn a_directory_that_root_can_enter_but_postgres_cannot_is_named() {
    if !is_root() {
        return; // an ordinary user runs Postgres as themselves
    }
    let closed = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let inside = closed.path().join("usher/postgres");

    let error = Cluster::open(Options::new(&inside)).await.unwrap_err();

    let text = error.to_string();
    assert!(
        matches!(&error, Error::Unreachable { barrier, .. } if barrier == closed.path()),
        "{text}"
    );
    assert!(text.contains("chmod o+x"), "{text}");
    assert!(Cluster::check_directory(&inside).is_err());
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o711)).unwrap();
    Cluster::check_directory(&inside).unwrap();
}

#[tokio::test]
async fn a_cluster_that_root_has_copied_there_is_given_to_the_account() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let cluster = Cluster::open(place.options()).await.unwrap();
    cluster.stop().await.unwrap();
    let chowned = Command::new("chown")
        .args(["-R", "0:0"])
        .arg(&place.path)
        .status();
    assert!(chowned.unwrap().success());

    let cluster = Cluster::open(place.options()).await.unwrap();

    assert_ne!(fs::metadata(place.data()).unwrap().uid(), 0);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_path_with_spaces_and_commas_works_and_leaves_no_socket_behind() {
    let place = Place::inside(&format!("my, usher's/{}/postgres", "long".repeat(40)));
    let cluster = Cluster::open(place.options()).await.unwrap();
    let socket_directory = cluster.endpoint().socket_directory().to_owned();
    assert!(!socket_directory.starts_with(place.parent.path()));
    assert_eq!(mode_of(&socket_directory), 0o700);

    connect(&cluster.url("postgres")).await;

    cluster.stop().await.unwrap();
    assert!(!socket_directory.exists());
}

#[tokio::test]
async fn the_url_works_for_psql_too() {
    let has_psql = Command::new("psql").arg("--version").output();
    if !has_psql.is_ok_and(|output| output.status.success()) {
        return; // fetched programs come without it
    }
    let place = Place::inside("with space/postgres");
    let cluster = Cluster::open(place.options()).await.unwrap();
    cluster.create_database("o'hara db", None).await.unwrap();

    let output = Command::new("psql")
        .args(["-XAtc", "SELECT current_database()"])
        .arg(cluster.url("o'hara db"))
        .output()
        .unwrap();

    assert_eq!(output.stdout, b"o'hara db\n", "{output:?}");
    cluster.drop_database("o'hara db").await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn ctrl_c_reaches_us_and_not_postgres() {
    let place = Place::new();
    let cluster = Cluster::open(place.options()).await.unwrap();

    let postgres = cluster.postmaster.id();

    assert_eq!(ps("pgid", postgres), postgres);
    assert_ne!(ps("pgid", std::process::id()), postgres);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_postgres_that_does_not_start_says_why() {
    let place = Place::new();
    Cluster::open(place.options())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::write(
        place.data().join("postgresql.conf"),
        "no_such_setting = 1\n",
    )
    .unwrap();

    let error = Cluster::open(place.options()).await.unwrap_err();

    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_dropped_cluster_stops_and_can_be_opened_at_once() {
    let place = Place::new();
    let cluster = Cluster::open(place.options()).await.unwrap();
    let _client = connect(&cluster.url("postgres")).await;
    drop(cluster);

    let cluster = Cluster::open(place.options()).await.unwrap();

    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn opening_and_using_a_cluster_can_be_spawned() {
    fn is_send<T: Send>(_: &T) {}
    let place = Place::new();

    is_send(&Cluster::open(place.options()));
    is_send(&async {
        let cluster = Cluster::open(place.options()).await?;
        cluster.ensure_database("usher").await?;
        cluster.stop().await
    });
}

/// The owner that the next test kills: not a test of its own.
#[tokio::test]
async fn hold_a_cluster_until_killed() {
    let Some(directory) = std::env::var_os("USHER_TEST_HOLD") else {
        return;
    };
    let mut options = Options::new(directory);
    use_programs_for_tests(&mut options);
    let cluster = Cluster::open(options).await.unwrap();
    cluster.create_database("held", None).await.unwrap();
    std::future::pending::<()>().await;
    drop(cluster);
}

#[tokio::test]
async fn postgres_does_not_outlive_a_killed_owner() {
    let place = Place::new();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cluster::tests::hold_a_cluster_until_killed"])
        .env("USHER_TEST_HOLD", &place.path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while Cluster::running(&place.path).is_none() {
        assert_eq!(owner.try_wait().unwrap(), None);
        assert!(begin.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let postgres = PidFile::read(&place.data()).unwrap().process;
    owner.kill().unwrap();
    assert_eq!(owner.wait().unwrap().signal(), Some(9));

    // At once: Postgres may still be about to stop.
    let cluster = Cluster::open(place.options()).await.unwrap();

    assert_ne!(cluster.postmaster.id(), postgres);
    // The watchdog of the killed owner must leave this one alone.
    tokio::time::sleep(Duration::from_millis(300)).await;
    connect(&cluster.url("postgres")).await;
    cluster.stop().await.unwrap();
}

/// A directory for a cluster which goes with the test.
struct Place {
    parent: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self::inside("postgres")
    }

    fn inside(path: &str) -> Self {
        let parent = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let path = parent.path().join(path);
        Self { parent, path }
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    fn options(&self) -> Options {
        let mut options = Options::new(&self.path);
        use_programs_for_tests(&mut options);
        options
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(client: &Client, query: &str) -> T {
    client.query_one(query, &[]).await.unwrap().get(0)
}

async fn show(client: &Client, setting: &str) -> String {
    one(client, &format!("SHOW {setting}")).await
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn user_of(process: u32) -> u32 {
    ps("uid", process)
}

fn ps(column: &str, process: u32) -> u32 {
    let output = Command::new("ps")
        .args(["-o", &format!("{column}="), "-p", &process.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap()
}
