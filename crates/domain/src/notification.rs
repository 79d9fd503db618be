//! What people are told, how it reaches them, and what they do not want to be told.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::{Uuid, uuid};

use crate::UserId;

/// The greatest length of the title of a message of one's own, in bytes.
pub const MAX_CUSTOM_TITLE_BYTES: usize = 120;
/// The greatest length of the text of a message of one's own, in bytes.
pub const MAX_CUSTOM_MESSAGE_BYTES: usize = 2000;

/// To those who manage users: somebody was made.
pub const USER_ACCOUNT_CREATED: Uuid = uuid!("4e19c0ac-94e1-4532-9515-d1801aa283b2");
/// To those who manage users: somebody was deleted.
pub const USER_ACCOUNT_DELETED: Uuid = uuid!("f44d9314-ad03-4bc8-95d0-5cad491da6b6");
/// To those who manage users: somebody was suspended.
pub const USER_ACCOUNT_SUSPENDED: Uuid = uuid!("b02ddd82-4733-4d02-a2d7-c36f3598997d");
/// To those who manage users: somebody was activated.
pub const USER_ACCOUNT_ACTIVATED: Uuid = uuid!("9f5af851-8408-4e73-a7a1-c6502ba46689");
/// To the one who was suspended.
pub const YOUR_ACCOUNT_SUSPENDED: Uuid = uuid!("6a2f0609-9b69-4d36-a989-9f5925b6cbff");
/// To the one who was activated.
pub const YOUR_ACCOUNT_ACTIVATED: Uuid = uuid!("1a6a6bea-ee0a-43e2-9e7c-eabdb53730e4");
/// To the one who forgot their password.
pub const ONE_TIME_PASSCODE: Uuid = uuid!("62f86a30-2330-4b61-a26d-311ff3b608cf");
/// To the owner who tries out the delivery.
pub const TROUBLESHOOTING: Uuid = uuid!("c425f63e-716a-4bf4-ae24-78348f706c3f");
/// To oneself, in one's own words.
pub const CUSTOM: Uuid = uuid!("39b1e189-c857-4b0c-877a-511144c18516");

/// The label that holds a one-time passcode.
pub const PASSCODE_LABEL: &str = "one_time_passcode";

/// Whether each message of the template goes out, also one that says the same as another
/// of that day: its receiver waits for it.
pub fn is_awaited(template: Uuid) -> bool {
    [ONE_TIME_PASSCODE, TROUBLESHOOTING, CUSTOM].contains(&template)
}

/// How a message reaches somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotificationMethod {
    /// By mail.
    Smtp,
    /// By a call to another service.
    Webhook,
    /// In the list of messages that the pages show.
    Inbox,
}

impl NotificationMethod {
    const ALL: [Self; 3] = [Self::Smtp, Self::Webhook, Self::Inbox];

    /// The word on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Webhook => "webhook",
            Self::Inbox => "inbox",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// By which ways a deployment delivers messages. The inbox needs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whether mail is set up.
    pub smtp: bool,
    /// Whether a webhook is set up.
    pub webhook: bool,
    /// The way of templates that say nothing of it.
    pub default: NotificationMethod,
}

impl Default for Delivery {
    /// To the inbox only.
    fn default() -> Self {
        Self {
            smtp: false,
            webhook: false,
            default: NotificationMethod::Smtp,
        }
    }
}

impl Delivery {
    /// The ways that messages of a template can go. A passcode never goes to the inbox,
    /// which whoever sits at an open session can read.
    pub fn methods_for(self, template: Uuid) -> Vec<NotificationMethod> {
        let may_go = |method: &NotificationMethod| match method {
            NotificationMethod::Smtp => self.smtp,
            NotificationMethod::Webhook => self.webhook,
            NotificationMethod::Inbox => template != ONE_TIME_PASSCODE,
        };
        NotificationMethod::ALL.into_iter().filter(may_go).collect()
    }
}

/// Who writes the text of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKind {
    /// The service.
    System,
    /// The sender.
    Custom,
}

impl TemplateKind {
    /// The word on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Custom => "custom",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::System, Self::Custom]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A kind of message.
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
    /// Under which heading the settings show it.
    pub group: String,
    /// How it is delivered; `None` is as the deployment delivers.
    pub method: Option<NotificationMethod>,
    /// Who writes its text.
    pub kind: TemplateKind,
    /// Whether those get it who said nothing.
    pub is_enabled_by_default: bool,
}

/// What a user said about a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationPreference {
    /// The template.
    pub template_id: Uuid,
    /// Whether they do not want it.
    pub is_disabled: bool,
    /// When they last said so.
    pub updated_at: DateTime<Utc>,
}

/// A message in somebody's list.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxNotification {
    /// The identifier.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: UserId,
    /// Its template.
    pub template_id: Uuid,
    /// What it is about; `None` is nothing in particular.
    pub targets: Option<Vec<Uuid>>,
    /// The title.
    pub title: String,
    /// The text.
    pub content: String,
    /// The picture; empty is that of its kind.
    pub icon: String,
    /// The buttons, as stored: a JSON array of `{label, url}`, or `null`.
    pub actions: Value,
    /// The group of its template, which picks its picture.
    pub group: String,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
    /// When it came.
    pub created_at: DateTime<Utc>,
}

/// Which messages are meant by whether they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadStatus {
    /// All.
    #[default]
    All,
    /// Those that were.
    Read,
    /// Those that were not.
    Unread,
}

impl ReadStatus {
    /// Reads the word; empty is all.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "all" => Some(Self::All),
            "read" => Some(Self::Read),
            "unread" => Some(Self::Unread),
            _ => None,
        }
    }
}

/// Which of one's messages a list shows. Empty lists and `None` are no filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxFilter {
    /// About all of these.
    pub targets: Vec<Uuid>,
    /// Of one of these templates.
    pub templates: Vec<Uuid>,
    /// By whether they were read.
    pub read_status: ReadStatus,
    /// Older than this message; an unknown one is no filter.
    pub starting_before: Option<Uuid>,
}

/// A message to be sent to one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotification {
    /// Its template.
    pub template_id: Uuid,
    /// To whom.
    pub user_id: UserId,
    /// What fills its placeholders.
    pub labels: Vec<(&'static str, String)>,
    /// What it is about.
    pub targets: Vec<Uuid>,
    /// Which part of the service sends it.
    pub created_by: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passcode_goes_by_what_is_set_up_and_never_to_the_inbox() {
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
}
