//! What an administrator does with people.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{Console, PASSWORD, sign_in};

#[tokio::test]
async fn a_person_is_made_suspended_and_let_in_again() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.click("People").await?;
    window.at("/users").await?;
    window.click("New person").await?;
    window.at("/users/create").await?;

    window.fill("E-mail address", "mia@example").await?;
    window.fill("Username", "olga").await?;
    window.fill("Full name", "Mia Müller").await?;
    window.fill("Password", PASSWORD).await?;
    window.click("Create").await?;
    window
        .until(
            "the address is refused",
            "document.activeElement.name === 'email'",
        )
        .await?;
    assert_eq!(
        window.value_of("Full name").await?,
        "Mia Müller",
        "nothing is lost"
    );

    window.fill("E-mail address", "mia@example.com").await?;
    window.click("Create").await?;
    window
        .until(
            "the name is refused",
            "document.querySelector('input[name=username][aria-invalid=true]')",
        )
        .await?;
    window.fill("Username", "mia").await?;
    window.click("Create").await?;
    window.see("mia is here.").await?;
    window
        .until(
            "her page is there",
            "document.querySelector('h1').innerText === 'Mia Müller'",
        )
        .await?;

    let hers = console.window_of("mia").await?;
    window.click("Suspend").await?;
    window.see("Suspend mia?").await?;
    window.click("Suspend").await?;
    window.see("mia is suspended.").await?;
    window.see("suspended").await?;

    hers.goto("/tasks").await?;
    hers.at("/login?redirect=%2Ftasks").await?;
    sign_in(&hers, "mia", PASSWORD).await?;
    hers.until("she is told", "document.querySelector('[role=alert]')")
        .await?;

    window.click("Activate").await?;
    window.see("Activate mia?").await?;
    window.click("Activate").await?;
    window.see("mia is active.").await?;
    hers.click("Sign in").await?;
    hers.at("/tasks").await
}

#[tokio::test]
async fn roles_names_and_passwords_are_changed_and_a_person_deleted() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let window = console.owner().await?;
    window.goto(&format!("/users/{id}")).await?;

    window.click("Auditor").await?;
    window.click_in("Roles", "Save").await?;
    window.see("The roles are saved.").await?;
    let roles = console.call("GET", "/api/v2/users/mia/roles", None).await?;
    assert_eq!(roles["roles"], json!(["auditor"]));

    window.fill("Full name", " Mia").await?;
    window.click_in("Profile", "Save").await?;
    window
        .until(
            "it is refused",
            "document.querySelector('[aria-invalid=true]')",
        )
        .await?;
    assert!(!window.error_of("Full name").await?.is_empty());
    window.fill("Full name", "Mia").await?;
    window.click_in("Profile", "Save").await?;
    window.see("The profile is saved.").await?;

    window.click("Reset the password").await?;
    window.click("Make up a password").await?;
    let password = window.value_of("New password").await?;
    window.click("Reset the password").await?;
    window.see("mia has a new password.").await?;
    let hers = console.window().await?;
    hers.goto("/login?redirect=/tasks").await?;
    sign_in(&hers, "mia", &password).await?;
    hers.at("/tasks").await?;
    drop(hers);

    window.click("Delete").await?;
    window.fill("Write “mia” to confirm", "mja").await?;
    window.click("Delete").await?;
    window.see("Please write mia").await?;
    window.fill("Write “mia” to confirm", "mia").await?;
    window.click("Delete").await?;
    window.at("/users").await?;
    window.see("1–1 of 1").await?;
    assert!(!window.reads("mia@example.com").await?);
    Ok(())
}

