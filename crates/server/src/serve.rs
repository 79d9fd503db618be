//! `usher server`: from the settings to the graceful shutdown.
//!
//! The server binds its port first, so that a second instance fails immediately, and accepts
//! connections when the database is ready; earlier clients wait in the backlog. At the first
//! shutdown signal it stops accepting, waits for requests in progress and their background
//! work, and stops the local Postgres. A second signal exits immediately; the watchdog then
//! stops Postgres, and committed data is safe.

use std::{
    error::Error,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, extract::ConnectInfo, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;
use usher_api::{AppState, CsrfToken};
use usher_notifier::{Notifier, NotifierOptions};
use usher_postgres::PgStore;
use usher_store::{SiteStore as _, UserCountStore};

use crate::{
    database::Database,
    settings::{HttpAddress, ServerSettings},
    shutdown::ShutdownSignals,
    user_count, welcome,
};

/// How long a connection may take to send a request head, and may be idle between requests:
/// longer than load balancers keep idle connections, so that they close first.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// The maximum size of a request head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long to wait before accepting again when the system is out of resources.
const EXHAUSTION_PAUSE: Duration = Duration::from_millis(500);

/// How long background work is delayed after the start, so that it does not slow down the
/// first responses.
const START_PAUSE: Duration = Duration::from_secs(1);

/// Runs the server until it receives a shutdown signal.
///
/// # Errors
///
/// If the server cannot start or does not shut down cleanly.
pub async fn serve(settings: ServerSettings) -> Result<()> {
    let mut signals = ShutdownSignals::listen()?;
    let listener = listen(&settings.network.http_address).await?;
    let database = tokio::select! {
        opened = Database::open(&settings.database) => opened?,
        () = signals.next() => return Ok(()),
    };
    let served = serve_on(listener, &database, &settings, &mut signals).await;
    let closed = database.close().await;
    served.and(closed)
}

async fn serve_on(
    listener: TcpListener,
    database: &Database,
    settings: &ServerSettings,
    signals: &mut ShutdownSignals,
) -> Result<()> {
    let address = listener.local_addr();
    let url = local_url(address.context("could not read the listen address")?)?;
    let (state, notifier, user_counts) = tokio::select! {
        prepared = prepare(database, settings, &url) => prepared?,
        () = signals.next() => return Ok(()),
    };
    // Before the first request, so that the pool's first connection is free for it.
    welcome::print(&state, &url, database).await;
    let background = state.background.clone();
    let shutdown_timeout = settings.network.shutdown_timeout;
    let stop = CancellationToken::new();
    let accepting = accept(listener, router(state), stop.clone(), shutdown_timeout);
    let serving = tokio::spawn(accepting);
    let stop_workers = CancellationToken::new();
    let stopped = stop_workers.clone().cancelled_owned();
    let notifying = spawn_worker(&stop_workers, async move { notifier.run(stopped).await });
    let stopped = stop_workers.clone().cancelled_owned();
    let folding = spawn_worker(&stop_workers, user_count::fold(user_counts, stopped));

    signals.next().await;
    tracing::info!("shutting down");
    exit_on_second_signal();
    let deadline = Instant::now() + shutdown_timeout;
    stop.cancel();
    serving.await.context("the server panicked")?;
    background.close();
    if timeout_at(deadline, background.wait()).await.is_err() {
        tracing::warn!("shutdown timeout reached; some audit log entries may be lost");
    }
    stop_workers.cancel();
    folding.await.context("the user count worker panicked")?;
    notifying.await.context("the notifier panicked")
}

/// The API and the pages. Static assets do not depend on cookies, so they are outside of the
/// API's middleware.
fn router(state: AppState) -> Router {
    let pages = usher_console::pages(|extensions| {
        let token = extensions.get::<CsrfToken>();
        token
            .map(|token| token.as_str().to_owned())
            .unwrap_or_default()
    });
    usher_console::assets().merge(usher_api::router_with_pages(state, pages))
}

/// Spawns a worker that starts after [`START_PAUSE`], unless stopped by then.
fn spawn_worker(
    stop: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let stop = stop.clone();
    tokio::spawn(async move {
        let pause = stop.run_until_cancelled(sleep(START_PAUSE)).await;
        if pause.is_some() {
            work.await;
        }
    })
}

/// Prepares the database, the state of the API and the background workers.
async fn prepare(
    database: &Database,
    settings: &ServerSettings,
    url: &Url,
) -> Result<(AppState, Notifier, Arc<dyn UserCountStore>)> {
    let dispatchers = settings.notifications.dispatchers()?;
    let store = database.connect_migrated().await?;
    let store = Arc::new(store.with_delivery(settings.notifications.delivery()));
    tokio::spawn(encrypt_secrets(Arc::clone(&store)));
    let deployment = store.deployment_id().await;
    let deployment = deployment.context("could not read the deployment ID")?;
    let api_settings = settings.for_api(deployment, url)?;
    let mut options = NotifierOptions::new(api_settings.access_url.clone());
    options.fetch_interval = settings.notifications.notifications_fetch_interval;
    let notifier = Notifier::new(Arc::clone(&store) as _, dispatchers, options);
    let providers = settings.providers.connect(&api_settings.access_url)?;
    let user_counts = Arc::clone(&store) as Arc<dyn UserCountStore>;
    let state = AppState::new(store, providers, api_settings);
    Ok((state, notifier, user_counts))
}

/// Encrypts secrets that are stored in plain text or with an older key.
async fn encrypt_secrets(store: Arc<PgStore>) {
    sleep(START_PAUSE).await;
    match store.encrypt_stored_secrets().await {
        Ok(0) => {}
        Ok(rows) => tracing::info!(rows, "encrypted stored secrets with the current key"),
        Err(error) => tracing::warn!(
            error = &error as &dyn Error,
            "could not encrypt all stored secrets; the next start will retry"
        ),
    }
    match store.list_missing_secret_keys().await {
        Ok(missing) if !missing.is_empty() => tracing::error!(
            keys = missing.join(", "),
            "stored secrets cannot be decrypted: their keys are missing from \
             USHER_EXTERNAL_TOKEN_ENCRYPTION_KEYS"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(
            error = &error as &dyn Error,
            "could not check whether all stored secrets can be decrypted"
        ),
    }
}

async fn listen(address: &HttpAddress) -> Result<TcpListener> {
    let port = address.port;
    let bound = match &address.host {
        Some(host) => TcpListener::bind((host.as_str(), port)).await,
        None => match TcpListener::bind(("::", port)).await {
            // The system does not support IPv6.
            Err(error) if error.kind() != ErrorKind::AddrInUse => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
            }
            bound => bound,
        },
    };
    bound.with_context(|| {
        format!("cannot listen on {address}; see --http-address (USHER_HTTP_ADDRESS)")
    })
}

/// The URL at which this machine reaches the server.
fn local_url(address: SocketAddr) -> Result<Url> {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(ip, address.port());
    Url::parse(&format!("http://{address}")).context("the listen address is not a valid URL host")
}

/// Accepts connections until `stop`, then waits up to `shutdown_timeout` for requests in
/// progress.
async fn accept(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    shutdown_timeout: Duration,
) {
    let protocol = protocol();
    let graceful = GracefulShutdown::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                let connection = connect(&protocol, stream, peer, router.clone());
                let watched = graceful.watch(connection);
                tokio::spawn(async move {
                    if let Err(error) = watched.await {
                        tracing::debug!(%error, %peer, "connection error");
                    }
                });
            }
            Err(error) => recover(&error).await,
        }
    }
    drop(listener);
    if timeout(shutdown_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("shutdown timeout reached; aborting requests in progress");
    }
}

