//! The outbox. Only the worker that leased a message can report its outcome; when the
//! lease expires, the message is due again.
//!
//! Passcodes are erased from messages that are delivered or abandoned.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    dsl::{auto_type, sql},
    expression::SqlLiteral,
    prelude::*,
    sql_types::Jsonb,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use usher_domain::{UserId, notification::NotificationMethod};
use usher_store::{OutboxMessage, OutboxStore, RenderedNotification, StoreError, Subscription};
use uuid::Uuid;

use super::{
    inbox::InboxRow,
    settings,
    template::{TemplateRow, parse_method},
};
use crate::{
    PgError, PgStore,
    schema::{
        inbox_notifications, notification_messages, notification_preferences,
        notification_templates, users,
    },
};

/// The number of messages deleted per transaction.
const DELETED_AT_ONCE: i64 = 1000;

#[async_trait]
impl OutboxStore for PgStore {
    async fn subscribe(&self) -> Result<Subscription, StoreError> {
        Ok(self.outbox.listen().await?)
    }

    async fn lease_messages(
        &self,
        worker: Uuid,
        limit: u32,
        lease: TimeDelta,
        at: DateTime<Utc>,
    ) -> Result<Vec<OutboxMessage>, StoreError> {
        self.write(async |conn| lease_messages(conn, worker, limit, lease, at).await)
            .await
    }

    async fn mark_sent(
        &self,
        worker: Uuid,
        id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<Option<()>, StoreError> {
        self.write(async |conn| mark_sent(conn, worker, id, at).await)
            .await
    }

    async fn deliver_to_inbox(
        &self,
        worker: Uuid,
        id: Uuid,
        rendered: RenderedNotification,
        at: DateTime<Utc>,
    ) -> Result<Option<()>, StoreError> {
        self.write(async |conn| deliver_to_inbox(conn, worker, id, rendered, at).await)
            .await
    }

    async fn mark_failed(
        &self,
        worker: Uuid,
        id: Uuid,
        reason: &str,
        retry_at: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    ) -> Result<Option<()>, StoreError> {
        self.write(async |conn| match retry_at {
            Some(retry_at) => put_back(conn, worker, id, reason, retry_at, at).await,
            None => give_up(conn, worker, id, reason, at).await,
        })
        .await
    }

    async fn delete_old_messages(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let deleted = self
                .write(async |conn| delete_some_old(conn, before).await)
                .await?;
            total += deleted;
            if deleted < DELETED_AT_ONCE.unsigned_abs() {
                return Ok(total);
            }
        }
    }
}

async fn lease_messages(
    conn: &mut AsyncPgConnection,
    worker: Uuid,
    limit: u32,
    lease: TimeDelta,
    at: DateTime<Utc>,
) -> Result<Vec<OutboxMessage>, PgError> {
    if settings::is_paused(conn).await? {
        return Ok(Vec::new());
    }
    let due = lock_due(conn, limit, at).await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let (wanted, unwanted): (Vec<DueRow>, Vec<DueRow>) = load_due(conn, &due)
        .await?
        .into_iter()
        .partition(DueRow::is_wanted);
    if !unwanted.is_empty() {
        let ids: Vec<Uuid> = unwanted.iter().map(|row| row.message.id).collect();
        inhibit(conn, &ids, at).await?;
    }
    let ids: Vec<Uuid> = wanted.iter().map(|row| row.message.id).collect();
    diesel::update(notification_messages::table.filter(notification_messages::id.eq_any(ids)))
        .set((
            notification_messages::status.eq("leased"),
            notification_messages::leased_by.eq(worker),
            notification_messages::leased_until.eq(at + lease),
            notification_messages::attempt_count.eq(notification_messages::attempt_count + 1),
            notification_messages::updated_at.eq(at),
        ))
        .execute(conn)
        .await?;
    wanted.into_iter().map(OutboxMessage::try_from).collect()
}

