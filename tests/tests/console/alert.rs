//! The warning that all task notifications are off, in every state and transition.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use usher_tests::browser::Window;

use crate::Console;

const TITLE: &str = "Task notifications are off";
const SETTINGS: &str = "/settings/notifications";

/// Opens the Tasks page and tells whether it warns, when all that it asks for has come.
async fn warns(window: &Window) -> Result<bool> {
    window.goto("/tasks").await?;
    window.until("all has come", "performance.getEntriesByType('resource').filter((entry) => \
        /notifications\\/preferences$|templates\\/system$|me\\/preferences$/.test(entry.name) && entry.responseEnd > 0).length === 3").await?;
    window.frame().await?;
    window.reads(TITLE).await
}

async fn turn(window: &Window, name: &str) -> Result<()> {
    window.goto(SETTINGS).await?;
    window.forget_requests();
    let before = window.is_on(name).await?;
    window.turn(name).await?;
    window.turned(name, !before).await
}

fn changes(window: &Window) -> Vec<String> {
    let requests = window
        .requests()
        .into_iter()
        .filter(|(method, _)| method == "PUT");
    requests.map(|(_, path)| path).collect()
}

async fn dismissed(console: &Console) -> Result<Value> {
    let preferences = console
        .call("GET", "/api/v2/users/me/preferences", None)
        .await?;
    Ok(preferences["task_notification_alert_dismissed"].clone())
}

#[tokio::test]
async fn it_is_shown_until_dismissed_and_then_on_no_device() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    assert!(warns(&window).await?, "a fresh user is warned");
    window.see("There are no tasks").await?;

    window.click("Dismiss").await?;
    window.miss(TITLE).await?;
    window.until("it is saved", "fetch('/api/v2/users/me/preferences').then((answer) => answer.json()).then((json) => json.task_notification_alert_dismissed)").await?;
    assert!(!warns(&window).await?, "after a reload");

    let device = console.owner().await?;
    assert!(!warns(&device).await?, "on another device");

    console.add("mia").await?;
    let other = console.window_of("mia").await?;
    assert!(warns(&other).await?, "others are warned as before");
    Ok(())
}

#[tokio::test]
async fn a_single_switch_hides_it_and_clears_the_dismissal() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let dismissal = json!({"task_notification_alert_dismissed": true});
    console
        .call("PUT", "/api/v2/users/me/preferences", Some(dismissal))
        .await?;
    let id = console.call("GET", "/api/v2/users/me", None).await?;
    let id = id["id"].as_str().context("no id")?.to_owned();

    turn(&window, "Task Idle").await?;
    let expected = [
        format!("/api/v2/users/{id}/notifications/preferences"),
        format!("/api/v2/users/{id}/preferences"),
    ];
    assert_eq!(changes(&window), expected, "in this order");
    assert_eq!(dismissed(&console).await?, false);
    assert!(!warns(&window).await?, "one is on");

    turn(&window, "Task Idle").await?;
    assert_eq!(
        changes(&window),
        expected[..1],
        "turning off is no reason to warn less or more"
    );
    assert!(warns(&window).await?, "all are off again");
    Ok(())
}

#[tokio::test]
async fn the_switch_of_the_group_does_the_same() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    assert!(warns(&window).await?);
    window.click("Dismiss").await?;
    window.miss(TITLE).await?;

    turn(&window, "Tasks").await?;
    assert_eq!(changes(&window).len(), 2);
    assert_eq!(dismissed(&console).await?, false);
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

    turn(&window, "Task Failed").await?;
    assert!(!window.is_on("Tasks").await?, "on only if all are");
    assert!(!warns(&window).await?, "three are on");

    turn(&window, "Tasks").await?;
    turn(&window, "Tasks").await?;
    assert!(!window.is_on("Task Working").await?);
    assert!(warns(&window).await?, "all are off");
    Ok(())
}

#[tokio::test]
async fn what_was_never_loaded_is_not_written_over() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    window
        .answer(
            "GET",
            "/api/v2/users/me/preferences",
            500,
            json!({"message": "x"}),
        )
        .await?;
    turn(&window, "Task Idle").await?;
    assert_eq!(changes(&window).len(), 1);
    Ok(())
}

