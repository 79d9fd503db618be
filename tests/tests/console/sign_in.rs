//! Sign-in methods, redirects, the device flow, and password reset.

use anyhow::{Context as _, Result};
use serde_json::json;
use usher_tests::server::{Server, Setup};

use crate::{Console, PASSWORD, sign_in};

#[tokio::test]
async fn redirects_stay_on_this_origin() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window.goto("/login").await?;
    let own_path = |text: &str| {
        format!(
            "import(document.querySelector('script[type=module]').src.replace('app.js', 'paths.js')).then((paths) => paths.ownPath({}, 'rejected'))",
            json!(text)
        )
    };
    for text in [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "evil.example",
        "",
        "/%2Fevil.example",
        "/%2fevil.example",
        "%2F%2Fevil.example",
        "/%5Cevil.example",
        "/%255Cevil.example",
        "/%25252Fevil.example",
        "/%252525252525252Fevil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/%09/evil.example",
        "/./\\evil.example",
        "/x/..//evil.example",
        "///evil.example",
        "javascript:alert(1)",
        "/%",
        "/\u{7f}/evil.example",
    ] {
        assert_eq!(
            window.evaluate(&own_path(text)).await?,
            "rejected",
            "{text:?}"
        );
    }
    for (text, path) in [
        ("/", "/"),
        ("/users?q=status:active", "/users?q=status:active"),
        ("/a/../b#c", "/b#c"),
        ("/a%20b", "/a%20b"),
        ("/users?q=%2F%2Fx", "/users?q=%2F%2Fx"),
    ] {
        assert_eq!(window.evaluate(&own_path(text)).await?, path, "{text:?}");
    }

    window.goto("/login?redirect=%2F%2Fevil.example").await?;
    sign_in(&window, "olga", PASSWORD).await?;
    window.expect_path("/users").await
}

#[tokio::test]
async fn a_message_is_shown_as_text() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window
        .goto("/login?message=%3Cb%3ENo%3C%2Fb%3E%20%26amp%3B")
        .await?;
    window.expect_text("<b>No</b> &amp;").await
}

#[tokio::test]
async fn a_message_is_shown_to_signed_in_users_too() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/login?message=Refused").await?;
    window.expect_text("Refused").await?;
    window
        .expect_text("You are signed in as Olga Owner.")
        .await?;
    window.click("Continue").await?;
    window.expect_path("/users").await
}

#[tokio::test]
async fn the_page_offers_the_providers_and_terms_of_the_server() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window.goto("/login").await?;
    assert!(!window.shows("GitHub").await?);
    let methods = json!({
        "terms_of_service_url": "https://example.com/terms",
        "password": {"enabled": false},
        "github": {"enabled": true, "default_provider_configured": false},
        "oidc": {"enabled": true, "signInText": "Example SSO", "iconUrl": "https://icons.example/icon.png"},
        "further_oidc": [{"path": "/api/v2/users/oidc/2/callback", "signInText": "Partners", "iconUrl": ""}],
    });
    window
        .mock_response("GET", "/api/v2/users/authmethods", 200, methods)
        .await?;
    window.goto("/login?redirect=/tasks").await?;
    let links = "[...document.querySelectorAll('a.button')].map((link) => [link.innerText.trim(), link.getAttribute('href')])";
    let expected = json!([
        [
            "Example SSO",
            "/api/v2/users/oidc/callback?redirect=%2Ftasks"
        ],
        [
            "Partners",
            "/api/v2/users/oidc/2/callback?redirect=%2Ftasks"
        ],
        [
            "GitHub",
            "/api/v2/users/oauth2/github/callback?redirect=%2Ftasks"
        ],
    ]);
    assert_eq!(window.evaluate(links).await?, expected);
    assert_eq!(
        window.evaluate("document.querySelector('input')").await?,
        json!(null),
        "no password"
    );
    let terms = window
        .evaluate("document.querySelector('a[href^=https]').href")
        .await?;
    assert_eq!(terms, "https://example.com/terms");
    Ok(())
}

#[tokio::test]
async fn a_server_without_sign_in_methods_shows_a_warning() -> Result<()> {
    let console = Console::on(Setup::default().start().await?).await?;
    let server: Server = Setup::default()
        .on(console.server.database())
        .set("DISABLE_PASSWORD_AUTH", "true")
        .start()
        .await?;
    let window = usher_test_browser::Window::open(server.base_url()).await?;
    window.goto("/login").await?;
    window
        .expect_text("All sign-in methods are disabled.")
        .await
}

