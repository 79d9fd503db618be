//! What people do with their own account.

use anyhow::{Context as _, Result};

use crate::{Console, PASSWORD, sign_in};

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_keeps_this_one() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let other = console.owner().await?;
    window.goto("/settings/security").await?;
    window.fill("Current password", "wrong").await?;
    window
        .fill("New password", "another-horse-8-staple")
        .await?;
    window.click("Change the password").await?;
    window
        .until(
            "the old one is refused",
            "document.activeElement.name === 'old_password'",
        )
        .await?;
    assert_eq!(
        window.value_of("New password").await?,
        "another-horse-8-staple",
        "nothing is lost"
    );
    window.fill("Current password", PASSWORD).await?;
    window.click("Change the password").await?;
    window.see("Your password is changed.").await?;
    window.reload().await?;
    window.see("Change the password").await?;

    other.goto("/tasks").await?;
    other.at("/login?redirect=%2Ftasks").await
}

#[tokio::test]
async fn an_ended_session_loses_nothing_that_was_written() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/account").await?;
    window.fill("Full name", "Olga Other").await?;
    window.delete_cookie("coder_session_token").await?;
    window.click("Save").await?;
    window.see("Please sign in again").await?;
    window.fill("Password", PASSWORD).await?;
    window.click("Sign in").await?;
    window.see("You are signed in again.").await?;
    assert_eq!(window.value_of("Full name").await?, "Olga Other");
    window.click("Save").await?;
    window.see("Your profile is saved.").await?;
    let me = console.call("GET", "/api/v2/users/me", None).await?;
    assert_eq!(me["name"], "Olga Other");
    Ok(())
}

#[tokio::test]
async fn an_ssh_key_is_replaced_after_a_question() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/ssh-keys").await?;
    let old = window.value_of("Public key").await?;
    assert!(old.starts_with("ssh-ed25519 "), "{old}");
    window.click("Make a new key").await?;
    window.click("Cancel").await?;
    assert_eq!(window.value_of("Public key").await?, old);
    window.click("Make a new key").await?;
    window.click("Make a new key").await?;
    window.see("You have a new SSH key.").await?;
    let new = window.value_of("Public key").await?;
    assert_ne!(new, old);
    let kept = console
        .call("GET", "/api/v2/users/me/gitsshkey", None)
        .await?;
    assert_eq!(
        kept["public_key"].as_str().map(str::trim),
        Some(new.as_str())
    );
    Ok(())
}

#[tokio::test]
async fn a_failed_save_says_so_and_keeps_everything() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let window = console.window_of("mia").await?;
    window.goto("/settings/account").await?;
    window.fill("Full name", "Mia").await?;
    window
        .cut("PUT", &format!("/api/v2/users/{id}/profile"))
        .await?;
    window.click("Save").await?;
    window.see("The server cannot be reached.").await?;
    assert_eq!(window.value_of("Full name").await?, "Mia");
    window.heal();
    window.click("Save").await?;
    window.see("Your profile is saved.").await
}

#[tokio::test]
async fn a_password_gives_way_to_a_provider_that_is_configured() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/security").await?;
    assert!(
        !window.reads("Sign in another way").await?,
        "there is no other way"
    );
    let methods = serde_json::json!({
        "password": {"enabled": true}, "github": {"enabled": true, "default_provider_configured": false},
        "oidc": {"enabled": false, "signInText": "", "iconUrl": ""},
        "further_oidc": [{"path": "/api/v2/users/oidc/2/callback", "signInText": "Partners", "iconUrl": ""}],
    });
    window
        .answer("GET", "/api/v2/users/authmethods", 200, methods)
        .await?;
    window.reload().await?;
    window.choose("Sign in with", "github").await?;
    window.fill("Your password", "wrong").await?;
    window.click("Go on at the provider").await?;
    window
        .until(
            "it is refused",
            "document.activeElement.name === 'password'",
        )
        .await?;
    assert!(!window.error_of("Your password").await?.is_empty());
    let options =
        "[...document.querySelector('select[name=way]').options].map((option) => option.innerText)";
    assert_eq!(
        window.evaluate(options).await?,
        serde_json::json!(["GitHub", "Partners"])
    );
    window.fill("Your password", PASSWORD).await?;
    window.click("Go on at the provider").await?;
    window
        .until(
            "the provider is asked",
            "location.pathname === '/api/v2/users/oauth2/github/callback'",
        )
        .await?;
    let state = window
        .evaluate("new URLSearchParams(location.search).get('oidc_merge_state')")
        .await?;
    assert!(state.as_str().context("no state")?.starts_with("convert-"));
    // The change ends the session, so where it leads says how to go on.
    let landing = window
        .evaluate("new URLSearchParams(location.search).get('redirect')")
        .await?;
    let landing = landing.as_str().context("no target")?;
    window.heal();
    window.delete_cookie("coder_session_token").await?;
    window.goto(landing).await?;
    window
        .see("From now on you sign in with GitHub. Please sign in once more.")
        .await?;
    assert!(window.cookie("coder_oauth_convert_jwt").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn the_keyboard_reaches_everything_and_dialogs_give_it_back() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/tokens").await?;
    window.press("Tab", 9).await?;
    let focused = "document.activeElement.innerText.trim()";
    assert_eq!(window.evaluate(focused).await?, "Skip to the content");

    window.evaluate("[...document.querySelectorAll('main button')].find((one) => one.innerText.trim() === 'New token').focus()").await?;
    window.press("Enter", 13).await?;
    window
        .until(
            "the dialog has the focus",
            "document.querySelector('dialog[open]')?.contains(document.activeElement)",
        )
        .await?;
    window.press("Escape", 27).await?;
    window
        .until("it is closed", "!document.querySelector('dialog')")
        .await?;
    assert_eq!(window.evaluate(focused).await?, "New token");

    window.click("Notifications").await?;
    window.at("/settings/notifications").await?;
    let heading =
        "document.activeElement.tagName === 'H1' && document.title === 'Notifications – Usher'";
    window.until("the heading has the focus", heading).await
}

#[tokio::test]
async fn signing_in_again_as_somebody_else_saves_nothing_of_the_first() -> Result<()> {
    let console = Console::start().await?;
    console.add("mia").await?;
    let window = console.owner().await?;
    window.goto("/settings/account").await?;
    window.delete_cookie("coder_session_token").await?;
    window.click("Save").await?;
    window.see("Please sign in again").await?;
    sign_in(&window, "mia", PASSWORD).await?;
    window.at("/tasks").await
}

#[tokio::test]
async fn another_person_in_another_tab_takes_this_one_along() -> Result<()> {
    let console = Console::start().await?;
    let mia = console.add("mia").await?;
    let window = console.window_of("mia").await?;
    window.goto("/settings/ssh-keys").await?;
    window.forget_requests();
    window.click("Make a new key").await?;
    window.click("Make a new key").await?;
    window.see("You have a new SSH key.").await?;
    let changes = window
        .requests()
        .into_iter()
        .filter(|(method, _)| method == "PUT");
    let expected = format!("/api/v2/users/{mia}/gitsshkey");
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [("PUT".to_owned(), expected)],
        "it names whose"
    );

    let owner = serde_json::json!({"email": "olga@example.com", "password": PASSWORD});
    let login = format!(
        "fetch('/api/v2/users/login', {{method: 'POST', headers: {{'X-CSRF-TOKEN': document.querySelector('meta[name=csrf-token]').content}}, \
         body: JSON.stringify({owner})}}).then((answer) => answer.status)"
    );
    assert_eq!(window.evaluate(&login).await?, 201);
    window
        .evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        .await?;
    window.at("/users").await
}
