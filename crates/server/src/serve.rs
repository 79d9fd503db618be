//! `usher server`: from the settings to the last answer.
//!
//! The port is taken first, so that a second server ends at once, and answers are given
//! when the database is ready; who asks earlier waits. When told to stop, the server takes
//! no more connections, lets the requests under way finish and what they left behind be done,
//! and then stops the Postgres of our own. Told again, it ends as it stands: Postgres is
//! stopped by its watchdog, and what was committed is kept.

use std::{
    error::Error,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, extract::ConnectInfo, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tower::ServiceExt as _;
use url::Url;
use usher_api::{AppState, CsrfToken};
use usher_notifier::{Notifier, NotifierOptions};
use usher_postgres::PgStore;
use usher_store::{SiteStore as _, UserCountStore};

use crate::{
    database::Database,
    settings::{HttpAddress, ServerSettings},
    shutdown::StopSignals,
    user_count, welcome,
};

/// How long a connection may take to send the head of a request, and may be idle between
/// two: longer than load balancers keep theirs, so that they are the ones who close.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long to wait for the system to have something to accept a connection with.
const EXHAUSTION_PAUSE: Duration = Duration::from_millis(500);

/// How long after the start there may be other work than to answer.
const START_PAUSE: Duration = Duration::from_secs(1);

/// Runs the server until it is told to stop.
///
/// # Errors
///
/// If it cannot start, or not stop in order.
pub async fn serve(settings: ServerSettings) -> Result<()> {
    let mut signals = StopSignals::listen()?;
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
    signals: &mut StopSignals,
) -> Result<()> {
    let url = local_url(listener.local_addr().context("the port has no address")?)?;
    let (state, notifier, user_counts) = tokio::select! {
        prepared = prepare(database, settings, &url) => prepared?,
        () = signals.next() => return Ok(()),
    };
    // Before the first answer, which then finds a connection that is free.
    welcome::greet(&state, &url, database).await;
    let (stop, stopped) = oneshot::channel();
    let background = state.background.clone();
    let router = router(state);
    let patience = settings.network.shutdown_timeout;
    let serving = tokio::spawn(accept(listener, router, stopped, patience));
    let (stop_notifier, notifier_stopped) = oneshot::channel::<()>();
    let notifying = tokio::spawn(after_the_start(notifier_stopped, async move |stopped| {
        notifier
            .run(async { stopped.await.unwrap_or_default() })
            .await;
    }));
    let (stop_tending, tending_stopped) = oneshot::channel::<()>();
    let tending = tokio::spawn(after_the_start(tending_stopped, async move |stopped| {
        user_count::tend(user_counts, async { stopped.await.unwrap_or_default() }).await;
    }));

    signals.next().await;
    tracing::info!("stopping");
    exit_when_told_again();
    let deadline = Instant::now() + patience;
    let _ = stop.send(());
    serving.await.context("the server failed")?;
    let left = background.finish();
    if timeout_at(deadline, left).await.is_err() {
        tracing::warn!("rows of the audit log may be lost that were not written in time");
    }
    let _ = stop_tending.send(());
    tending
        .await
        .context("the task of the kept numbers failed")?;
    let _ = stop_notifier.send(());
    notifying.await.context("the notifier failed")
}

/// The API with the pages around it. Their files are the same for everybody, so they stand
/// outside of what looks at cookies.
fn router(state: AppState) -> Router {
    let pages = usher_console::pages(|extensions| {
        let token = extensions.get::<CsrfToken>();
        token
            .map(|token| token.as_str().to_owned())
            .unwrap_or_default()
    });
    usher_console::assets().merge(usher_api::router_with_pages(state, pages))
}

/// Does what can wait until the server has started, and is told when to stop.
async fn after_the_start(
    mut stopped: oneshot::Receiver<()>,
    work: impl AsyncFnOnce(oneshot::Receiver<()>),
) {
    if timeout(START_PAUSE, &mut stopped).await.is_err() {
        work(stopped).await;
    }
}

/// Readies the database, what handlers work with, what delivers notifications, and what
/// keeps numbers.
async fn prepare(
    database: &Database,
    settings: &ServerSettings,
    url: &Url,
) -> Result<(AppState, Notifier, Arc<dyn UserCountStore>)> {
    let dispatchers = settings.notifications.dispatchers()?;
    let store = database.connect_migrated().await?;
    let store = Arc::new(store.with_delivery(settings.notifications.delivery()));
    tokio::spawn(seal_secrets(Arc::clone(&store)));
    let deployment = store.deployment_id().await;
    let deployment = deployment.context("could not read the identifier of the deployment")?;
    let api_settings = settings.for_api(deployment, url)?;
    let mut options = NotifierOptions::new(api_settings.access_url.clone());
    options.fetch_interval = settings.notifications.notifications_fetch_interval;
    let notifier = Notifier::new(Arc::clone(&store) as _, dispatchers, options);
    let providers = settings.providers.connect(&api_settings.access_url)?;
    let user_counts = Arc::clone(&store) as Arc<dyn UserCountStore>;
    let state = AppState::new(store, providers, api_settings);
    Ok((state, notifier, user_counts))
}

/// Encrypts secrets that stand in the database in plain text or with an older key. Nothing
/// waits for it, and it waits for the start.
async fn seal_secrets(store: Arc<PgStore>) {
    sleep(START_PAUSE).await;
    match store.seal_stored_secrets().await {
        Ok(0) => {}
        Ok(rows) => tracing::info!(rows, "encrypted secrets in the database anew"),
        Err(error) => tracing::warn!(
            error = &error as &dyn Error,
            "cannot encrypt all secrets in the database now: the next start goes on"
        ),
    }
    match store.list_missing_secret_keys().await {
        Ok(missing) if !missing.is_empty() => tracing::error!(
            keys = missing.join(", "),
            "secrets in the database are encrypted with keys that are not among those of \
             USHER_EXTERNAL_TOKEN_ENCRYPTION_KEYS, and cannot be read"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(
            error = &error as &dyn Error,
            "cannot tell whether all secrets in the database can be read"
        ),
    }
}

async fn listen(address: &HttpAddress) -> Result<TcpListener> {
    let port = address.port;
    let bound = match &address.host {
        Some(host) => TcpListener::bind((host.as_str(), port)).await,
        None => match TcpListener::bind(("::", port)).await {
            // A system without IPv6.
            Err(error) if error.kind() != ErrorKind::AddrInUse => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
            }
            bound => bound,
        },
    };
    bound.with_context(|| {
        format!("cannot listen on {address}, which --http-address (USHER_HTTP_ADDRESS) says")
    })
}

/// The URL at which the server answers on this machine.
fn local_url(address: SocketAddr) -> Result<Url> {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(ip, address.port());
    Url::parse(&format!("http://{address}")).context("the address makes no URL")
}

/// Takes connections until it is told to stop, and then lets requests under way finish.
async fn accept(
    listener: TcpListener,
    router: Router,
    mut stopped: oneshot::Receiver<()>,
    patience: Duration,
) {
    let protocol = protocol();
    // Every connection holds a receiver, so that the last one closes the channel.
    let (stop, stopping) = watch::channel(());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (protocol, router) = (protocol.clone(), router.clone());
                tokio::spawn(answer(protocol, stream, peer, router, stopping.clone()));
            }
            Err(error) => recover(&error).await,
        }
    }
    drop((listener, stopping));
    let _ = stop.send(());
    if timeout(patience, stop.closed()).await.is_err() {
        tracing::warn!("requests were cut off that did not finish in time");
    }
}

