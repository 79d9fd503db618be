//! The warning that all task notifications are off, in every state and transition.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use usher_test_browser::Window;

use crate::Console;

const TITLE: &str = "Task notifications are off";
const SETTINGS: &str = "/settings/notifications";

/// Opens the Tasks page and returns whether it warns once all its requests have completed.
async fn warns(window: &Window) -> Result<bool> {
    window.goto("/tasks").await?;
    window.wait_for("all requests have completed", "performance.getEntriesByType('resource').filter((entry) => \
        /notifications\\/preferences$|templates\\/system$|me\\/preferences$/.test(entry.name) && entry.responseEnd > 0).length === 3").await?;
    window.wait_for_frame().await?;
    window.shows(TITLE).await
}

async fn toggle(window: &Window, name: &str) -> Result<()> {
    window.goto(SETTINGS).await?;
    window.clear_requests();
    let before = window.is_on(name).await?;
    window.toggle(name).await?;
    window.expect_switch(name, !before).await
}

fn put_paths(window: &Window) -> Vec<String> {
    let requests = window
        .requests()
        .into_iter()
        .filter(|(method, _)| method == "PUT");
    requests.map(|(_, path)| path).collect()
}

async fn is_dismissed(console: &Console) -> Result<Value> {
    let preferences = console
        .call("GET", "/api/v2/users/me/preferences", None)
        .await?;
    Ok(preferences["task_notification_alert_dismissed"].clone())
}

#[tokio::test]
async fn the_warning_is_shown_until_dismissed_and_then_on_no_device() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    assert!(warns(&window).await?, "a fresh user is warned");
    window.expect_text("No tasks yet").await?;

    window.click("Dismiss").await?;
    window.expect_no_text(TITLE).await?;
    window.wait_for("the dismissal is saved", "fetch('/api/v2/users/me/preferences').then((response) => response.json()).then((json) => json.task_notification_alert_dismissed)").await?;
    assert!(!warns(&window).await?, "after a reload");

    let device = console.owner().await?;
    assert!(!warns(&device).await?, "on another device");

    console.add("mia").await?;
    let other = console.window_of("mia").await?;
    assert!(warns(&other).await?, "other users are still warned");
    Ok(())
}

#[tokio::test]
async fn a_single_switch_hides_the_warning_and_clears_the_dismissal() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let dismissal = json!({"task_notification_alert_dismissed": true});
    console
        .call("PUT", "/api/v2/users/me/preferences", Some(dismissal))
        .await?;
    let id = &console.owner_id;

    toggle(&window, "Task Idle").await?;
    let expected = [
        format!("/api/v2/users/{id}/notifications/preferences"),
        format!("/api/v2/users/{id}/preferences"),
    ];
    assert_eq!(put_paths(&window), expected, "in this order");
    assert_eq!(is_dismissed(&console).await?, false);
    assert!(!warns(&window).await?, "one notification is on");

    toggle(&window, "Task Idle").await?;
    assert_eq!(
        put_paths(&window),
        expected[..1],
        "turning a notification off keeps the dismissal as it is"
    );
    assert!(warns(&window).await?, "all are off again");
    Ok(())
}

#[tokio::test]
async fn the_group_switch_hides_the_warning_too() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    assert!(warns(&window).await?);
    window.click("Dismiss").await?;
    window.expect_no_text(TITLE).await?;

    toggle(&window, "Tasks").await?;
    assert_eq!(put_paths(&window).len(), 2);
    assert_eq!(is_dismissed(&console).await?, false);
    for name in [
        "Tasks",
        "Task Idle",
        "Task Working",
        "Task Completed",
        "Task Failed",
    ] {
        assert!(window.is_on(name).await?, "{name}");
    }
    assert!(!warns(&window).await?);

    toggle(&window, "Task Failed").await?;
    assert!(
        !window.is_on("Tasks").await?,
        "the group is on only if all are"
    );
    assert!(!warns(&window).await?, "three are on");

    toggle(&window, "Tasks").await?;
    toggle(&window, "Tasks").await?;
    assert!(!window.is_on("Task Working").await?);
    assert!(warns(&window).await?, "all are off");
    Ok(())
}

#[tokio::test]
async fn preferences_that_failed_to_load_are_not_overwritten() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window
        .mock_response(
            "GET",
            "/api/v2/users/me/preferences",
            500,
            json!({"message": "x"}),
        )
        .await?;
    toggle(&window, "Task Idle").await?;
    assert_eq!(put_paths(&window).len(), 1);
    Ok(())
}

#[tokio::test]
async fn other_switches_keep_the_dismissal() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let dismissal = json!({"task_notification_alert_dismissed": true});
    console
        .call("PUT", "/api/v2/users/me/preferences", Some(dismissal))
        .await?;

    toggle(&window, "Workspace Created").await?;
    assert_eq!(put_paths(&window).len(), 1);
    assert_eq!(is_dismissed(&console).await?, true);
    assert!(!warns(&window).await?);
    Ok(())
}

