//! API keys: sessions and long-lived tokens.

use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use usher_domain::{
    AllowEntry, AllowList, ApiKey, ApiKeyId, AuditContext, LoginType, Scope, TokenName, UserId,
    audit::{AuditAction, AuditEntry, AuditedKey},
    time::never,
};
use usher_store::{ApiKeyStore, KeyFilter, NewApiKey, StoreError};
use uuid::Uuid;

use crate::{
    PgError, PgStore,
    audit::insert_audit,
    lock,
    schema::{api_keys, users},
    user::row::parse_login_type,
};

mod create;
#[cfg(test)]
mod tests;

#[async_trait]
impl ApiKeyStore for PgStore {
    async fn find_key(&self, key: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.read(async |conn| find_key(conn, key).await).await
    }

    async fn find_key_by_name(
        &self,
        user: UserId,
        name: &TokenName,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.read(async |conn| find_key_by_name(conn, user, name).await)
            .await
    }

    async fn list_tokens(&self, filter: KeyFilter) -> Result<Vec<(ApiKey, String)>, StoreError> {
        self.read(async |conn| list_tokens(conn, filter).await)
            .await
    }

    async fn create_key(&self, key: NewApiKey, by: &AuditContext) -> Result<(), StoreError> {
        self.run_idempotent(async |conn| create::create_key(conn, &key, by).await)
            .await
    }

    async fn delete_key(
        &self,
        key: &ApiKeyId,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError> {
        self.write(async |conn| {
            lock::lock_caller(conn, by).await?;
            let Some(row) = delete_key(conn, key).await? else {
                return Ok(None);
            };
            let audited = AuditedKey {
                user_id: UserId(row.user_id),
                created_at: row.created_at,
                expires_at: row.expires_at,
                last_used: row.last_used,
            };
            let name = TokenName::new(row.token_name);
            let entry = AuditEntry::of_key(AuditAction::Delete, &name, &audited);
            insert_audit(conn, entry, by).await?;
            Ok(Some(()))
        })
        .await
    }
}

async fn find_key(conn: &mut AsyncPgConnection, key: &ApiKeyId) -> Result<Option<ApiKey>, PgError> {
    let row: Option<KeyRow> = KeyRow::query()
        .filter(api_keys::id.eq(key.as_str()))
        .first(conn)
        .await
        .optional()?;
    row.map(ApiKey::try_from).transpose()
}

async fn find_key_by_name(
    conn: &mut AsyncPgConnection,
    user: UserId,
    name: &TokenName,
) -> Result<Option<ApiKey>, PgError> {
    if name.as_str().is_empty() {
        return Ok(None);
    }
    let row: Option<KeyRow> = KeyRow::query()
        .filter(api_keys::user_id.eq(user.0))
        .filter(api_keys::token_name.eq(name.as_str()))
        .order(api_keys::created_at)
        .first(conn)
        .await
        .optional()?;
    row.map(ApiKey::try_from).transpose()
}

async fn list_tokens(
    conn: &mut AsyncPgConnection,
    filter: KeyFilter,
) -> Result<Vec<(ApiKey, String)>, PgError> {
    let tokens = api_keys::table
        .inner_join(users::table)
        .filter(api_keys::login_type.eq(LoginType::Token.as_str()))
        .order((api_keys::created_at, api_keys::id))
        .select((KeyRow::as_select(), users::username));
    let rows: Vec<(KeyRow, String)> = match filter {
        KeyFilter::Of(user) => {
            let of_user = tokens.filter(api_keys::user_id.eq(user.0));
            of_user.load(conn).await?
        }
        KeyFilter::All => tokens.load(conn).await?,
    };
    rows.into_iter()
        .map(|(row, username)| Ok((row.try_into()?, username)))
        .collect()
}

/// Stored if the client is unknown. With an `Option` instead, diesel would not cache the
/// prepared statement.
pub(crate) const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn scopes(key: &NewApiKey) -> Vec<String> {
    key.scopes.iter().map(|scope| scope.name()).collect()
}

fn allow_list(key: &NewApiKey) -> Vec<String> {
    let entries = key.allow_list.entries().iter();
    entries.map(ToString::to_string).collect()
}

/// The audit entry of a new key.
fn creation(key: &NewApiKey) -> AuditEntry {
    let audited = AuditedKey {
        user_id: key.user_id,
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used: never(),
    };
    AuditEntry::of_key(AuditAction::Create, &key.token_name, &audited)
}

/// Inserts a key. A trigger rejects the key of a deleted user.
pub(crate) async fn insert_key(
    conn: &mut AsyncPgConnection,
    key: &NewApiKey,
) -> Result<(), PgError> {
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(key.id.as_str()),
            api_keys::hashed_secret.eq(key.hashed_secret.as_slice()),
            api_keys::user_id.eq(key.user_id.0),
            api_keys::login_type.eq(key.login_type.as_str()),
            api_keys::token_name.eq(key.token_name.as_str()),
            api_keys::scopes.eq(scopes(key)),
            api_keys::allow_list.eq(allow_list(key)),
            api_keys::lifetime_seconds.eq(key.lifetime_seconds),
            api_keys::ip_address.eq(IpNet::from(key.ip.unwrap_or(NOWHERE))),
            api_keys::created_at.eq(key.created_at),
            api_keys::updated_at.eq(key.created_at),
            api_keys::last_used.eq(never()),
            api_keys::expires_at.eq(key.expires_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

async fn delete_key(
    conn: &mut AsyncPgConnection,
    key: &ApiKeyId,
) -> Result<Option<KeyRow>, PgError> {
    Ok(diesel::delete(api_keys::table.find(key.as_str()))
        .returning(KeyRow::as_returning())
        .get_result(conn)
        .await
        .optional()?)
}

/// A key without the digest of its secret. The authentication of requests selects these columns
/// too.
#[derive(HasQuery)]
#[diesel(table_name = api_keys)]
pub(crate) struct KeyRow {
    pub(crate) id: String,
    pub(crate) user_id: Uuid,
    last_used: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    login_type: String,
    lifetime_seconds: i64,
    token_name: String,
    scopes: Vec<String>,
    allow_list: Vec<String>,
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = PgError;

    /// Drops unknown scopes and allow-list entries, such as those of a later version, so that
    /// they grant nothing.
    fn try_from(row: KeyRow) -> Result<Self, PgError> {
        let scopes = row.scopes.iter().filter_map(|name| Scope::parse(name));
        let entries = row.allow_list.iter();
        let entries = entries.filter_map(|text| AllowEntry::parse(text).ok());
        Ok(Self {
            id: ApiKeyId::from_stored(row.id),
            user_id: UserId(row.user_id),
            last_used: row.last_used,
            expires_at: row.expires_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            login_type: parse_login_type(&row.login_type)?,
            lifetime_seconds: row.lifetime_seconds,
            token_name: TokenName::new(row.token_name),
            scopes: scopes.collect(),
            allow_list: AllowList::from_stored(entries.collect()),
        })
    }
}
