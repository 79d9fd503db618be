//! The account pages: password, profile, SSH key and sign-in method.

use anyhow::{Context as _, Result};

use crate::{Console, PASSWORD, sign_in};

#[tokio::test]
async fn a_new_password_revokes_the_other_sessions_and_keeps_this_one() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let other = console.owner().await?;
    window.goto("/settings/security").await?;
    window.fill("Current password", "wrong").await?;
    window
        .fill("New password", "another-horse-8-staple")
        .await?;
    window.click("Change password").await?;
    window
        .wait_for(
            "the current password is rejected",
            "document.activeElement.name === 'old_password'",
        )
        .await?;
    assert_eq!(
        window.value("New password").await?,
        "another-horse-8-staple",
        "the form keeps its values"
    );
    window.fill("Current password", PASSWORD).await?;
    window.click("Change password").await?;
    window.expect_text("Password changed.").await?;
    window.reload().await?;
    window.expect_text("Change password").await?;

    other.goto("/tasks").await?;
    other.expect_path("/login?redirect=%2Ftasks").await
}

#[tokio::test]
async fn signing_in_again_after_expiry_keeps_unsaved_changes() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/account").await?;
    window.fill("Full name", "Olga Other").await?;
    window.delete_cookie("coder_session_token").await?;
    window.click("Save profile").await?;
    window.expect_text("Sign in again").await?;
    window.fill("Password", PASSWORD).await?;
    window.click("Sign in").await?;
    window.expect_text("You are signed in again.").await?;
    assert_eq!(window.value("Full name").await?, "Olga Other");
    window.click("Save profile").await?;
    window.expect_text("Profile saved.").await?;
    let me = console.call("GET", "/api/v2/users/me", None).await?;
    assert_eq!(me["name"], "Olga Other");
    Ok(())
}

#[tokio::test]
async fn an_ssh_key_is_replaced_after_confirmation() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/ssh-keys").await?;
    let old = window.value("Public key").await?;
    assert!(old.starts_with("ssh-ed25519 "), "{old}");
    window.click("Generate new key").await?;
    window.click("Cancel").await?;
    assert_eq!(window.value("Public key").await?, old);
    window.click("Generate new key").await?;
    window.click("Generate new key").await?;
    window.expect_text("SSH key replaced.").await?;
    let new = window.value("Public key").await?;
    assert_ne!(new, old);
    let stored = console
        .call("GET", "/api/v2/users/me/gitsshkey", None)
        .await?;
    assert_eq!(
        stored["public_key"].as_str().map(str::trim),
        Some(new.as_str())
    );
    Ok(())
}

#[tokio::test]
async fn a_failed_save_shows_an_error_and_keeps_the_form() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let window = console.window_of("mia").await?;
    window.goto("/settings/account").await?;
    window.fill("Full name", "Mia").await?;
    window
        .mock_failure("PUT", &format!("/api/v2/users/{id}/profile"))
        .await?;
    window.click("Save profile").await?;
    window.expect_text("The server cannot be reached.").await?;
    assert_eq!(window.value("Full name").await?, "Mia");
    window.clear_mocks();
    window.click("Save profile").await?;
    window.expect_text("Profile saved.").await
}

