//! The ways to sign in, and what leads to them.

use anyhow::{Context as _, Result};
use serde_json::json;
use usher_tests::server::{Server, Setup};

use crate::{Console, PASSWORD, sign_in};

#[tokio::test]
async fn nobody_is_led_to_another_site() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window.goto("/login").await?;
    let own_path = |text: &str| {
        format!(
            "import(document.querySelector('script[type=module]').src.replace('app.js', 'paths.js')).then((paths) => paths.ownPath({}, 'no'))",
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
        assert_eq!(window.evaluate(&own_path(text)).await?, "no", "{text:?}");
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
    window.at("/users").await
}

#[tokio::test]
async fn a_message_is_text() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window
        .goto("/login?message=%3Cb%3ENo%3C%2Fb%3E%20%26amp%3B")
        .await?;
    window.see("<b>No</b> &amp;").await
}

#[tokio::test]
async fn somebody_signed_in_gets_to_read_a_message_too() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/login?message=Refused").await?;
    window.see("Refused").await?;
    window.see("You are signed in as Olga Owner.").await?;
    window.click("Go on").await?;
    window.at("/users").await
}

#[tokio::test]
async fn providers_and_terms_are_offered_as_the_server_says() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window.goto("/login").await?;
    assert!(!window.reads("GitHub").await?);
    let methods = json!({
        "terms_of_service_url": "https://example.com/terms",
        "password": {"enabled": false},
        "github": {"enabled": true, "default_provider_configured": false},
        "oidc": {"enabled": true, "signInText": "Example SSO", "iconUrl": "https://elsewhere.example/icon.png"},
        "further_oidc": [{"path": "/api/v2/users/oidc/2/callback", "signInText": "Partners", "iconUrl": ""}],
    });
    window
        .answer("GET", "/api/v2/users/authmethods", 200, methods)
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
async fn a_server_without_passwords_says_so() -> Result<()> {
    let console = Console::on(Setup::default().start().await?).await?;
    let server: Server = Setup::default()
        .on(console.server.database())
        .set("DISABLE_PASSWORD_AUTH", "true")
        .start()
        .await?;
    let window = usher_tests::browser::Window::open(server.base_url()).await?;
    window.goto("/login").await?;
    window.see("Nobody can sign in here").await
}

#[tokio::test]
async fn a_device_waits_for_its_code_to_be_typed() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let device = json!({
        "device_code": "d-1", "user_code": "ABCD-1234", "verification_uri": "https://github.com/login/device",
        "expires_in": 900, "interval": 1,
    });
    let callback = "/api/v2/users/oauth2/github/callback";
    window
        .answer("GET", "/api/v2/users/oauth2/github/device", 200, device)
        .await?;
    let pending = json!({"message": "Not yet.", "detail": "authorization_pending"});
    window.answer("GET", callback, 400, pending).await?;
    window.goto("/login/device?state=s-1").await.ok();
    window.see("Waiting for GitHub").await?;
    assert_eq!(window.value_of("Copy this code").await?, "ABCD-1234");
    let link = window
        .evaluate("document.querySelector('a[href^=https]').outerHTML")
        .await?;
    let link = link.as_str().context("no link")?.to_owned();
    assert!(
        link.contains("https://github.com/login/device") && link.contains("noreferrer"),
        "{link}"
    );

    window.until("it has asked twice", "performance.getEntriesByType('resource').filter((entry) => entry.name.includes('github/callback?code=d-1&state=s-1')).length > 1").await?;
    window
        .answer(
            "GET",
            callback,
            200,
            json!({"redirect_url": "//evil.example/"}),
        )
        .await?;
    window.at("/users").await?;

    window
        .answer(
            "GET",
            callback,
            500,
            json!({"message": "Refused.", "detail": "expired_token"}),
        )
        .await?;
    window.goto("/login/device?state=s-1").await.ok();
    window.see("The code was not typed in time.").await?;
    window.goto("/login/device").await.ok();
    window
        .until(
            "there is no code to show",
            "location.pathname !== '/login/device'",
        )
        .await
}

#[tokio::test]
async fn the_command_line_gets_a_token_that_works() -> Result<()> {
    let console = Console::start().await?;
    let window = console.window().await?;
    window.goto("/cli-auth").await?;
    window.at("/login?redirect=%2Fcli-auth").await?;
    sign_in(&window, "olga", PASSWORD).await?;
    window.at("/cli-auth").await?;
    assert!(
        !window
            .requests()
            .iter()
            .any(|(_, path)| path.ends_with("/keys")),
        "not before the click"
    );
    window.click("Show a session token").await?;
    let token = window.value_of("Session token").await?;

    let request = usher_tests::exchange::Request::new("GET", "/api/v2/users/me").token(&token);
    let answer = console.server.send(&request).await?;
    assert_eq!(answer.json().context("no body")?["username"], "olga");

    window.reload().await?;
    assert!(!window.reads(&token).await?, "it is shown once");
    Ok(())
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_with_the_passcode() -> Result<()> {
    let server = Setup::default()
        .set("NOTIFICATIONS_METHOD", "webhook")
        .set("NOTIFICATIONS_WEBHOOK_ENDPOINT", "http://127.0.0.1:9/")
        .start()
        .await?;
    let console = Console::on(server).await?;
    let window = console.window().await?;
    window.goto("/login").await?;
    window.click("Forgot your password?").await?;
    window.at("/reset-password").await?;
    window.fill("E-mail address", "olga").await?;
    window.click("Send a passcode").await?;
    window
        .until(
            "the address is refused",
            "document.querySelector('[aria-invalid=true]')",
        )
        .await?;
    assert!(!window.error_of("E-mail address").await?.is_empty());
    window.fill("E-mail address", "olga@example.com").await?;
    window.click("Send a passcode").await?;
    window.see("a passcode is on its way").await?;
    let passcode = console
        .server
        .database()
        .query("SELECT payload->'labels'->>'one_time_passcode' FROM notification_messages WHERE payload->'labels' ? 'one_time_passcode'")
        .await?;

    window.click("I have the passcode").await?;
    window
        .at("/reset-password/change?email=olga%40example.com")
        .await?;
    window.fill("Passcode", &passcode).await?;
    window.fill("New password", "weak").await?;
    window.click("Change the password").await?;
    window
        .until(
            "the password is refused",
            "document.activeElement.name === 'password'",
        )
        .await?;
    assert_eq!(
        window.value_of("Passcode").await?,
        passcode,
        "nothing is lost"
    );
    window
        .fill("New password", "another-horse-8-staple")
        .await?;
    window.click("Change the password").await?;
    window.see("Your password is changed.").await?;
    sign_in(&window, "olga", "another-horse-8-staple").await?;
    window.at("/users").await
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
        .until(
            "it is shown, and its button says so",
            "document.querySelector('button[aria-label=\"Hide password\"]:not([aria-pressed])')",
        )
        .await?;
    assert_eq!(window.evaluate(field).await?, false);
    Ok(())
}
