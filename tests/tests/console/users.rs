//! Administration of users, and the audit log.

use anyhow::{Context as _, Result};
use serde_json::json;
use usher_tests::exchange::Request;

use crate::{Console, PASSWORD, sign_in};

#[tokio::test]
async fn a_user_is_created_suspended_and_activated_again() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.click("People").await?;
    window.expect_path("/users").await?;
    window.click("New user").await?;
    window.expect_path("/users/create").await?;

    window.fill("E-mail address", "mia@example").await?;
    window.fill("Username", "olga").await?;
    window.fill("Full name", "Mia Müller").await?;
    window.fill("Password", PASSWORD).await?;
    window.click("Create user").await?;
    window
        .wait_for(
            "the e-mail address is rejected",
            "document.activeElement.name === 'email'",
        )
        .await?;
    assert_eq!(
        window.value("Full name").await?,
        "Mia Müller",
        "the form keeps its values"
    );

    window.fill("E-mail address", "mia@example.com").await?;
    window.click("Create user").await?;
    window
        .wait_for(
            "the username is rejected",
            "document.querySelector('input[name=username][aria-invalid=true]')",
        )
        .await?;
    window.fill("Username", "mia").await?;
    window.click("Create user").await?;
    window.expect_text("mia was created.").await?;
    window
        .wait_for(
            "the user's page is shown",
            "document.querySelector('h1').innerText === 'Mia Müller'",
        )
        .await?;

    let hers = console.window_of("mia").await?;
    window.click("Suspend user").await?;
    window.expect_text("Suspend mia?").await?;
    window.click("Suspend user").await?;
    window.expect_text("mia was suspended.").await?;
    window.expect_text("suspended").await?;

    hers.goto("/tasks").await?;
    hers.expect_path("/login?redirect=%2Ftasks").await?;
    sign_in(&hers, "mia", PASSWORD).await?;
    hers.wait_for(
        "sign-in is rejected",
        "document.querySelector('[role=alert]')",
    )
    .await?;

    window.click("Activate user").await?;
    window.expect_text("Activate mia?").await?;
    window.click("Activate user").await?;
    window.expect_text("mia was activated.").await?;
    hers.click("Sign in").await?;
    hers.expect_path("/tasks").await
}

#[tokio::test]
async fn roles_profile_and_password_of_a_user_are_changed_and_the_user_deleted() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let window = console.owner().await?;
    window.goto(&format!("/users/{id}")).await?;

    window.click("Auditor").await?;
    window.click_in("Roles", "Save roles").await?;
    window.expect_text("Roles saved.").await?;
    let roles = console.call("GET", "/api/v2/users/mia/roles", None).await?;
    assert_eq!(roles["roles"], json!(["auditor"]));

    window.fill("Full name", " Mia").await?;
    window.click_in("Profile", "Save profile").await?;
    window
        .wait_for(
            "the name is rejected",
            "document.querySelector('[aria-invalid=true]')",
        )
        .await?;
    assert!(!window.field_error("Full name").await?.is_empty());
    window.fill("Full name", "Mia").await?;
    window.click_in("Profile", "Save profile").await?;
    window.expect_text("Profile saved.").await?;

    window.click("Reset password").await?;
    window.click("Generate password").await?;
    let password = window.value("New password").await?;
    window.click("Reset password").await?;
    window.expect_text("The password of mia was reset.").await?;
    let hers = console.window().await?;
    hers.goto("/login?redirect=/tasks").await?;
    sign_in(&hers, "mia", &password).await?;
    hers.expect_path("/tasks").await?;
    drop(hers);

    window.click("Delete user").await?;
    window.fill("Type “mia” to confirm", "mja").await?;
    window.click("Delete user").await?;
    window.expect_text("That doesn't match.").await?;
    window.fill("Type “mia” to confirm", "mia").await?;
    window.click("Delete user").await?;
    window.expect_path("/users").await?;
    window.expect_text("1–1 of 1").await?;
    assert!(!window.shows("mia@example.com").await?);
    Ok(())
}

