//! The settings of the deployment's notifier, stored as JSON.

use diesel::{prelude::*, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use usher_domain::{
    AuditContext,
    audit::{AuditAction, AuditEntry, AuditResource, Diff},
    notification::NotifierSettings,
};
use uuid::Uuid;

use crate::{PgError, audit::insert_audit, lock, schema::site_configs};

const KEY: &str = "notifications_settings";
const IS_PAUSED: &str = "notifier_paused";

/// Returns the settings; `None` if they were never set, or a later version wrote something
/// that is not JSON, which the next write replaces.
pub(super) async fn find(
    conn: &mut AsyncPgConnection,
) -> Result<Option<NotifierSettings>, PgError> {
    Ok(find_text(conn).await?.and_then(|text| parse(&text)))
}

pub(super) async fn is_paused(conn: &mut AsyncPgConnection) -> Result<bool, PgError> {
    let Some(text) = find_text(conn).await? else {
        return Ok(false);
    };
    let settings = parse(&text)
        .ok_or_else(|| PgError::Corrupt(format!("{KEY} in site_configs is not JSON")))?;
    Ok(settings.is_paused)
}

async fn find_text(conn: &mut AsyncPgConnection) -> Result<Option<String>, PgError> {
    Ok(site_configs::table
        .find(KEY)
        .select(site_configs::value)
        .first(conn)
        .await
        .optional()?)
}

fn parse(text: &str) -> Option<NotifierSettings> {
    let settings: Value = serde_json::from_str(text).ok()?;
    let is_paused = settings.get(IS_PAUSED).and_then(Value::as_bool);
    Some(NotifierSettings {
        is_paused: is_paused.unwrap_or_default(),
    })
}

pub(super) async fn set(
    conn: &mut AsyncPgConnection,
    settings: NotifierSettings,
    by: &AuditContext,
) -> Result<(), PgError> {
    lock::lock_caller(conn, by).await?;
    let text = json!({ IS_PAUSED: settings.is_paused }).to_string();
    diesel::insert_into(site_configs::table)
        .values((site_configs::key.eq(KEY), site_configs::value.eq(text)))
        .on_conflict(site_configs::key)
        .do_update()
        .set(site_configs::value.eq(excluded(site_configs::value)))
        .execute(conn)
        .await?;
    // The settings have no identifier; each row of the log has shown a new one from the start.
    let (action, resource) = (AuditAction::Write, AuditResource::NotificationsSettings);
    let entry = AuditEntry::new(action, resource, Uuid::new_v4(), "");
    let diff = Diff::notifier_paused(settings.is_paused);
    insert_audit(conn, entry.with_diff(diff), by).await
}
