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
    /// The templates of a kind, in the order of their names.
    async fn list_templates(
        &self,
        kind: TemplateKind,
    ) -> Result<Vec<NotificationTemplate>, StoreError>;

    /// The template.
    async fn find_template(&self, id: Uuid) -> Result<Option<NotificationTemplate>, StoreError>;

    /// Sets how messages of the template are delivered.
    async fn set_template_method(
        &self,
        id: Uuid,
        method: NotificationMethod,
        by: &AuditContext,
    ) -> Result<Option<NotificationTemplate>, StoreError>;

    /// What the user said about templates.
    async fn list_notification_preferences(
        &self,
        user: UserId,
    ) -> Result<Vec<NotificationPreference>, StoreError>;

    /// Notes what the user says about some templates, all or none of them, and returns
    /// all that they ever said. Leaves no audit row.
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

    /// Puts messages into the outbox, all or none, for every way by which each is to go,
    /// unless their receivers turned the template off. What says the same as another of that
    /// day is left out, except where it [is awaited](usher_domain::notification::is_awaited).
    async fn enqueue_notifications(
        &self,
        messages: Vec<NewNotification>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// The newest messages of the user's inbox that match, at most 25, and how many of all
    /// their messages are unread.
    async fn list_inbox(
        &self,
        user: UserId,
        filter: InboxFilter,
    ) -> Result<(Vec<InboxNotification>, u64), StoreError>;

    /// The message, whoever's it is.
    async fn find_inbox_notification(
        &self,
        id: Uuid,
    ) -> Result<Option<InboxNotification>, StoreError>;

    /// Marks the message as read then, or as unread.
    async fn set_inbox_read(
        &self,
        id: Uuid,
        read_at: Option<DateTime<Utc>>,
    ) -> Result<Option<InboxNotification>, StoreError>;

    /// How many of the user's messages are unread.
    async fn count_unread(&self, user: UserId) -> Result<u64, StoreError>;

    /// Marks all of the user's messages as read then.
    async fn set_all_inbox_read(&self, user: UserId, at: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The outbox, as the workers that empty it see it. Several may work at once.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Subscribes to the outbox. Best effort: a worker polls as well, and subscribes again
    /// when the subscription ends.
    async fn subscribe(&self) -> Result<Subscription, StoreError>;

    /// Takes up to `limit` due messages for the time of `lease`: nobody else takes them
    /// until it ends. None while the notifier is paused. Those whose receivers were deleted
    /// or turned the template off since are given up and not among them.
    async fn lease_messages(
        &self,
        worker: Uuid,
        limit: u32,
        lease: TimeDelta,
        at: DateTime<Utc>,
    ) -> Result<Vec<OutboxMessage>, StoreError>;

    /// Notes that the message was delivered by mail or webhook. `None` if it is not leased
    /// by this worker any more.
    async fn mark_sent(
        &self,
        worker: Uuid,
        id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<Option<()>, StoreError>;

    /// Puts a message that goes to the inbox there and marks it as sent, once. `None` if it
    /// is not leased by this worker any more.
    async fn deliver_to_inbox(
        &self,
        worker: Uuid,
        id: Uuid,
        rendered: RenderedNotification,
        at: DateTime<Utc>,
    ) -> Result<Option<()>, StoreError>;

    /// Notes a failed attempt. The message is tried again at `retry_at`, or never. `None` if
    /// it is not leased by this worker any more.
    async fn mark_failed(
        &self,
        worker: Uuid,
        id: Uuid,
        reason: &str,
        retry_at: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    ) -> Result<Option<()>, StoreError>;

    /// Deletes delivered and given-up messages that are older than `before`, in batches.
    async fn delete_old_messages(&self, before: DateTime<Utc>) -> Result<u64, StoreError>;
}

/// Yields an item after messages were enqueued, by this process or another; one item may
/// stand for several messages. Ends when the store loses its connection.
pub type Subscription = BoxStream<'static, ()>;

/// A message that is due, with all that is needed to write it out.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxMessage {
    /// The message.
    pub id: Uuid,
    /// By which way it goes.
    pub method: NotificationMethod,
    /// Its template.
    pub template: NotificationTemplate,
    /// To whom.
    pub user_id: UserId,
    /// Their username.
    pub username: String,
    /// Their display name; may be empty.
    pub name: String,
    /// Their address.
    pub email: String,
    /// What fills its placeholders.
    pub labels: Vec<(String, String)>,
    /// What it is about.
    pub targets: Vec<Uuid>,
    /// How often it was tried before.
    pub attempts: u32,
    /// When it was put into the outbox.
    pub created_at: DateTime<Utc>,
}

/// A message written out for the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedNotification {
    /// The title.
    pub title: String,
    /// The text.
    pub content: String,
    /// The buttons: label and address.
    pub actions: Vec<(String, String)>,
}
