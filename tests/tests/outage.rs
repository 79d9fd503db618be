//! A database that becomes unreachable or stalls, and recovers.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
};
use usher_tests::{
    database::Database,
    deployment::{Deployment, PASSWORD},
    exchange::{Request, Response},
    server::Setup,
};

/// The documented limit is 5 seconds; the rest is for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(7);

/// The state of the connection to the database.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Network {
    Up,
    /// Connections are rejected, and existing ones are closed.
    Down,
    /// Connections are accepted, but no bytes pass.
    Stalled,
}

/// A proxy in front of the database.
struct Proxy {
    network: Arc<AtomicU8>,
    port: u16,
}

impl Proxy {
    async fn start(socket: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let network = Arc::new(AtomicU8::new(Network::Up as u8));
        let shared = Arc::clone(&network);
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, socket.clone(), Arc::clone(&shared)));
            }
        });
        Ok(Self { network, port })
    }

    async fn set(&self, network: Network) {
        self.network.store(network as u8, Ordering::SeqCst);
        // Longer than the polling interval of the connections.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn forward(mut client: TcpStream, socket: PathBuf, network: Arc<AtomicU8>) {
    let is = |state: Network| network.load(Ordering::SeqCst) == state as u8;
    let until = async |state: Network| {
        while !is(state) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if is(Network::Down) {
        return;
    }
    if is(Network::Stalled) {
        until(Network::Up).await;
        return;
    }
    let Ok(mut database) = UnixStream::connect(socket).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut database) => {}
        () = until(Network::Down) => {}
        // Copying stops, but both connections stay open until the network is up again.
        () = until(Network::Stalled) => until(Network::Up).await,
    }
}

struct ProxiedDeployment {
    deployment: Deployment,
    proxy: Proxy,
}

impl ProxiedDeployment {
    async fn start() -> Result<Self> {
        let database = Database::migrated().await;
        let proxy = Proxy::start(database.socket()?).await?;
        let setup = Setup::default()
            .on(&database)
            .set("PG_CONNECTION_URL", &database.url_through(proxy.port)?);
        Ok(Self {
            deployment: Deployment::start(setup).await?,
            proxy,
        })
    }

    /// Sends a request of each kind while the database is unavailable.
    async fn assert_unavailable(&self) -> Result<()> {
        let token = &self.deployment.owner;
        let create = Request::new("POST", "/api/v2/users")
            .token(token)
            .json(&json!({}));
        let login = Request::new("POST", "/api/v2/users/login")
            .json(&json!({"email": "owner@example.com", "password": PASSWORD}));
        for request in [
            Request::new("GET", "/api/v2/users/me").token(token),
            create,
            Request::new("GET", "/api/v2/users/first"),
            Request::new("GET", "/healthz"),
            login,
        ] {
            let start = Instant::now();
            let response = self.deployment.server.send(&request).await?;
            let elapsed = start.elapsed();
            assert!(elapsed < TIMEOUT, "{} took {elapsed:?}", request.path);
            assert_is_unavailable(&response);
        }
        Ok(())
    }

    async fn assert_recovers(&self) -> Result<()> {
        let me = Request::new("GET", "/api/v2/users/me").token(&self.deployment.owner);
        let start = Instant::now();
        while self.deployment.server.send(&me).await?.status != 200 {
            assert!(start.elapsed() < 2 * TIMEOUT, "the server did not recover");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

fn assert_is_unavailable(response: &Response) {
    assert_eq!(response.status, 503, "{}", response.body);
    assert!(!response.header("retry-after").is_empty());
    assert!(
        response
            .all("set-cookie")
            .all(|cookie| !cookie.starts_with("coder_session_token"))
    );
}

#[tokio::test]
async fn requests_fail_with_503_while_the_database_is_down_and_succeed_afterwards() -> Result<()> {
    let proxied = ProxiedDeployment::start().await?;
    for _ in 0..2 {
        proxied.proxy.set(Network::Down).await;
        proxied.assert_unavailable().await?;
        proxied.proxy.set(Network::Up).await;
        proxied.assert_recovers().await?;
    }
    Ok(())
}

#[tokio::test]
async fn requests_fail_with_503_while_the_database_stalls_and_succeed_afterwards() -> Result<()> {
    let proxied = ProxiedDeployment::start().await?;
    proxied.proxy.set(Network::Stalled).await;
    proxied.assert_unavailable().await?;
    proxied.proxy.set(Network::Up).await;
    proxied.assert_recovers().await
}
