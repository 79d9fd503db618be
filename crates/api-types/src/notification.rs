//! Notification templates, preferences and inboxes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use usher_domain::notification::{
    InboxNotification as DomainInboxNotification, NotificationMethod,
    NotificationPreference as DomainPreference, NotificationTemplate as DomainTemplate,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Timestamp;

/// A notification template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationTemplate {
    /// The ID, the same in every deployment.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// The title, with placeholders.
    pub title_template: String,
    /// The text in Markdown, with placeholders.
    pub body_template: String,
    /// The buttons, as a string with a JSON array.
    pub actions: String,
    /// The heading under which the settings show it.
    pub group: String,
    /// `smtp`, `webhook`, `inbox`, or empty for the deployment's default.
    pub method: String,
    /// `system` or `custom`.
    pub kind: String,
    /// Whether users without a preference receive it.
    pub enabled_by_default: bool,
}

impl From<DomainTemplate> for NotificationTemplate {
    fn from(template: DomainTemplate) -> Self {
        Self {
            id: template.id,
            name: template.name,
            title_template: template.title_template,
            body_template: template.body_template,
            actions: template.actions.to_string(),
            group: template.group,
            method: template
                .method
                .map_or("", NotificationMethod::as_str)
                .to_owned(),
            kind: template.kind.as_str().to_owned(),
            enabled_by_default: template.is_enabled_by_default,
        }
    }
}

/// The delivery methods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationMethodsResponse {
    /// The methods that a template can be set to.
    pub available: Vec<String>,
    /// The method of templates without one.
    pub default: String,
}

/// A user's preference for a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationPreference {
    /// The template.
    pub id: Uuid,
    /// Whether the user disabled it.
    pub disabled: bool,
    /// When the preference was last set.
    pub updated_at: Timestamp,
}

impl From<DomainPreference> for NotificationPreference {
    fn from(preference: DomainPreference) -> Self {
        Self {
            id: preference.template_id,
            disabled: preference.is_disabled,
            updated_at: preference.updated_at.into(),
        }
    }
}

/// Preferences for some templates; those for others are unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({
    "template_disabled_map": {"4e19c0ac-94e1-4532-9515-d1801aa283b2": true},
}))]
pub struct UpdateUserNotificationPreferences {
    /// Whether the user disabled each template, by template ID.
    pub template_disabled_map: BTreeMap<String, Option<bool>>,
}

/// The settings of the deployment's notifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"notifier_paused": true}))]
pub struct NotificationsSettings {
    /// Whether delivery is paused.
    pub notifier_paused: bool,
}

/// The delivery method of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"method": "webhook"}))]
pub struct UpdateNotificationTemplateMethod {
    /// `smtp`, `webhook` or `inbox`.
    pub method: String,
}

/// A message that the caller sends to themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"content": {"title": "Tea", "message": "It is ready."}}))]
pub struct CustomNotificationRequest {
    /// The title and text.
    #[serde(deserialize_with = "crate::object::optional")]
    pub content: Option<CustomNotificationContent>,
}

/// The content of a message that the caller sends to themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomNotificationContent {
    /// The title, at most 120 bytes.
    #[serde(default)]
    pub title: Option<String>,
    /// The text, at most 2000 bytes.
    #[serde(default)]
    pub message: Option<String>,
}

/// A message in a user's inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxNotification {
    /// The ID.
    pub id: Uuid,
    /// The user it belongs to.
    pub user_id: Uuid,
    /// The template's ID.
    pub template_id: Uuid,
    /// The IDs of the resources it is about; may be `null`.
    pub targets: Option<Vec<Uuid>>,
    /// The title.
    pub title: String,
    /// The text.
    pub content: String,
    /// The icon's name.
    pub icon: String,
    /// The buttons.
    pub actions: Option<Vec<InboxNotificationAction>>,
    /// When it was read; `null` if unread.
    pub read_at: Option<Timestamp>,
    /// When it was received.
    pub created_at: Timestamp,
}

/// A button of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxNotificationAction {
    /// The text.
    pub label: String,
    /// The URL.
    pub url: String,
}

impl From<DomainInboxNotification> for InboxNotification {
    fn from(notification: DomainInboxNotification) -> Self {
        Self {
            id: notification.id,
            user_id: notification.user_id.0,
            template_id: notification.template_id,
            targets: notification.targets,
            title: notification.title,
            content: notification.content,
            icon: icon(notification.icon, &notification.group),
            actions: actions(&notification.actions),
            read_at: notification.read_at.map(Timestamp::from),
            created_at: notification.created_at.into(),
        }
    }
}

/// The icon, or the default icon of the template's group.
fn icon(icon: String, group: &str) -> String {
    if !icon.is_empty() {
        return icon;
    }
    let name = match group {
        "Workspace Events" => "DEFAULT_ICON_WORKSPACE",
        "User Events" => "DEFAULT_ICON_ACCOUNT",
        "Template Events" => "DEFAULT_ICON_TEMPLATE",
        _ => "DEFAULT_ICON_OTHER",
    };
    name.to_owned()
}

fn actions(stored: &Value) -> Option<Vec<InboxNotificationAction>> {
    let items = stored.as_array()?;
    let text = |item: &Value, key: &str| {
        item.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Some(
        items
            .iter()
            .map(|item| InboxNotificationAction {
                label: text(item, "label"),
                url: text(item, "url"),
            })
            .collect(),
    )
}

/// The newest messages in the caller's inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListInboxNotificationsResponse {
    /// The messages, newest first.
    pub notifications: Vec<InboxNotification>,
    /// The number of all unread messages.
    pub unread_count: u64,
}

/// A new read status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"is_read": true}))]
pub struct UpdateInboxNotificationReadStatusRequest {
    /// Whether the message is read.
    pub is_read: bool,
}

/// A message whose read status was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateInboxNotificationReadStatusResponse {
    /// The message.
    pub notification: InboxNotification,
    /// The number of the caller's unread messages.
    pub unread_count: u64,
}
