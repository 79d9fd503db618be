//! The one statement by which requests are authenticated, as many as there are.
//!
//! Written out as a query of its own type, which diesel prepares once for each connection
//! and whose text it does not put together again each time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{AsSelect, SqlTypeOf},
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, Bool, Bytea, Nullable, Record, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    ApiKey, ApiKeyId, LoginType, Membership, OrganizationId, User, UserId, time::never,
};
use usher_store::{Credential, LinkState};
use uuid::Uuid;

use crate::{PgError, api_key::KeyRow, batcher::Batched, pool::Pool, user::row::UserRow};

#[cfg(test)]
mod tests;

/// The columns are those of [`CredentialRow`], and so of `KeyRow` and `UserRow`, in their
/// order. A user's link matters only to keys that came from a provider. The keys of a
/// deleted user are gone; the condition is for the day when something goes wrong with that.
///
/// `OFFSET 0` has users looked up by their keys, whatever a planner thinks who saw a database
/// with hardly anybody in it.
const STATEMENT: &str = "\
SELECT k.hashed_secret, \
k.id, k.user_id, k.last_used, k.expires_at, k.created_at, k.updated_at, k.login_type, \
k.lifetime_seconds, k.token_name, k.scopes, k.allow_list, \
u.id, u.username, u.email, u.name, u.avatar_url, u.created_at, u.updated_at, \
u.last_seen_at, u.status, u.login_type, u.rbac_roles, u.deleted, u.is_system, \
'{}'::uuid[], \
ARRAY(SELECT ROW(m.organization_id, m.roles, m.created_at, m.updated_at) \
FROM organization_members m JOIN organizations o ON o.id = m.organization_id \
WHERE m.user_id = u.id AND NOT o.deleted), \
l.user_id IS NOT NULL, l.oauth_expiry \
FROM api_keys k \
CROSS JOIN LATERAL (SELECT * FROM users WHERE users.id = k.user_id OFFSET 0) u \
LEFT JOIN user_links l ON l.user_id = k.user_id AND l.login_type = k.login_type \
AND k.login_type IN ('github', 'oidc') \
WHERE k.id = ANY($1) AND NOT u.deleted";

/// Looks them up, on connections that do nothing else where there is more than one.
pub(crate) struct Credentials(pub(crate) Pool);

impl Batched for Credentials {
    type Request = ApiKeyId;
    type Outcome = Option<Credential>;

    const MOST: usize = 128;

    async fn run(&self, requests: &[ApiKeyId]) -> Result<Vec<Option<Credential>>, PgError> {
        let mut keys: Vec<&str> = requests.iter().map(ApiKeyId::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut found = self
            .0
            .read(async |conn| find_credentials(conn, &keys).await)
            .await?;
        let are_different = keys.len() == requests.len();
        let own = requests.iter().map(|key| match key.as_str() {
            key if are_different => found.remove(key),
            key => found.get(key).cloned(),
        });
        Ok(own.collect())
    }
}

async fn find_credentials(
    conn: &mut AsyncPgConnection,
    keys: &[&str],
) -> Result<HashMap<String, Credential>, PgError> {
    let rows: Vec<CredentialRow> = CredentialQuery { keys }.load(conn).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let credential = Credential::try_from(row)?;
        found.insert(credential.key.id.as_str().to_owned(), credential);
    }
    Ok(found)
}

pub(crate) struct CredentialQuery<'a> {
    pub(crate) keys: &'a [&'a str],
}

/// The type that stands for the statement in the cache of prepared ones.
pub(crate) struct CredentialStatement;

impl QueryId for CredentialQuery<'_> {
    type QueryId = CredentialStatement;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for CredentialQuery<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(STATEMENT);
        out.push_bind_param_value_only::<Array<Text>, _>(&self.keys)
    }
}

impl Query for CredentialQuery<'_> {
    type SqlType = (
        Bytea,
        SqlTypeOf<AsSelect<KeyRow, Pg>>,
        SqlTypeOf<AsSelect<UserRow, Pg>>,
        Array<Record<(SqlUuid, Array<Text>, Timestamptz, Timestamptz)>>,
        Bool,
        Nullable<Timestamptz>,
    );
}

type MembershipRecord = (Uuid, Vec<String>, DateTime<Utc>, DateTime<Utc>);

#[derive(Queryable)]
struct CredentialRow {
    hashed_secret: Vec<u8>,
    key: KeyRow,
    user: UserRow,
    memberships: Vec<MembershipRecord>,
    has_link: bool,
    link_expires_at: Option<DateTime<Utc>>,
}

impl TryFrom<CredentialRow> for Credential {
    type Error = PgError;

    fn try_from(row: CredentialRow) -> Result<Self, PgError> {
        let key = ApiKey::try_from(row.key)?;
        let of_user = |record| membership(key.user_id, record);
        let memberships: Vec<Membership> = row.memberships.into_iter().map(of_user).collect();
        let mut user = User::try_from(row.user)?;
        user.organization_ids = memberships.iter().map(|own| own.organization_id).collect();
        let link = match key.login_type {
            LoginType::Github | LoginType::Oidc if row.has_link => {
                LinkState::Linked(row.link_expires_at.filter(|end| *end != never()))
            }
            LoginType::Github | LoginType::Oidc => LinkState::Missing,
            _ => LinkState::NotNeeded,
        };
        Ok(Self {
            hashed_secret: row.hashed_secret,
            key,
            user,
            memberships,
            link,
        })
    }
}

fn membership(user: UserId, record: MembershipRecord) -> Membership {
    let (organization_id, roles, created_at, updated_at) = record;
    Membership {
        user_id: user,
        organization_id: OrganizationId(organization_id),
        roles,
        created_at,
        updated_at,
    }
}
