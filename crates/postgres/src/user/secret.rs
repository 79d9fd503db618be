//! Passwords and one-time passcodes.
//!
//! A new password deletes every key of the user in the same transaction. The user's row is
//! locked first; creating a key locks it too, so no concurrently created key survives.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, PasswordHash, UserId,
    audit::{AuditAction, AuditEntry, Diff},
    notification::{Delivery, passcode_notification},
    user_change::UserChange,
};
use usher_store::{Conflict, NewPasscode, PasswordChange};

use super::row::stored_hash;
use crate::{
    PgError,
    audit::insert_audit,
    lock::{self, LockStrength},
    notification::insert_messages,
    schema::{api_keys, users},
};

pub(crate) async fn find_password_hash(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Option<PasswordHash>, PgError> {
    let bytes: Option<Vec<u8>> = users::table
        .find(user.0)
        .select(users::hashed_password)
        .first(conn)
        .await
        .optional()?;
    bytes.map(|bytes| stored_hash(&bytes)).transpose()
}

pub(crate) async fn set_password(
    conn: &mut AsyncPgConnection,
    user: UserId,
    change: &PasswordChange,
    by: &AuditContext,
) -> Result<Option<()>, PgError> {
    let Some(old) = lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await?
    else {
        return Ok(None);
    };
    let checked = UserChange::Password {
        replaces: change.replaces.as_ref(),
        unless_owner: change.unless_owner,
    };
    checked.check(&old).map_err(Conflict::from)?;
    replace_password(conn, user, &change.hash).await?;
    let entry = AuditEntry::of_user(AuditAction::Write, &old.user, Diff::password_changed());
    insert_audit(conn, entry, by).await?;
    Ok(Some(()))
}

pub(crate) async fn set_passcode(
    conn: &mut AsyncPgConnection,
    user: UserId,
    passcode: &NewPasscode,
    delivery: Delivery,
    by: &AuditContext,
) -> Result<Option<bool>, PgError> {
    let Some(old) = lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await?
    else {
        return Ok(None);
    };
    if old.user.is_deleted {
        return Ok(None);
    }
    diesel::update(users::table.find(user.0))
        .set((
            users::hashed_one_time_passcode.eq(passcode.hash.as_str().as_bytes()),
            users::one_time_passcode_expires_at.eq(passcode.expires_at),
        ))
        .execute(conn)
        .await?;
    let message = passcode_notification(user, &passcode.text);
    let sent = insert_messages(conn, delivery, &message, by.initiator.at).await?;
    let old_expiry = old.passcode.map(|(_, expires_at)| expires_at);
    let diff = Diff::new().passcode_changed(old_expiry, Some(passcode.expires_at));
    let entry = AuditEntry::of_user(AuditAction::RequestPasswordReset, &old.user, diff);
    insert_audit(conn, entry, &by.clone().acting_as(user)).await?;
    Ok(Some(sent > 0))
}

pub(crate) async fn consume_passcode(
    conn: &mut AsyncPgConnection,
    user: UserId,
    passcode: &PasswordHash,
    password: &PasswordHash,
    by: &AuditContext,
) -> Result<Option<()>, PgError> {
    let Some(old) = lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await?
    else {
        return Ok(None);
    };
    if old.user.is_deleted || !old.has_passcode(passcode, by.initiator.at) {
        return Ok(None);
    }
    replace_password(conn, user, password).await?;
    let old_expiry = old.passcode.map(|(_, expires_at)| expires_at);
    let diff = Diff::password_changed().passcode_changed(old_expiry, None);
    let entry = AuditEntry::of_user(AuditAction::Write, &old.user, diff);
    insert_audit(conn, entry, &by.clone().acting_as(user)).await?;
    Ok(Some(()))
}

/// Replaces the password, voids the passcode and deletes all keys. The caller has locked the
/// user's row.
async fn replace_password(
    conn: &mut AsyncPgConnection,
    user: UserId,
    password: &PasswordHash,
) -> Result<(), PgError> {
    diesel::update(users::table.find(user.0))
        .set((
            users::hashed_password.eq(password.as_str().as_bytes()),
            users::hashed_one_time_passcode.eq(None::<Vec<u8>>),
            users::one_time_passcode_expires_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    diesel::delete(api_keys::table.filter(api_keys::user_id.eq(user.0)))
        .execute(conn)
        .await?;
    Ok(())
}
