//! The database round trips of requests, counted by a proxy.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream, UnixStream},
};
use usher_tests::{database::Database, deployment::Deployment, exchange::Request, server::Setup};

/// The messages after which the client waits for a response.
const SYNC: u8 = b'S';
const SIMPLE_QUERY: u8 = b'Q';

/// A proxy that counts round trips.
struct CountingProxy {
    round_trips: Arc<AtomicUsize>,
    port: u16,
}

impl CountingProxy {
    async fn start(socket: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&round_trips);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, socket.clone(), Arc::clone(&counter)));
            }
        });
        Ok(Self { round_trips, port })
    }

    fn count(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }
}

async fn forward(client: TcpStream, socket: PathBuf, counter: Arc<AtomicUsize>) -> Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_database, mut to_database) = UnixStream::connect(socket).await?.into_split();
    tokio::spawn(async move { copy(&mut from_database, &mut to_client).await });
    // The first message has no type byte.
    let mut is_first = true;
    loop {
        let kind = if is_first {
            None
        } else {
            Some(from_client.read_u8().await?)
        };
        is_first = false;
        let length = from_client.read_u32().await?;
        let mut rest = vec![0; length as usize - 4];
        from_client.read_exact(&mut rest).await?;
        if matches!(kind, Some(SYNC | SIMPLE_QUERY)) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        let mut message = Vec::from_iter(kind);
        message.extend(length.to_be_bytes());
        message.extend(rest);
        to_database.write_all(&message).await?;
    }
}

struct ProxiedDeployment {
    deployment: Deployment,
    proxy: CountingProxy,
}

impl ProxiedDeployment {
    async fn start() -> Result<Self> {
        let database = Database::migrated().await;
        let proxy = CountingProxy::start(database.socket()?).await?;
        let setup = Setup::default()
            .on(&database)
            .set("PG_CONNECTION_URL", &database.url_through(proxy.port)?)
            .set("NOTIFICATIONS_FETCH_INTERVAL", "1h");
        Ok(Self {
            deployment: Deployment::start(setup).await?,
            proxy,
        })
    }

    /// Returns the fewest round trips of thirty requests, which excludes background work.
    async fn cost(&self, status: u16, request: impl Fn(usize) -> Request) -> Result<usize> {
        // The first requests record the use of the key and prepare statements.
        let mut fewest = usize::MAX;
        for n in 0..60 {
            let before = self.proxy.count();
            assert_eq!(
                self.deployment.server.send(&request(n)).await?.status,
                status
            );
            if n >= 30 {
                fewest = fewest.min(self.proxy.count() - before);
            }
        }
        Ok(fewest)
    }
}

#[tokio::test]
async fn reading_oneself_takes_one_round_trip_and_a_list_three() -> Result<()> {
    let proxied = ProxiedDeployment::start().await?;
    let token = &proxied.deployment.owner;
    for (path, round_trips) in [
        ("/api/v2/users/me", 1),
        ("/api/v2/users/me/roles", 1),
        // The statement of a list is prepared each time, to be planned with its values.
        ("/api/v2/users?limit=25", 3),
    ] {
        let request = |_| Request::new("GET", path).token(token);
        assert_eq!(proxied.cost(200, request).await?, round_trips, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn creating_a_token_and_changing_a_setting_take_two_round_trips() -> Result<()> {
    let proxied = ProxiedDeployment::start().await?;
    let token = &proxied.deployment.owner;
    for (method, path, status, body) in [
        (
            "POST",
            "/api/v2/users/me/keys/tokens",
            201,
            (|n| json!({"token_name": format!("t{n}")})) as fn(usize) -> Value,
        ),
        (
            "PUT",
            "/api/v2/users/me/preferences",
            200,
            |n| json!({"task_notification_alert_dismissed": n % 2 == 0}),
        ),
        (
            "PUT",
            "/api/v2/users/me/appearance",
            200,
            |_| json!({"theme_preference": "dark", "terminal_font": "fira-code"}),
        ),
    ] {
        let request = |n| Request::new(method, path).token(token).json(&body(n));
        assert_eq!(proxied.cost(status, request).await?, 2, "{method} {path}");
    }
    Ok(())
}
