//! Creates a key with one statement that also takes the locks, checks the caller and writes the
//! audit row.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{
        Array, BigInt, Bool, Bytea, Inet, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
    },
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use serde_json::Value;
use usher_domain::{ApiKeyId, AuditContext, time::never};
use usher_store::{Conflict, NewApiKey};
use uuid::Uuid;

use super::{NOWHERE, allow_list, creation, scopes};
use crate::{PgError, audit::NewAuditRow};

/// [`lock`](crate::lock) needs several statements, since each sees what was committed while the
/// one before it waited. Here the caller's key is locked too: if it is deleted while the
/// statement waits for that lock, the row is skipped. `checked` needs all of `locked`, so that
/// users are locked before keys.
///
/// If the connection breaks before the answer arrives, the statement runs again and finds the
/// key that it created.
const STATEMENT: &str = "\
WITH locked AS (\
SELECT id, status, deleted FROM users WHERE id IN ($1, $2) ORDER BY id FOR SHARE\
), checked AS (\
SELECT coalesce(bool_or(id = $1 AND status = 'active' AND NOT deleted), false) AS is_active, \
coalesce(bool_or(id = $2 AND NOT deleted), false) AS has_owner FROM locked\
), allowed AS (\
SELECT has_owner FROM checked WHERE $3 IS NULL UNION ALL \
SELECT has_owner FROM checked CROSS JOIN LATERAL (\
SELECT FROM api_keys k WHERE k.id = $3 AND k.user_id = $1 AND k.expires_at >= $4 \
AND checked.is_active FOR KEY SHARE) own\
), created AS (\
INSERT INTO api_keys (user_id, id, hashed_secret, login_type, token_name, scopes, allow_list, \
lifetime_seconds, ip_address, created_at, updated_at, last_used, expires_at) \
SELECT $2, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, $15 \
FROM allowed WHERE has_owner ON CONFLICT (id) DO NOTHING RETURNING id\
), logged AS (\
INSERT INTO audit_logs SELECT log.* \
FROM created CROSS JOIN jsonb_populate_record(NULL::audit_logs, $16) AS log\
) \
SELECT EXISTS (SELECT FROM allowed), EXISTS (SELECT FROM allowed WHERE has_owner), \
EXISTS (SELECT FROM created) \
OR EXISTS (SELECT FROM api_keys WHERE id = $5 AND hashed_secret = $6 AND user_id = $2)";

/// Creates a key if the caller may still act and the owner exists. Idempotent.
pub(super) async fn create_key(
    conn: &mut AsyncPgConnection,
    key: &NewApiKey,
    by: &AuditContext,
) -> Result<(), PgError> {
    let audit = serde_json::to_value(NewAuditRow::new(&creation(key), by))
        .map_err(|error| PgError::Corrupt(error.to_string()))?;
    let create = CreateKey {
        caller: by.initiator.user_id.0,
        caller_key: by.initiator.key_id.as_ref().map(ApiKeyId::as_str),
        at: by.initiator.at,
        scopes: scopes(key),
        allow_list: allow_list(key),
        ip: key.ip.unwrap_or(NOWHERE).into(),
        never: never(),
        key,
        audit,
    };
    match create.get_result(conn).await? {
        Outcome {
            is_allowed: false, ..
        } => Err(Conflict::StaleCredential.into()),
        Outcome {
            has_owner: false, ..
        } => Err(Conflict::UserDeleted.into()),
        Outcome {
            is_created: false, ..
        } => Err(PgError::Corrupt(
            "another key has the identifier of a new one".to_owned(),
        )),
        _ => Ok(()),
    }
}

#[derive(Queryable)]
struct Outcome {
    is_allowed: bool,
    has_owner: bool,
    is_created: bool,
}

struct CreateKey<'a> {
    caller: Uuid,
    caller_key: Option<&'a str>,
    at: DateTime<Utc>,
    key: &'a NewApiKey,
    scopes: Vec<String>,
    allow_list: Vec<String>,
    ip: IpNet,
    never: DateTime<Utc>,
    audit: Value,
}

/// Identifies the statement in diesel's cache of prepared statements.
struct CreateKeyStatement;

impl QueryId for CreateKey<'_> {
    type QueryId = CreateKeyStatement;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for CreateKey<'_> {
    type SqlType = (Bool, Bool, Bool);
}

impl QueryFragment<Pg> for CreateKey<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let key = self.key;
        out.push_sql(STATEMENT);
        out.push_bind_param_value_only::<SqlUuid, _>(&self.caller)?;
        out.push_bind_param_value_only::<SqlUuid, _>(&key.user_id.0)?;
        out.push_bind_param_value_only::<Nullable<Text>, _>(&self.caller_key)?;
        out.push_bind_param_value_only::<Timestamptz, _>(&self.at)?;
        out.push_bind_param_value_only::<Text, _>(key.id.as_str())?;
        out.push_bind_param_value_only::<Bytea, _>(key.hashed_secret.as_slice())?;
        out.push_bind_param_value_only::<Text, _>(key.login_type.as_str())?;
        out.push_bind_param_value_only::<Text, _>(key.token_name.as_str())?;
        out.push_bind_param_value_only::<Array<Text>, _>(&self.scopes)?;
        out.push_bind_param_value_only::<Array<Text>, _>(&self.allow_list)?;
        out.push_bind_param_value_only::<BigInt, _>(&key.lifetime_seconds)?;
        out.push_bind_param_value_only::<Inet, _>(&self.ip)?;
        out.push_bind_param_value_only::<Timestamptz, _>(&key.created_at)?;
        out.push_bind_param_value_only::<Timestamptz, _>(&self.never)?;
        out.push_bind_param_value_only::<Timestamptz, _>(&key.expires_at)?;
        out.push_bind_param_value_only::<Jsonb, _>(&self.audit)
    }
}
