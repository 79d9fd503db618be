//! Changes of a user: profile, status, roles and deletion. What is secret is in
//! `secret.rs`.
//!
//! Each locks the row, decides by what it holds then, writes, tells those whom it concerns,
//! and leaves its audit row, even if nothing was different.

use diesel::{
    dsl::{exists, not, sql},
    prelude::*,
    sql_types::Bool,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, User, UserId, UserStatus,
    audit::{AuditAction, AuditEntry, AuditResource, Diff},
    notification::Delivery,
};
use usher_store::{Conflict, ProfileChange, RolesChange};

use super::{
    create::refuse_identifier_of_another,
    find,
    list::HAS_ROLES,
    notice::{self, Subject},
    row::UserRow,
    sorted,
};
use crate::{
    PgError,
    audit::insert_audit,
    lock::{self, AdvisoryLock, LockStrength},
    schema::users,
};

pub(crate) async fn set_profile(
    conn: &mut AsyncPgConnection,
    user: UserId,
    change: &ProfileChange,
    by: &AuditContext,
) -> Result<Option<User>, PgError> {
    let Some(old) = lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await?
    else {
        return Ok(None);
    };
    refuse_identifier_of_another(conn, &change.username, user).await?;
    let (username, name) = (change.username.as_str(), change.name.as_str());
    diesel::update(users::table.find(user.0))
        .set((
            users::username.eq(username),
            users::name.eq(name),
            users::updated_at.eq(by.initiator.at),
        ))
        .execute(conn)
        .await?;
    let diff = Diff::new()
        .field("username", old.user.username, username)
        .field("name", old.user.name, name);
    let entry = AuditEntry::new(AuditAction::Write, AuditResource::User, user, username);
    insert_audit(conn, entry.with_diff(diff), by).await?;
    reread(conn, user).await
}

pub(crate) async fn set_status(
    conn: &mut AsyncPgConnection,
    user: UserId,
    status: UserStatus,
    delivery: Delivery,
    by: &AuditContext,
) -> Result<Option<User>, PgError> {
    let Some(old) = lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await?
    else {
        return Ok(None);
    };
    // Nor the last one, then.
    if status == UserStatus::Suspended && old.user.is_owner() {
        return Err(Conflict::ConcurrentModification.into());
    }
    diesel::update(users::table.find(user.0))
        .set((
            users::status.eq(status.as_str()),
            users::updated_at.eq(by.initiator.at),
        ))
        .execute(conn)
        .await?;
    if old.user.status != status.as_str() {
        notice::tell_of_status(conn, delivery, subject(&old.user), status, by).await?;
    }
    let diff = Diff::new().field("status", old.user.status.as_str(), status.as_str());
    record(conn, AuditAction::Write, &old.user, diff, by).await?;
    reread(conn, user).await
}

pub(crate) async fn set_roles(
    conn: &mut AsyncPgConnection,
    user: UserId,
    change: &RolesChange,
    by: &AuditContext,
) -> Result<Option<User>, PgError> {
    let Some(old) = lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await?
    else {
        return Ok(None);
    };
    let old_roles = sorted(old.user.rbac_roles.clone());
    if old_roles != sorted(change.replaces.clone()) {
        return Err(Conflict::ConcurrentModification.into());
    }
    let new_roles = sorted(change.roles.clone());
    if !new_roles.iter().any(|role| role == "owner") {
        keep_another_owner(conn, &old.user).await?;
    }
    diesel::update(users::table.find(user.0))
        .set(users::rbac_roles.eq(&new_roles))
        .execute(conn)
        .await?;
    let diff = Diff::new().field("rbac_roles", old_roles, new_roles);
    record(conn, AuditAction::Write, &old.user, diff, by).await?;
    reread(conn, user).await
}

pub(crate) async fn delete_user(
    conn: &mut AsyncPgConnection,
    user: UserId,
    unless_owner: bool,
    delivery: Delivery,
    by: &AuditContext,
) -> Result<Option<()>, PgError> {
    let Some(old) = lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await?
    else {
        return Ok(None);
    };
    if unless_owner && old.user.is_owner() {
        return Err(Conflict::ConcurrentModification.into());
    }
    keep_another_owner(conn, &old.user).await?;
    diesel::update(users::table.find(user.0))
        .set(users::deleted.eq(true))
        .execute(conn)
        .await?;
    if !old.user.deleted {
        notice::tell_of_deletion(conn, delivery, subject(&old.user), by).await?;
    }
    let diff = Diff::new().field("deleted", old.user.deleted, true);
    record(conn, AuditAction::Delete, &old.user, diff, by).await?;
    Ok(Some(()))
}

fn subject(user: &UserRow) -> Subject<'_> {
    Subject {
        id: UserId(user.id),
        username: &user.username,
        name: &user.name,
    }
}

/// Refuses to take away the user if they are an owner who may sign in, and the only one.
/// Those who take owners away at the same time come one after the other.
async fn keep_another_owner(conn: &mut AsyncPgConnection, user: &UserRow) -> Result<(), PgError> {
    let counts = user.is_owner()
        && !user.deleted
        && !user.is_system
        && user.status != UserStatus::Suspended.as_str();
    if !counts {
        return Ok(());
    }
    lock::lock_advisory(conn, AdvisoryLock::LastOwner).await?;
    let others = users::table
        .filter(users::id.ne(user.id))
        .filter(not(users::deleted))
        .filter(not(users::is_system))
        .filter(sql::<Bool>(HAS_ROLES))
        .filter(users::rbac_roles.contains(vec!["owner"]))
        .filter(users::status.ne(UserStatus::Suspended.as_str()));
    if diesel::select(exists(others)).get_result(conn).await? {
        Ok(())
    } else {
        Err(Conflict::LastOwner.into())
    }
}

/// Writes the audit row of a change that leaves the username as it is.
pub(crate) async fn record(
    conn: &mut AsyncPgConnection,
    action: AuditAction,
    user: &UserRow,
    diff: Diff,
    by: &AuditContext,
) -> Result<(), PgError> {
    let entry = AuditEntry::new(action, AuditResource::User, user.id, user.username.as_str());
    insert_audit(conn, entry.with_diff(diff), by).await
}

async fn reread(conn: &mut AsyncPgConnection, user: UserId) -> Result<Option<User>, PgError> {
    let row = find::find_by_id(conn, user).await?;
    row.map(User::try_from).transpose()
}
