//! Notifications: their templates, recipients and delivery methods, and users' preferences.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::{Uuid, uuid};

use crate::{SiteRole, User, UserId, UserStatus};

/// The greatest length of a custom notification's title, in bytes.
pub const MAX_CUSTOM_TITLE_BYTES: usize = 120;
/// The greatest length of a custom notification's text, in bytes.
pub const MAX_CUSTOM_MESSAGE_BYTES: usize = 2000;

/// To user managers: a user was created.
pub const USER_ACCOUNT_CREATED: Uuid = uuid!("4e19c0ac-94e1-4532-9515-d1801aa283b2");
/// To user managers: a user was deleted.
pub const USER_ACCOUNT_DELETED: Uuid = uuid!("f44d9314-ad03-4bc8-95d0-5cad491da6b6");
/// To user managers: a user was suspended.
pub const USER_ACCOUNT_SUSPENDED: Uuid = uuid!("b02ddd82-4733-4d02-a2d7-c36f3598997d");
/// To user managers: a user was activated.
pub const USER_ACCOUNT_ACTIVATED: Uuid = uuid!("9f5af851-8408-4e73-a7a1-c6502ba46689");
/// To a user: their account was suspended.
pub const YOUR_ACCOUNT_SUSPENDED: Uuid = uuid!("6a2f0609-9b69-4d36-a989-9f5925b6cbff");
/// To a user: their account was activated.
pub const YOUR_ACCOUNT_ACTIVATED: Uuid = uuid!("1a6a6bea-ee0a-43e2-9e7c-eabdb53730e4");
/// To a user: the one-time passcode that they requested.
pub const ONE_TIME_PASSCODE: Uuid = uuid!("62f86a30-2330-4b61-a26d-311ff3b608cf");
/// To the caller: a test of the delivery.
pub const TROUBLESHOOTING: Uuid = uuid!("c425f63e-716a-4bf4-ae24-78348f706c3f");
/// To the caller: a text of their own.
pub const CUSTOM: Uuid = uuid!("39b1e189-c857-4b0c-877a-511144c18516");

/// The label that holds a one-time passcode.
pub const PASSCODE_LABEL: &str = "one_time_passcode";

/// Whether every message of the template is sent, even if its recipient got the same one on
/// that day, because the recipient waits for it.
pub fn is_awaited(template: Uuid) -> bool {
    [ONE_TIME_PASSCODE, TROUBLESHOOTING, CUSTOM].contains(&template)
}

/// How a message is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotificationMethod {
    /// By e-mail.
    Smtp,
    /// By a request to another service.
    Webhook,
    /// In the console's inbox.
    Inbox,
}

impl NotificationMethod {
    const ALL: [Self; 3] = [Self::Smtp, Self::Webhook, Self::Inbox];

    /// The name on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Webhook => "webhook",
            Self::Inbox => "inbox",
        }
    }

    /// Parses the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// The delivery methods that a deployment has set up. The inbox is always available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whether e-mail is set up.
    pub smtp: bool,
    /// Whether a webhook is set up.
    pub webhook: bool,
    /// The method of templates without one.
    pub default: NotificationMethod,
}

impl Default for Delivery {
    /// Only the inbox is available.
    fn default() -> Self {
        Self {
            smtp: false,
            webhook: false,
            default: NotificationMethod::Smtp,
        }
    }
}

impl Delivery {
    /// The methods available to a template. A passcode is never put into the inbox, which
    /// anyone with access to an open session can read.
    pub fn methods_for(self, template: Uuid) -> Vec<NotificationMethod> {
        let is_available = |method: &NotificationMethod| match method {
            NotificationMethod::Smtp => self.smtp,
            NotificationMethod::Webhook => self.webhook,
            NotificationMethod::Inbox => template != ONE_TIME_PASSCODE,
        };
        NotificationMethod::ALL
            .into_iter()
            .filter(is_available)
            .collect()
    }
}

/// Where the text of a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKind {
    /// From the template.
    System,
    /// From the sender.
    Custom,
}