/// HTTP/1.1, where idle connections and slow or large request heads are limited.
fn protocol() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(MAX_HEAD_BYTES);
    builder
}

fn connect(
    protocol: &http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    protocol.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
}

/// Handles a failed `accept`. Most failures affect a single connection; if the system is out of
/// resources, retrying immediately would fail again.
async fn recover(error: &io::Error) {
    let affects_one_connection = matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    );
    if !affects_one_connection {
        tracing::error!(%error, "could not accept a connection");
        sleep(EXHAUSTION_PAUSE).await;
    }
}

/// Exits the program at the next shutdown signal.
fn exit_on_second_signal() {
    tokio::spawn(async {
        if let Ok(mut signals) = ShutdownSignals::listen() {
            signals.next().await;
            tracing::warn!("received a second shutdown signal; exiting immediately");
            std::process::exit(1);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_url_is_reachable_from_this_machine() {
        let url = |address: &str| local_url(address.parse().unwrap()).unwrap().to_string();

        assert_eq!(url("127.0.0.1:3000"), "http://127.0.0.1:3000/");
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1/");
        assert_eq!(url("[::]:8080"), "http://127.0.0.1:8080/");
        assert_eq!(url("[::1]:8080"), "http://[::1]:8080/");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_with_its_setting() {
        let first = listen(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let port = first.local_addr().unwrap().port();

        let address = format!("127.0.0.1:{port}").parse().unwrap();
        let error = listen(&address).await.unwrap_err();

        let text = format!("{error:#}");
        assert!(text.starts_with(&format!("cannot listen on 127.0.0.1:{port}")));
        assert!(text.contains("USHER_HTTP_ADDRESS"), "{text}");
    }
}
