//! Rows of `users`.

use std::ops::Deref;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::{
    expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping},
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types,
};
use usher_domain::{
    DisplayName, Email, LoginType, OrganizationId, PasswordHash, User, UserId, UserStatus, Username,
};
use usher_store::PasswordAccount;
use uuid::Uuid;

use crate::{PgError, schema::users};

/// The columns of a user that are not secret. The list of users and the authentication of
/// requests select them too.
#[derive(HasQuery)]
#[diesel(table_name = users)]
pub(crate) struct UserColumns {
    pub(crate) id: Uuid,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) avatar_url: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) last_seen_at: NaiveDateTime,
    pub(crate) status: String,
    pub(crate) login_type: String,
    pub(crate) rbac_roles: Vec<String>,
    pub(crate) deleted: bool,
    pub(crate) is_system: bool,
}

/// The conditions of the partial indexes `users_with_roles_idx` and `users_rbac_roles_idx`.
pub(crate) const HAS_ROLES: &str = "users.rbac_roles <> '{}' AND cardinality(users.rbac_roles) > 0";

/// A user with their organizations. Dereferences to the columns.
#[derive(HasQuery)]
#[diesel(table_name = users)]
pub(crate) struct UserRow {
    #[diesel(embed)]
    pub(crate) columns: UserColumns,
    #[diesel(select_expression = OrganizationIds, select_expression_type = OrganizationIds)]
    pub(crate) organization_ids: Vec<Uuid>,
}

impl Deref for UserRow {
    type Target = UserColumns;

    fn deref(&self) -> &UserColumns {
        &self.columns
    }
}

/// A user with their password and one-time passcode.
#[derive(HasQuery)]
#[diesel(table_name = users)]
pub(crate) struct AccountRow {
    #[diesel(embed)]
    user: UserRow,
    hashed_password: Vec<u8>,
    hashed_one_time_passcode: Option<Vec<u8>>,
    one_time_passcode_expires_at: Option<DateTime<Utc>>,
}

impl TryFrom<AccountRow> for PasswordAccount {
    type Error = PgError;

    fn try_from(row: AccountRow) -> Result<Self, PgError> {
        let passcode = match (
            row.hashed_one_time_passcode,
            row.one_time_passcode_expires_at,
        ) {
            (Some(hash), Some(expires_at)) => Some((stored_hash(&hash)?, expires_at)),
            _ => None,
        };
        Ok(Self {
            user: User::try_from(row.user)?,
            password: stored_hash(&row.hashed_password)?,
            passcode,
        })
    }
}

/// Parses a stored hash, whose text is stored as bytes.
pub(crate) fn stored_hash(bytes: &[u8]) -> Result<PasswordHash, PgError> {
    let text = str::from_utf8(bytes)
        .map_err(|_| PgError::Corrupt("a stored hash is not UTF-8".to_owned()))?;
    Ok(PasswordHash::from_stored(text.to_owned()))
}

impl TryFrom<UserRow> for User {
    type Error = PgError;

    fn try_from(row: UserRow) -> Result<Self, PgError> {
        let UserRow {
            columns: row,
            organization_ids,
        } = row;
        let status = UserStatus::parse(&row.status)
            .ok_or_else(|| PgError::Corrupt(format!("status {:?} of a user", row.status)))?;
        Ok(Self {
            id: UserId(row.id),
            username: Username::from_stored(row.username),
            email: Email::from_stored(row.email),
            name: DisplayName::from_stored(row.name),
            avatar_url: row.avatar_url,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_seen_at: row.last_seen_at.and_utc(),
            status,
            login_type: parse_login_type(&row.login_type)?,
            roles: row.rbac_roles,
            organization_ids: organization_ids.into_iter().map(OrganizationId).collect(),
            is_deleted: row.deleted,
            is_system: row.is_system,
        })
    }
}

pub(crate) fn parse_login_type(text: &str) -> Result<LoginType, PgError> {
    LoginType::parse(text).ok_or_else(|| PgError::Corrupt(format!("login type {text:?}")))
}

/// The organizations of a user, without deleted ones, as an expression. It is written as SQL so
/// that statements with it have a static type and are prepared only once.
#[derive(Clone, Copy, Debug, QueryId)]
pub(crate) struct OrganizationIds;

impl Expression for OrganizationIds {
    type SqlType = sql_types::Array<sql_types::Uuid>;
}

impl QueryFragment<Pg> for OrganizationIds {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "ARRAY(SELECT organization_members.organization_id FROM organization_members \
             JOIN organizations ON organizations.id = organization_members.organization_id \
             WHERE organization_members.user_id = users.id AND NOT organizations.deleted)",
        );
        Ok(())
    }
}

impl<T> AppearsOnTable<T> for OrganizationIds where users::id: AppearsOnTable<T> {}

impl<T> SelectableExpression<T> for OrganizationIds where users::id: SelectableExpression<T> {}

impl<G> ValidGrouping<G> for OrganizationIds
where
    users::id: ValidGrouping<G>,
{
    type IsAggregate = <users::id as ValidGrouping<G>>::IsAggregate;
}