impl TemplateKind {
    /// The name on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Custom => "custom",
        }
    }

    /// Parses the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::System, Self::Custom]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A template of messages.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationTemplate {
    /// The identifier, the same in every deployment.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// The title, with placeholders.
    pub title_template: String,
    /// The text in Markdown, with placeholders.
    pub body_template: String,
    /// The buttons, a JSON array of `{label, url}` with placeholders.
    pub actions: Value,
    /// The heading in the settings.
    pub group: String,
    /// The delivery method; `None` is the default of the deployment.
    pub method: Option<NotificationMethod>,
    /// Where the text comes from.
    pub kind: TemplateKind,
    /// Whether users without a preference get it.
    pub is_enabled_by_default: bool,
}

/// A user's preference about a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationPreference {
    /// The template.
    pub template_id: Uuid,
    /// Whether the user disabled it.
    pub is_disabled: bool,
    /// When the preference was last set.
    pub updated_at: DateTime<Utc>,
}

/// A message in a user's inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxNotification {
    /// The identifier.
    pub id: Uuid,
    /// The user that the inbox belongs to.
    pub user_id: UserId,
    /// The template.
    pub template_id: Uuid,
    /// The objects that it is about, if any.
    pub targets: Option<Vec<Uuid>>,
    /// The title.
    pub title: String,
    /// The text.
    pub content: String,
    /// The picture; empty for that of the group.
    pub icon: String,
    /// The buttons, as stored: a JSON array of `{label, url}`, or `null`.
    pub actions: Value,
    /// The template's group, which selects the picture.
    pub group: String,
    /// When it was read, if it was.
    pub read_at: Option<DateTime<Utc>>,
    /// When it was delivered.
    pub created_at: DateTime<Utc>,
}

/// Selects messages by whether they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadStatus {
    /// All messages.
    #[default]
    All,
    /// Read messages.
    Read,
    /// Unread messages.
    Unread,
}

impl ReadStatus {
    /// Parses the name; an empty text means all.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "all" => Some(Self::All),
            "read" => Some(Self::Read),
            "unread" => Some(Self::Unread),
            _ => None,
        }
    }
}

/// Filters a user's inbox. Empty lists and `None` match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxFilter {
    /// Messages about all of these objects.
    pub targets: Vec<Uuid>,
    /// Messages of one of these templates.
    pub templates: Vec<Uuid>,
    /// Read or unread messages.
    pub read_status: ReadStatus,
    /// Messages older than this one; an unknown identifier matches everything.
    pub starting_before: Option<Uuid>,
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotification {
    /// The template.
    pub template_id: Uuid,
    /// The recipients.
    pub recipients: Recipients,
    /// The values of the template's placeholders.
    pub labels: Vec<(&'static str, String)>,
    /// The objects that it is about.
    pub targets: Vec<Uuid>,
    /// The part of the service that sends it.
    pub created_by: &'static str,
}

/// The recipients of a message. Deleted users and system accounts get none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// One user.
    User(UserId),
    /// Every user with one of the roles [`USER_MANAGERS`], whatever their status and whether
    /// or not they made the change.
    UserManagers,
}

/// The roles whose holders are notified of changes of accounts.
pub const USER_MANAGERS: [SiteRole; 2] = [SiteRole::Owner, SiteRole::UserAdmin];

/// A change of a user's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountEvent {
    /// The user was created.
    Created,
    /// The status was set.
    StatusSet(UserStatus),
    /// The user was deleted.
    Deleted,
}

/// The messages about a change of an account. `user` is the user as created, or else as before
/// the change; `initiator` is the username of the user who made it, or `None` on the command
/// line.
pub fn account_notifications(
    event: AccountEvent,
    user: &User,
    initiator: Option<&str>,
) -> Vec<NewNotification> {
    let to_managers = |template| (Recipients::UserManagers, template);
    let to_user = |template| (Recipients::User(user.id), template);
    let (created_by, messages) = match event {
        AccountEvent::Created => ("api-users-create", vec![to_managers(USER_ACCOUNT_CREATED)]),
        AccountEvent::StatusSet(status) => {
            let messages = match status {
                status if status == user.status => vec![],
                UserStatus::Suspended => vec![
                    to_managers(USER_ACCOUNT_SUSPENDED),
                    to_user(YOUR_ACCOUNT_SUSPENDED),
                ],
                UserStatus::Active => vec![
                    to_managers(USER_ACCOUNT_ACTIVATED),
                    to_user(YOUR_ACCOUNT_ACTIVATED),
                ],
                UserStatus::Dormant => vec![],
            };
            ("api-put-user-status", messages)
        }
        AccountEvent::Deleted if user.is_deleted => ("api-users-delete", vec![]),
        AccountEvent::Deleted => ("api-users-delete", vec![to_managers(USER_ACCOUNT_DELETED)]),
    };
    let notification = |(recipients, template_id)| NewNotification {
        template_id,
        recipients,
        labels: vec![
            ("username", user.username.as_str().to_owned()),
            ("name", user.name.as_str().to_owned()),
            ("initiator", initiator.unwrap_or(THE_SERVICE).to_owned()),
        ],
        targets: vec![user.id.0],
        created_by,
    };
    messages.into_iter().map(notification).collect()
}

