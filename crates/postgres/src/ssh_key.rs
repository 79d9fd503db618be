//! Users' SSH key pairs.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, UserId,
    audit::{AuditAction, AuditEntry, AuditResource, Diff},
    ssh_key::{SshKeyPair, SshPublicKey},
};
use usher_store::{SshKeyStore, StoreError};
use uuid::Uuid;

use crate::{
    PgError, PgStore,
    audit::insert_audit,
    encryption::{Keyring, SecretLocation},
    lock::lock_caller,
    schema::gitsshkeys,
};

#[cfg(test)]
mod tests;

#[async_trait]
impl SshKeyStore for PgStore {
    async fn find_ssh_key(&self, user: UserId) -> Result<Option<SshPublicKey>, StoreError> {
        self.read(async |conn| find_ssh_key(conn, user).await).await
    }

    async fn set_ssh_key(
        &self,
        user: UserId,
        pair: SshKeyPair,
        by: &AuditContext,
    ) -> Result<Option<SshPublicKey>, StoreError> {
        let keys = self.keyring().await?;
        self.write(async |conn| {
            lock_caller(conn, by).await?;
            let Some(old) = lock_public_key(conn, user).await? else {
                return Ok(None);
            };
            let new = update_ssh_key(conn, user, &pair, keys, by.initiator.at).await?;
            let diff = Diff::ssh_key_changed(&old, &new.public_key);
            let (action, resource) = (AuditAction::Write, AuditResource::GitSshKey);
            let entry = AuditEntry::new(action, resource, user, new.public_key.as_str());
            insert_audit(conn, entry.with_diff(diff), by).await?;
            Ok(Some(new))
        })
        .await
    }
}

async fn find_ssh_key(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Option<SshPublicKey>, PgError> {
    let row: Option<PublicKeyRow> = PublicKeyRow::query()
        .filter(gitsshkeys::user_id.eq(user.0))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(SshPublicKey::from))
}

async fn lock_public_key(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Option<String>, PgError> {
    Ok(gitsshkeys::table
        .find(user.0)
        .select(gitsshkeys::public_key)
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?)
}

async fn update_ssh_key(
    conn: &mut AsyncPgConnection,
    user: UserId,
    pair: &SshKeyPair,
    keys: &Keyring,
    at: DateTime<Utc>,
) -> Result<SshPublicKey, PgError> {
    let private = keys.encrypt(&pair.private_key, SecretLocation::SshPrivateKey(user))?;
    let row: PublicKeyRow = diesel::update(gitsshkeys::table.find(user.0))
        .set((
            gitsshkeys::private_key.eq(private.text),
            gitsshkeys::private_key_key_id.eq(private.key_id),
            gitsshkeys::public_key.eq(&pair.public_key),
            gitsshkeys::updated_at.eq(at),
        ))
        .returning(PublicKeyRow::as_returning())
        .get_result(conn)
        .await?;
    Ok(row.into())
}

/// Inserts a user's first key pair.
pub(crate) async fn insert_ssh_key(
    conn: &mut AsyncPgConnection,
    user: UserId,
    pair: &SshKeyPair,
    keys: &Keyring,
    at: DateTime<Utc>,
) -> Result<(), PgError> {
    let private = keys.encrypt(&pair.private_key, SecretLocation::SshPrivateKey(user))?;
    diesel::insert_into(gitsshkeys::table)
        .values((
            gitsshkeys::user_id.eq(user.0),
            gitsshkeys::private_key.eq(private.text),
            gitsshkeys::private_key_key_id.eq(private.key_id),
            gitsshkeys::public_key.eq(&pair.public_key),
            gitsshkeys::created_at.eq(at),
            gitsshkeys::updated_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(HasQuery)]
#[diesel(table_name = gitsshkeys)]
struct PublicKeyRow {
    user_id: Uuid,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    public_key: String,
}

impl From<PublicKeyRow> for SshPublicKey {
    fn from(row: PublicKeyRow) -> Self {
        Self {
            user_id: UserId(row.user_id),
            created_at: row.created_at,
            updated_at: row.updated_at,
            public_key: row.public_key,
        }
    }
}
