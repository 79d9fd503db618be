//! Sign-in through a certified OpenID provider: `oidc-provider`, which runs on Node.
//! `make conformance` installs it and runs these tests.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use usher_tests::cookie_browser::{Browser, Page};
use usher_tests::server::{Server, Setup};

const WITHOUT_NODE: &str = "needs Node: run `make conformance`";
/// How long an access token may take to expire and be refreshed.
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The provider process, killed when the value is dropped.
struct Provider {
    _process: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    issuer: String,
}

impl Provider {
    async fn start() -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
        ensure!(folder.join("node_modules").exists(), WITHOUT_NODE);
        let mut process = Command::new("node")
            .arg("provider.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context(WITHOUT_NODE)?;
        let stdin = process.stdin.take().context("stdin is piped")?;
        let stdout = process.stdout.take().context("stdout is piped")?;
        let mut stdout = BufReader::new(stdout).lines();
        let issuer = stdout
            .next_line()
            .await?
            .context("the provider did not start")?;
        Ok(Self {
            _process: process,
            stdin,
            stdout,
            issuer,
        })
    }

    /// Starts the provider, and a server that uses it.
    async fn with_server() -> Result<(Self, Server)> {
        let mut provider = Self::start().await?;
        let server = Setup::default()
            .set("OIDC_ISSUER_URL", &provider.issuer)
            .set("OIDC_CLIENT_ID", "usher")
            .set("OIDC_CLIENT_SECRET", "a secret+of/ours:%")
            .start()
            .await?;
        let back = format!("{}/api/v2/users/oidc/callback\n", server.base_url());
        provider.stdin.write_all(back.as_bytes()).await?;
        let ready = provider.stdout.next_line().await?;
        ensure!(ready.as_deref() == Some("ready"), "{ready:?}");
        Ok((provider, server))
    }
}

fn start(server: &Server) -> String {
    format!(
        "{}/api/v2/users/oidc/callback?redirect=%2Fafterwards%3Fa%3D1",
        server.base_url()
    )
}

/// Signs in at the provider with its two forms, and comes back.
async fn sign_in(browser: &mut Browser, server: &Server, name: &str) -> Result<Page> {
    let login = browser.visit(&start(server)).await?;
    ensure!(login.response.status == 200, "{login:?}");
    let fields = [("login", name), ("password", "any")];
    let consent = browser.submit(&login, &fields).await?;
    ensure!(consent.response.status == 200, "{consent:?}");
    browser.submit(&consent, &[]).await
}

fn has_arrived(page: &Page, server: &Server) -> bool {
    page.url.as_str() == format!("{}/afterwards?a=1", server.base_url())
}

async fn me(browser: &mut Browser, server: &Server) -> Result<(u16, Value)> {
    let page = browser
        .get(&format!("{}/api/v2/users/me", server.base_url()))
        .await?;
    let body = page.response.json().unwrap_or_default();
    Ok((page.response.status, body))
}

async fn expiry(server: &Server) -> Result<String> {
    let sql = "SELECT extract(epoch FROM oauth_expiry) FROM user_links";
    server.database().query(sql).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node: run `make conformance`"]
async fn a_user_signs_up_signs_in_again_and_signs_out() -> Result<()> {
    let (_provider, server) = Provider::with_server().await?;

    // Sign-up.
    let mut browser = Browser::new();
    let arrived = sign_in(&mut browser, &server, "ann").await?;
    assert!(has_arrived(&arrived, &server), "{arrived:?}");
    let (status, ann) = me(&mut browser, &server).await?;
    assert_eq!(status, 200, "{ann}");
    assert_eq!(ann["username"], "ann");
    assert_eq!(ann["email"], "ann@example.com");
    assert_eq!(ann["name"], "ann of the provider");
    assert_eq!(ann["login_type"], "oidc");

    // The access token expires after two seconds and is refreshed; the session stays valid.
    let first = expiry(&server).await?;
    let (start_time, mut refreshes, mut last) = (Instant::now(), 0, first);
    while refreshes < 2 {
        assert!(
            start_time.elapsed() < TIMEOUT,
            "not refreshed: {}",
            server.log()
        );
        assert_eq!(me(&mut browser, &server).await?.0, 200, "{}", server.log());
        let now = expiry(&server).await?;
        if now != last {
            refreshes += 1;
            last = now;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }

    // A second sign-in, with the provider's session, yields the same user, and so does another
    // browser.
    let arrived = browser.visit(&start(&server)).await?;
    assert!(has_arrived(&arrived, &server), "{arrived:?}");
    let mut other = Browser::new();
    let arrived_elsewhere = sign_in(&mut other, &server, "ann").await?;
    assert!(has_arrived(&arrived_elsewhere, &server));
    for browser in [&mut browser, &mut other] {
        assert_eq!(me(browser, &server).await?.1["id"], ann["id"]);
    }

    // Sign-out revokes only one session.
    let out = format!("{}/api/v2/users/logout", server.base_url());
    let response = browser.post(&out, &json!({})).await?.response;
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(me(&mut browser, &server).await?.0, 401);
    assert_eq!(me(&mut other, &server).await?.0, 200);

    // The provider accepts a code once, so that a replay does not sign in.
    let callback = arrived.visited.iter().rev().nth(1).context("no callback")?;
    assert!(
        callback
            .query()
            .is_some_and(|query| query.contains("code="))
    );
    let replayed = browser.get(callback.as_str()).await?.response;
    assert_eq!(replayed.status, 400, "{}", replayed.body);
    assert_eq!(me(&mut browser, &server).await?.0, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node: run `make conformance`"]
async fn declining_or_an_unverified_email_address_rejects_the_sign_in() -> Result<()> {
    let (_provider, server) = Provider::with_server().await?;

    let mut browser = Browser::new();
    let login = browser.visit(&start(&server)).await?;
    let abort = format!("{}/abort", login.url);
    let back = browser.visit(&abort).await?;
    assert_eq!(back.response.status, 400, "{back:?}");
    assert!(back.response.body.contains("access_denied"), "{back:?}");
    assert_eq!(me(&mut browser, &server).await?.0, 401);

    let mut browser = Browser::new();
    let rejected = sign_in(&mut browser, &server, "unverified").await?;
    assert_eq!(rejected.response.status, 403, "{rejected:?}");
    assert_eq!(me(&mut browser, &server).await?.0, 401);
    let users = server
        .database()
        .query("SELECT count(*) FROM users WHERE login_type = 'oidc'")
        .await?;
    assert_eq!(users, "0");
    Ok(())
}
