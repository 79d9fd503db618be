//! Organizations and their members.

use anyhow::Result;
use serde_json::json;

use crate::Console;

#[tokio::test]
async fn an_organization_is_made_filled_renamed_and_deleted() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let window = console.owner().await?;
    window.goto("/organizations").await?;
    window.click("New organization").await?;
    window.fill("Name", "no good").await?;
    window.fill("Display name", "The Team").await?;
    window.click("Create").await?;
    window
        .until(
            "the name is refused",
            "document.activeElement.name === 'name'",
        )
        .await?;
    assert_eq!(
        window.value_of("Display name").await?,
        "The Team",
        "nothing is lost"
    );
    window.fill("Name", "team").await?;
    window.click("Create").await?;
    window.at("/organizations/team").await?;

    window.fill("Add somebody by username", "nobody").await?;
    window.click("Add").await?;
    window
        .until(
            "it is refused",
            "document.querySelector('[aria-invalid=true]')",
        )
        .await?;
    assert!(
        !window
            .error_of("Add somebody by username")
            .await?
            .is_empty()
    );
    window.fill("Add somebody by username", "mia").await?;
    window.click("Add").await?;
    window.see("mia@example.com").await?;

    window.click("Roles of mia").await?;
    window.click("Organization Admin").await?;
    window.click("Save").await?;
    window.see("The roles are saved.").await?;
    let roles = console
        .call("GET", &format!("/api/v2/users/{id}/roles"), None)
        .await?;
    let roles = roles["organization_roles"].to_string();
    assert!(roles.contains("organization-admin"), "{roles}");

    window.click("Remove mia").await?;
    window.click("Remove").await?;
    window.miss("mia@example.com").await?;

    window.fill("Name", "band").await?;
    window.click_in("Names", "Save").await?;
    window.at("/organizations/band").await?;
    let named = console
        .call("GET", "/api/v2/organizations/band", None)
        .await?;
    assert_eq!(named["display_name"], "The Team");

    window.click("Delete the organization").await?;
    window.fill("Write “band” to confirm", "band").await?;
    window.click("Delete").await?;
    window.at("/organizations").await?;
    let left = console.call("GET", "/api/v2/organizations", None).await?;
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert_eq!(left[0]["is_default"], json!(true));
    Ok(())
}
