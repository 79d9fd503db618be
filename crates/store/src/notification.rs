//! Templates, preferences, the outbox and the inbox of notifications.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::BoxStream;
use usher_domain::{
    AuditContext, UserId,
    notification::{
        InboxFilter, InboxNotification, NewNotification, NotificationMethod,
        NotificationPreference, NotificationTemplate, NotifierSettings, TemplateKind,
    },
};
use uuid::Uuid;

use crate::StoreError;

/// Templates, preferences and the inbox of notifications.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait NotificationStore: Send + Sync {
    /// Returns the templates of a kind, ordered by name.
    async fn list_templates(
        &self,
        kind: TemplateKind,
    ) -> Result<Vec<NotificationTemplate>, StoreError>;

    /// Returns the template.
    async fn find_template(&self, id: Uuid) -> Result<Option<NotificationTemplate>, StoreError>;

    /// Sets how messages of the template are delivered.
    async fn set_template_method(
        &self,
        id: Uuid,
        method: NotificationMethod,
        by: &AuditContext,
    ) -> Result<Option<NotificationTemplate>, StoreError>;

    /// Returns the user's preferences.
    async fn list_notification_preferences(
        &self,
        user: UserId,
    ) -> Result<Vec<NotificationPreference>, StoreError>;

    /// Sets the user's preferences for some templates, all or none of them, and returns all
    /// preferences. Writes no audit row.
    ///
    /// # Errors
    ///
    /// [`Conflict::NoSuchTemplate`](crate::Conflict::NoSuchTemplate).
    async fn set_notification_preferences(
        &self,
        user: UserId,
        disabled: Vec<(Uuid, bool)>,
        at: DateTime<Utc>,
    ) -> Result<Vec<NotificationPreference>, StoreError>;

    /// Returns the settings of the deployment's notifier; `None` if they were never set.
    async fn find_notifier_settings(&self) -> Result<Option<NotifierSettings>, StoreError>;

    /// Sets the settings of the deployment's notifier.
    async fn set_notifier_settings(
        &self,
        settings: NotifierSettings,
        by: &AuditContext,
    ) -> Result<(), StoreError>;

    /// Adds messages to the outbox, all or none: one per delivery method and recipient, except
    /// recipients who disabled the template. A message that equals another one of the same day
    /// is skipped, unless the user [waits for it](usher_domain::notification::is_awaited).
    async fn enqueue_notifications(
        &self,
        messages: Vec<NewNotification>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Returns the newest matching messages of the user's inbox, at most 25, and the number of
    /// all their unread messages.
    async fn list_inbox(
        &self,
        user: UserId,
        filter: InboxFilter,
    ) -> Result<(Vec<InboxNotification>, u64), StoreError>;

    /// Returns the message of any user.
    async fn find_inbox_notification(
        &self,
        id: Uuid,
    ) -> Result<Option<InboxNotification>, StoreError>;

    /// Marks the message as read at `read_at`, or as unread.
    async fn set_inbox_read(
        &self,
        id: Uuid,
        read_at: Option<DateTime<Utc>>,
    ) -> Result<Option<InboxNotification>, StoreError>;

    /// Returns the number of the user's unread messages.
    async fn count_unread(&self, user: UserId) -> Result<u64, StoreError>;

    /// Marks all of the user's messages as read.
    async fn set_all_inbox_read(&self, user: UserId, at: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The outbox, for the workers that deliver it. Any number of workers may run.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Subscribes to the outbox. Best effort: a worker polls as well, and subscribes again
    /// when the subscription ends.
    async fn subscribe(&self) -> Result<Subscription, StoreError>;

    /// Leases up to `limit` due messages: no other worker gets them before the lease ends.
    /// Returns no messages while the notifier is paused. Messages whose recipient was deleted
    /// or has disabled the template since are inhibited and not returned.
    async fn lease_messages(
        &self,
        worker: Uuid,
        limit: u32,
        lease: TimeDelta,
        at: DateTime<Utc>,
    ) -> Result<Vec<OutboxMessage>, StoreError>;

    /// Records that the message was delivered by e-mail or webhook. `None` if this worker no
    /// longer holds its lease.
    async fn mark_sent(
        &self,
        worker: Uuid,
        id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<Option<()>, StoreError>;

    /// Adds the message to the user's inbox and marks it as sent, once. `None` if this worker
    /// no longer holds its lease.
    async fn deliver_to_inbox(
        &self,
        worker: Uuid,
        id: Uuid,
        rendered: RenderedNotification,
        at: DateTime<Utc>,
    ) -> Result<Option<()>, StoreError>;

    /// Records a failed attempt. The message is retried at `retry_at`, or never. `None` if this
    /// worker no longer holds its lease.
    async fn mark_failed(
        &self,
        worker: Uuid,
        id: Uuid,
        reason: &str,
        retry_at: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    ) -> Result<Option<()>, StoreError>;

    /// Deletes messages older than `before` that are not pending, in batches.
    async fn delete_old_messages(&self, before: DateTime<Utc>) -> Result<u64, StoreError>;
}

/// Yields an item after messages were enqueued, by this process or another; one item may
/// stand for several messages. Ends when the store loses its connection.
pub type Subscription = BoxStream<'static, ()>;

/// A message that is due, with the data to render it.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxMessage {
    /// The identifier of the message.
    pub id: Uuid,
    /// The delivery method.
    pub method: NotificationMethod,
    /// Its template.
    pub template: NotificationTemplate,
    /// The recipient.
    pub user_id: UserId,
    /// Their username.
    pub username: String,
    /// Their display name; may be empty.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// The values of its placeholders.
    pub labels: Vec<(String, String)>,
    /// The identifiers of the things that it is about.
    pub targets: Vec<Uuid>,
    /// The number of earlier attempts.
    pub attempts: u32,
    /// When it was added to the outbox.
    pub created_at: DateTime<Utc>,
}

/// A message rendered for the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedNotification {
    /// The title.
    pub title: String,
    /// The text.
    pub content: String,
    /// The buttons: label and URL.
    pub actions: Vec<(String, String)>,
}
