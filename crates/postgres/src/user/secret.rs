//! Passwords and one-time passcodes.
//!
//! A new password ends every key of the user in the same transaction. The row of the user
//! is locked first, and a key is made under a lock of that row, so that none slips past.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use usher_domain::{
    AuditContext, PasswordHash, UserId,
    audit::{AuditAction, Diff, diff_time},
    notification::Delivery,
    time::never,
};
use usher_store::{Conflict, NewPasscode, PasswordChange};

use super::{change::record, notice, row::stored_hash};
use crate::{
    PgError,
    lock::{self, LockStrength},
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
    let is_outdated = match &change.replaces {
        Some(checked) => *checked != old.password()?,
        None => false,
    };
    if is_outdated || (change.unless_owner && old.user.is_owner()) {
        return Err(Conflict::ConcurrentModification.into());
    }
    replace_password(conn, user, &change.hash).await?;
    let diff = Diff::new().secret_bytes("hashed_password");
    record(conn, AuditAction::Write, &old.user, diff, by).await?;
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
    if old.user.deleted {
        return Ok(None);
    }
    diesel::update(users::table.find(user.0))
        .set((
            users::hashed_one_time_passcode.eq(passcode.hash.as_str().as_bytes()),
            users::one_time_passcode_expires_at.eq(passcode.expires_at),
        ))
        .execute(conn)
        .await?;
    let is_sent = notice::send_passcode(conn, delivery, user, &passcode.text, by).await?;
    let action = AuditAction::RequestPasswordReset;
    let diff = with_expiry(
        Diff::new(),
        old.one_time_passcode_expires_at,
        Some(passcode.expires_at),
    );
    record(conn, action, &old.user, diff, &of_themself(user, by)).await?;
    Ok(Some(is_sent))
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
    let is_good = old
        .passcode()?
        .is_some_and(|(stored, expires_at)| stored == *passcode && expires_at > by.initiator.at);
    if !is_good || old.user.deleted {
        return Ok(None);
    }
    replace_password(conn, user, password).await?;
    let diff = Diff::new().secret_bytes("hashed_password");
    let diff = with_expiry(diff, old.one_time_passcode_expires_at, None);
    let by = of_themself(user, by);
    record(conn, AuditAction::Write, &old.user, diff, &by).await?;
    Ok(Some(()))
}

/// Writes the password, voids a passcode, and ends all keys. The user is locked already.
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

/// Nobody is signed in where a passcode is asked for or used.
fn of_themself(user: UserId, by: &AuditContext) -> AuditContext {
    by.clone().acting_as(user)
}

/// The end of a passcode as the log has always shown it.
fn with_expiry(diff: Diff, old: Option<DateTime<Utc>>, new: Option<DateTime<Utc>>) -> Diff {
    let value = |time: Option<DateTime<Utc>>| -> Value {
        json!({ "Time": diff_time(time.unwrap_or_else(never)), "Valid": time.is_some() })
    };
    diff.field("one_time_passcode_expires_at", value(old), value(new))
}
