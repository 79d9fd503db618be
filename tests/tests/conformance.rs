//! Signing in through a certified OpenID provider that somebody else wrote: `oidc-provider`,
//! which runs on Node. `make conformance` installs it and runs these.

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
/// How long the access that the provider gives may take to end and be renewed.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// The provider, which ends with the value.
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
        let stdin = process.stdin.take().context("no input")?;
        let stdout = process.stdout.take().context("no output")?;
        let mut stdout = BufReader::new(stdout).lines();
        let issuer = stdout.next_line().await?.context("it does not start")?;
        Ok(Self {
            _process: process,
            stdin,
            stdout,
            issuer,
        })
    }

    /// A server that people sign in to through the provider.
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
    ensure!(login.answer.status == 200, "{login:?}");
    let fields = [("login", name), ("password", "any")];
    let consent = browser.submit(&login, &fields).await?;
    ensure!(consent.answer.status == 200, "{consent:?}");
    browser.submit(&consent, &[]).await
}

fn has_arrived(page: &Page, server: &Server) -> bool {
    page.url.as_str() == format!("{}/afterwards?a=1", server.base_url())
}

async fn me(browser: &mut Browser, server: &Server) -> Result<(u16, Value)> {
    let page = browser
        .get(&format!("{}/api/v2/users/me", server.base_url()))
        .await?;
    let body = page.answer.json().unwrap_or_default();
    Ok((page.answer.status, body))
}

async fn expiry(server: &Server) -> Result<String> {
    let sql = "SELECT extract(epoch FROM oauth_expiry) FROM user_links";
    server.database().query(sql).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node: run `make conformance`"]
async fn one_signs_up_comes_back_goes_on_and_signs_out() -> Result<()> {
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

    // The provider's access ends after two seconds and is renewed whenever it has; the
    // session notices nothing.
    let first = expiry(&server).await?;
    let (began, mut renewals, mut last) = (Instant::now(), 0, first);
    while renewals < 2 {
        assert!(
            began.elapsed() < PATIENCE,
            "it is not renewed: {}",
            server.log()
        );
        assert_eq!(me(&mut browser, &server).await?.0, 200, "{}", server.log());
        let now = expiry(&server).await?;
        if now != last {
            renewals += 1;
            last = now;
        }
        tokio::time::sleep(PAUSE).await;
    }

    // A second sign-in, which the provider's own session lets through at once, is the same
    // user; and so is one from another browser.
    let arrived = browser.visit(&start(&server)).await?;
    assert!(has_arrived(&arrived, &server), "{arrived:?}");
    let mut other = Browser::new();
    let arrived_elsewhere = sign_in(&mut other, &server, "ann").await?;
    assert!(has_arrived(&arrived_elsewhere, &server));
    for browser in [&mut browser, &mut other] {
        assert_eq!(me(browser, &server).await?.1["id"], ann["id"]);
    }

    // Sign-out ends one session and not the other.
    let out = format!("{}/api/v2/users/logout", server.base_url());
    let answer = browser.post(&out, &json!({})).await?.answer;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(me(&mut browser, &server).await?.0, 401);
    assert_eq!(me(&mut other, &server).await?.0, 200);

    // A code is good once, says the provider, and so a replay signs in nobody.
    let callback = arrived.trail.iter().rev().nth(1).context("no callback")?;
    assert!(
        callback
            .query()
            .is_some_and(|query| query.contains("code="))
    );
    let replayed = browser.get(callback.as_str()).await?.answer;
    assert_eq!(replayed.status, 400, "{}", replayed.body);
    assert_eq!(me(&mut browser, &server).await?.0, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node: run `make conformance`"]
async fn who_says_no_or_is_not_verified_stays_outside() -> Result<()> {
    let (_provider, server) = Provider::with_server().await?;

    let mut browser = Browser::new();
    let login = browser.visit(&start(&server)).await?;
    let abort = format!("{}/abort", login.url);
    let back = browser.visit(&abort).await?;
    assert_eq!(back.answer.status, 400, "{back:?}");
    assert!(back.answer.body.contains("access_denied"), "{back:?}");
    assert_eq!(me(&mut browser, &server).await?.0, 401);

    let mut browser = Browser::new();
    let refused = sign_in(&mut browser, &server, "unverified").await?;
    assert_eq!(refused.answer.status, 403, "{refused:?}");
    assert_eq!(me(&mut browser, &server).await?.0, 401);
    let users = server
        .database()
        .query("SELECT count(*) FROM users WHERE login_type = 'oidc'")
        .await?;
    assert_eq!(users, "0");
    Ok(())
}
