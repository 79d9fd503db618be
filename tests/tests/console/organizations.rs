//! Organizations and their members.

use anyhow::Result;
use serde_json::json;

use crate::Console;

#[tokio::test]
async fn an_organization_is_created_filled_renamed_and_deleted() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let window = console.owner().await?;
    window.goto("/organizations").await?;
    window.click("New organization").await?;
    window.fill("Name", "no good").await?;
    window.fill("Display name", "The Team").await?;
    window.click("Create organization").await?;
    window
        .wait_for(
            "the name is rejected",
            "document.activeElement.name === 'name'",
        )
        .await?;
    assert_eq!(
        window.value("Display name").await?,
        "The Team",
        "the form keeps its values"
    );
    window.fill("Name", "team").await?;
    window.click("Create organization").await?;
    window.expect_path("/organizations/team").await?;

    window.fill("Username", "no-such-user").await?;
    window.click("Add member").await?;
    window
        .wait_for(
            "the username is rejected",
            "document.querySelector('[aria-invalid=true]')",
        )
        .await?;
    assert!(!window.field_error("Username").await?.is_empty());
    window.fill("Username", "mia").await?;
    window.click("Add member").await?;
    window.expect_text("mia@example.com").await?;

    window.click("Edit roles of mia").await?;
    window.click("Organization Admin").await?;
    window.click("Save roles").await?;
    window.expect_text("Roles saved.").await?;
    let roles = console
        .call("GET", &format!("/api/v2/users/{id}/roles"), None)
        .await?;
    let roles = roles["organization_roles"].to_string();
    assert!(roles.contains("organization-admin"), "{roles}");

    window.click("Remove mia").await?;
    window.click("Remove member").await?;
    window.expect_no_text("mia@example.com").await?;

    window.fill("Name", "band").await?;
    window.click_in("Settings", "Save organization").await?;
    window.expect_path("/organizations/band").await?;
    let renamed = console
        .call("GET", "/api/v2/organizations/band", None)
        .await?;
    assert_eq!(renamed["display_name"], "The Team");

    window.click("Delete organization").await?;
    window.fill("Type “band” to confirm", "band").await?;
    window.click("Delete organization").await?;
    window.expect_path("/organizations").await?;
    let remaining = console.call("GET", "/api/v2/organizations", None).await?;
    assert_eq!(remaining.as_array().map(Vec::len), Some(1), "{remaining}");
    assert_eq!(remaining[0]["is_default"], json!(true));
    Ok(())
}
