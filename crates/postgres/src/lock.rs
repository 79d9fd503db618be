//! The locks that a change takes first, and whether its caller may still act.
//!
//! The order of locks is that of the [crate]; a change that takes others takes them
//! after these.

use diesel::{
    dsl::exists,
    prelude::*,
    sql_types::{BigInt, Bool},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{ApiKeyId, AuditContext, UserId, UserStatus};
use usher_store::Conflict;
use uuid::Uuid;

use crate::{
    PgError,
    schema::{api_keys, users},
    user::row::AccountRow,
};

/// How firmly the row of a user is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockStrength {
    /// It stays as it is: `FOR SHARE`.
    Share,
    /// It is about to change: `FOR NO KEY UPDATE`. Taken before the row of a key or link
    /// is inserted by a transaction that changes the user too; their triggers take
    /// `FOR SHARE`, and two that go from that to a change wait for each other for ever.
    NoKeyUpdate,
}

/// Advisory locks that last to the end of the transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AdvisoryLock {
    /// Of who may become the first user, and of who may sign up through a provider.
    FirstUser = 0x7573_6801,
    /// Of who may take an owner away.
    LastOwner = 0x7573_6802,
    /// Of which signing key comes next.
    SigningKey = 0x7573_6803,
    /// Of who changes the kept counts of users.
    UserCounts = 0x7573_6804,
}

/// Waits for the turn.
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

/// Takes the turn if nobody has it.
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

/// Holds the caller, who must still be allowed to act.
///
/// # Errors
///
/// [`Conflict::StaleCredential`] if the key of the caller has ended or the caller is not
/// active any more. Nobody is asked where there is no key, as on the command line.
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

/// Holds the caller, who must still be allowed to act, and the user whom the change is
/// about, who is returned: also a deleted one, `None` if there is none.
pub(crate) async fn lock_caller_and_user(
    conn: &mut AsyncPgConnection,
    by: &AuditContext,
    user: UserId,
    strength: LockStrength,
) -> Result<Option<AccountRow>, PgError> {
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
    if by.initiator.user_id == user && !account.as_ref().is_some_and(|account| account.user.acts())
    {
        return Err(Conflict::StaleCredential.into());
    }
    check_key(conn, key, by).await?;
    Ok(account)
}

/// Holds the row of a user and returns it, also of a deleted one.
pub(crate) async fn lock_user(
    conn: &mut AsyncPgConnection,
    user: UserId,
    strength: LockStrength,
) -> Result<Option<AccountRow>, PgError> {
    let query = AccountRow::query().filter(users::id.eq(user.0));
    let account = match strength {
        LockStrength::Share => query.for_share().first(conn).await,
        LockStrength::NoKeyUpdate => query.for_no_key_update().first(conn).await,
    };
    Ok(account.optional()?)
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

/// A statement of its own, after the lock: one statement would look at the keys as they
/// were before it waited.
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
