//! Memberships. Those of deleted users are kept but not returned.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{InnerJoin, IntoBoxed, not},
    pg::Pg,
    prelude::*,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use usher_domain::{
    AuditContext, Listing, Membership, OrganizationId, Page, UserId,
    audit::{AuditAction, AuditEntry, AuditResource, Diff, diff_time},
    time::never,
};
use usher_store::{Conflict, Member, MemberFilter};
use uuid::Uuid;

use super::lock_live;
use crate::{
    PgError,
    audit::insert_audit,
    lock::{self, LockStrength},
    schema::{organization_members, organizations, users},
    user::{find::lower, row::AccountRow, sorted},
};

pub(crate) async fn list_memberships(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Vec<Membership>, PgError> {
    let rows: Vec<MemberRow> = organization_members::table
        .inner_join(organizations::table)
        .filter(organization_members::user_id.eq(user.0))
        .filter(not(organizations::deleted))
        .select(MemberRow::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}

pub(super) async fn find(
    conn: &mut AsyncPgConnection,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<Membership>, PgError> {
    let row: Option<MemberRow> = organization_members::table
        .inner_join(users::table)
        .inner_join(organizations::table)
        .filter(organization_members::organization_id.eq(organization.0))
        .filter(organization_members::user_id.eq(user.0))
        .filter(not(users::deleted))
        .filter(not(organizations::deleted))
        .select(MemberRow::as_select())
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(Membership::from))
}

/// Members, before ordering and paging.
type Matching<'a> = IntoBoxed<'a, InnerJoin<organization_members::table, users::table>, Pg>;

fn matching(organization: OrganizationId, filter: &MemberFilter) -> Matching<'static> {
    let mut members = organization_members::table
        .inner_join(users::table)
        .into_boxed()
        .filter(organization_members::organization_id.eq(organization.0))
        .filter(not(users::deleted));
    if !filter.include_system {
        members = members.filter(not(users::is_system));
    }
    if let Some(user) = filter.user_id {
        members = members.filter(users::id.eq(user.0));
    }
    if let Some(id) = filter.github_user_id {
        members = members.filter(users::github_com_user_id.eq(id));
    }
    members
}

pub(super) async fn list(
    conn: &mut AsyncPgConnection,
    organization: OrganizationId,
    filter: &MemberFilter,
    page: Page,
) -> Result<Listing<Member>, PgError> {
    let mut selected = matching(organization, filter)
        .select((MemberRow::as_select(), MemberUserRow::as_select()))
        .order(lower(users::username));
    if let Some(limit) = page.limit {
        selected = selected.limit(limit.into());
    }
    let rows: Vec<(MemberRow, MemberUserRow)> =
        selected.offset(page.offset.into()).load(conn).await?;
    let count: i64 = matching(organization, filter)
        .count()
        .get_result(conn)
        .await?;
    Ok(Listing {
        items: rows.into_iter().map(member).collect(),
        count: count.unsigned_abs(),
    })
}

pub(super) async fn create(
    conn: &mut AsyncPgConnection,
    organization: OrganizationId,
    user: UserId,
    by: &AuditContext,
) -> Result<Membership, PgError> {
    let account = lock::lock_caller_and_user(conn, by, user, LockStrength::Share).await?;
    let account = account
        .filter(|account| !account.user.deleted)
        .ok_or(Conflict::UserDeleted)?;
    lock_live(conn, &[organization]).await?;
    insert_memberships(conn, user, &[organization], by.initiator.at).await?;
    let membership = Membership {
        user_id: user,
        organization_id: organization,
        roles: Vec::new(),
        created_at: by.initiator.at,
        updated_at: by.initiator.at,
    };
    let diff = life(None, Some((&membership, &account)));
    record(conn, AuditAction::Create, &membership, &account, diff, by).await?;
    Ok(membership)
}

pub(super) async fn delete(
    conn: &mut AsyncPgConnection,
    organization: OrganizationId,
    user: UserId,
    by: &AuditContext,
) -> Result<Option<()>, PgError> {
    let account = lock::lock_caller_and_user(conn, by, user, LockStrength::Share).await?;
    let Some(account) = account.filter(|account| !account.user.deleted) else {
        return Ok(None);
    };
    let row: Option<MemberRow> =
        diesel::delete(organization_members::table.find((organization.0, user.0)))
            .returning(MemberRow::as_returning())
            .get_result(conn)
            .await
            .optional()?;
    let Some(membership) = row.map(Membership::from) else {
        return Ok(None);
    };
    let diff = life(Some((&membership, &account)), None);
    record(conn, AuditAction::Delete, &membership, &account, diff, by).await?;
    Ok(Some(()))
}

pub(super) async fn set_roles(
    conn: &mut AsyncPgConnection,
    organization: OrganizationId,
    user: UserId,
    replaces: Vec<String>,
    roles: Vec<String>,
    by: &AuditContext,
) -> Result<Option<Membership>, PgError> {
    let account = lock::lock_caller_and_user(conn, by, user, LockStrength::Share).await?;
    let Some(account) = account.filter(|account| !account.user.deleted) else {
        return Ok(None);
    };
    let row: Option<MemberRow> = MemberRow::query()
        .filter(organization_members::organization_id.eq(organization.0))
        .filter(organization_members::user_id.eq(user.0))
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    let Some(old) = row.map(Membership::from) else {
        return Ok(None);
    };
    let (old_roles, new_roles) = (sorted(old.roles.clone()), sorted(roles));
    if old_roles != sorted(replaces) {
        return Err(Conflict::ConcurrentModification.into());
    }
    diesel::update(organization_members::table.find((organization.0, user.0)))
        .set(organization_members::roles.eq(&new_roles))
        .execute(conn)
        .await?;
    let diff = Diff::new().field("roles", old_roles, new_roles.clone());
    record(conn, AuditAction::Write, &old, &account, diff, by).await?;
    Ok(Some(Membership {
        roles: new_roles,
        ..old
    }))
}

/// Inserts a membership without roles.
pub(crate) async fn insert_memberships(
    conn: &mut AsyncPgConnection,
    user: UserId,
    organization_ids: &[OrganizationId],
    at: DateTime<Utc>,
) -> Result<(), PgError> {
    let rows = organization_ids.iter().map(|organization| NewMemberRow {
        organization_id: organization.0,
        user_id: user.0,
        roles: Vec::new(),
        created_at: at,
        updated_at: at,
    });
    insert_members(conn, rows.collect()).await
}

pub(super) async fn insert_members(
    conn: &mut AsyncPgConnection,
    rows: Vec<NewMemberRow>,
) -> Result<(), PgError> {
    let insert = diesel::insert_into(organization_members::table);
    match rows.as_slice() {
        // Unlike an insert of a vector, diesel caches this prepared statement.
        [row] => insert.values(row).execute(conn).await?,
        rows => insert.values(rows).execute(conn).await?,
    };
    Ok(())
}

/// The audit log entry for a created or deleted membership.
fn life(old: Option<(&Membership, &AccountRow)>, new: Option<(&Membership, &AccountRow)>) -> Diff {
    type Side<'a> = Option<(&'a Membership, &'a AccountRow)>;
    let username = |side: Side<'_>| {
        side.map_or_else(String::new, |(_, account)| account.user.username.clone())
    };
    let user_id =
        |side: Side<'_>| side.map_or_else(String::new, |(own, _)| own.user_id.to_string());
    let roles = |side: Side<'_>| side.map_or(Value::Null, |(own, _)| own.roles.clone().into());
    let created_at = |side: Side<'_>| diff_time(side.map_or_else(never, |(own, _)| own.created_at));
    let updated_at = |side: Side<'_>| diff_time(side.map_or_else(never, |(own, _)| own.updated_at));
    Diff::new()
        .field("username", username(old), username(new))
        .field("user_id", user_id(old), user_id(new))
        .field("roles", roles(old), roles(new))
        .field("created_at", created_at(old), created_at(new))
        .field("updated_at", updated_at(old), updated_at(new))
}

