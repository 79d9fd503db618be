//! Making the keys that are asked for at the same time: one statement and one transaction
//! for all of them, and in it for each what [`create_key`](super::create::create_key) does.
//!
//! It waits for nobody: a key whose caller or owner somebody is changing, or which may not be
//! made, is left, and those who asked for it make it alone. So nobody's lock or mistake holds
//! up another.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use usher_domain::{ApiKeyId, AuditContext, audit::AuditEntry, time::never};
use usher_store::NewApiKey;
use uuid::Uuid;

use super::{NOWHERE, allow_list, creation, scopes};
use crate::{
    PgError,
    audit::{NewAuditRow, as_micros},
    batcher::Batched,
    pool::Pool,
};

/// `user_id` and `time` of the row in the log are the caller and the moment of the request.
const ASKED: &str = "\
WITH asked AS MATERIALIZED (\
SELECT * FROM json_to_recordset($1::json) AS record (\
key_id text, hashed_secret bytea, owner_id uuid, login_type text, token_name text, \
scopes text[], allow_list text[], lifetime_seconds bigint, key_ip inet, created_at timestamptz, \
expires_at timestamptz, caller_key text, ";

/// Users are locked before keys, as everywhere: `own` needs all of `told`, and that all of
/// `held`.
const MADE: &str = ")\
), held AS (\
SELECT id, status, deleted FROM users \
WHERE id = ANY (ARRAY(SELECT user_id FROM asked UNION SELECT owner_id FROM asked)) \
ORDER BY id FOR SHARE SKIP LOCKED\
), told AS (\
SELECT array_agg(id) FILTER (WHERE status = 'active' AND NOT deleted) AS acting, \
array_agg(id) FILTER (WHERE NOT deleted) AS there FROM held\
), own AS (\
SELECT k.* FROM told CROSS JOIN LATERAL (\
SELECT id, user_id, expires_at FROM api_keys \
WHERE id = ANY (ARRAY(SELECT caller_key FROM asked)) AND user_id = ANY (told.acting) \
FOR KEY SHARE SKIP LOCKED) k\
), made AS (\
INSERT INTO api_keys (user_id, id, hashed_secret, login_type, token_name, scopes, allow_list, \
lifetime_seconds, ip_address, created_at, updated_at, last_used, expires_at) \
SELECT owner_id, key_id, hashed_secret, login_type, token_name, scopes, allow_list, \
lifetime_seconds, key_ip, created_at, created_at, $2, asked.expires_at \
FROM asked CROSS JOIN told \
WHERE owner_id = ANY (told.there) AND (caller_key IS NULL OR EXISTS (\
SELECT FROM own WHERE own.id = caller_key AND own.user_id = asked.user_id \
AND own.expires_at >= asked.time)) \
ON CONFLICT DO NOTHING RETURNING id AS key_id\
), logged AS (\
INSERT INTO audit_logs (";
const LOGGED: &str = " FROM asked JOIN made USING (key_id)) SELECT key_id FROM made";

/// A key that somebody asks for.
#[derive(Debug)]
pub(crate) struct KeyRequest {
    pub(super) key: Arc<NewApiKey>,
    pub(super) by: AuditContext,
}

/// Makes those keys that can be made at once, and tells which.
pub(crate) struct CreateKeys(pub(crate) Pool);

impl Batched for CreateKeys {
    type Request = KeyRequest;
    type Outcome = bool;

    const MOST: usize = 32;

    async fn run(&self, requests: &[KeyRequest]) -> Result<Vec<bool>, PgError> {
        let entries: Vec<AuditEntry> = requests.iter().map(|asked| creation(&asked.key)).collect();
        let records: Vec<KeyRecord<'_>> = requests
            .iter()
            .zip(&entries)
            .map(|(asked, entry)| KeyRecord::new(asked, entry))
            .collect();
        let records = serde_json::to_string(&records);
        let create = CreateKeysQuery {
            records: &records.map_err(|error| PgError::Corrupt(error.to_string()))?,
            never: never(),
        };
        let create = async |conn: &mut AsyncPgConnection| -> Result<Vec<String>, PgError> {
            Ok(create.load(conn).await?)
        };
        let made: HashSet<String> = self.0.read(create).await?.into_iter().collect();
        let is_made = |asked: &KeyRequest| made.contains(asked.key.id.as_str());
        Ok(requests.iter().map(is_made).collect())
    }
}

/// What the statement is told of a key.
#[derive(Serialize)]
struct KeyRecord<'a> {
    key_id: &'a str,
    hashed_secret: String,
    owner_id: Uuid,
    login_type: &'static str,
    token_name: &'a str,
    scopes: Vec<String>,
    allow_list: Vec<String>,
    lifetime_seconds: i64,
    key_ip: IpAddr,
    #[serde(serialize_with = "as_micros")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "as_micros")]
    expires_at: DateTime<Utc>,
    caller_key: Option<&'a str>,
    #[serde(flatten)]
    audit: NewAuditRow<'a>,
}

impl<'a> KeyRecord<'a> {
    fn new(asked: &'a KeyRequest, entry: &'a AuditEntry) -> Self {
        let KeyRequest { key, by } = asked;
        Self {
            key_id: key.id.as_str(),
            hashed_secret: format!("\\x{}", hex::encode(key.hashed_secret)),
            owner_id: key.user_id.0,
            login_type: key.login_type.as_str(),
            token_name: key.token_name.as_str(),
            scopes: scopes(key),
            allow_list: allow_list(key),
            lifetime_seconds: key.lifetime_seconds,
            key_ip: key.ip.unwrap_or(NOWHERE),
            created_at: key.created_at,
            expires_at: key.expires_at,
            caller_key: by.initiator.key_id.as_ref().map(ApiKeyId::as_str),
            audit: NewAuditRow::new(entry, by),
        }
    }
}

#[derive(Clone, Copy)]
struct CreateKeysQuery<'a> {
    /// Records as JSON.
    records: &'a str,
    never: DateTime<Utc>,
}

/// The type that stands for the statement in the cache of prepared ones.
struct CreateKeysStatement;

impl QueryId for CreateKeysQuery<'_> {
    type QueryId = CreateKeysStatement;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for CreateKeysQuery<'_> {
    type SqlType = Text;
}

impl QueryFragment<Pg> for CreateKeysQuery<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(ASKED);
        out.push_sql(NewAuditRow::RECORD);
        out.push_sql(MADE);
        out.push_sql(NewAuditRow::COLUMNS);
        out.push_sql(") SELECT ");
        out.push_sql(NewAuditRow::COLUMNS);
        out.push_sql(LOGGED);
        out.push_bind_param_value_only::<Text, _>(self.records)?;
        out.push_bind_param_value_only::<Timestamptz, _>(&self.never)
    }
}
