//! Users' notification inboxes.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{InnerJoin, IntoBoxed},
    pg::Pg,
    prelude::*,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use usher_domain::{
    UserId,
    notification::{InboxFilter, InboxNotification, ReadStatus},
};
use uuid::Uuid;

use crate::{
    PgError,
    schema::{inbox_notifications, notification_templates},
};

/// The maximum number of messages in a list.
const MAX_LISTED: i64 = 25;

/// Messages with their templates, before ordering and paging.
type Matching<'a> =
    IntoBoxed<'a, InnerJoin<inbox_notifications::table, notification_templates::table>, Pg>;

/// The position of a message in the list: when it was received, and its ID.
type Cursor = (DateTime<Utc>, Uuid);

pub(super) async fn list(
    conn: &mut AsyncPgConnection,
    user: UserId,
    filter: &InboxFilter,
) -> Result<Vec<InboxNotification>, PgError> {
    let before = match filter.starting_before {
        Some(id) => find_cursor(conn, user, id).await?,
        None => None,
    };
    let rows: Vec<(InboxRow, Option<String>)> = matching(user, filter, before)
        .select((InboxRow::as_select(), notification_templates::group))
        .order((
            inbox_notifications::created_at.desc(),
            inbox_notifications::id.desc(),
        ))
        .limit(MAX_LISTED)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(notification).collect())
}

/// Returns the position of a message in the user's list, or `None` if it is another
/// user's.
async fn find_cursor(
    conn: &mut AsyncPgConnection,
    user: UserId,
    id: Uuid,
) -> Result<Option<Cursor>, PgError> {
    Ok(inbox_notifications::table
        .find(id)
        .filter(inbox_notifications::user_id.eq(user.0))
        .select((inbox_notifications::created_at, inbox_notifications::id))
        .first(conn)
        .await
        .optional()?)
}

fn matching(user: UserId, filter: &InboxFilter, before: Option<Cursor>) -> Matching<'_> {
    let mut matching = inbox_notifications::table
        .inner_join(notification_templates::table)
        .filter(inbox_notifications::user_id.eq(user.0))
        .into_boxed();
    if !filter.targets.is_empty() {
        matching = matching.filter(inbox_notifications::targets.contains(&filter.targets));
    }
    if !filter.templates.is_empty() {
        matching = matching.filter(inbox_notifications::template_id.eq_any(&filter.templates));
    }
    match filter.read_status {
        ReadStatus::All => {}
        ReadStatus::Read => matching = matching.filter(inbox_notifications::read_at.is_not_null()),
        ReadStatus::Unread => matching = matching.filter(inbox_notifications::read_at.is_null()),
    }
    if let Some((created_at, id)) = before {
        let is_older = inbox_notifications::created_at.lt(created_at);
        // The first condition lets the index scan start here.
        matching = matching
            .filter(inbox_notifications::created_at.le(created_at))
            .filter(is_older.or(inbox_notifications::id.lt(id)));
    }
    matching
}

pub(super) async fn find(
    conn: &mut AsyncPgConnection,
    id: Uuid,
) -> Result<Option<InboxNotification>, PgError> {
    let row: Option<(InboxRow, Option<String>)> = inbox_notifications::table
        .inner_join(notification_templates::table)
        .filter(inbox_notifications::id.eq(id))
        .select((InboxRow::as_select(), notification_templates::group))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(notification))
}

pub(super) async fn count_unread(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<u64, PgError> {
    let count: i64 = inbox_notifications::table
        .filter(inbox_notifications::user_id.eq(user.0))
        .filter(inbox_notifications::read_at.is_null())
        .count()
        .get_result(conn)
        .await?;
    Ok(count.unsigned_abs())
}

pub(super) async fn update_read_at(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    read_at: Option<DateTime<Utc>>,
) -> Result<(), PgError> {
    diesel::update(inbox_notifications::table.find(id))
        .set(inbox_notifications::read_at.eq(read_at))
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn update_all_read_at(
    conn: &mut AsyncPgConnection,
    user: UserId,
    at: DateTime<Utc>,
) -> Result<(), PgError> {
    let unread = inbox_notifications::table
        .filter(inbox_notifications::user_id.eq(user.0))
        .filter(inbox_notifications::read_at.is_null());
    diesel::update(unread)
        .set(inbox_notifications::read_at.eq(at))
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(HasQuery, Insertable)]
#[diesel(table_name = inbox_notifications)]
pub(super) struct InboxRow {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) template_id: Uuid,
    pub(super) targets: Option<Vec<Uuid>>,
    pub(super) title: String,
    pub(super) content: String,
    pub(super) icon: String,
    pub(super) actions: Value,
    pub(super) read_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
}

fn notification((row, group): (InboxRow, Option<String>)) -> InboxNotification {
    InboxNotification {
        id: row.id,
        user_id: UserId(row.user_id),
        template_id: row.template_id,
        targets: row.targets,
        title: row.title,
        content: row.content,
        icon: row.icon,
        actions: row.actions,
        group: group.unwrap_or_default(),
        read_at: row.read_at,
        created_at: row.created_at,
    }
}
