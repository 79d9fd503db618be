//! API tokens.

use anyhow::{Context as _, Result};
use serde_json::json;
use usher_tests::exchange::Request;

use crate::Console;

#[tokio::test]
async fn a_token_is_shown_once_and_can_be_deleted() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/settings/tokens").await?;
    window.expect_text("No tokens yet").await?;
    window.click("New token").await?;
    window.fill("Name", "deploys").await?;
    window.select("Lifetime", "1").await?;
    window.click("Create token").await?;
    window.expect_text("Token created").await?;
    let token = window.value("Token deploys").await?;
    let request = Request::new("GET", "/api/v2/users/me").token(&token);
    assert_eq!(
        console
            .server
            .send(&request)
            .await?
            .json()
            .context("no body")?["username"],
        "olga"
    );

    window.click("Done").await?;
    window.expect_no_text("Token created").await?;
    let page_contains = format!(
        "document.documentElement.outerHTML.includes({})",
        json!(token)
    );
    assert_eq!(
        window.evaluate(&page_contains).await?,
        false,
        "the page does not contain the token"
    );
    window.reload().await?;
    window.expect_text("deploys").await?;
    assert_eq!(window.evaluate(&page_contains).await?, false);

    window.click("New token").await?;
    window.fill("Name", "deploys").await?;
    window.click("Create token").await?;
    window
        .wait_for(
            "the name is rejected",
            "document.activeElement.name === 'token_name'",
        )
        .await?;
    assert!(!window.field_error("Name").await?.is_empty());
    window.click("Cancel").await?;

    window.click("Delete token deploys").await?;
    window.click("Delete token").await?;
    window.expect_text("No tokens yet").await?;
    assert_eq!(console.server.send(&request).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_token_has_the_selected_scopes_resources_and_lifetime() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let window = console.window_of("mia").await?;
    window.goto("/settings/tokens").await?;
    window.click("New token").await?;
    window.fill("Name", "narrow").await?;
    window.select("Lifetime", "other").await?;
    window.fill("Days", "many").await?;
    window.click("Create token").await?;
    window
        .wait_for(
            "the number of days is rejected",
            "document.activeElement.name === 'otherDays'",
        )
        .await?;
    window.fill("Days", "400").await?;
    window.click("Selected scopes").await?;
    window.clear_requests();
    window.click("Create token").await?;
    window.expect_text("Select at least one scope.").await?;
    assert!(
        !window.requests().iter().any(|(method, _)| method == "POST"),
        "an empty list would mean full access"
    );
    window
        .click_selector("[data-scope='user:read_personal']")
        .await?;
    window.click_selector("[data-scope='task:read']").await?;
    window.click("Specific resources").await?;
    window.fill("Allow list", "nonsense").await?;
    window.click("Create token").await?;
    window
        .wait_for(
            "the allow list is rejected",
            "document.activeElement.name === 'allow_list'",
        )
        .await?;
    assert!(!window.field_error("Allow list").await?.is_empty());
    assert_eq!(
        window.value("Days").await?,
        "400",
        "the form keeps its values"
    );
    window
        .fill("Allow list", &format!("user:{id}\ntask:*"))
        .await?;
    window.click("Create token").await?;
    window.expect_text("Token created").await?;

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
