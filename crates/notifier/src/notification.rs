//! A rendered message, the input of dispatchers.

use std::fmt;

use chrono::{DateTime, Utc};
use usher_domain::UserId;
use uuid::Uuid;

/// A rendered message.
///
/// Its text may contain a passcode, so `Debug` prints only its ID and the name of its template.
#[derive(Clone, PartialEq)]
pub struct Notification {
    /// The ID of the message, the same for each attempt.
    pub id: Uuid,
    /// The ID of the template.
    pub template_id: Uuid,
    /// The name of the template.
    pub template_name: String,
    /// The recipient.
    pub recipient: Recipient,
    /// The values of the placeholders, unescaped.
    pub labels: Vec<(String, String)>,
    /// The IDs of the objects that the message is about.
    pub targets: Vec<Uuid>,
    /// When the message was enqueued.
    pub created_at: DateTime<Utc>,
    /// The title as a line of plain text.
    pub title: String,
    /// The title as Markdown.
    pub title_markdown: String,
    /// The body as plain text.
    pub body: String,
    /// The body as Markdown, with escaped values.
    pub body_markdown: String,
    /// The body as HTML. It contains only tags of Markdown and `http` and `https` links.
    pub body_html: String,
    /// The buttons.
    pub actions: Vec<Action>,
}

/// The recipient of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The ID of the user.
    pub user_id: UserId,
    /// The username.
    pub username: String,
    /// The display name in one line, or the username if it is empty.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The label: a line of plain text.
    pub label: String,
    /// The `http` or `https` URL.
    pub url: String,
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("id", &self.id)
            .field("template_name", &self.template_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}
