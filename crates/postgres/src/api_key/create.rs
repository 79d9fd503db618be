//! Making a key: one statement with its locks, its checks and its row in the log. It is for
//! the keys that [`create_many`](super::create_many) leaves, and says why.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Bool, Bytea, Inet, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use usher_domain::{ApiKeyId, AuditContext, time::never};
use usher_store::{Conflict, NewApiKey};
use uuid::Uuid;

use super::{NOWHERE, allow_list, creation, scopes};
use crate::{PgError, audit::NewAuditRow};

/// What [`lock`](crate::lock) does in several statements, since each of them sees what was
/// committed while the one before it waited, is done here by locking the caller's key too:
/// a row that is gone by the time its lock is had is left out. `told` waits for all of
/// `held`, which keeps users before keys in the order of locks.
const HEAD: &str = "\
WITH held AS (\
SELECT id, status, deleted FROM users WHERE id IN ($16, $17) ORDER BY id FOR SHARE\
), told AS (\
SELECT coalesce(bool_or(id = $16 AND status = 'active' AND NOT deleted), false) AS caller_acts, \
coalesce(bool_or(id = $17 AND NOT deleted), false) AS is_there FROM held\
), allowed AS (\
SELECT is_there FROM told WHERE $18 IS NULL UNION ALL \
SELECT is_there FROM told CROSS JOIN LATERAL (\
SELECT FROM api_keys k WHERE k.id = $18 AND k.user_id = $16 AND k.expires_at >= $19 \
AND told.caller_acts FOR KEY SHARE) own\
), made AS (\
INSERT INTO api_keys (user_id, id, hashed_secret, login_type, token_name, scopes, allow_list, \
lifetime_seconds, ip_address, created_at, updated_at, last_used, expires_at) \
SELECT $17, $20, $21, $22, $23, $24, $25, $26, $27, $28, $28, $29, $30 \
FROM allowed WHERE is_there ON CONFLICT (id) DO NOTHING RETURNING id\
), logged AS (";

/// The second time, after a connection broke before the answer came, the key is found.
const TAIL: &str = " FROM made) \
SELECT EXISTS (SELECT FROM allowed), EXISTS (SELECT FROM allowed WHERE is_there), \
EXISTS (SELECT FROM made) \
OR EXISTS (SELECT FROM api_keys WHERE id = $20 AND hashed_secret = $21 AND user_id = $17)";

/// Makes a key, if the caller may still act and its owner is there. May be done twice.
pub(super) async fn create_key(
    conn: &mut AsyncPgConnection,
    key: &NewApiKey,
    by: &AuditContext,
) -> Result<(), PgError> {
    let entry = creation(key);
    let create = CreateKey {
        audit: NewAuditRow::new(&entry, by),
        caller: by.initiator.user_id.0,
        caller_key: by.initiator.key_id.as_ref().map(ApiKeyId::as_str),
        at: by.initiator.at,
        scopes: scopes(key),
        allow_list: allow_list(key),
        ip: key.ip.unwrap_or(NOWHERE).into(),
        never: never(),
        key,
    };
    match create.get_result(conn).await? {
        Outcome {
            is_allowed: false, ..
        } => Err(Conflict::StaleCredential.into()),
        Outcome {
            is_owner_there: false,
            ..
        } => Err(Conflict::UserDeleted.into()),
        Outcome { is_made: false, .. } => Err(PgError::Corrupt(
            "another key has the identifier of a new one".to_owned(),
        )),
        _ => Ok(()),
    }
}

#[derive(Queryable)]
struct Outcome {
    is_allowed: bool,
    is_owner_there: bool,
    is_made: bool,
}

struct CreateKey<'a> {
    audit: NewAuditRow<'a>,
    caller: Uuid,
    caller_key: Option<&'a str>,
    at: DateTime<Utc>,
    key: &'a NewApiKey,
    scopes: Vec<String>,
    allow_list: Vec<String>,
    ip: IpNet,
    never: DateTime<Utc>,
}

/// The type that stands for the statement in the cache of prepared ones.
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
        out.push_sql(HEAD);
        out.push_sql("INSERT INTO audit_logs (");
        out.push_sql(NewAuditRow::COLUMNS);
        out.push_sql(") SELECT ");
        out.push_sql(NewAuditRow::VALUES);
        out.push_sql(TAIL);
        self.audit.bind(&mut out)?;
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
        out.push_bind_param_value_only::<Timestamptz, _>(&key.expires_at)
    }
}