#[tokio::test]
async fn the_device_flow_polls_until_the_code_is_entered() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let device = json!({
        "device_code": "d-1", "user_code": "ABCD-1234", "verification_uri": "https://github.com/login/device",
        "expires_in": 900, "interval": 1,
    });
    let callback = "/api/v2/users/oauth2/github/callback";
    window
        .mock_response("GET", "/api/v2/users/oauth2/github/device", 200, device)
        .await?;
    let pending = json!({"message": "Not yet.", "detail": "authorization_pending"});
    window.mock_response("GET", callback, 400, pending).await?;
    window.goto("/login/device?state=s-1").await.ok();
    window.expect_text("Waiting for GitHub").await?;
    assert_eq!(window.value("Copy this code").await?, "ABCD-1234");
    let link = window
        .evaluate("document.querySelector('a[href^=https]').outerHTML")
        .await?;
    let link = link.as_str().context("no link")?.to_owned();
    assert!(
        link.contains("https://github.com/login/device") && link.contains("noreferrer"),
        "{link}"
    );

    window.wait_for("the page has polled twice", "performance.getEntriesByType('resource').filter((entry) => entry.name.includes('github/callback?code=d-1&state=s-1')).length > 1").await?;
    window
        .mock_response(
            "GET",
            callback,
            200,
            json!({"redirect_url": "//evil.example/"}),
        )
        .await?;
    window.expect_path("/users").await?;

    window
        .mock_response(
            "GET",
            callback,
            500,
            json!({"message": "Failed.", "detail": "expired_token"}),
        )
        .await?;
    window.goto("/login/device?state=s-1").await.ok();
    window.expect_text("The code has expired.").await?;
    window.goto("/login/device").await.ok();
    window
        .wait_for(
            "the page without a state redirects",
            "location.pathname !== '/login/device'",
        )
        .await
}

#[tokio::test]
async fn the_command_line_gets_a_valid_token() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window.goto("/cli-auth").await?;
    window.expect_path("/login?redirect=%2Fcli-auth").await?;
    sign_in(&window, "olga", PASSWORD).await?;
    window.expect_path("/cli-auth").await?;
    assert!(
        !window
            .requests()
            .iter()
            .any(|(_, path)| path.ends_with("/keys")),
        "no token is created before the click"
    );
    window.click("Create session token").await?;
    let token = window.value("Session token").await?;

    let request = usher_tests::exchange::Request::new("GET", "/api/v2/users/me").token(&token);
    let response = console.server.send(&request).await?;
    assert_eq!(response.json().context("no body")?["username"], "olga");

    window.reload().await?;
    assert!(!window.shows(&token).await?, "the token is shown once");
    Ok(())
}

#[tokio::test]
async fn a_forgotten_password_is_reset_with_the_passcode() -> Result<()> {
    let server = Setup::default()
        .set("NOTIFICATIONS_METHOD", "webhook")
        .set("NOTIFICATIONS_WEBHOOK_ENDPOINT", "http://127.0.0.1:9/")
        .start()
        .await?;
    let console = Console::on(server).await?;
    let window = console.window().await?;
    window.goto("/login").await?;
    window.click("Forgot your password?").await?;
    window.expect_path("/reset-password").await?;
    window.fill("E-mail address", "olga").await?;
    window.click("Send passcode").await?;
    window
        .wait_for(
            "the e-mail address is rejected",
            "document.querySelector('[aria-invalid=true]')",
        )
        .await?;
    assert!(!window.field_error("E-mail address").await?.is_empty());
    window.fill("E-mail address", "olga@example.com").await?;
    window.click("Send passcode").await?;
    window.expect_text("we sent a passcode to it").await?;
    let passcode = console
        .server
        .database()
        .query("SELECT payload->'labels'->>'one_time_passcode' FROM notification_messages WHERE payload->'labels' ? 'one_time_passcode'")
        .await?;

    window.click("Enter passcode").await?;
    window
        .expect_path("/reset-password/change?email=olga%40example.com")
        .await?;
    window.fill("Passcode", &passcode).await?;
    window.fill("New password", "weak").await?;
    window.click("Change password").await?;
    window
        .wait_for(
            "the password is rejected",
            "document.activeElement.name === 'password'",
        )
        .await?;
    assert_eq!(
        window.value("Passcode").await?,
        passcode,
        "the form keeps its values"
    );
    window
        .fill("New password", "another-horse-8-staple")
        .await?;
    window.click("Change password").await?;
    window.expect_text("Password changed.").await?;
    sign_in(&window, "olga", "another-horse-8-staple").await?;
    window.expect_path("/users").await
}

#[tokio::test]
async fn a_password_is_not_sent_to_a_spell_checker() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window.goto("/login").await?;
    let field = "document.querySelector('input[name=password]').spellcheck";
    assert_eq!(window.evaluate(field).await?, false);
    window.click("Show password").await?;
    window
        .wait_for(
            "the password is shown and the button has changed",
            "document.querySelector('button[aria-label=\"Hide password\"]:not([aria-pressed])')",
        )
        .await?;
    assert_eq!(window.evaluate(field).await?, false);
    Ok(())
}
