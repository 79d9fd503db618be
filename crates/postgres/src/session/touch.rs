//! Records the use of a key, in one statement for the key and its user.

use std::net::IpAddr;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Inet, Nullable, Text, Timestamp, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use usher_domain::{ApiKeyId, api_key::Touch};

use crate::{PgError, api_key::NOWHERE};

/// The key is updated from the result of updating the user, which fixes the order of locks. A
/// key that has expired, perhaps since it was read, is not updated: its use must not extend it.
const STATEMENT: &str = "\
WITH seen AS (\
UPDATE users SET last_seen_at = $5, updated_at = $4 \
WHERE id = (SELECT user_id FROM api_keys WHERE id = $1 AND expires_at >= $4) \
RETURNING id) \
UPDATE api_keys SET \
last_used = coalesce($2, last_used), \
ip_address = CASE WHEN $2 IS NULL THEN ip_address ELSE $6 END, \
expires_at = coalesce($3, expires_at) \
FROM seen WHERE api_keys.id = $1 AND api_keys.user_id = seen.id AND api_keys.expires_at >= $4";

pub(crate) async fn touch_key(
    conn: &mut AsyncPgConnection,
    key: &ApiKeyId,
    touch: Touch,
    ip: Option<IpAddr>,
    at: DateTime<Utc>,
) -> Result<(), PgError> {
    let statement = TouchKey {
        key: key.as_str(),
        last_used: touch.last_used,
        expires_at: touch.expires_at,
        at,
        seen_at: at.naive_utc(),
        ip: ip.unwrap_or(NOWHERE).into(),
    };
    statement.execute(conn).await?;
    Ok(())
}

struct TouchKey<'a> {
    key: &'a str,
    last_used: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
    seen_at: NaiveDateTime,
    ip: IpNet,
}

/// The type under which diesel caches the prepared statement.
struct TouchKeyStatement;

impl QueryId for TouchKey<'_> {
    type QueryId = TouchKeyStatement;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for TouchKey<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(STATEMENT);
        out.push_bind_param_value_only::<Text, _>(self.key)?;
        out.push_bind_param_value_only::<Nullable<Timestamptz>, _>(&self.last_used)?;
        out.push_bind_param_value_only::<Nullable<Timestamptz>, _>(&self.expires_at)?;
        out.push_bind_param_value_only::<Timestamptz, _>(&self.at)?;
        out.push_bind_param_value_only::<Timestamp, _>(&self.seen_at)?;
        out.push_bind_param_value_only::<Inet, _>(&self.ip)
    }
}
