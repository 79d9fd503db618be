//! Notification templates. Migrations create them; only the delivery method can be
//! changed.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use usher_domain::{
    AuditContext,
    audit::{AuditAction, AuditEntry, AuditResource, Diff},
    notification::{NotificationMethod, NotificationTemplate, TemplateKind},
};
use uuid::Uuid;

use crate::{PgError, audit::insert_audit, lock, schema::notification_templates};

pub(super) async fn list(
    conn: &mut AsyncPgConnection,
    kind: TemplateKind,
) -> Result<Vec<NotificationTemplate>, PgError> {
    let rows: Vec<TemplateRow> = TemplateRow::query()
        .filter(notification_templates::kind.eq(kind.as_str()))
        .order(notification_templates::name)
        .load(conn)
        .await?;
    rows.into_iter().map(TemplateRow::try_into).collect()
}

pub(super) async fn find(
    conn: &mut AsyncPgConnection,
    id: Uuid,
) -> Result<Option<NotificationTemplate>, PgError> {
    let row: Option<TemplateRow> = TemplateRow::query()
        .filter(notification_templates::id.eq(id))
        .first(conn)
        .await
        .optional()?;
    row.map(TemplateRow::try_into).transpose()
}

pub(super) async fn set_method(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    method: NotificationMethod,
    by: &AuditContext,
) -> Result<Option<NotificationTemplate>, PgError> {
    lock::lock_caller(conn, by).await?;
    let old: Option<TemplateRow> = TemplateRow::query()
        .filter(notification_templates::id.eq(id))
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    let Some(old) = old else {
        return Ok(None);
    };
    let new: TemplateRow = diesel::update(notification_templates::table.find(id))
        .set(notification_templates::method.eq(method.as_str()))
        .returning(TemplateRow::as_returning())
        .get_result(conn)
        .await?;
    let old_method = old.method.as_deref().map(parse_method).transpose()?;
    let diff = Diff::template_method_changed(old_method, method);
    let (action, resource) = (AuditAction::Write, AuditResource::NotificationTemplate);
    let entry = AuditEntry::new(action, resource, id, new.name.as_str());
    insert_audit(conn, entry.with_diff(diff), by).await?;
    new.try_into().map(Some)
}

/// Parses a stored delivery method.
pub(super) fn parse_method(text: &str) -> Result<NotificationMethod, PgError> {
    NotificationMethod::parse(text)
        .ok_or_else(|| PgError::Corrupt(format!("method {text:?} of a notification")))
}

#[derive(HasQuery)]
#[diesel(table_name = notification_templates)]
pub(super) struct TemplateRow {
    id: Uuid,
    name: String,
    group: Option<String>,
    kind: String,
    method: Option<String>,
    pub(super) enabled_by_default: bool,
    title_template: String,
    body_template: String,
    actions: Option<Value>,
}

impl TryFrom<TemplateRow> for NotificationTemplate {
    type Error = PgError;

    fn try_from(row: TemplateRow) -> Result<Self, PgError> {
        let kind = TemplateKind::parse(&row.kind)
            .ok_or_else(|| PgError::Corrupt(format!("kind {:?} of a template", row.kind)))?;
        Ok(Self {
            id: row.id,
            name: row.name,
            title_template: row.title_template,
            body_template: row.body_template,
            actions: row.actions.unwrap_or_else(|| json!([])),
            group: row.group.unwrap_or_default(),
            method: row.method.as_deref().map(parse_method).transpose()?,
            kind,
            is_enabled_by_default: row.enabled_by_default,
        })
    }
}