#[tokio::test]
async fn a_dismissal_that_could_not_be_saved_is_undone() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    assert!(warns(&window).await?);

    let id = &console.owner_id;
    window
        .mock_failure("PUT", &format!("/api/v2/users/{id}/preferences"))
        .await?;
    window.click("Dismiss").await?;
    window.expect_no_text(TITLE).await?;
    window.expect_text("Could not save.").await?;
    window.clear_mocks();
    assert!(warns(&window).await?, "after a reload");
    assert_eq!(is_dismissed(&console).await?, false);

    window.goto(SETTINGS).await?;
    window
        .mock_failure(
            "PUT",
            &format!("/api/v2/users/{id}/notifications/preferences"),
        )
        .await?;
    window.toggle("Task Idle").await?;
    window.expect_text("cannot be reached").await?;
    assert!(
        !window.is_on("Task Idle").await?,
        "a switch shows the stored state"
    );
    window.clear_mocks();
    assert!(warns(&window).await?);
    Ok(())
}

#[tokio::test]
async fn missing_data_has_documented_defaults() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let warns_for = |data: Value| {
        format!(
            "import(document.querySelector('script[type=module]').src.replace('app.js', 'alert.js')).then((alert) => alert.warns({data}))"
        )
    };
    let task = |id: &str| json!({"id": id, "group": "Task Events", "enabled_by_default": false});
    let other = json!({"id": "o", "group": "Workspace Events", "enabled_by_default": true});
    let tasks = json!([task("a"), task("b"), other]);
    let choice = |id: &str, disabled: bool| json!({"id": id, "disabled": disabled});
    let preferences = |dismissed: bool| json!({"task_notification_alert_dismissed": dismissed});
    for (data, expected) in [
        (json!({}), false),
        (
            json!({"choices": [], "preferences": preferences(false)}),
            false,
        ),
        (json!({"templates": []}), true),
        (json!({"templates": [other]}), true),
        (json!({"templates": tasks}), true),
        (json!({"templates": tasks, "choices": []}), true),
        (
            json!({"templates": tasks, "preferences": preferences(false)}),
            true,
        ),
        (
            json!({"templates": tasks, "preferences": preferences(true)}),
            false,
        ),
        (
            json!({"templates": tasks, "choices": [choice("a", true)]}),
            true,
        ),
        (
            json!({"templates": tasks, "choices": [choice("b", false)]}),
            false,
        ),
        (
            json!({"templates": tasks, "choices": [choice("a", true), choice("b", true), choice("o", false)]}),
            true,
        ),
        (
            json!({"templates": [json!({"id": "a", "group": "Task Events", "enabled_by_default": true})]}),
            false,
        ),
    ] {
        assert_eq!(
            window.evaluate(&warns_for(data.clone())).await?,
            expected,
            "{data}"
        );
    }

    // The page follows the same rule: it warns without preferences, but not without templates.
    window
        .mock_response(
            "GET",
            "/api/v2/users/me/preferences",
            500,
            json!({"message": "x"}),
        )
        .await?;
    assert!(warns(&window).await?);
    window
        .mock_response(
            "GET",
            "/api/v2/notifications/templates/system",
            500,
            json!({"message": "x"}),
        )
        .await?;
    assert!(!warns(&window).await?);
    Ok(())
}

#[tokio::test]
async fn an_unsubscribe_link_asks_before_it_turns_a_notification_off() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let deleted = "f517da0b-cdc9-410f-ab89-a86107c420ed";
    window
        .goto(&format!("{SETTINGS}?disabled={deleted}"))
        .await?;
    window.expect_text("Turn off “Workspace Deleted”?").await?;
    assert!(window.is_on("Workspace Deleted").await?);

    window.click("Turn off").await?;
    window.expect_path(SETTINGS).await?;
    assert!(!window.is_on("Workspace Deleted").await?);
    window
        .goto(&format!("{SETTINGS}?disabled={deleted}"))
        .await?;
    assert!(!window.shows("Turn off “").await?, "it is already off");
    Ok(())
}

#[tokio::test]
async fn members_see_only_the_groups_that_they_can_receive() -> Result<()> {
    let console = Console::start().await?;
    console.add("mia").await?;
    let groups =
        "[...document.querySelectorAll('[data-group]')].map((group) => group.dataset.group)";

    let member = console.window_of("mia").await?;
    member.goto(SETTINGS).await?;
    assert_eq!(
        member.evaluate(groups).await?,
        json!(["Task Events", "Workspace Events", "Custom Events"])
    );

    let owner = console.owner().await?;
    owner.goto(SETTINGS).await?;
    let all = json!([
        "Task Events",
        "Workspace Events",
        "User Events",
        "Template Events",
        "Custom Events"
    ]);
    assert_eq!(owner.evaluate(groups).await?, all);
    Ok(())
}

#[tokio::test]
async fn unsubscribing_succeeds_only_if_it_is_saved() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let templates = console
        .call("GET", "/api/v2/notifications/templates/system", None)
        .await?;
    let mut templates = templates.as_array().context("not an array")?.iter();
    let template = templates
        .find(|template| template["enabled_by_default"] == true)
        .context("no template is enabled")?;
    let requested = template["id"].as_str().context("no id")?;
    let name = template["name"].as_str().context("no name")?;
    let path = format!(
        "/api/v2/users/{}/notifications/preferences",
        console.owner_id
    );
    let error = json!({"message": "Not now."});
    window.mock_response("PUT", &path, 500, error).await?;
    window
        .goto(&format!("{SETTINGS}?disabled={requested}"))
        .await?;
    window.click("Turn off").await?;
    window.expect_text("Not now.").await?;
    let done = format!("“{name}” turned off.");
    assert!(!window.shows(&done).await?, "it is not saved");
    window.clear_mocks();
    window.click("Turn off").await?;
    window.expect_text(&done).await?;
    window.expect_path(SETTINGS).await
}
