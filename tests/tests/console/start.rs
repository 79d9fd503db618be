//! Setup, the shell, and security headers.

use anyhow::{Context as _, Result};
use usher_test_browser::Window;
use usher_tests::{exchange::Request, server::Server};

use crate::{Console, PASSWORD, sign_in};

#[tokio::test]
async fn a_new_server_creates_its_first_user_and_signs_in() -> Result<()> {
    let server = Server::start().await?;
    let window = Window::open(server.base_url()).await?;
    window.goto("/users").await?;
    window.expect_path("/setup").await?;

    window.click("Create owner account").await?;
    window.expect_text("Enter an e-mail address.").await?;
    assert_eq!(window.field_error("Username").await?, "Enter a username.");

    window.fill("E-mail address", "olga").await?;
    window.fill("Username", "ol ga").await?;
    window.fill("Password", "short").await?;
    window.click("Create owner account").await?;
    window
        .wait_for(
            "the fields are rejected",
            "document.querySelectorAll('[aria-invalid=true]').length === 2",
        )
        .await?;
    assert!(!window.field_error("E-mail address").await?.is_empty());
    assert!(!window.field_error("Username").await?.is_empty());
    assert_eq!(
        window.value("Username").await?,
        "ol ga",
        "the form keeps its values"
    );

    window.fill("E-mail address", "olga@example.com").await?;
    window.fill("Username", "olga").await?;
    window.click("Create owner account").await?;
    window
        .wait_for(
            "the password is rejected",
            "document.activeElement.name === 'password'",
        )
        .await?;
    assert!(!window.field_error("Password").await?.is_empty());

    window.fill("Password", PASSWORD).await?;
    window.click("Create owner account").await?;
    window.expect_path("/users").await?;
    window.expect_text("olga@example.com").await?;

    window.goto("/setup").await?;
    window.expect_path("/users").await
}

#[tokio::test]
async fn signing_in_returns_to_the_requested_page() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;

    window.goto("/settings/tokens?x=1").await?;
    window
        .expect_path("/login?redirect=%2Fsettings%2Ftokens%3Fx%3D1")
        .await?;
    sign_in(&window, "olga", "wrong").await?;
    window
        .wait_for(
            "sign-in is rejected",
            "document.querySelector('[role=alert]')",
        )
        .await?;
    assert_eq!(window.value("E-mail address").await?, "olga@example.com");

    window.fill("Password", PASSWORD).await?;
    window.press("Enter", 13).await?;
    window.expect_path("/settings/tokens?x=1").await?;

    window.click("Sign out").await?;
    window.expect_path("/login").await?;
    window.goto("/tasks").await?;
    window.expect_path("/login?redirect=%2Ftasks").await
}

#[tokio::test]
async fn pages_carry_the_csrf_token_and_scripts_cannot_read_cookies() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;

    for name in ["coder_session_token", "csrf_token"] {
        let cookie = window.cookie(name).await?.context(name)?;
        assert_eq!(cookie["httpOnly"], true, "{name}");
    }
    assert_eq!(window.evaluate("document.cookie").await?, "");
    let in_page = window
        .evaluate("document.querySelector('meta[name=csrf-token]').content")
        .await?;
    let cookie = window.cookie("csrf_token").await?.context("no cookie")?;
    assert_eq!(in_page, cookie["value"]);

    let without = "fetch('/api/v2/users/me/preferences', {method: 'PUT', body: '{}'}).then((response) => response.status)";
    assert_eq!(window.evaluate(without).await?, 400);
    let with = "fetch('/api/v2/users/me/preferences', {method: 'PUT', body: '{}', \
        headers: {'X-CSRF-TOKEN': document.querySelector('meta[name=csrf-token]').content}}).then((response) => response.status)";
    assert_eq!(window.evaluate(with).await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_page_renews_an_expired_csrf_token() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/account").await?;
    window.delete_cookie("csrf_token").await?;

    window.fill("Full name", "Olga O.").await?;
    window.click("Save profile").await?;
    window.expect_text("Profile saved.").await
}

#[tokio::test]
async fn inline_scripts_and_styles_are_blocked() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window
        .goto("/login?message=<img src=x onerror=alert(1)><b>hello</b>")
        .await?;
    window.expect_text("<b>hello</b>").await?;
    assert!(window.errors().is_empty());

    let script = "(() => { const element = document.createElement('script'); \
        element.append('window.hasRun = true'); document.body.append(element); return Boolean(window.hasRun); })()";
    // The policy applies to scripts from the DevTools too.
    let ran = window.evaluate(script).await;
    assert!(ran.is_err() || ran? == false);
    let style = "(() => { const element = document.createElement('p'); document.body.append(element); \
        element.setAttribute('style', 'position: fixed'); return getComputedStyle(element).position; })()";
    assert_eq!(window.evaluate(style).await?, "static");
    window.wait_for_frame().await?;
    let errors = window.take_errors();
    assert!(
        errors
            .iter()
            .any(|error| error.contains("ContentSecurityPolicy")
                || error.contains("Content Security Policy")),
        "{errors:?}"
    );
    Ok(())
}

#[tokio::test]
async fn assets_are_cached_and_pages_are_not() -> Result<()> {
    let console = Console::start().await?;
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::new("GET", path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        console.server.send(&request).await
    };
    let page = get("/", &[]).await?;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    assert!(page.header("set-cookie").starts_with("csrf_token="));
    assert_eq!(page.all("x-coder-request-id").count(), 1);

    let script = page
        .body
        .split('"')
        .find(|part| part.ends_with("/app.js"))
        .context("no script")?;
    let asset = get(script, &[("Accept-Encoding", "gzip")]).await?;
    assert!(asset.header("cache-control").contains("immutable"));
    assert_eq!(asset.header("content-encoding"), "gzip");
    assert_eq!(
        asset.header("set-cookie"),
        "",
        "assets do not depend on the caller"
    );
    let etag = asset.header("etag");
    let revalidated = get(script, &[("If-None-Match", &etag)]).await?;
    assert_eq!((revalidated.status, revalidated.body.as_str()), (304, ""));

    for path in ["/nothing", "/robots.txt"] {
        let response = get(path, &[]).await?;
        assert_eq!(response.status, 404, "{path}");
        assert!(response.body.starts_with("<!doctype html>"), "{path}");
    }
    for path in [
        "/api",
        "/api/nothing",
        "//api/v2/nothing",
        "/.well-known/nothing",
    ] {
        let response = get(path, &[]).await?;
        assert_eq!(response.status, 404, "{path}");
        assert!(response.json().is_some(), "{path}");
    }
    assert_eq!(get("/healthz", &[]).await?.body, "OK");
    Ok(())
}

#[tokio::test]
async fn the_first_load_transfers_less_than_100_kb() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window.goto("/login").await?;
    let sizes = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')) \
        .reduce((sum, entry) => sum + entry.transferSize, 0)";
    let bytes = window
        .evaluate(sizes)
        .await?
        .as_f64()
        .context("not a number")?;
    assert!(bytes > 10_000.0 && bytes < 100_000.0, "{bytes} bytes");
    Ok(())
}

#[tokio::test]
async fn an_unknown_path_shows_a_not_found_page() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/nothing").await.ok();
    window.expect_text("Page not found").await?;
    // The document has status 404, which the browser logs.
    let errors = window.take_errors();
    assert!(
        errors.iter().all(|error| error.contains("404")),
        "{errors:?}"
    );
    window.click("Go to the home page").await?;
    window.expect_path("/users").await
}