#[tokio::test]
async fn a_password_account_can_change_to_a_configured_provider() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/security").await?;
    assert!(
        !window.shows("Change sign-in method").await?,
        "no provider is configured"
    );
    let methods = serde_json::json!({
        "password": {"enabled": true}, "github": {"enabled": true, "default_provider_configured": false},
        "oidc": {"enabled": false, "signInText": "", "iconUrl": ""},
        "further_oidc": [{"path": "/api/v2/users/oidc/2/callback", "signInText": "Partners", "iconUrl": ""}],
    });
    window
        .mock_response("GET", "/api/v2/users/authmethods", 200, methods)
        .await?;
    window.reload().await?;
    window.select("Sign-in method", "github").await?;
    window.fill("Password", "wrong").await?;
    window.click("Continue to provider").await?;
    window
        .wait_for(
            "the password is rejected",
            "document.activeElement.name === 'password'",
        )
        .await?;
    assert!(!window.field_error("Password").await?.is_empty());
    let options = "[...document.querySelector('select[name=target]').options].map((option) => option.innerText)";
    assert_eq!(
        window.evaluate(options).await?,
        serde_json::json!(["GitHub", "Partners"])
    );
    window.fill("Password", PASSWORD).await?;
    window.click("Continue to provider").await?;
    window
        .wait_for(
            "the browser is sent to the provider",
            "location.pathname === '/api/v2/users/oauth2/github/callback'",
        )
        .await?;
    let state = window
        .evaluate("new URLSearchParams(location.search).get('oidc_merge_state')")
        .await?;
    assert!(state.as_str().context("no state")?.starts_with("convert-"));
    // The conversion revokes the session, so the redirect explains how to continue.
    let landing = window
        .evaluate("new URLSearchParams(location.search).get('redirect')")
        .await?;
    let landing = landing.as_str().context("no target")?;
    window.clear_mocks();
    window.delete_cookie("coder_session_token").await?;
    window.goto(landing).await?;
    window
        .expect_text("You now sign in with GitHub. Sign in to continue.")
        .await?;
    assert!(window.cookie("coder_oauth_convert_jwt").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn dialogs_can_be_used_by_keyboard_and_restore_the_focus() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/tokens").await?;
    window.press("Tab", 9).await?;
    let focused = "document.activeElement.innerText.trim()";
    assert_eq!(window.evaluate(focused).await?, "Skip to content");

    window.evaluate("[...document.querySelectorAll('main button')].find((one) => one.innerText.trim() === 'New token').focus()").await?;
    window.press("Enter", 13).await?;
    window
        .wait_for(
            "the dialog has the focus",
            "document.querySelector('dialog[open]')?.contains(document.activeElement)",
        )
        .await?;
    window.press("Escape", 27).await?;
    window
        .wait_for("the dialog is closed", "!document.querySelector('dialog')")
        .await?;
    assert_eq!(window.evaluate(focused).await?, "New token");

    window.click("Notifications").await?;
    window.expect_path("/settings/notifications").await?;
    let heading =
        "document.activeElement.tagName === 'H1' && document.title === 'Notifications – Usher'";
    window.wait_for("the heading has the focus", heading).await
}

#[tokio::test]
async fn signing_in_again_as_another_user_discards_the_changes() -> Result<()> {
    let console = Console::start().await?;
    console.add("mia").await?;
    let window = console.owner().await?;
    window.goto("/settings/account").await?;
    window.delete_cookie("coder_session_token").await?;
    window.click("Save profile").await?;
    window.expect_text("Sign in again").await?;
    sign_in(&window, "mia", PASSWORD).await?;
    window.expect_path("/tasks").await
}

#[tokio::test]
async fn signing_in_as_another_user_in_another_tab_reloads_this_one() -> Result<()> {
    let console = Console::start().await?;
    let mia = console.add("mia").await?;
    let window = console.window_of("mia").await?;
    window.goto("/settings/ssh-keys").await?;
    window.clear_requests();
    window.click("Generate new key").await?;
    window.click("Generate new key").await?;
    window.expect_text("SSH key replaced.").await?;
    let changes = window
        .requests()
        .into_iter()
        .filter(|(method, _)| method == "PUT");
    let expected = format!("/api/v2/users/{mia}/gitsshkey");
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [("PUT".to_owned(), expected)],
        "the request names the user"
    );

    let owner = serde_json::json!({"email": "olga@example.com", "password": PASSWORD});
    let login = format!(
        "fetch('/api/v2/users/login', {{method: 'POST', headers: {{'X-CSRF-TOKEN': document.querySelector('meta[name=csrf-token]').content}}, \
         body: JSON.stringify({owner})}}).then((response) => response.status)"
    );
    assert_eq!(window.evaluate(&login).await?, 201);
    window
        .evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        .await?;
    window.expect_path("/users").await
}