/// HTTP/1.1 with bounds on what a client may hold without asking for anything.
fn protocol() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(MAX_HEAD_BYTES);
    builder
}

/// Answers the requests of a connection, until the client closes it or, when the server
/// stops, to the end of the request under way.
async fn answer(
    protocol: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut stopping: watch::Receiver<()>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection will be slow");
    }
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = protocol
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended badly");
    }
}

/// Gets over a failure to accept a connection, of which most are that connection's own.
async fn recover(error: &io::Error) {
    let is_of_connection = matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    );
    if !is_of_connection {
        tracing::error!(%error, "cannot take a connection");
        sleep(EXHAUSTION_PAUSE).await;
    }
}

/// Ends the program at the next signal.
fn exit_when_told_again() {
    tokio::spawn(async {
        if let Ok(mut signals) = StopSignals::listen() {
            signals.next().await;
            tracing::warn!("told again to stop: not waiting any longer");
            std::process::exit(1);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_url_can_be_opened_here() {
        let url = |address: &str| local_url(address.parse().unwrap()).unwrap().to_string();

        assert_eq!(url("127.0.0.1:3000"), "http://127.0.0.1:3000/");
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1/");
        assert_eq!(url("[::]:8080"), "http://127.0.0.1:8080/");
        assert_eq!(url("[::1]:8080"), "http://[::1]:8080/");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let first = listen(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let port = first.local_addr().unwrap().port();

        let address = format!("127.0.0.1:{port}").parse().unwrap();
        let error = listen(&address).await.unwrap_err();

        let text = format!("{error:#}");
        assert!(text.starts_with(&format!("cannot listen on 127.0.0.1:{port}")));
        assert!(text.contains("USHER_HTTP_ADDRESS"), "{text}");
    }
}
