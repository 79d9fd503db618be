//! Notifications: templates, preferences, and the messages of the inbox.

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

/// A kind of message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationTemplate {
    /// The identifier, the same in every deployment.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// The title, with placeholders.
    pub title_template: String,
    /// The text in Markdown, with placeholders.
    pub body_template: String,
    /// The buttons, as the text of a JSON array.
    pub actions: String,
    /// Under which heading the settings show it.
    pub group: String,
    /// `smtp`, `webhook`, or empty: as the deployment delivers.
    pub method: String,
    /// `system` or `custom`.
    pub kind: String,
    /// Whether those get it who said nothing.
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

/// How messages can be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationMethodsResponse {
    /// The ways that a template can be set to.
    pub available: Vec<String>,
    /// The way of templates that are not set to one.
    pub default: String,
}

/// What a user said about a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationPreference {
    /// The template.
    pub id: Uuid,
    /// Whether they do not want it.
    pub disabled: bool,
    /// When they last said so.
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

/// What a user says about some templates; the others stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateUserNotificationPreferences {
    /// For each template, by its identifier, whether they do not want it.
    pub template_disabled_map: BTreeMap<String, Option<bool>>,
}

/// The settings of the deployment's notifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NotificationsSettings {
    /// Whether nothing is delivered for the time being.
    pub notifier_paused: bool,
}

/// How messages of a template are to be delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateNotificationTemplateMethod {
    /// `smtp`, `webhook` or `inbox`.
    pub method: String,
}

/// A message to oneself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CustomNotificationRequest {
    /// What it says.
    #[serde(deserialize_with = "crate::object::optional")]
    pub content: Option<CustomNotificationContent>,
}

/// What a message to oneself says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomNotificationContent {
    /// The title, at most 120 bytes.
    #[serde(default)]
    pub title: Option<String>,
    /// The text, at most 2000 bytes.
    #[serde(default)]
    pub message: Option<String>,
}

/// A message in somebody's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxNotification {
    /// The identifier.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// Its template.
    pub template_id: Uuid,
    /// What it is about; `null` is nothing in particular.
    pub targets: Option<Vec<Uuid>>,
    /// The title.
    pub title: String,
    /// The text.
    pub content: String,
    /// The name of the picture.
    pub icon: String,
    /// The buttons.
    pub actions: Option<Vec<InboxNotificationAction>>,
    /// When it was read; `null` while it was not.
    pub read_at: Option<Timestamp>,
    /// When it came.
    pub created_at: Timestamp,
}

/// A button of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxNotificationAction {
    /// The text.
    pub label: String,
    /// Where it leads.
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

/// The picture, or the one of the template's group.
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

/// The newest messages of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListInboxNotificationsResponse {
    /// The messages, newest first.
    pub notifications: Vec<InboxNotification>,
    /// How many of all their messages are unread.
    pub unread_count: u64,
}

/// Whether a message was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateInboxNotificationReadStatusRequest {
    /// Whether it was.
    pub is_read: bool,
}

/// A message whose state was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateInboxNotificationReadStatusResponse {
    /// The message.
    pub notification: InboxNotification,
    /// How many of the caller's messages are unread now.
    pub unread_count: u64,
}
