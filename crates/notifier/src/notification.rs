//! A message written out, as dispatchers get it.

use std::fmt;

use chrono::{DateTime, Utc};
use usher_domain::UserId;
use uuid::Uuid;

/// A message written out.
///
/// Its text may be a secret (a passcode), so `Debug` shows only what may be logged.
#[derive(Clone, PartialEq)]
pub struct Notification {
    /// The message; the same with each attempt.
    pub id: Uuid,
    /// Its template.
    pub template_id: Uuid,
    /// The name of its template.
    pub template_name: String,
    /// To whom.
    pub recipient: Recipient,
    /// The values in it, as they are.
    pub labels: Vec<(String, String)>,
    /// What it is about.
    pub targets: Vec<Uuid>,
    /// When it was put into the outbox.
    pub created_at: DateTime<Utc>,
    /// The title: one line of plain text.
    pub title: String,
    /// The title as Markdown.
    pub title_markdown: String,
    /// The text without markup.
    pub body: String,
    /// The text as Markdown, in which no value has an effect.
    pub body_markdown: String,
    /// The text as HTML, whose only tags are those of Markdown, and whose links all lead to
    /// `http` or `https`.
    pub body_html: String,
    /// The buttons.
    pub actions: Vec<Action>,
}

/// Who gets a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The user.
    pub user_id: UserId,
    /// Their username.
    pub username: String,
    /// What to call them, in one line: the display name, or else the username.
    pub name: String,
    /// Their address.
    pub email: String,
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What stands on it: one line of plain text.
    pub label: String,
    /// Where it leads, by `http` or `https`.
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
