//! The first start, and what every page carries.

use anyhow::{Context as _, Result};
use usher_tests::{browser::Window, exchange::Request, server::Server};

use crate::{Console, PASSWORD, sign_in};

#[tokio::test]
async fn a_fresh_server_makes_its_first_user_and_signs_in() -> Result<()> {
    let server = Server::start().await?;
    let window = Window::open(server.base_url()).await?;
    window.goto("/users").await?;
    window.at("/setup").await?;

    window.fill("E-mail address", "olga").await?;
    window.fill("Username", "ol ga").await?;
    window.fill("Password", "short").await?;
    window.click("Create the first user").await?;
    window
        .until(
            "the fields are refused",
            "document.querySelectorAll('[aria-invalid=true]').length === 2",
        )
        .await?;
    assert!(!window.error_of("E-mail address").await?.is_empty());
    assert!(!window.error_of("Username").await?.is_empty());
    assert_eq!(
        window.value_of("Username").await?,
        "ol ga",
        "nothing is lost"
    );

    window.fill("E-mail address", "olga@example.com").await?;
    window.fill("Username", "olga").await?;
    window.click("Create the first user").await?;
    window
        .until(
            "the password is refused",
            "document.activeElement.name === 'password'",
        )
        .await?;
    assert!(!window.error_of("Password").await?.is_empty());

    window.fill("Password", PASSWORD).await?;
    window.click("Create the first user").await?;
    window.at("/users").await?;
    window.see("olga@example.com").await?;

    window.goto("/setup").await?;
    window.at("/users").await
}

#[tokio::test]
async fn who_is_not_signed_in_comes_back_to_where_they_wanted() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;

    window.goto("/settings/tokens?x=1").await?;
    window
        .at("/login?redirect=%2Fsettings%2Ftokens%3Fx%3D1")
        .await?;
    sign_in(&window, "olga", "wrong").await?;
    window
        .until("it is refused", "document.querySelector('[role=alert]')")
        .await?;
    assert_eq!(window.value_of("E-mail address").await?, "olga@example.com");

    window.fill("Password", PASSWORD).await?;
    window.press("Enter", 13).await?;
    window.at("/settings/tokens?x=1").await?;

    window.click("Sign out").await?;
    window.at("/login").await?;
    window.goto("/tasks").await?;
    window.at("/login?redirect=%2Ftasks").await
}

#[tokio::test]
async fn pages_carry_their_token_and_scripts_see_no_cookie() -> Result<()> {
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

    let without = "fetch('/api/v2/users/me/preferences', {method: 'PUT', body: '{}'}).then((answer) => answer.status)";
    assert_eq!(window.evaluate(without).await?, 400);
    let with = "fetch('/api/v2/users/me/preferences', {method: 'PUT', body: '{}', \
        headers: {'X-CSRF-TOKEN': document.querySelector('meta[name=csrf-token]').content}}).then((answer) => answer.status)";
    assert_eq!(window.evaluate(with).await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_page_whose_token_is_gone_gets_a_new_one_and_goes_on() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/account").await?;
    window.delete_cookie("csrf_token").await?;

    window.fill("Full name", "Olga O.").await?;
    window.click("Save").await?;
    window.see("Your profile is saved.").await
}

#[tokio::test]
async fn what_is_written_in_line_does_not_run() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window
        .goto("/login?message=<img src=x onerror=alert(1)><b>hello</b>")
        .await?;
    window.see("<b>hello</b>").await?;
    assert!(window.complaints().is_empty());

    let script = "(() => { const made = document.createElement('script'); \
        made.append('window.isOwned = true'); document.body.append(made); return Boolean(window.isOwned); })()";
    // Even the browser's own tools get no further than the policy.
    let ran = window.evaluate(script).await;
    assert!(ran.is_err() || ran? == false);
    let style = "(() => { const made = document.createElement('p'); document.body.append(made); \
        made.setAttribute('style', 'position: fixed'); return getComputedStyle(made).position; })()";
    assert_eq!(window.evaluate(style).await?, "static");
    window.until("the browser tells", "true").await?;
    let complaints = window.take_complaints();
    assert!(
        complaints
            .iter()
            .any(|what| what.contains("ContentSecurityPolicy")
                || what.contains("Content Security Policy")),
        "{complaints:?}"
    );
    Ok(())
}

#[tokio::test]
async fn files_are_kept_and_pages_are_not() -> Result<()> {
    let console = Console::start().await?;
    let ask = async |path: &str, with: &[(&str, &str)]| {
        let mut request = Request::new("GET", path);
        for (name, value) in with {
            request = request.header(name, value);
        }
        console.server.send(&request).await
    };
    let page = ask("/", &[]).await?;
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
    let kept = ask(script, &[("Accept-Encoding", "gzip")]).await?;
    assert!(kept.header("cache-control").contains("immutable"));
    assert_eq!(kept.header("content-encoding"), "gzip");
    assert_eq!(kept.header("set-cookie"), "", "it is for everybody");
    let etag = kept.header("etag");
    let same = ask(script, &[("If-None-Match", &etag)]).await?;
    assert_eq!((same.status, same.body.as_str()), (304, ""));

    for path in ["/nothing", "/robots.txt"] {
        let answer = ask(path, &[]).await?;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.starts_with("<!doctype html>"), "{path}");
    }
    for path in [
        "/api",
        "/api/nothing",
        "//api/v2/nothing",
        "/.well-known/nothing",
    ] {
        let answer = ask(path, &[]).await?;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json().is_some(), "{path}");
    }
    assert_eq!(ask("/healthz", &[]).await?.body, "OK");
    Ok(())
}

#[tokio::test]
async fn the_first_load_is_light() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window.goto("/login").await?;
    let sizes = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')) \
        .reduce((sum, entry) => sum + entry.transferSize, 0)";
    let bytes = window
        .evaluate(sizes)
        .await?
        .as_f64()
        .context("no number")?;
    assert!(bytes > 10_000.0 && bytes < 100_000.0, "{bytes} bytes");
    Ok(())
}

#[tokio::test]
async fn a_path_without_a_page_says_so() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/nothing").await.ok();
    window.see("There is no such page").await?;
    // The document itself is answered with 404, which the browser notes.
    let complaints = window.take_complaints();
    assert!(
        complaints.iter().all(|what| what.contains("404")),
        "{complaints:?}"
    );
    window.click("Go to the start").await?;
    window.at("/users").await
}