#[tokio::test]
async fn other_switches_leave_the_dismissal_alone() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let dismissal = json!({"task_notification_alert_dismissed": true});
    console
        .call("PUT", "/api/v2/users/me/preferences", Some(dismissal))
        .await?;

    turn(&window, "Workspace Created").await?;
    assert_eq!(changes(&window).len(), 1);
    assert_eq!(dismissed(&console).await?, true);
    assert!(!warns(&window).await?);
    Ok(())
}

#[tokio::test]
async fn what_could_not_be_saved_is_shown_again() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    assert!(warns(&window).await?);

    let id = console.call("GET", "/api/v2/users/me", None).await?["id"]
        .as_str()
        .context("no id")?
        .to_owned();
    window
        .cut("PUT", &format!("/api/v2/users/{id}/preferences"))
        .await?;
    window.click("Dismiss").await?;
    window.miss(TITLE).await?;
    window.see("could not be saved").await?;
    window.heal();
    assert!(warns(&window).await?, "after a reload");
    assert_eq!(dismissed(&console).await?, false);

    window.goto(SETTINGS).await?;
    window
        .cut(
            "PUT",
            &format!("/api/v2/users/{id}/notifications/preferences"),
        )
        .await?;
    window.turn("Task Idle").await?;
    window.see("cannot be reached").await?;
    assert!(
        !window.is_on("Task Idle").await?,
        "a switch shows what is true"
    );
    window.heal();
    assert!(warns(&window).await?);
    Ok(())
}

#[tokio::test]
async fn what_is_not_known_counts_as_the_specification_says() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let asks = |known: Value| {
        format!(
            "import(document.querySelector('script[type=module]').src.replace('app.js', 'alert.js')).then((alert) => alert.warns({known}))"
        )
    };
    let task = |id: &str| json!({"id": id, "group": "Task Events", "enabled_by_default": false});
    let other = json!({"id": "o", "group": "Workspace Events", "enabled_by_default": true});
    let tasks = json!([task("a"), task("b"), other]);
    let choice = |id: &str, disabled: bool| json!({"id": id, "disabled": disabled});
    let preferences = |dismissed: bool| json!({"task_notification_alert_dismissed": dismissed});
    for (known, expected) in [
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
            window.evaluate(&asks(known.clone())).await?,
            expected,
            "{known}"
        );
    }

    // The page asks by the same rules: without preferences it warns, without templates not.
    window
        .answer(
            "GET",
            "/api/v2/users/me/preferences",
            500,
            json!({"message": "x"}),
        )
        .await?;
    assert!(warns(&window).await?);
    window
        .answer(
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
async fn a_mails_link_asks_before_it_turns_anything_off() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let deleted = "f517da0b-cdc9-410f-ab89-a86107c420ed";
    window
        .goto(&format!("{SETTINGS}?disabled={deleted}"))
        .await?;
    window.see("Turn off “Workspace Deleted”?").await?;
    assert!(window.is_on("Workspace Deleted").await?);

    window.click("Turn it off").await?;
    window.at(SETTINGS).await?;
    assert!(!window.is_on("Workspace Deleted").await?);
    window
        .goto(&format!("{SETTINGS}?disabled={deleted}"))
        .await?;
    assert!(!window.reads("Turn off “").await?, "it is off");
    Ok(())
}

#[tokio::test]
async fn members_see_the_groups_that_concern_them() -> Result<()> {
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
async fn what_a_mail_asked_to_turn_off_is_off_only_if_saved() -> Result<()> {
    let console = Console::start().await?;
    let window = console.owner().await?;
    let me = console.call("GET", "/api/v2/users/me", None).await?;
    let id = me["id"].as_str().context("no id")?;
    let templates = console
        .call("GET", "/api/v2/notifications/templates/system", None)
        .await?;
    let mut templates = templates.as_array().context("no list")?.iter();
    let template = templates
        .find(|template| template["enabled_by_default"] == true)
        .context("none is on")?;
    let asked = template["id"].as_str().context("no id")?;
    let name = template["name"].as_str().context("no name")?;
    let path = format!("/api/v2/users/{id}/notifications/preferences");
    let answer = json!({"message": "Not now."});
    window.answer("PUT", &path, 500, answer).await?;
    window.goto(&format!("{SETTINGS}?disabled={asked}")).await?;
    window.click("Turn it off").await?;
    window.see("Not now.").await?;
    let done = format!("“{name}” is off.");
    assert!(!window.reads(&done).await?, "it is not");
    window.heal();
    window.click("Turn it off").await?;
    window.see(&done).await?;
    window.at(SETTINGS).await
}
