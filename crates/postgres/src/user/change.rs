//! Changes of a user's profile, status and roles, and deletion. Passwords and passcodes are in
//! `secret.rs`.
//!
//! Each change locks the user's row, checks the change against it, writes, enqueues
//! notifications, and writes its audit row, even if nothing changed.

use diesel::{
    dsl::{exists, not, sql},
    prelude::*,
    sql_types::Bool,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, SiteRole, User, UserId, UserStatus,
    audit::{AuditAction, AuditEntry, Diff},
    notification::{AccountEvent, Delivery},
    role::sorted_names,
    user_change::UserChange,
};
use usher_store::{Conflict, PasswordAccount, ProfileChange, RolesChange};

use super::{find, notice, row::HAS_ROLES};
use crate::{
    PgError,
    audit::insert_audit,
    lock::{self, AdvisoryLock, LockStrength},
    schema::users,
};

pub(super) async fn set_profile(
    conn: &mut AsyncPgConnection,
    user: UserId,
    change: &ProfileChange,
    by: &AuditContext,
) -> Result<Option<User>, PgError> {
    let Some(old) = lock_for_change(conn, user, by).await? else {
        return Ok(None);
    };
    if find::is_identifier_of_another(conn, &change.username, user).await? {
        return Err(Conflict::Username.into());
    }
    diesel::update(users::table.find(user.0))
        .set((
            users::username.eq(change.username.as_str()),
            users::name.eq(change.name.as_str()),
            users::updated_at.eq(by.initiator.at),
        ))
        .execute(conn)
        .await?;
    let diff = Diff::profile_changed(&old.user, &change.username, &change.name);
    let new = find::read_user(conn, user).await?;
    let entry = AuditEntry::of_user(AuditAction::Write, &new, diff);
    insert_audit(conn, entry, by).await?;
    Ok(Some(new))
}

pub(super) async fn set_status(
    conn: &mut AsyncPgConnection,
    user: UserId,
    status: UserStatus,
    delivery: Delivery,
    by: &AuditContext,
) -> Result<Option<User>, PgError> {
    let Some(old) = lock_for_change(conn, user, by).await? else {
        return Ok(None);
    };
    check(conn, UserChange::Status(status), &old).await?;
    let old = old.user;
    diesel::update(users::table.find(user.0))
        .set((
            users::status.eq(status.as_str()),
            users::updated_at.eq(by.initiator.at),
        ))
        .execute(conn)
        .await?;
    notice::enqueue(conn, delivery, AccountEvent::StatusSet(status), &old, by).await?;
    let diff = Diff::status_changed(&old, status);
    let entry = AuditEntry::of_user(AuditAction::Write, &old, diff);
    insert_audit(conn, entry, by).await?;
    find::read_user(conn, user).await.map(Some)
}

pub(super) async fn set_roles(
    conn: &mut AsyncPgConnection,
    user: UserId,
    change: &RolesChange,
    by: &AuditContext,
) -> Result<Option<User>, PgError> {
    let Some(old) = lock_for_change(conn, user, by).await? else {
        return Ok(None);
    };
    let checked = UserChange::Roles {
        replaces: &change.replaces,
        roles: &change.roles,
    };
    check(conn, checked, &old).await?;
    diesel::update(users::table.find(user.0))
        .set(users::rbac_roles.eq(sorted_names(&change.roles)))
        .execute(conn)
        .await?;
    let diff = Diff::site_roles_changed(&old.user, &change.roles);
    let entry = AuditEntry::of_user(AuditAction::Write, &old.user, diff);
    insert_audit(conn, entry, by).await?;
    find::read_user(conn, user).await.map(Some)
}

pub(super) async fn delete_user(
    conn: &mut AsyncPgConnection,
    user: UserId,
    unless_owner: bool,
    delivery: Delivery,
    by: &AuditContext,
) -> Result<Option<()>, PgError> {
    let Some(old) = lock_for_change(conn, user, by).await? else {
        return Ok(None);
    };
    check(conn, UserChange::Deletion { unless_owner }, &old).await?;
    let old = old.user;
    diesel::update(users::table.find(user.0))
        .set(users::deleted.eq(true))
        .execute(conn)
        .await?;
    // After the deletion, so that a deleted user manager is not notified.
    notice::enqueue(conn, delivery, AccountEvent::Deleted, &old, by).await?;
    let entry = AuditEntry::of_user(AuditAction::Delete, &old, Diff::user_deleted(&old));
    insert_audit(conn, entry, by).await?;
    Ok(Some(()))
}

async fn lock_for_change(
    conn: &mut AsyncPgConnection,
    user: UserId,
    by: &AuditContext,
) -> Result<Option<PasswordAccount>, PgError> {
    lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await
}

/// Rejects a change that is no longer allowed, or that leaves no active owner. Transactions
/// that remove owners run one after the other.
async fn check(
    conn: &mut AsyncPgConnection,
    change: UserChange<'_>,
    old: &PasswordAccount,
) -> Result<(), PgError> {
    change.check(old).map_err(Conflict::from)?;
    if change.removes_active_owner(&old.user) {
        lock::lock_advisory(conn, AdvisoryLock::LastOwner).await?;
        if !has_other_active_owner(conn, old.user.id).await? {
            return Err(Conflict::LastOwner.into());
        }
    }
    Ok(())
}

/// Whether another user [is an active owner](User::is_active_owner).
async fn has_other_active_owner(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<bool, PgError> {
    let others = users::table
        .filter(users::id.ne(user.0))
        .filter(not(users::deleted))
        .filter(not(users::is_system))
        .filter(sql::<Bool>(HAS_ROLES))
        .filter(users::rbac_roles.contains(vec![SiteRole::Owner.name()]))
        .filter(users::status.ne(UserStatus::Suspended.as_str()));
    Ok(diesel::select(exists(others)).get_result(conn).await?)
}
