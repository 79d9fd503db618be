//! Authenticating requests, signing in and signing out.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    ApiKeyId, AuditContext, Email, Initiator, PasswordHash, RequestId, Scope, User, UserId,
    UserStatus,
    api_key::Touch,
    audit::{AuditAction, AuditEntry},
    sign_in::password_sign_in,
};
use usher_store::{Conflict, Credential, NewApiKey, PasswordAccount, SessionStore, StoreError};
use uuid::Uuid;

use crate::{
    PgError, PgStore,
    api_key::insert_key,
    audit::insert_audit,
    lock::{self, LockStrength},
    schema::{api_keys, users},
    user::find::{find_account, find_by_id},
};

pub(crate) mod credential;
#[cfg(test)]
mod tests;
mod touch;

#[async_trait]
impl SessionStore for PgStore {
    async fn find_credential(&self, key: &ApiKeyId) -> Result<Option<Credential>, StoreError> {
        // Postgres rejects a text with a NUL.
        if key.as_str().contains('\0') {
            return Ok(None);
        }
        self.credentials.ask(key.clone()).await
    }

    async fn touch_key(
        &self,
        key: &ApiKeyId,
        touch: Touch,
        ip: Option<IpAddr>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.run_idempotent(async |conn| touch::touch_key(conn, key, touch, ip, at).await)
            .await
    }

    async fn activate_user(
        &self,
        user: UserId,
        at: DateTime<Utc>,
    ) -> Result<Option<User>, StoreError> {
        self.write(async |conn| {
            activate_if_dormant(conn, user, &of_system(user, at)).await?;
            let row = find_by_id(conn, user).await?;
            row.filter(|row| !row.deleted)
                .map(User::try_from)
                .transpose()
        })
        .await
    }

    async fn find_password_account(
        &self,
        email: &Email,
    ) -> Result<Option<PasswordAccount>, StoreError> {
        self.read(async |conn| find_account(conn, email).await)
            .await
    }

    async fn log_in(
        &self,
        key: NewApiKey,
        checked: PasswordHash,
        rehashed: Option<PasswordHash>,
        by: &AuditContext,
    ) -> Result<(), StoreError> {
        self.write(async |conn| log_in(conn, &key, &checked, rehashed.as_ref(), by).await)
            .await
    }

    async fn log_out(&self, key: &ApiKeyId, by: &AuditContext) -> Result<Option<()>, StoreError> {
        self.write(async |conn| log_out(conn, key, by).await).await
    }
}

async fn log_in(
    conn: &mut AsyncPgConnection,
    key: &NewApiKey,
    checked: &PasswordHash,
    rehashed: Option<&PasswordHash>,
    by: &AuditContext,
) -> Result<(), PgError> {
    let user = key.user_id;
    let account = lock::lock_user(conn, user, LockStrength::NoKeyUpdate).await?;
    let decision = account.and_then(|account| password_sign_in(&account, checked));
    let decision = decision.ok_or(Conflict::StaleCredential)?;
    let mut by = by.clone().acting_as(user);
    if decision.activates_user {
        activate_if_dormant(conn, user, &of_system(user, by.initiator.at)).await?;
        by.advance();
    }
    if let Some(hash) = rehashed {
        diesel::update(users::table.find(user.0))
            .set(users::hashed_password.eq(hash.as_str().as_bytes()))
            .execute(conn)
            .await?;
    }
    insert_key(conn, key).await?;
    let entry = AuditEntry::of_session(AuditAction::Login, user);
    insert_audit(conn, entry, &by).await
}

async fn log_out(
    conn: &mut AsyncPgConnection,
    key: &ApiKeyId,
    by: &AuditContext,
) -> Result<Option<()>, PgError> {
    let user: Option<Uuid> = api_keys::table
        .find(key.as_str())
        .select(api_keys::user_id)
        .first(conn)
        .await
        .optional()?;
    let Some(user) = user.map(UserId) else {
        return Ok(None);
    };
    // Otherwise concurrent sign-outs deadlock, each waiting for a key that the other deletes.
    lock::lock_user(conn, user, LockStrength::NoKeyUpdate).await?;
    let deleted = diesel::delete(api_keys::table.find(key.as_str()))
        .execute(conn)
        .await?;
    if deleted == 0 {
        return Ok(None);
    }
    let connects = vec![Scope::APPLICATION_CONNECT.name()];
    let of_user = api_keys::table.filter(api_keys::user_id.eq(user.0));
    diesel::delete(of_user.filter(api_keys::scopes.contains(connects)))
        .execute(conn)
        .await?;
    let entry = AuditEntry::of_session(AuditAction::Logout, user);
    insert_audit(conn, entry, by).await?;
    Ok(Some(()))
}

/// Makes the user active if they are dormant, so that a concurrent suspension is not undone.
pub(crate) async fn activate_if_dormant(
    conn: &mut AsyncPgConnection,
    user: UserId,
    by: &AuditContext,
) -> Result<(), PgError> {
    let dormant = users::table
        .filter(users::id.eq(user.0))
        .filter(users::status.eq(UserStatus::Dormant.as_str()))
        .filter(diesel::dsl::not(users::deleted));
    let username: Option<String> = diesel::update(dormant)
        .set((
            users::status.eq(UserStatus::Active.as_str()),
            users::updated_at.eq(by.initiator.at),
        ))
        .returning(users::username)
        .get_result(conn)
        .await
        .optional()?;
    match username {
        Some(username) => insert_audit(conn, AuditEntry::of_activation(user, username), by).await,
        None => Ok(()),
    }
}

/// The context of what the server does by itself, which is logged under the affected user.
fn of_system(user: UserId, at: DateTime<Utc>) -> AuditContext {
    AuditContext {
        initiator: Initiator {
            user_id: user,
            key_id: None,
            at,
        },
        request_id: RequestId(Uuid::nil()),
        ip: None,
        user_agent: None,
        status_code: 200,
    }
}
