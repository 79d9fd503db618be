use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::*;
use crate::testing::use_test_binaries;

#[tokio::test]
async fn data_survives_a_restart() {
    let directory = TestDirectory::new();
    let cluster = Cluster::open(directory.options()).await.unwrap();
    assert!(cluster.ensure_database("usher").await.unwrap());
    assert!(!cluster.ensure_database("usher").await.unwrap());
    let client = connect(&cluster.url("usher")).await;
    client
        .batch_execute("CREATE TABLE numbers AS SELECT 42 AS number")
        .await
        .unwrap();
    cluster.stop().await.unwrap();
    assert!(!directory.data().join("postmaster.pid").exists());

    let cluster = Cluster::open(directory.options()).await.unwrap();

    let client = connect(&cluster.url("usher")).await;
    let number: i32 = one(&client, "SELECT number FROM numbers").await;
    assert_eq!(number, 42);
    assert_eq!(show(&client, "server_encoding").await, "UTF8");
    assert_eq!(show(&client, "fsync").await, "on");
    assert_eq!(show(&client, "listen_addresses").await, "");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn postgres_never_runs_as_root() {
    let directory = TestDirectory::new();
    let cluster = Cluster::open(directory.options()).await.unwrap();

    let owner = fs::metadata(directory.data()).unwrap().uid();
    let runner = user_of(cluster.postmaster.id());

    assert_ne!(runner, 0);
    assert_eq!(runner, owner);
    if !is_root() {
        assert_eq!(runner, rustix::process::geteuid().as_raw());
    }
    assert_eq!(mode_of(&directory.data()), 0o700);
    assert_eq!(mode_of(cluster.endpoint().socket_directory()), 0o700);
    assert_eq!(mode_of(&directory.path.join("postgres.log")), 0o600);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_owner_gets_an_error_with_the_process_of_the_first() {
    let directory = TestDirectory::new();
    let cluster = Cluster::open(directory.options()).await.unwrap();

    let error = Cluster::open(directory.options()).await.unwrap_err();

    let ours = std::process::id().to_string();
    assert!(
        matches!(&error, Error::InUse { process, .. } if *process == ours),
        "{error:?}"
    );
    let found = Cluster::running(&directory.path).unwrap();
    assert_eq!(&found, cluster.endpoint());
    cluster.stop().await.unwrap();
    assert_eq!(Cluster::running(&directory.path), None);
}

#[tokio::test]
async fn a_postgres_left_running_is_stopped_by_the_next_start() {
    let directory = TestDirectory::new();
    let mut cluster = Cluster::open(directory.options()).await.unwrap();
    let left = cluster.postmaster.id();
    let client = connect(&cluster.url("postgres")).await;
    client
        .batch_execute("CREATE TABLE numbers AS SELECT 42 AS number")
        .await
        .unwrap();
    // As after `kill -9` of the owner and the watchdog.
    cluster.watchdog.kill();
    std::mem::forget(cluster.postmaster);
    drop(cluster.directory);

    let cluster = Cluster::open(directory.options()).await.unwrap();

    assert_ne!(cluster.postmaster.id(), left);
    let client = connect(&cluster.url("postgres")).await;
    let number: i32 = one(&client, "SELECT number FROM numbers").await;
    assert_eq!(number, 42);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_reused_process_id_in_postmaster_pid_does_not_prevent_the_start() {
    let directory = TestDirectory::new();
    let cluster = Cluster::open(directory.options()).await.unwrap();
    let file = fs::read_to_string(directory.data().join("postmaster.pid")).unwrap();
    let own = user_of(cluster.postmaster.id());
    cluster.stop().await.unwrap();
    let mut bystander = Directory::lock(&directory.path)
        .unwrap()
        .account()
        .command(Path::new("/bin/sleep"))
        .arg("60")
        .spawn()
        .unwrap();
    assert_eq!(user_of(bystander.id()), own);
    let lines: Vec<&str> = file.lines().skip(1).collect();
    let stale = format!("{}\n{}\n", bystander.id(), lines.join("\n"));
    let file = directory.data().join("postmaster.pid");
    fs::write(&file, stale).unwrap();
    Account::for_cluster(&directory.data())
        .unwrap()
        .give(&file)
        .unwrap();

    let cluster = Cluster::open(directory.options()).await.unwrap();

    cluster.stop().await.unwrap();
    assert_eq!(bystander.try_wait().unwrap(), None);
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn an_interrupted_initdb_is_repeated() {
    let directory = TestDirectory::new();
    fs::create_dir_all(directory.path.join("data.new/base")).unwrap();

    let cluster = Cluster::open(directory.options()).await.unwrap();

    cluster.stop().await.unwrap();
    assert!(!directory.path.join("data.new").exists());
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_an_error_and_unchanged() {
    let directory = TestDirectory::new();
    fs::create_dir_all(directory.data()).unwrap();
    fs::write(directory.data().join("PG_VERSION"), "7\n").unwrap();

    let error = Cluster::open(directory.options()).await.unwrap_err();

    let text = error.to_string();
    assert!(
        matches!(error, Error::OtherMajor { cluster: 7, .. }),
        "{text}"
    );
    assert!(text.contains("created by Postgres 7"), "{text}");
    assert!(text.contains("pg_dump"), "{text}");
    let version = fs::read_to_string(directory.data().join("PG_VERSION")).unwrap();
    assert_eq!(version, "7\n");
}

#[tokio::test]
async fn a_directory_that_only_root_can_enter_is_an_error_that_names_it() {
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
async fn a_cluster_copied_by_root_is_given_to_the_account() {
    if !is_root() {
        return;
    }
    let directory = TestDirectory::new();
    let cluster = Cluster::open(directory.options()).await.unwrap();
    cluster.stop().await.unwrap();
    let chowned = Command::new("chown")
        .args(["-R", "0:0"])
        .arg(&directory.path)
        .status();
    assert!(chowned.unwrap().success());

    let cluster = Cluster::open(directory.options()).await.unwrap();

    assert_ne!(fs::metadata(directory.data()).unwrap().uid(), 0);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_path_with_spaces_and_commas_has_a_temporary_socket_directory() {
    let directory = TestDirectory::inside(&format!("my, usher's/{}/postgres", "long".repeat(40)));
    let cluster = Cluster::open(directory.options()).await.unwrap();
    let socket_directory = cluster.endpoint().socket_directory().to_owned();
    assert!(!socket_directory.starts_with(directory.parent.path()));
    assert_eq!(mode_of(&socket_directory), 0o700);

    connect(&cluster.url("postgres")).await;

    cluster.stop().await.unwrap();
    assert!(!socket_directory.exists());
}

#[tokio::test]
async fn the_url_works_with_psql() {
    let has_psql = Command::new("psql").arg("--version").output();
    if !has_psql.is_ok_and(|output| output.status.success()) {
        return; // not in the downloaded archive
    }
    let directory = TestDirectory::inside("with space/postgres");
    let cluster = Cluster::open(directory.options()).await.unwrap();
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
async fn postgres_has_its_own_process_group() {
    let directory = TestDirectory::new();
    let cluster = Cluster::open(directory.options()).await.unwrap();

    let postgres = cluster.postmaster.id();

    assert_eq!(ps("pgid", postgres), postgres);
    assert_ne!(ps("pgid", std::process::id()), postgres);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_start_is_an_error_with_the_end_of_the_log() {
    let directory = TestDirectory::new();
    Cluster::open(directory.options())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::write(
        directory.data().join("postgresql.conf"),
        "no_such_setting = 1\n",
    )
    .unwrap();

    let error = Cluster::open(directory.options()).await.unwrap_err();

    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_dropped_cluster_can_be_opened_again_immediately() {
    let directory = TestDirectory::new();
    let cluster = Cluster::open(directory.options()).await.unwrap();
    let _client = connect(&cluster.url("postgres")).await;
    drop(cluster);

    let cluster = Cluster::open(directory.options()).await.unwrap();

    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_futures_of_a_cluster_are_send() {
    fn is_send<T: Send>(_: &T) {}
    let directory = TestDirectory::new();

    is_send(&Cluster::open(directory.options()));
    is_send(&async {
        let cluster = Cluster::open(directory.options()).await?;
        cluster.ensure_database("usher").await?;
        cluster.stop().await
    });
}

/// The process that the next test kills; not a test.
#[tokio::test]
async fn own_a_cluster_until_killed() {
    let Some(directory) = std::env::var_os("USHER_TEST_OWN") else {
        return;
    };
    let mut options = Options::new(directory);
    use_test_binaries(&mut options);
    let cluster = Cluster::open(options).await.unwrap();
    cluster.create_database("owned", None).await.unwrap();
    std::future::pending::<()>().await;
    drop(cluster);
}

#[tokio::test]
async fn postgres_does_not_outlive_a_killed_owner() {
    let directory = TestDirectory::new();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cluster::tests::own_a_cluster_until_killed"])
        .env("USHER_TEST_OWN", &directory.path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while Cluster::running(&directory.path).is_none() {
        assert_eq!(owner.try_wait().unwrap(), None);
        assert!(start.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let postgres = PidFile::read(&directory.data()).unwrap().process;
    owner.kill().unwrap();
    assert_eq!(owner.wait().unwrap().signal(), Some(9));

    // Without waiting: Postgres may still be stopping.
    let cluster = Cluster::open(directory.options()).await.unwrap();

    assert_ne!(cluster.postmaster.id(), postgres);
    // The watchdog of the killed owner must not stop the new Postgres.
    tokio::time::sleep(Duration::from_millis(300)).await;
    connect(&cluster.url("postgres")).await;
    cluster.stop().await.unwrap();
}

/// A temporary directory for a cluster.
struct TestDirectory {
    parent: TempDir,
    path: PathBuf,
}

impl TestDirectory {
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
        use_test_binaries(&mut options);
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