async fn record(
    conn: &mut AsyncPgConnection,
    action: AuditAction,
    membership: &Membership,
    account: &AccountRow,
    diff: Diff,
    by: &AuditContext,
) -> Result<(), PgError> {
    let (resource, user) = (AuditResource::OrganizationMember, membership.user_id);
    let entry = AuditEntry::new(action, resource, user, account.user.username.as_str())
        .of_organization(membership.organization_id)
        .with_diff(diff);
    insert_audit(conn, entry, by).await
}

#[derive(Insertable)]
#[diesel(table_name = organization_members, treat_none_as_default_value = false)]
pub(super) struct NewMemberRow {
    pub(super) organization_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) roles: Vec<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

#[derive(HasQuery)]
#[diesel(table_name = organization_members)]
struct MemberRow {
    organization_id: Uuid,
    user_id: Uuid,
    roles: Vec<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<MemberRow> for Membership {
    fn from(row: MemberRow) -> Self {
        Self {
            user_id: UserId(row.user_id),
            organization_id: OrganizationId(row.organization_id),
            roles: row.roles,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The user data in a list of members.
#[derive(HasQuery)]
#[diesel(table_name = users)]
struct MemberUserRow {
    username: String,
    name: String,
    avatar_url: String,
    email: String,
    rbac_roles: Vec<String>,
}

fn member((membership, user): (MemberRow, MemberUserRow)) -> Member {
    Member {
        membership: membership.into(),
        username: user.username,
        name: user.name,
        avatar_url: user.avatar_url,
        email: user.email,
        site_roles: user.rbac_roles,
    }
}
