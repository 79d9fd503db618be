//! Members of organizations. A deleted user keeps their memberships, but is not listed.

use diesel::{
    dsl::{InnerJoin, IntoBoxed, not},
    pg::Pg,
    prelude::*,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, Listing, Membership, OrganizationId, Page, UserId,
    audit::{AuditAction, AuditEntry, Diff},
    role::sorted_names,
};
use usher_store::{Conflict, Member, MemberFilter, PasswordAccount};

use crate::{
    PgError,
    audit::insert_audit,
    lock::{self, LockStrength},
    membership::{MembershipRow, insert_memberships, lock_organizations},
    schema::{organization_members, organizations, users},
    user::find::lower,
};

pub(super) async fn find(
    conn: &mut AsyncPgConnection,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<Membership>, PgError> {
    let row: Option<MembershipRow> = organization_members::table
        .inner_join(users::table)
        .inner_join(organizations::table)
        .filter(organization_members::organization_id.eq(organization.0))
        .filter(organization_members::user_id.eq(user.0))
        .filter(not(users::deleted))
        .filter(not(organizations::deleted))
        .select(MembershipRow::as_select())
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(Membership::from))
}

/// A query for members, without order and limit.
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
        .select((MembershipRow::as_select(), MemberUserRow::as_select()))
        .order(lower(users::username));
    if let Some(limit) = page.limit {
        selected = selected.limit(limit.into());
    }
    let rows: Vec<(MembershipRow, MemberUserRow)> =
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
        .filter(|account| !account.user.is_deleted)
        .ok_or(Conflict::UserDeleted)?;
    lock_organizations(conn, &[organization]).await?;
    insert_memberships(conn, user, &[organization], by.initiator.at).await?;
    let membership = Membership {
        user_id: user,
        organization_id: organization,
        roles: Vec::new(),
        created_at: by.initiator.at,
        updated_at: by.initiator.at,
    };
    let diff = Diff::membership(&account.user.username, None, Some(&membership));
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
    let Some(account) = account.filter(|account| !account.user.is_deleted) else {
        return Ok(None);
    };
    let row: Option<MembershipRow> =
        diesel::delete(organization_members::table.find((organization.0, user.0)))
            .returning(MembershipRow::as_returning())
            .get_result(conn)
            .await
            .optional()?;
    let Some(membership) = row.map(Membership::from) else {
        return Ok(None);
    };
    let diff = Diff::membership(&account.user.username, Some(&membership), None);
    record(conn, AuditAction::Delete, &membership, &account, diff, by).await?;
    Ok(Some(()))
}

pub(super) async fn set_roles(
    conn: &mut AsyncPgConnection,
    organization: OrganizationId,
    user: UserId,
    replaces: &[String],
    roles: &[String],
    by: &AuditContext,
) -> Result<Option<Membership>, PgError> {
    let account = lock::lock_caller_and_user(conn, by, user, LockStrength::Share).await?;
    let Some(account) = account.filter(|account| !account.user.is_deleted) else {
        return Ok(None);
    };
    let row: Option<MembershipRow> = MembershipRow::query()
        .filter(organization_members::organization_id.eq(organization.0))
        .filter(organization_members::user_id.eq(user.0))
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    let Some(old) = row.map(Membership::from) else {
        return Ok(None);
    };
    let new_roles = sorted_names(roles);
    if sorted_names(&old.roles) != sorted_names(replaces) {
        return Err(Conflict::ConcurrentModification.into());
    }
    diesel::update(organization_members::table.find((organization.0, user.0)))
        .set(organization_members::roles.eq(&new_roles))
        .execute(conn)
        .await?;
    let diff = Diff::member_roles_changed(&old, &new_roles);
    record(conn, AuditAction::Write, &old, &account, diff, by).await?;
    Ok(Some(Membership {
        roles: new_roles,
        ..old
    }))
}

async fn record(
    conn: &mut AsyncPgConnection,
    action: AuditAction,
    membership: &Membership,
    account: &PasswordAccount,
    diff: Diff,
    by: &AuditContext,
) -> Result<(), PgError> {
    let entry = AuditEntry::of_membership(action, membership, &account.user.username, diff);
    insert_audit(conn, entry, by).await
}

/// The columns of a user in the list of members.
#[derive(HasQuery)]
#[diesel(table_name = users)]
struct MemberUserRow {
    username: String,
    name: String,
    avatar_url: String,
    email: String,
    rbac_roles: Vec<String>,
}

fn member((membership, user): (MembershipRow, MemberUserRow)) -> Member {
    Member {
        membership: membership.into(),
        username: user.username,
        name: user.name,
        avatar_url: user.avatar_url,
        email: user.email,
        site_roles: user.rbac_roles,
    }
}
