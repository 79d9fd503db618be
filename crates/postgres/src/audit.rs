//! Rows of the audit log. Each change writes its row in its own transaction, with
//! [`insert_audit`].

#![expect(clippy::ref_option_ref, reason = "what diesel derives has them")]

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use serde::{Serialize, Serializer};
use serde_json::Value;
use usher_domain::{AuditContext, OrganizationId, audit::AuditEntry};
use usher_store::{AuditStore, StoreError};
use uuid::Uuid;

use crate::{PgError, PgStore, schema::audit_logs};

/// The maximum length of a target, in bytes. Index entries are limited in size, and names of
/// tokens are not.
const MAX_TARGET_BYTES: usize = 1000;

mod log;
#[cfg(test)]
mod tests;

#[async_trait]
impl AuditStore for PgStore {
    async fn record_failure(&self, entry: AuditEntry, by: &AuditContext) -> Result<(), StoreError> {
        self.write(async |conn| insert_audit(conn, entry, by).await)
            .await
    }
}

/// Inserts the row of a change.
pub(crate) async fn insert_audit(
    conn: &mut AsyncPgConnection,
    entry: AuditEntry,
    by: &AuditContext,
) -> Result<(), PgError> {
    let row = NewAuditRow::new(&entry, by);
    diesel::insert_into(audit_logs::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Truncates to microseconds, as diesel does. Postgres would round.
fn as_micros<S: Serializer>(time: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// Truncates a text at a character boundary.
fn up_to(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes)
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// A new row. Its fields are all columns of the table, so that its JSON is a row for
/// `jsonb_populate_record`.
#[derive(Insertable, Serialize)]
#[diesel(table_name = audit_logs, treat_none_as_default_value = false)]
pub(crate) struct NewAuditRow<'a> {
    id: Uuid,
    #[serde(serialize_with = "as_micros")]
    time: DateTime<Utc>,
    user_id: Uuid,
    organization_id: Uuid,
    ip: Option<IpNet>,
    user_agent: Option<&'a str>,
    resource_type: &'a str,
    resource_id: Uuid,
    resource_target: &'a str,
    resource_icon: &'a str,
    action: &'a str,
    diff: Value,
    status_code: i32,
    additional_fields: Value,
    request_id: Uuid,
}

impl<'a> NewAuditRow<'a> {
    pub(crate) fn new(entry: &'a AuditEntry, by: &'a AuditContext) -> Self {
        Self {
            id: Uuid::now_v7(),
            time: by.initiator.at,
            user_id: by.initiator.user_id.0,
            organization_id: entry
                .organization_id
                .map_or(Uuid::nil(), |OrganizationId(id)| id),
            ip: by.ip.map(IpNet::from),
            user_agent: by.user_agent.as_deref(),
            resource_type: entry.resource.as_str(),
            resource_id: entry.resource_id,
            resource_target: up_to(&entry.target, MAX_TARGET_BYTES),
            resource_icon: "",
            action: entry.action.as_str(),
            diff: entry.diff.to_json(),
            status_code: by.status_code.into(),
            additional_fields: Value::Object(entry.additional_fields.clone()),
            request_id: by.request_id.0,
        }
    }
}
