//! Tokens: shown once, and deleted.

use anyhow::{Context as _, Result};
use serde_json::json;
use usher_tests::exchange::Request;

use crate::Console;

#[tokio::test]
async fn a_token_is_shown_once_works_and_ends() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/tokens").await?;
    window.see("You have no tokens").await?;
    window.click("New token").await?;
    window.fill("Name", "deploys").await?;
    window.choose("Lifetime", "1").await?;
    window.click("Make the token").await?;
    window.see("Your new token").await?;
    let token = window.value_of("Token deploys").await?;
    let who = Request::new("GET", "/api/v2/users/me").token(&token);
    assert_eq!(
        console.server.send(&who).await?.json().context("no body")?["username"],
        "olga"
    );

    window.click("I have it").await?;
    window.miss("Your new token").await?;
    let inside = format!(
        "document.documentElement.outerHTML.includes({})",
        json!(token)
    );
    assert_eq!(
        window.evaluate(&inside).await?,
        false,
        "it is nowhere in the page"
    );
    window.reload().await?;
    window.see("deploys").await?;
    assert_eq!(window.evaluate(&inside).await?, false);

    window.click("New token").await?;
    window.fill("Name", "deploys").await?;
    window.click("Make the token").await?;
    window
        .until(
            "the name is refused",
            "document.activeElement.name === 'token_name'",
        )
        .await?;
    assert!(!window.error_of("Name").await?.is_empty());
    window.click("Cancel").await?;

    window.click("Delete the token deploys").await?;
    window.click("Delete the token").await?;
    window.see("You have no tokens").await?;
    assert_eq!(console.server.send(&who).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_token_reaches_as_far_as_was_asked() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let window = console.window_of("mia").await?;
    window.goto("/settings/tokens").await?;
    window.click("New token").await?;
    window.fill("Name", "narrow").await?;
    window.choose("Lifetime", "other").await?;
    window.fill("Days", "many").await?;
    window.click("Make the token").await?;
    window
        .until(
            "it is refused",
            "document.activeElement.name === 'otherDays'",
        )
        .await?;
    window.fill("Days", "400").await?;
    window.click("Only some of it").await?;
    window.forget_requests();
    window.click("Make the token").await?;
    window.see("Choose at least one.").await?;
    assert!(
        !window.requests().iter().any(|(method, _)| method == "POST"),
        "no scope would be all of them"
    );
    window.click_on("[data-scope='user:read_personal']").await?;
    window.click_on("[data-scope='task:read']").await?;
    window.click("Only for certain things").await?;
    window.fill("Allow-list", "nonsense").await?;
    window.click("Make the token").await?;
    window
        .until(
            "it is refused",
            "document.activeElement.name === 'allow_list'",
        )
        .await?;
    assert!(!window.error_of("Allow-list").await?.is_empty());
    assert_eq!(window.value_of("Days").await?, "400", "nothing is lost");
    window
        .fill("Allow-list", &format!("user:{id}\ntask:*"))
        .await?;
    window.click("Make the token").await?;
    window.see("Your new token").await?;

    let token = console
        .call(
            "GET",
            &format!("/api/v2/users/{id}/keys/tokens/narrow"),
            None,
        )
        .await?;
    assert_eq!(token["scopes"], json!(["user:read_personal", "task:read"]));
    assert_eq!(token["allow_list"], json!(["task:*", format!("user:{id}")]));
    assert_eq!(token["lifetime_seconds"], 400 * 86_400);
    Ok(())
}
