//! Queries of the audit log: filters, pages and counts.
//!
//! Rows have no foreign keys, since they outlive what they name. So the users and organizations
//! of a page are loaded after it, in one query each.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::{
    dsl::{AsSelect, Select, sql},
    expression::SqlLiteral,
    pg::Pg,
    prelude::*,
    sql_types::Bool,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use serde_json::Value;
use usher_domain::{
    Listing, OrganizationId, Page, User, UserId,
    audit::{AuditAction, AuditResource},
};
use usher_store::{
    AuditLogStore, AuditQuery, AuditRecord, AuditedOrganization, StoreError, UserLookup,
};
use uuid::Uuid;

use super::{MAX_TARGET_BYTES, up_to};
use crate::{
    PgError, PgStore,
    schema::{audit_logs, organizations, users},
    user::{
        find::{find_user, lower},
        row::UserRow,
    },
};

#[cfg(test)]
mod tests;

/// The username that stands for the caller.
const ME: &str = "me";

#[async_trait]
impl AuditLogStore for PgStore {
    async fn list_audit(&self, query: AuditQuery) -> Result<Listing<AuditRecord>, StoreError> {
        self.read(async |conn| list_audit(conn, &query).await).await
    }
}

/// A query for rows, without order and limit.
type Matching<'a> = audit_logs::BoxedQuery<'a, Pg>;
type Selected<'a> = Select<Matching<'a>, AsSelect<AuditRow, Pg>>;

async fn list_audit(
    conn: &mut AsyncPgConnection,
    query: &AuditQuery,
) -> Result<Listing<AuditRecord>, PgError> {
    let Some(actors) = find_actors(conn, query).await? else {
        return Ok(Listing {
            items: Vec::new(),
            count: 0,
        });
    };
    let rows: Vec<AuditRow> = page(matching(query, &actors), query.page)
        .load(conn)
        .await?;
    let count = match count_of_last_page(query.page, rows.len()) {
        Some(count) => count,
        None => count(conn, matching(query, &actors)).await?,
    };
    let referenced = Referenced::load(conn, &rows).await?;
    let items = rows.into_iter().filter_map(|row| referenced.record(row));
    Ok(Listing {
        items: items.collect::<Result<_, _>>()?,
        count,
    })
}

/// Returns the users that the filters name as actors, all of whom must match; `None` if one of
/// them does not exist.
async fn find_actors(
    conn: &mut AsyncPgConnection,
    query: &AuditQuery,
) -> Result<Option<Vec<UserId>>, PgError> {
    let mut actors = Vec::new();
    let mut lookups = Vec::new();
    match query.filter.username.as_deref() {
        None => {}
        Some(ME) => actors.push(query.caller),
        Some(username) => lookups.push(UserLookup::Username(username.to_owned())),
    }
    if let Some(email) = &query.filter.email {
        lookups.push(UserLookup::Email(email.clone()));
    }
    for lookup in lookups {
        let Some(user) = find_user(conn, &lookup).await? else {
            return Ok(None);
        };
        actors.push(user.id);
    }
    Ok(Some(actors))
}

/// Applies the filters and the visibility.
fn matching<'a>(query: &'a AuditQuery, actors: &[UserId]) -> Matching<'a> {
    let mut matching = with_times(with_words(audit_logs::table.into_boxed(), query), query);
    let filter = &query.filter;
    for actor in actors {
        matching = matching.filter(audit_logs::user_id.eq(actor.0));
    }
    if let Some(id) = filter.request_id {
        matching = matching.filter(audit_logs::request_id.eq(id));
    }
    if let Some(id) = filter.resource_id {
        matching = matching.filter(audit_logs::resource_id.eq(id));
    }
    if let Some(target) = &filter.resource_target {
        let target = up_to(target, MAX_TARGET_BYTES);
        matching = matching
            .filter(sql::<Bool>("audit_logs.resource_target <> ''"))
            .filter(lower(audit_logs::resource_target).eq(lower(target)));
    }
    if let Some(id) = query.organization {
        matching = matching
            .filter(has_organization())
            .filter(audit_logs::organization_id.eq(id.0));
    }
    if let Some(visible) = &query.visible {
        let ids: Vec<Uuid> = visible.iter().map(|id| id.0).collect();
        matching = matching
            .filter(has_organization())
            .filter(audit_logs::organization_id.eq_any(ids));
    }
    matching
}

fn with_words<'a>(mut matching: Matching<'a>, query: &AuditQuery) -> Matching<'a> {
    if let Some(resource) = query.filter.resource {
        matching = matching.filter(audit_logs::resource_type.eq(resource.as_str()));
    }
    if let Some(action) = query.filter.action {
        matching = matching.filter(audit_logs::action.eq(action.as_str()));
    }
    matching
}

fn with_times<'a>(mut matching: Matching<'a>, query: &AuditQuery) -> Matching<'a> {
    if let Some(time) = query.filter.from {
        matching = matching.filter(audit_logs::time.ge(time));
    }
    if let Some(time) = query.filter.until {
        matching = matching.filter(audit_logs::time.lt(time));
    }
    matching
}

/// The predicate of `audit_logs_organization_id_time_idx`, verbatim.
fn has_organization() -> SqlLiteral<Bool> {
    sql("audit_logs.organization_id <> '00000000-0000-0000-0000-000000000000'")
}