/// The initiator of changes on the command line, where no user is signed in.
const THE_SERVICE: &str = "Usher";

/// The message with a one-time passcode that a user requested.
pub fn passcode_notification(user: UserId, passcode: &SecretString) -> NewNotification {
    NewNotification {
        template_id: ONE_TIME_PASSCODE,
        recipients: Recipients::User(user),
        labels: vec![(PASSCODE_LABEL, passcode.expose_secret().to_owned())],
        targets: Vec::new(),
        created_by: "change-password-with-one-time-passcode",
    }
}

/// The settings of the deployment's notifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifierSettings {
    /// Whether delivery is paused.
    pub is_paused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::user;

    #[test]
    fn a_passcode_is_sent_by_the_available_methods_and_never_to_the_inbox() {
        let nothing = Delivery::default();
        assert_eq!(nothing.methods_for(CUSTOM), [NotificationMethod::Inbox]);
        assert_eq!(nothing.methods_for(ONE_TIME_PASSCODE), []);
        let mail = Delivery {
            smtp: true,
            ..nothing
        };
        assert_eq!(
            mail.methods_for(ONE_TIME_PASSCODE),
            [NotificationMethod::Smtp]
        );
    }

    fn templates(event: AccountEvent, user: &User) -> Vec<(Recipients, Uuid)> {
        account_notifications(event, user, Some("boss"))
            .into_iter()
            .map(|it| (it.recipients, it.template_id))
            .collect()
    }

    #[test]
    fn user_managers_are_notified_of_new_and_deleted_users() {
        let ada = user("ada");
        let to_managers = |template| vec![(Recipients::UserManagers, template)];
        let created = templates(AccountEvent::Created, &ada);
        assert_eq!(created, to_managers(USER_ACCOUNT_CREATED));
        let deleted = templates(AccountEvent::Deleted, &ada);
        assert_eq!(deleted, to_managers(USER_ACCOUNT_DELETED));
        let deleted = User {
            is_deleted: true,
            ..ada
        };
        assert_eq!(templates(AccountEvent::Deleted, &deleted), []);
    }

    #[test]
    fn user_managers_and_the_user_are_notified_of_a_changed_status_except_dormant() {
        for (old, new, expected) in [
            (
                UserStatus::Active,
                UserStatus::Suspended,
                Some((USER_ACCOUNT_SUSPENDED, YOUR_ACCOUNT_SUSPENDED)),
            ),
            (
                UserStatus::Suspended,
                UserStatus::Active,
                Some((USER_ACCOUNT_ACTIVATED, YOUR_ACCOUNT_ACTIVATED)),
            ),
            (UserStatus::Active, UserStatus::Dormant, None),
            (UserStatus::Active, UserStatus::Active, None),
            (UserStatus::Suspended, UserStatus::Suspended, None),
        ] {
            let ada = User {
                status: old,
                ..user("ada")
            };
            let expected = expected.map_or(vec![], |(to_managers, to_user)| {
                vec![
                    (Recipients::UserManagers, to_managers),
                    (Recipients::User(ada.id), to_user),
                ]
            });
            assert_eq!(templates(AccountEvent::StatusSet(new), &ada), expected);
        }
    }

    #[test]
    fn a_message_about_an_account_names_the_user_and_the_initiator() {
        let ada = user("ada");
        for (initiator, expected) in [(Some("boss"), "boss"), (None, "Usher")] {
            let messages = account_notifications(AccountEvent::Created, &ada, initiator);
            let labels = [("username", "ada"), ("name", ""), ("initiator", expected)];
            let labels = labels.map(|(name, value)| (name, value.to_owned()));
            assert_eq!(messages[0].labels, labels);
            assert_eq!(messages[0].targets, [ada.id.0]);
        }
    }
}
