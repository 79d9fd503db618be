use serde_json::{Value, json};
use usher_domain::notification::{CUSTOM, NotificationMethod, NotifierSettings, TemplateKind};
use usher_store::{NotificationStore, StoreError};
use uuid::Uuid;

use crate::testing::{TestStore, command_line, now};

const PAUSED: NotifierSettings = NotifierSettings { is_paused: true };
const TASK_IDLE: Uuid = Uuid::from_u128(0xd4a6_271c_cced_4ed0_84ad_afd0_2a9c_7799);

#[tokio::test]
async fn the_templates_of_a_kind_are_listed_by_name() {
    let store = TestStore::new().await;

    let system = store.list_templates(TemplateKind::System).await.unwrap();

    assert_eq!(system.len(), 27);
    assert_eq!(system[0].name, "One-Time Passcode");
    assert_eq!(
        store
            .column("SELECT name FROM notification_templates WHERE kind = 'system' ORDER BY name")
            .await,
        system
            .iter()
            .map(|template| template.name.as_str())
            .collect::<Vec<_>>()
    );
    let off = system
        .iter()
        .filter(|template| !template.is_enabled_by_default);
    assert_eq!(off.count(), 6);
    assert!(system.iter().all(|template| template.method.is_none()));
    let idle = system.iter().find(|template| template.id == TASK_IDLE);
    let idle = idle.unwrap();
    assert_eq!(
        (idle.group.as_str(), idle.kind),
        ("Task Events", TemplateKind::System)
    );
    assert_eq!(idle.actions.as_array().map(Vec::len), Some(2));
    let custom = store.list_templates(TemplateKind::Custom).await.unwrap();
    assert_eq!(custom.len(), 1);
    assert_eq!(custom[0].id, CUSTOM);
}

#[tokio::test]
async fn a_template_without_buttons_has_an_empty_list_of_them() {
    let store = TestStore::new().await;
    store
        .sql(&format!("UPDATE notification_templates SET actions = NULL, \"group\" = NULL WHERE id = '{TASK_IDLE}'"))
        .await;

    let found = store.find_template(TASK_IDLE).await.unwrap().unwrap();

    assert_eq!(found.actions, json!([]));
    assert_eq!(found.group, "");
    assert_eq!(store.find_template(Uuid::nil()).await.unwrap(), None);
}

#[tokio::test]
async fn the_way_of_a_template_is_set_and_logged() {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    let by = store
        .sign_in(owner.id)
        .await
        .at(now() + chrono::TimeDelta::seconds(1));

    let set = store.set_template_method(TASK_IDLE, NotificationMethod::Webhook, &by);

    let set = set.await.unwrap().unwrap();
    assert_eq!(set.method, Some(NotificationMethod::Webhook));
    assert_eq!(store.find_template(TASK_IDLE).await.unwrap(), Some(set));
    let row = store.last_audit().await;
    assert_eq!(row["action"], "write");
    assert_eq!(row["resource_type"], "notification_template");
    assert_eq!(row["resource_id"], TASK_IDLE.to_string());
    assert_eq!(row["resource_target"], "Task Idle");
    assert_eq!(row["user_id"], owner.id.to_string());
    assert_eq!(
        row["diff"],
        json!({"method": {"old": "", "new": "webhook", "secret": false}})
    );
}

#[tokio::test]
async fn the_way_of_no_template_leaves_nothing_in_the_log() {
    let store = TestStore::new().await;

    let set = store
        .set_template_method(Uuid::nil(), NotificationMethod::Smtp, &command_line())
        .await;

    assert_eq!(set.unwrap(), None);
    assert_eq!(store.audit().await, [Value::Null; 0]);
}

#[tokio::test]
async fn who_may_not_act_any_more_sets_no_way_and_pauses_nothing() {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    let by = store.sign_in(owner.id).await;
    store.sql("DELETE FROM api_keys").await;

    let set = store.set_template_method(TASK_IDLE, NotificationMethod::Smtp, &by);
    assert!(matches!(set.await, Err(StoreError::Conflict(_))));
    let paused = store.set_notifier_settings(PAUSED, &by).await;

    assert!(matches!(paused, Err(StoreError::Conflict(_))));
    assert_eq!(store.find_notifier_settings().await.unwrap(), None);
}

#[tokio::test]
async fn the_settings_of_the_notifier_are_stored_as_json() {
    let store = TestStore::new().await;
    let value = "SELECT value FROM site_configs WHERE key = 'notifications_settings'";
    assert_eq!(store.find_notifier_settings().await.unwrap(), None);

    for (is_paused, text) in [
        (true, "{\"notifier_paused\":true}"),
        (false, "{\"notifier_paused\":false}"),
    ] {
        let settings = NotifierSettings { is_paused };
        store
            .set_notifier_settings(settings, &command_line())
            .await
            .unwrap();
        let found = store.find_notifier_settings().await.unwrap();
        assert_eq!(found, Some(settings));
        assert_eq!(store.value(value).await, text);
    }
    for (text, expected) in [
        ("{\"notifier_paused\": true}", Some(PAUSED)),
        ("{}", Some(NotifierSettings::default())),
        ("nonsense", None),
    ] {
        store
            .sql(&format!(
                "UPDATE site_configs SET value = '{text}' WHERE key = 'notifications_settings'"
            ))
            .await;
        let found = store.find_notifier_settings().await.unwrap();
        assert_eq!(found, expected, "{text}");
    }
}

#[tokio::test]
async fn pausing_is_logged_with_what_it_changes_and_going_on_without() {
    let store = TestStore::new().await;
    let owner = store.add_owner("owner").await;
    let by = store.sign_in(owner.id).await;
    let mut ids = Vec::new();

    for (second, is_paused, diff) in [
        (1, false, json!({})),
        (
            2,
            true,
            json!({"notifier_paused": {"old": false, "new": true, "secret": false}}),
        ),
        (3, false, json!({})),
    ] {
        let by = by.clone().at(now() + chrono::TimeDelta::seconds(second));
        store
            .set_notifier_settings(NotifierSettings { is_paused }, &by)
            .await
            .unwrap();

        let row = store.last_audit().await;
        assert_eq!(row["action"], "write");
        assert_eq!(row["resource_type"], "notifications_settings");
        assert_eq!(row["resource_target"], "");
        assert_eq!(row["diff"], diff);
        ids.push(row["resource_id"].clone());
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
}
