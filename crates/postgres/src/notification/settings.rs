//! Whether the notifier is paused. Stored as the JSON text of the request, which callers
//! compare literally.

use diesel::{prelude::*, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use usher_domain::{
    AuditContext,
    audit::{AuditAction, AuditEntry, AuditResource, Diff},
};
use uuid::Uuid;

use crate::{PgError, audit::insert_audit, lock, schema::site_configs};

const KEY: &str = "notifications_settings";

pub(super) async fn find(conn: &mut AsyncPgConnection) -> Result<Option<String>, PgError> {
    Ok(site_configs::table
        .find(KEY)
        .select(site_configs::value)
        .first(conn)
        .await
        .optional()?)
}

pub(super) async fn is_paused(conn: &mut AsyncPgConnection) -> Result<bool, PgError> {
    let Some(text) = find(conn).await? else {
        return Ok(false);
    };
    let settings: Value = serde_json::from_str(&text)
        .map_err(|_| PgError::Corrupt(format!("the {KEY} in site_configs are not valid JSON")))?;
    let is_paused = settings.get("notifier_paused").and_then(Value::as_bool);
    Ok(is_paused.unwrap_or_default())
}

pub(super) async fn set(
    conn: &mut AsyncPgConnection,
    text: &str,
    is_paused: bool,
    by: &AuditContext,
) -> Result<(), PgError> {
    lock::lock_caller(conn, by).await?;
    diesel::insert_into(site_configs::table)
        .values((site_configs::key.eq(KEY), site_configs::value.eq(text)))
        .on_conflict(site_configs::key)
        .do_update()
        .set(site_configs::value.eq(excluded(site_configs::value)))
        .execute(conn)
        .await?;
    // The audit log has always shown the change from unset settings, with a resource ID
    // that does not exist.
    let diff = Diff::new().field("notifier_paused", false, is_paused);
    let (action, resource) = (AuditAction::Write, AuditResource::NotificationsSettings);
    let entry = AuditEntry::new(action, resource, Uuid::new_v4(), "");
    insert_audit(conn, entry.with_diff(diff), by).await
}
