//! Rows of `users`.

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
use uuid::Uuid;

use crate::{PgError, schema::users};

/// A user without what is secret.
///
/// `session/credential.rs` reads these columns in this order.
#[derive(HasQuery)]
#[diesel(table_name = users)]
pub(crate) struct UserRow {
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
    #[diesel(select_expression = OrganizationIds, select_expression_type = OrganizationIds)]
    pub(crate) organization_ids: Vec<Uuid>,
}

impl UserRow {
    pub(crate) fn is_owner(&self) -> bool {
        self.rbac_roles.iter().any(|role| role == "owner")
    }

    /// Whether what the user asks for is done.
    pub(crate) fn acts(&self) -> bool {
        !self.deleted && self.status == UserStatus::Active.as_str()
    }
}

/// A user with what they prove themself by.
#[derive(HasQuery)]
#[diesel(table_name = users)]
pub(crate) struct AccountRow {
    #[diesel(embed)]
    pub(crate) user: UserRow,
    hashed_password: Vec<u8>,
    hashed_one_time_passcode: Option<Vec<u8>>,
    pub(crate) one_time_passcode_expires_at: Option<DateTime<Utc>>,
}

impl AccountRow {
    /// The hash of the password; [`PasswordHash::none`] if there is none.
    pub(crate) fn password(&self) -> Result<PasswordHash, PgError> {
        stored_hash(&self.hashed_password)
    }

    /// The hash of a pending one-time passcode, and its end.
    pub(crate) fn passcode(&self) -> Result<Option<(PasswordHash, DateTime<Utc>)>, PgError> {
        let hash = self.hashed_one_time_passcode.as_deref();
        match (hash, self.one_time_passcode_expires_at) {
            (Some(hash), Some(expires_at)) => Ok(Some((stored_hash(hash)?, expires_at))),
            _ => Ok(None),
        }
    }
}

/// A hash as the store has it: its text as bytes.
pub(crate) fn stored_hash(bytes: &[u8]) -> Result<PasswordHash, PgError> {
    let text = str::from_utf8(bytes)
        .map_err(|_| PgError::Corrupt("a stored hash is no text".to_owned()))?;
    Ok(PasswordHash::from_stored(text.to_owned()))
}

impl TryFrom<UserRow> for User {
    type Error = PgError;

    fn try_from(row: UserRow) -> Result<Self, PgError> {
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
            organization_ids: row
                .organization_ids
                .into_iter()
                .map(OrganizationId)
                .collect(),
            is_deleted: row.deleted,
            is_system: row.is_system,
        })
    }
}

pub(crate) fn parse_login_type(text: &str) -> Result<LoginType, PgError> {
    LoginType::parse(text).ok_or_else(|| PgError::Corrupt(format!("login type {text:?}")))
}

/// The live organizations of the user of a row, as an expression. Written out, so that a
/// statement with it has a static type and is prepared only once.
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
