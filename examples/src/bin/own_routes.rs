//! A service that serves the users API and a route of its own.

use std::{env, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use axum::{Router, routing::get};
use tokio::net::TcpListener;
use usher_api::{AppState, Providers, Settings};
use usher_examples::Database;
use usher_store::SiteStore as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = env::var("USHER_HTTP_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let access_url = format!("http://{}", listener.local_addr()?);

    let database = Database::open().await?;
    let store = Arc::new(database.store.clone());
    let settings = Settings {
        deployment_id: store.deployment_id().await?,
        access_url: access_url.parse()?,
        ..Settings::default()
    };
    // The API handles every request that no other route matches.
    let app = Router::new()
        .route("/hello", get(hello))
        .merge(usher_api::router(AppState::new(
            store,
            Providers::default(),
            settings,
        )));

    announce(&access_url);
    axum::serve(
        listener,
        // The API reads the network addresses of clients from the connection.
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(interrupted())
    .await?;
    database.close().await
}

async fn hello() -> &'static str {
    "Hello from your own service.\n"
}

async fn interrupted() {
    // Without a signal handler, run until killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[expect(clippy::print_stdout, reason = "prints its URL")]
fn announce(url: &str) {
    println!("{url}/hello is its own route, {url}/api/v2 is Usher's API");
}
