//! A database that goes away, stalls, and comes back.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
};
use usher_tests::{
    database::Database,
    exchange::{Answer, Request},
    server::{Server, Setup},
};

const PASSWORD: &str = "SomeSecurePassword!1";
/// The promise is 5 seconds; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(7);

/// How the way to the database is.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Way {
    Open,
    /// Connections are refused, and those that were open are gone.
    Cut,
    /// Nothing is refused and nothing gets through.
    Stalled,
}

/// A stretch of the way to the database that can be closed.
struct Proxy {
    way: Arc<AtomicU8>,
    port: u16,
}

impl Proxy {
    async fn to(socket: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let way = Arc::new(AtomicU8::new(Way::Open as u8));
        let seen = Arc::clone(&way);
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, socket.clone(), Arc::clone(&seen)));
            }
        });
        Ok(Self { way, port })
    }

    async fn set(&self, way: Way) {
        self.way.store(way as u8, Ordering::SeqCst);
        // Longer than a connection takes to notice.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn forward(mut client: TcpStream, socket: PathBuf, way: Arc<AtomicU8>) {
    let until_way_is = async |wanted: Way| {
        while way.load(Ordering::SeqCst) != wanted as u8 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if way.load(Ordering::SeqCst) == Way::Cut as u8 {
        return;
    }
    if way.load(Ordering::SeqCst) == Way::Stalled as u8 {
        // Held open, and never answered.
        until_way_is(Way::Open).await;
        return;
    }
    let Ok(mut database) = UnixStream::connect(socket).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut database) => {}
        () = until_way_is(Way::Cut) => {}
        () = until_way_is(Way::Stalled) => {
            // From here on bytes are swallowed by nobody: both ends stay open.
            until_way_is(Way::Open).await;
        }
    }
}

struct Deployment {
    server: Server,
    proxy: Proxy,
    token: String,
}

impl Deployment {
    async fn start() -> Result<Self> {
        let database = Database::migrated().await;
        let proxy = Proxy::to(database.socket()?).await?;
        let through = database.url_through(proxy.port)?;
        let server = Setup::default()
            .on(&database)
            .set("PG_CONNECTION_URL", &through)
            .start()
            .await?;
        let first = json!({"email": "o@example.com", "username": "o", "password": PASSWORD});
        let first = Request::new("POST", "/api/v2/users/first").json(&first);
        assert_eq!(server.send(&first).await?.status, 201);
        let answer = server.send(&login()).await?;
        let token = answer.json().context("no body")?["session_token"]
            .as_str()
            .context("no session")?
            .to_owned();
        Ok(Self {
            server,
            proxy,
            token,
        })
    }

    /// What is answered to a request of each kind while the database is away.
    async fn ask(&self) -> Result<Vec<Answer>> {
        let me = Request::new("GET", "/api/v2/users/me").token(&self.token);
        let create = Request::new("POST", "/api/v2/users")
            .token(&self.token)
            .json(&json!({}));
        let first = Request::new("GET", "/api/v2/users/first");
        let health = Request::new("GET", "/healthz");
        let mut answers = Vec::new();
        for request in [me, create, first, health, login()] {
            let asked = Instant::now();
            answers.push(self.server.send(&request).await?);
            assert!(
                asked.elapsed() < PATIENCE,
                "{} took {:?}",
                request.path,
                asked.elapsed()
            );
        }
        Ok(answers)
    }

    async fn recovers(&self) -> Result<()> {
        let me = Request::new("GET", "/api/v2/users/me").token(&self.token);
        let began = Instant::now();
        while self.server.send(&me).await?.status != 200 {
            assert!(began.elapsed() < 2 * PATIENCE, "it does not recover");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

fn login() -> Request {
    Request::new("POST", "/api/v2/users/login")
        .json(&json!({"email": "o@example.com", "password": PASSWORD}))
}

fn are_all_unavailable(answers: &[Answer]) {
    for answer in answers {
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(!answer.header("retry-after").is_empty());
        assert!(
            answer
                .all("set-cookie")
                .all(|cookie| !cookie.starts_with("coder_session_token"))
        );
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_503_and_comes_back_by_itself() -> Result<()> {
    let deployment = Deployment::start().await?;
    for _ in 0..2 {
        deployment.proxy.set(Way::Cut).await;
        are_all_unavailable(&deployment.ask().await?);
        deployment.proxy.set(Way::Open).await;
        deployment.recovers().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_stalls_is_503_and_comes_back_by_itself() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.proxy.set(Way::Stalled).await;
    are_all_unavailable(&deployment.ask().await?);
    deployment.proxy.set(Way::Open).await;
    deployment.recovers().await
}
