//! Notifications: templates, preferences, the inbox and the outbox.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::{
    AuditContext, UserId,
    notification::{
        InboxFilter, InboxNotification, NewNotification, NotificationMethod,
        NotificationPreference, NotificationTemplate, NotifierSettings, TemplateKind,
    },
};
use usher_store::{NotificationStore, StoreError};
use uuid::Uuid;

use crate::PgStore;

mod enqueue;
mod inbox;
mod outbox;
mod preference;
mod settings;
mod subscription;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use enqueue::insert_messages;
pub(crate) use subscription::Listener;

#[async_trait]
impl NotificationStore for PgStore {
    async fn list_templates(
        &self,
        kind: TemplateKind,
    ) -> Result<Vec<NotificationTemplate>, StoreError> {
        self.read(async |conn| template::list(conn, kind).await)
            .await
    }

    async fn find_template(&self, id: Uuid) -> Result<Option<NotificationTemplate>, StoreError> {
        self.read(async |conn| template::find(conn, id).await).await
    }

    async fn set_template_method(
        &self,
        id: Uuid,
        method: NotificationMethod,
        by: &AuditContext,
    ) -> Result<Option<NotificationTemplate>, StoreError> {
        self.write(async |conn| template::set_method(conn, id, method, by).await)
            .await
    }

    async fn list_notification_preferences(
        &self,
        user: UserId,
    ) -> Result<Vec<NotificationPreference>, StoreError> {
        self.read(async |conn| preference::list(conn, user).await)
            .await
    }

    async fn set_notification_preferences(
        &self,
        user: UserId,
        disabled: Vec<(Uuid, bool)>,
        at: DateTime<Utc>,
    ) -> Result<Vec<NotificationPreference>, StoreError> {
        self.write(async |conn| {
            preference::upsert(conn, user, disabled, at).await?;
            preference::list(conn, user).await
        })
        .await
    }

    async fn find_notifier_settings(&self) -> Result<Option<NotifierSettings>, StoreError> {
        self.read(async |conn| settings::find(conn).await).await
    }

    async fn set_notifier_settings(
        &self,
        settings: NotifierSettings,
        by: &AuditContext,
    ) -> Result<(), StoreError> {
        self.write(async |conn| settings::set(conn, settings, by).await)
            .await
    }

    async fn enqueue_notifications(
        &self,
        messages: Vec<NewNotification>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(async |conn| {
            for message in messages {
                insert_messages(conn, self.delivery, &message, at).await?;
            }
            Ok(())
        })
        .await
    }

    async fn list_inbox(
        &self,
        user: UserId,
        filter: InboxFilter,
    ) -> Result<(Vec<InboxNotification>, u64), StoreError> {
        self.read(async |conn| {
            let newest = inbox::list(conn, user, &filter).await?;
            Ok((newest, inbox::count_unread(conn, user).await?))
        })
        .await
    }

    async fn find_inbox_notification(
        &self,
        id: Uuid,
    ) -> Result<Option<InboxNotification>, StoreError> {
        self.read(async |conn| inbox::find(conn, id).await).await
    }

    async fn set_inbox_read(
        &self,
        id: Uuid,
        read_at: Option<DateTime<Utc>>,
    ) -> Result<Option<InboxNotification>, StoreError> {
        self.write(async |conn| {
            inbox::update_read_at(conn, id, read_at).await?;
            inbox::find(conn, id).await
        })
        .await
    }

    async fn count_unread(&self, user: UserId) -> Result<u64, StoreError> {
        self.read(async |conn| inbox::count_unread(conn, user).await)
            .await
    }

    async fn set_all_inbox_read(&self, user: UserId, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(async |conn| inbox::update_all_read_at(conn, user, at).await)
            .await
    }
}