#[tokio::test]
async fn people_are_found_and_paged_by_cursor() -> Result<()> {
    let console = Console::start().await?;
    for number in 10..40 {
        let person = json!({
            "email": format!("p{number}@example.com"), "username": format!("p{number}"),
            "login_type": "none", "organization_ids": [console.organization],
        });
        console.call("POST", "/api/v2/users", Some(person)).await?;
    }
    console
        .call("PUT", "/api/v2/users/p12/status/suspend", None)
        .await?;
    let window = console.owner().await?;
    window.goto("/users").await?;
    window.see("1–25 of 31").await?;
    window.forget_requests();
    window.click("Next").await?;
    window.see("26–31 of 31").await?;
    let top = "[scrollY, document.activeElement.tagName]";
    assert_eq!(window.evaluate(top).await?, json!([0, "H1"]));
    window.see("p39@example.com").await?;
    let asked = window.requests();
    assert!(
        asked.iter().any(|(_, path)| path.contains("after_id=")),
        "{asked:?}"
    );
    assert!(
        !asked.iter().any(|(_, path)| path.contains("offset=")),
        "{asked:?}"
    );

    window.reload().await?;
    window.see("26–31 of 31").await?;
    window.click("Previous").await?;
    window.see("1–25 of 31").await?;
    window.back().await?;
    window.see("26–31 of 31").await?;

    window.fill("Search people", "p1").await?;
    window.choose("Status", "suspended").await?;
    window.at("/users?q=p1+status%3Asuspended").await?;
    window.see("1–1 of 1").await?;
    window.see("p12@example.com").await?;
    window
        .fill("Search people", "p1 status:active,dormant")
        .await?;
    window.press("Enter", 13).await?;
    window.see("1–9 of 9").await?;
    window.fill("Search people", "nothing:like-this").await?;
    window.press("Enter", 13).await?;
    window
        .until(
            "it is refused",
            "document.querySelector('#people-search[aria-invalid=true]')",
        )
        .await?;
    assert_eq!(window.value_of("Search people").await?, "nothing:like-this");

    window.goto("/users?filter=p33").await?;
    window.see("1–1 of 1").await?;
    window.click("p33").await?;
    window
        .until(
            "their page is there",
            "document.querySelector('h1').innerText === 'p33'",
        )
        .await
}

#[tokio::test]
async fn members_see_what_is_theirs() -> Result<()> {
    let console = Console::start().await?;
    let id = console.add("mia").await?;
    let member = console.window_of("mia").await?;
    let places =
        "[...document.querySelectorAll('.places a')].map((place) => place.getAttribute('href'))";
    assert_eq!(
        member.evaluate(places).await?,
        json!(["/tasks", "/organizations", "/settings"])
    );
    member.goto("/").await?;
    member.at("/tasks").await?;
    member.goto(&format!("/users/{id}")).await?;
    member.see("This is you.").await?;
    assert!(!member.reads("Delete").await?);

    member.goto("/users/nobody-of-this-name").await?;
    member.see("There is nobody with this name.").await?;
    assert!(!member.reads("Try again").await?, "it would not help");
    member.goto("/users/create").await?;
    member.see("Only administrators add people.").await?;
    member.goto("/audit").await?;
    member.see("Only owners and auditors read it.").await?;
    Ok(())
}

#[tokio::test]
async fn what_was_done_is_in_the_log() -> Result<()> {
    let console = Console::start().await?;
    console.add("mia").await?;
    console
        .call("PUT", "/api/v2/users/mia/status/suspend", None)
        .await?;
    let window = console.owner().await?;
    window.click("Audit log").await?;
    window.at("/audit").await?;
    window.see("olga created user mia").await?;
    window
        .fill("Search the log", "action:write resource_type:user")
        .await?;
    window.press("Enter", 13).await?;
    window.miss("olga created user mia").await?;
    window.see("1–1 of 1").await?;
    window.click("1 change").await?;
    window.see("dormant → suspended").await?;
    window.fill("Search the log", "action:nonsense").await?;
    window.press("Enter", 13).await?;
    window
        .until(
            "it is refused",
            "document.querySelector('#audit-search[aria-invalid=true]')",
        )
        .await?;
    let error = window
        .evaluate("document.querySelector('#audit-faults').innerText")
        .await?;
    assert!(!error.as_str().context("no text")?.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_could_not_be_loaded_anew_is_told_over_what_was() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window.goto("/users").await?;
    window.see("olga@example.com").await?;
    let refusal = json!({"message": "The list is away."});
    window.answer("GET", "/api/v2/users", 500, refusal).await?;
    window.fill("Search people", "nobody-like-this").await?;
    window.press("Enter", 13).await?;
    window.see("The list is away.").await?;
    window.see("olga@example.com").await?;
    window.heal();
    window.click("Try again").await?;
    window.see("Nobody matches").await?;
    window.miss("The list is away.").await
}
