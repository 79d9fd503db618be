//! What a request costs at the database, counted where it passes by.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream, UnixStream},
};
use usher_tests::{
    database::Database,
    exchange::Request,
    server::{Server, Setup},
};

const PASSWORD: &str = "SomeSecurePassword!1";

/// The messages of the frontend that are followed by waiting for an answer.
const SYNC: u8 = b'S';
const SIMPLE_QUERY: u8 = b'Q';

/// A way to the database on which round trips are counted.
struct Counter {
    round_trips: Arc<AtomicUsize>,
    port: u16,
}

impl Counter {
    async fn before(socket: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&round_trips);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, socket.clone(), Arc::clone(&counted)));
            }
        });
        Ok(Self { round_trips, port })
    }

    fn so_far(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }
}

async fn forward(client: TcpStream, socket: PathBuf, counted: Arc<AtomicUsize>) -> Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_database, mut to_database) = UnixStream::connect(socket).await?.into_split();
    tokio::spawn(async move { copy(&mut from_database, &mut to_client).await });
    // The first message has a length and no kind.
    let mut has_begun = false;
    loop {
        let kind = if has_begun {
            Some(from_client.read_u8().await?)
        } else {
            None
        };
        has_begun = true;
        let length = from_client.read_u32().await?;
        let mut rest = vec![0; length as usize - 4];
        from_client.read_exact(&mut rest).await?;
        if matches!(kind, Some(SYNC | SIMPLE_QUERY)) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        let mut message = Vec::from_iter(kind);
        message.extend(length.to_be_bytes());
        message.extend(rest);
        to_database.write_all(&message).await?;
    }
}

struct Deployment {
    server: Server,
    counter: Counter,
}

impl Deployment {
    async fn start() -> Result<Self> {
        let database = Database::migrated().await;
        let counter = Counter::before(database.socket()?).await?;
        let through = database.url_through(counter.port)?;
        let server = Setup::default()
            .on(&database)
            .set("PG_CONNECTION_URL", &through)
            .set("NOTIFICATIONS_FETCH_INTERVAL", "1h")
            .start()
            .await?;
        Ok(Self { server, counter })
    }

    async fn session(&self) -> Result<String> {
        let first = json!({"email": "o@example.com", "username": "o", "password": PASSWORD});
        let first = Request::new("POST", "/api/v2/users/first").json(&first);
        assert_eq!(self.server.send(&first).await?.status, 201);
        let login = json!({"email": "o@example.com", "password": PASSWORD});
        let login = Request::new("POST", "/api/v2/users/login").json(&login);
        let answer = self.server.send(&login).await?.json().context("no body")?;
        let token = answer["session_token"].as_str().context("no session")?;
        Ok(token.to_owned())
    }

    /// The fewest round trips of thirty requests: what else runs now and then is not theirs.
    async fn cost(&self, status: u16, request: impl Fn(usize) -> Request) -> Result<usize> {
        // The first ones touch the key, and prepare statements on each connection in turn.
        let mut fewest = usize::MAX;
        for n in 0..60 {
            let before = self.counter.so_far();
            assert_eq!(self.server.send(&request(n)).await?.status, status);
            if n >= 30 {
                fewest = fewest.min(self.counter.so_far() - before);
            }
        }
        Ok(fewest)
    }
}

#[tokio::test]
async fn who_one_is_costs_one_round_trip_and_a_list_two() -> Result<()> {
    let deployment = Deployment::start().await?;
    let token = deployment.session().await?;
    for (path, round_trips) in [
        ("/api/v2/users/me", 1),
        ("/api/v2/users/me/roles", 1),
        ("/api/v2/users?limit=25", 2),
    ] {
        let request = |_| Request::new("GET", path).token(&token);
        assert_eq!(deployment.cost(200, request).await?, round_trips, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_and_a_setting_cost_two_round_trips() -> Result<()> {
    let deployment = Deployment::start().await?;
    let token = deployment.session().await?;
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
        let request = |n| Request::new(method, path).token(&token).json(&body(n));
        assert_eq!(
            deployment.cost(status, request).await?,
            2,
            "{method} {path}"
        );
    }
    Ok(())
}
