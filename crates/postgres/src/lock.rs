//! The locks that a change takes first, and the check that its caller may still act.
//!
//! The [crate] documents the order of locks. A change takes its other locks after these.

use diesel::{
    dsl::exists,
    prelude::*,
    sql_types::{BigInt, Bool},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{ApiKeyId, AuditContext, UserId, UserStatus};
use usher_store::{Conflict, PasswordAccount};
use uuid::Uuid;

use crate::{
    PgError,
    schema::{api_keys, users},
    user::row::AccountRow,
};

/// The strength of a lock on a user's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockStrength {
    /// `FOR SHARE`: prevents changes.
    Share,
    /// `FOR NO KEY UPDATE`, before a change. Also needed before a transaction that
    /// changes the user inserts a key or link: their triggers take `FOR SHARE`, and two
    /// transactions that upgrade that lock deadlock.
    NoKeyUpdate,
}

/// Advisory locks, held until the end of the transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AdvisoryLock {
    /// Taken to create the first user, and to sign up through a provider.
    FirstUser = 0x7573_6801,
    /// Taken to remove an active owner.
    LastOwner = 0x7573_6802,
    /// Taken to rotate a signing key.
    SigningKey = 0x7573_6803,
    /// Taken to fold or rebuild the maintained user counts.
    UserCounts = 0x7573_6804,
}

/// Waits for the lock.
pub(crate) async fn lock_advisory(
    conn: &mut AsyncPgConnection,
    lock: AdvisoryLock,
) -> Result<(), PgError> {
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(lock as i64)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes the lock if it is free. Returns whether it did.
pub(crate) async fn try_lock_advisory(
    conn: &mut AsyncPgConnection,
    lock: AdvisoryLock,
) -> Result<bool, PgError> {
    let taken = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS is_taken")
        .bind::<BigInt, _>(lock as i64)
        .get_result::<Taken>(conn)
        .await?;
    Ok(taken.is_taken)
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    is_taken: bool,
}

/// Locks the caller's row and checks that they may still act.
///
/// # Errors
///
/// [`Conflict::StaleCredential`] if the caller's key was revoked or the caller is
/// no longer active. Calls without a key, from the command line, are not checked.
pub(crate) async fn lock_caller(
    conn: &mut AsyncPgConnection,
    by: &AuditContext,
) -> Result<(), PgError> {
    let Some(key) = &by.initiator.key_id else {
        return Ok(());
    };
    lock_active_user(conn, by.initiator.user_id).await?;
    check_key(conn, key, by).await
}

/// Like [`lock_caller`], but also locks the user to be changed. Returns that user, even
/// if deleted, or `None` if they do not exist.
pub(crate) async fn lock_caller_and_user(
    conn: &mut AsyncPgConnection,
    by: &AuditContext,
    user: UserId,
    strength: LockStrength,
) -> Result<Option<PasswordAccount>, PgError> {
    let Some(key) = &by.initiator.key_id else {
        return lock_user(conn, user, strength).await;
    };
    if by.initiator.user_id < user {
        lock_active_user(conn, by.initiator.user_id).await?;
    }
    let account = lock_user(conn, user, strength).await?;
    if by.initiator.user_id > user {
        lock_active_user(conn, by.initiator.user_id).await?;
    }
    if by.initiator.user_id == user
        && !account
            .as_ref()
            .is_some_and(|account| account.user.is_active())
    {
        return Err(Conflict::StaleCredential.into());
    }
    check_key(conn, key, by).await?;
    Ok(account)
}

/// Locks a user's row and returns it, even if the user is deleted.
pub(crate) async fn lock_user(
    conn: &mut AsyncPgConnection,
    user: UserId,
    strength: LockStrength,
) -> Result<Option<PasswordAccount>, PgError> {
    let query = AccountRow::query().filter(users::id.eq(user.0));
    let row: Option<AccountRow> = match strength {
        LockStrength::Share => query.for_share().first(conn).await,
        LockStrength::NoKeyUpdate => query.for_no_key_update().first(conn).await,
    }
    .optional()?;
    row.map(PasswordAccount::try_from).transpose()
}

async fn lock_active_user(conn: &mut AsyncPgConnection, user: UserId) -> Result<(), PgError> {
    let found: Option<(String, bool)> = users::table
        .find(user.0)
        .select((users::status, users::deleted))
        .for_share()
        .first(conn)
        .await
        .optional()?;
    match found {
        Some((status, false)) if status == UserStatus::Active.as_str() => Ok(()),
        _ => Err(Conflict::StaleCredential.into()),
    }
}

/// A separate statement after the lock, since a statement that waits for a lock reads
/// other rows as of its start.
async fn check_key(
    conn: &mut AsyncPgConnection,
    key: &ApiKeyId,
    by: &AuditContext,
) -> Result<(), PgError> {
    let keys = api_keys::table
        .filter(api_keys::id.eq(key.as_str()))
        .filter(api_keys::user_id.eq(Uuid::from(by.initiator.user_id)))
        .filter(api_keys::expires_at.ge(by.initiator.at));
    if diesel::select(exists(keys)).get_result(conn).await? {
        Ok(())
    } else {
        Err(Conflict::StaleCredential.into())
    }
}