/// Locks due messages that no other transaction has locked, oldest first.
async fn lock_due(
    conn: &mut AsyncPgConnection,
    limit: u32,
    at: DateTime<Utc>,
) -> Result<Vec<Uuid>, PgError> {
    Ok(notification_messages::table
        .filter(notification_messages::due_at.le(at))
        .order(notification_messages::due_at)
        .limit(limit.into())
        .select(notification_messages::id)
        .for_no_key_update()
        .skip_locked()
        .load(conn)
        .await?)
}

async fn load_due(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Result<Vec<DueRow>, PgError> {
    let of_both = notification_preferences::user_id
        .eq(notification_messages::user_id)
        .and(
            notification_preferences::notification_template_id
                .eq(notification_messages::notification_template_id),
        );
    Ok(notification_messages::table
        .inner_join(notification_templates::table)
        .inner_join(users::table)
        .left_join(notification_preferences::table.on(of_both))
        .filter(notification_messages::id.eq_any(ids))
        .order((notification_messages::due_at, notification_messages::id))
        .select((
            MessageRow::as_select(),
            TemplateRow::as_select(),
            ReceiverRow::as_select(),
            notification_preferences::disabled.nullable(),
        ))
        .load(conn)
        .await?)
}

/// Abandons messages that the recipient has since disabled or cannot receive any more.
async fn inhibit(
    conn: &mut AsyncPgConnection,
    ids: &[Uuid],
    at: DateTime<Utc>,
) -> Result<(), PgError> {
    diesel::update(notification_messages::table.filter(notification_messages::id.eq_any(ids)))
        .set((
            notification_messages::status.eq("inhibited"),
            notification_messages::payload.eq(without_passcode()),
            notification_messages::updated_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The message, if the worker has leased it.
#[auto_type(no_type_alias)]
fn leased_by(worker: Uuid, id: Uuid) -> _ {
    let leased: &'static str = "leased";
    notification_messages::table
        .filter(notification_messages::id.eq(id))
        .filter(notification_messages::status.eq(leased))
        .filter(notification_messages::leased_by.eq(worker))
}

/// `one_time_passcode` is the domain's `PASSCODE_LABEL`.
fn without_passcode() -> SqlLiteral<Jsonb> {
    sql("notification_messages.payload #- '{labels,one_time_passcode}'")
}

async fn mark_sent(
    conn: &mut AsyncPgConnection,
    worker: Uuid,
    id: Uuid,
    at: DateTime<Utc>,
) -> Result<Option<()>, PgError> {
    let sent = diesel::update(leased_by(worker, id))
        .set((
            notification_messages::status.eq("sent"),
            notification_messages::status_reason.eq(None::<&str>),
            notification_messages::payload.eq(without_passcode()),
            notification_messages::updated_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok((sent > 0).then_some(()))
}

async fn deliver_to_inbox(
    conn: &mut AsyncPgConnection,
    worker: Uuid,
    id: Uuid,
    rendered: RenderedNotification,
    at: DateTime<Utc>,
) -> Result<Option<()>, PgError> {
    let to_inbox = leased_by(worker, id)
        .filter(notification_messages::method.eq(NotificationMethod::Inbox.as_str()));
    let sent: Option<(Uuid, Uuid, Option<Vec<Uuid>>)> = diesel::update(to_inbox)
        .set((
            notification_messages::status.eq("sent"),
            notification_messages::status_reason.eq(None::<&str>),
            notification_messages::updated_at.eq(at),
        ))
        .returning((
            notification_messages::user_id,
            notification_messages::notification_template_id,
            notification_messages::targets,
        ))
        .get_result(conn)
        .await
        .optional()?;
    let Some((user_id, template_id, targets)) = sent else {
        return Ok(None);
    };
    let actions = rendered.actions.into_iter();
    let row = InboxRow {
        // The message's ID, so that the primary key prevents duplicates.
        id,
        user_id,
        template_id,
        targets,
        title: rendered.title,
        content: rendered.content,
        icon: String::new(),
        actions: actions
            .map(|(label, url)| json!({ "label": label, "url": url }))
            .collect(),
        read_at: None,
        created_at: at,
    };
    diesel::insert_into(inbox_notifications::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(Some(()))
}

async fn put_back(
    conn: &mut AsyncPgConnection,
    worker: Uuid,
    id: Uuid,
    reason: &str,
    retry_at: DateTime<Utc>,
    at: DateTime<Utc>,
) -> Result<Option<()>, PgError> {
    let failed = diesel::update(leased_by(worker, id))
        .set((
            notification_messages::status.eq("temporary_failure"),
            notification_messages::status_reason.eq(reason),
            notification_messages::next_retry_after.eq(retry_at),
            notification_messages::updated_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok((failed > 0).then_some(()))
}

async fn give_up(
    conn: &mut AsyncPgConnection,
    worker: Uuid,
    id: Uuid,
    reason: &str,
    at: DateTime<Utc>,
) -> Result<Option<()>, PgError> {
    let failed = diesel::update(leased_by(worker, id))
        .set((
            notification_messages::status.eq("permanent_failure"),
            notification_messages::status_reason.eq(reason),
            notification_messages::payload.eq(without_passcode()),
            notification_messages::updated_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok((failed > 0).then_some(()))
}

/// Deletes finished messages. Concurrent calls delete different ones.
async fn delete_some_old(
    conn: &mut AsyncPgConnection,
    before: DateTime<Utc>,
) -> Result<u64, PgError> {
    let old: Vec<Uuid> = notification_messages::table
        .filter(notification_messages::created_at.lt(before))
        .filter(notification_messages::due_at.is_null())
        .order(notification_messages::created_at)
        .limit(DELETED_AT_ONCE)
        .select(notification_messages::id)
        .for_update()
        .skip_locked()
        .load(conn)
        .await?;
    let deleted =
        diesel::delete(notification_messages::table.filter(notification_messages::id.eq_any(old)))
            .execute(conn)
            .await?;
    Ok(deleted as u64)
}

/// A message with its template, its recipient, and their preference.
#[derive(Queryable)]
struct DueRow {
    message: MessageRow,
    template: TemplateRow,
    receiver: ReceiverRow,
    is_disabled: Option<bool>,
}

impl DueRow {
    fn is_wanted(&self) -> bool {
        let is_disabled = self.is_disabled;
        let is_disabled = is_disabled.unwrap_or(!self.template.enabled_by_default);
        !self.receiver.deleted && !is_disabled
    }
}

#[derive(HasQuery)]
#[diesel(table_name = notification_messages)]
struct MessageRow {
    id: Uuid,
    user_id: Uuid,
    method: String,
    payload: Value,
    targets: Option<Vec<Uuid>>,
    attempt_count: i32,
    created_at: DateTime<Utc>,
}

#[derive(HasQuery)]
#[diesel(table_name = users)]
struct ReceiverRow {
    username: String,
    name: String,
    email: String,
    deleted: bool,
}

impl TryFrom<DueRow> for OutboxMessage {
    type Error = PgError;

    fn try_from(row: DueRow) -> Result<Self, PgError> {
        let message = row.message;
        Ok(Self {
            id: message.id,
            method: parse_method(&message.method)?,
            template: row.template.try_into()?,
            user_id: UserId(message.user_id),
            username: row.receiver.username,
            name: row.receiver.name,
            email: row.receiver.email,
            labels: labels(&message.payload),
            targets: message.targets.unwrap_or_default(),
            attempts: message.attempt_count.unsigned_abs(),
            created_at: message.created_at,
        })
    }
}

/// The labels of a payload. Values that are not strings are rendered as JSON.
fn labels(payload: &Value) -> Vec<(String, String)> {
    let labels = payload.get("labels").and_then(Value::as_object);
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    labels
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}