#[tokio::test]
async fn users_are_searched_and_paged_by_cursor() -> Result<()> {
    let console = Console::start().await?;
    for number in 10..40 {
        let user = json!({
            "email": format!("p{number}@example.com"), "username": format!("p{number}"),
            "login_type": "none", "organization_ids": [console.organization],
        });
        console.call("POST", "/api/v2/users", Some(user)).await?;
    }
    console
        .call("PUT", "/api/v2/users/p12/status/suspend", None)
        .await?;
    let window = console.owner().await?;
    window.goto("/users").await?;
    window.expect_text("1–25 of 31").await?;
    window.clear_requests();
    window.click("Next").await?;
    window.expect_text("26–31 of 31").await?;
    let top = "[scrollY, document.activeElement.tagName]";
    assert_eq!(window.evaluate(top).await?, json!([0, "H1"]));
    window.expect_text("p39@example.com").await?;
    let requests = window.requests();
    assert!(
        requests.iter().any(|(_, path)| path.contains("after_id=")),
        "{requests:?}"
    );
    assert!(
        !requests.iter().any(|(_, path)| path.contains("offset=")),
        "{requests:?}"
    );

    window.reload().await?;
    window.expect_text("26–31 of 31").await?;
    window.click("Previous").await?;
    window.expect_text("1–25 of 31").await?;
    window.back().await?;
    window.expect_text("26–31 of 31").await?;

    window.fill("Search people", "p1").await?;
    window.select("Status", "suspended").await?;
    window.expect_path("/users?q=p1+status%3Asuspended").await?;
    window.expect_text("1–1 of 1").await?;
    window.expect_text("p12@example.com").await?;
    window
        .fill("Search people", "p1 status:active,dormant")
        .await?;
    window.press("Enter", 13).await?;
    window.expect_text("1–9 of 9").await?;
    window.fill("Search people", "nothing:like-this").await?;
    window.press("Enter", 13).await?;
    window
        .wait_for(
            "the search is rejected",
            "document.querySelector('#users-search[aria-invalid=true]')",
        )
        .await?;
    assert_eq!(window.value("Search people").await?, "nothing:like-this");

    window.goto("/users?filter=p33").await?;
    window.expect_text("1–1 of 1").await?;
    window.click("p33").await?;
    window
        .wait_for(
            "the user's page is shown",
            "document.querySelector('h1').innerText === 'p33'",
        )
        .await
}

#[tokio::test]
async fn members_see_only_what_they_may() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let member = console.window_of("mia").await?;
    let links =
        "[...document.querySelectorAll('.navigation a')].map((link) => link.getAttribute('href'))";
    assert_eq!(
        member.evaluate(links).await?,
        json!(["/tasks", "/organizations", "/settings"])
    );
    member.goto("/").await?;
    member.expect_path("/tasks").await?;
    member.goto(&format!("/users/{id}")).await?;
    member.expect_text("This is your account.").await?;
    assert!(!member.shows("Delete user").await?);

    member.goto("/users/no-such-user").await?;
    member.expect_text("User not found.").await?;
    assert!(!member.shows("Try again").await?, "a retry would not help");
    member.goto("/users/create").await?;
    member
        .expect_text("Only administrators can create users.")
        .await?;
    member.goto("/audit").await?;
    member
        .expect_text("Only owners and auditors can view this.")
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_audit_log_shows_changes_and_can_be_searched() -> Result<()> {
    let console = Console::start().await?;
    console.add("mia").await?;
    console
        .call("PUT", "/api/v2/users/mia/status/suspend", None)
        .await?;
    let login = json!({"email": "mia@example.com", "password": "wrong"});
    let login = Request::new("POST", "/api/v2/users/login").json(&login);
    assert_eq!(console.server.send(&login).await?.status, 401);
    let window = console.owner().await?;
    window.click("Audit log").await?;
    window.expect_path("/audit").await?;
    window.expect_text("failed to sign in").await?;
    window.expect_text("olga created user mia").await?;
    window
        .fill("Search the audit log", "action:write resource_type:user")
        .await?;
    window.press("Enter", 13).await?;
    window.expect_no_text("olga created user mia").await?;
    window.expect_text("1–1 of 1").await?;
    window.click("1 change").await?;
    window.expect_text("dormant → suspended").await?;
    window
        .fill("Search the audit log", "action:nonsense")
        .await?;
    window.press("Enter", 13).await?;
    window
        .wait_for(
            "the search is rejected",
            "document.querySelector('#audit-search[aria-invalid=true]')",
        )
        .await?;
    let error = window
        .evaluate("document.querySelector('#audit-error').innerText")
        .await?;
    assert!(!error.as_str().context("not a string")?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_failed_reload_shows_its_error_above_the_previous_list() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/users").await?;
    window.expect_text("olga@example.com").await?;
    let error = json!({"message": "The list is unavailable."});
    window
        .mock_response("GET", "/api/v2/users", 500, error)
        .await?;
    window.fill("Search people", "no-such-user").await?;
    window.press("Enter", 13).await?;
    window.expect_text("The list is unavailable.").await?;
    window.expect_text("olga@example.com").await?;
    window.clear_mocks();
    window.click("Try again").await?;
    window.expect_text("No users match").await?;
    window.expect_no_text("The list is unavailable.").await
}
