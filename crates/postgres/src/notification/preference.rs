//! Users' preferences for notification templates.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{prelude::*, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{UserId, notification::NotificationPreference};
use uuid::Uuid;

use crate::{PgError, schema::notification_preferences};

pub(super) async fn list(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Vec<NotificationPreference>, PgError> {
    let rows: Vec<PreferenceRow> = PreferenceRow::query()
        .filter(notification_preferences::user_id.eq(user.0))
        .order(notification_preferences::notification_template_id)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(NotificationPreference::from).collect())
}

pub(super) async fn upsert(
    conn: &mut AsyncPgConnection,
    user: UserId,
    disabled: Vec<(Uuid, bool)>,
    at: DateTime<Utc>,
) -> Result<(), PgError> {
    // Unique, since a statement cannot upsert a row twice; sorted, so that concurrent
    // calls do not deadlock.
    let disabled: BTreeMap<Uuid, bool> = disabled.into_iter().collect();
    let rows: Vec<NewPreferenceRow> = disabled
        .into_iter()
        .map(|(template_id, disabled)| NewPreferenceRow {
            user_id: user.0,
            notification_template_id: template_id,
            disabled,
            created_at: at,
            updated_at: at,
        })
        .collect();
    diesel::insert_into(notification_preferences::table)
        .values(rows)
        .on_conflict((
            notification_preferences::user_id,
            notification_preferences::notification_template_id,
        ))
        .do_update()
        .set((
            notification_preferences::disabled.eq(excluded(notification_preferences::disabled)),
            notification_preferences::updated_at.eq(excluded(notification_preferences::updated_at)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(HasQuery)]
#[diesel(table_name = notification_preferences)]
struct PreferenceRow {
    notification_template_id: Uuid,
    disabled: bool,
    updated_at: DateTime<Utc>,
}

impl From<PreferenceRow> for NotificationPreference {
    fn from(row: PreferenceRow) -> Self {
        Self {
            template_id: row.notification_template_id,
            is_disabled: row.disabled,
            updated_at: row.updated_at,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = notification_preferences)]
struct NewPreferenceRow {
    user_id: Uuid,
    notification_template_id: Uuid,
    disabled: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}