fn page(matching: Matching<'_>, page: Page) -> Selected<'_> {
    let mut selected = matching
        .select(AuditRow::as_select())
        .order((audit_logs::time.desc(), audit_logs::id.desc()));
    if let Some(limit) = page.limit {
        selected = selected.limit(limit.into());
    }
    selected.offset(page.offset.into())
}

/// Returns the count if it follows from the page, which is then not full, and not empty unless
/// it is the first.
fn count_of_last_page(page: Page, len: usize) -> Option<u64> {
    let len = len as u64;
    let is_full = page.limit.is_some_and(|limit| len >= u64::from(limit));
    let is_past_the_end = len == 0 && page.offset > 0;
    (!is_full && !is_past_the_end).then_some(u64::from(page.offset) + len)
}

async fn count(conn: &mut AsyncPgConnection, matching: Matching<'_>) -> Result<u64, PgError> {
    let count: i64 = matching.count().get_result(conn).await?;
    Ok(count.unsigned_abs())
}

/// The users and organizations that the rows of a page refer to, as they are now.
struct Referenced {
    users: HashMap<Uuid, User>,
    organizations: HashMap<Uuid, OrganizationRow>,
}

impl Referenced {
    async fn load(conn: &mut AsyncPgConnection, rows: &[AuditRow]) -> Result<Self, PgError> {
        let targets_of = |resource: AuditResource| {
            rows.iter()
                .filter(move |row| row.resource_type == resource.as_str())
                .map(|row| row.resource_id)
        };
        let actors = rows.iter().map(|row| row.user_id);
        let user_ids = actors.chain(targets_of(AuditResource::User)).collect();
        let owners = rows.iter().map(|row| row.organization_id);
        let organization_ids = owners
            .chain(targets_of(AuditResource::Organization))
            .collect();
        Ok(Self {
            users: load_users(conn, user_ids).await?,
            organizations: load_organizations(conn, organization_ids).await?,
        })
    }

    /// Converts a row; `None` if its action or resource is unknown. During an upgrade a later
    /// version may write such rows.
    fn record(&self, row: AuditRow) -> Option<Result<AuditRecord, PgError>> {
        let action = AuditAction::parse(&row.action);
        let resource = AuditResource::parse(&row.resource_type);
        let (Some(action), Some(resource)) = (action, resource) else {
            tracing::warn!(
                audit.id = %row.id,
                audit.action = row.action,
                audit.resource_type = row.resource_type,
                "skipping an audit row of an unknown kind"
            );
            return None;
        };
        let Ok(status_code) = u16::try_from(row.status_code) else {
            let fault = format!("status_code {} of an audit row", row.status_code);
            return Some(Err(PgError::Corrupt(fault)));
        };
        let organization = self.organizations.get(&row.organization_id);
        Some(Ok(AuditRecord {
            id: row.id,
            request_id: row.request_id,
            time: row.time,
            ip: row.ip.map(|ip| ip.addr()),
            user_agent: row.user_agent.unwrap_or_default(),
            action,
            resource,
            resource_id: row.resource_id,
            target: row.resource_target,
            icon: row.resource_icon,
            diff: row.diff,
            status_code,
            additional_fields: row.additional_fields,
            organization: organization.map(AuditedOrganization::from),
            user: self.users.get(&row.user_id).cloned(),
            is_deleted: self.is_deleted(resource, row.resource_id),
        }))
    }

    fn is_deleted(&self, resource: AuditResource, id: Uuid) -> bool {
        match resource {
            AuditResource::User => self.users.get(&id).is_some_and(|user| user.is_deleted),
            AuditResource::Organization => {
                let organization = self.organizations.get(&id);
                organization.is_some_and(|organization| organization.deleted)
            }
            _ => false,
        }
    }
}

async fn load_users(
    conn: &mut AsyncPgConnection,
    ids: HashSet<Uuid>,
) -> Result<HashMap<Uuid, User>, PgError> {
    let rows: Vec<UserRow> = UserRow::query()
        .filter(users::id.eq_any(ids))
        .load(conn)
        .await?;
    let users = rows.into_iter().map(|row| {
        // The audit log does not show memberships.
        let organization_ids = Vec::new();
        let user = User {
            organization_ids,
            ..User::try_from(row)?
        };
        Ok((user.id.0, user))
    });
    users.collect()
}

async fn load_organizations(
    conn: &mut AsyncPgConnection,
    mut ids: HashSet<Uuid>,
) -> Result<HashMap<Uuid, OrganizationRow>, PgError> {
    ids.remove(&Uuid::nil());
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<OrganizationRow> = OrganizationRow::query()
        .filter(organizations::id.eq_any(ids))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

#[derive(HasQuery)]
#[diesel(table_name = audit_logs)]
struct AuditRow {
    id: Uuid,
    time: DateTime<Utc>,
    user_id: Uuid,
    organization_id: Uuid,
    ip: Option<IpNet>,
    user_agent: Option<String>,
    resource_type: String,
    resource_id: Uuid,
    resource_target: String,
    resource_icon: String,
    action: String,
    diff: Value,
    status_code: i32,
    additional_fields: Value,
    request_id: Uuid,
}

#[derive(HasQuery)]
#[diesel(table_name = organizations)]
struct OrganizationRow {
    id: Uuid,
    name: String,
    display_name: String,
    icon: String,
    deleted: bool,
}

impl From<&OrganizationRow> for AuditedOrganization {
    fn from(row: &OrganizationRow) -> Self {
        Self {
            id: OrganizationId(row.id),
            name: row.name.clone(),
            display_name: row.display_name.clone(),
            icon: row.icon.clone(),
        }
    }
}
