//! The statement that authenticates requests, many at a time.
//!
//! It is a query type of its own, so that diesel prepares it once per connection and does not
//! build its text again.

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

use crate::{
    PgError,
    api_key::KeyRow,
    batcher::Batched,
    pool::Pool,
    user::row::{UserColumns, UserRow},
};

#[cfg(test)]
mod tests;

/// A user's link matters only to keys that a provider's sign-in created. Deleting a user
/// deletes their keys; the last condition is a second line of defense.
///
/// `OFFSET 0` makes the planner look up users by their keys, even if its statistics are from a
/// nearly empty database.
const SELECT: &str = "SELECT api_keys.hashed_secret, ";
const FROM: &str = ", \
ARRAY(SELECT ROW(m.organization_id, m.roles, m.created_at, m.updated_at) \
FROM organization_members m JOIN organizations o ON o.id = m.organization_id \
WHERE m.user_id = users.id AND NOT o.deleted), \
l.user_id IS NOT NULL, l.oauth_expiry \
FROM api_keys \
CROSS JOIN LATERAL (SELECT * FROM users u WHERE u.id = api_keys.user_id OFFSET 0) users \
LEFT JOIN user_links l ON l.user_id = api_keys.user_id AND l.login_type = api_keys.login_type \
AND api_keys.login_type IN ('github', 'oidc') \
WHERE api_keys.id = ANY($1) AND NOT users.deleted";

/// Finds credentials. The pool has a connection of its own, if there is more than one.
pub(crate) struct Credentials(pub(crate) Pool);

impl Batched for Credentials {
    type Request = ApiKeyId;
    type Outcome = Option<Credential>;

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
    let rows: Vec<CredentialRow> = CredentialQuery::new(keys).load(conn).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let credential = Credential::try_from(row)?;
        found.insert(credential.key.id.as_str().to_owned(), credential);
    }
    Ok(found)
}

type Columns = (AsSelect<KeyRow, Pg>, AsSelect<UserColumns, Pg>);

struct CredentialQuery<'a> {
    keys: &'a [&'a str],
    columns: Columns,
}

impl<'a> CredentialQuery<'a> {
    fn new(keys: &'a [&'a str]) -> Self {
        Self {
            keys,
            columns: (KeyRow::as_select(), UserColumns::as_select()),
        }
    }
}

/// Identifies the statement in diesel's cache of prepared statements.
struct CredentialStatement;

impl QueryId for CredentialQuery<'_> {
    type QueryId = CredentialStatement;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for CredentialQuery<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(SELECT);
        self.columns.walk_ast(out.reborrow())?;
        out.push_sql(FROM);
        out.push_bind_param_value_only::<Array<Text>, _>(&self.keys)
    }
}

impl Query for CredentialQuery<'_> {
    type SqlType = (
        Bytea,
        SqlTypeOf<AsSelect<KeyRow, Pg>>,
        SqlTypeOf<AsSelect<UserColumns, Pg>>,
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
    user: UserColumns,
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
        let user = UserRow {
            columns: row.user,
            organization_ids: memberships
                .iter()
                .map(|own| own.organization_id.0)
                .collect(),
        };
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
            user: User::try_from(user)?,
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
