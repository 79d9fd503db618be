//! Queries for single users.

use diesel::{
    dsl::{exists, not},
    prelude::*,
    sql_types::Text,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{Email, User, UserId, Username};
use usher_store::{PasswordAccount, UserLookup};

use super::row::{AccountRow, UserRow};
use crate::{PgError, schema::users};

diesel::define_sql_function! {
    /// Converts a text to lower case.
    fn lower(text: Text) -> Text;
}

/// Lower-cases a username like `lower(username)` in the database: its collation is "C", which
/// changes ASCII letters only.
pub(crate) fn lower_username(username: &str) -> String {
    username.to_ascii_lowercase()
}

/// Whether a live user exists, not counting system accounts.
pub(crate) async fn has_users(conn: &mut AsyncPgConnection) -> Result<bool, PgError> {
    let live = users::table
        .filter(not(users::deleted))
        .filter(not(users::is_system));
    Ok(diesel::select(exists(live)).get_result(conn).await?)
}

pub(crate) async fn find_user(
    conn: &mut AsyncPgConnection,
    lookup: &UserLookup,
) -> Result<Option<User>, PgError> {
    let row = match lookup {
        UserLookup::Id(id) => find_by_id(conn, *id).await?,
        UserLookup::IdOrUsername(id, username) => match find_by_id(conn, *id).await? {
            None => find_by_username(conn, username).await?,
            found => found,
        },
        UserLookup::Username(username) => find_by_username(conn, username).await?,
        UserLookup::Email(email) => find_by_email(conn, email).await?,
    };
    row.map(User::try_from).transpose()
}

/// Returns the user, deleted or not.
pub(crate) async fn find_by_id(
    conn: &mut AsyncPgConnection,
    id: UserId,
) -> Result<Option<UserRow>, PgError> {
    let query = UserRow::query().filter(users::id.eq(id.0));
    Ok(query.first(conn).await.optional()?)
}

/// Returns a user that this transaction has created or locked.
pub(crate) async fn read_user(conn: &mut AsyncPgConnection, id: UserId) -> Result<User, PgError> {
    let row = find_by_id(conn, id).await?;
    row.ok_or_else(|| PgError::Corrupt(format!("the row of the user {id} is missing")))?
        .try_into()
}

async fn find_by_username(
    conn: &mut AsyncPgConnection,
    username: &str,
) -> Result<Option<UserRow>, PgError> {
    let query = UserRow::query()
        .filter(not(users::deleted))
        .filter(lower(users::username).eq(lower_username(username)));
    Ok(query.first(conn).await.optional()?)
}

async fn find_by_email(
    conn: &mut AsyncPgConnection,
    email: &str,
) -> Result<Option<UserRow>, PgError> {
    let query = UserRow::query()
        .filter(not(users::deleted))
        .filter(lower(users::email).eq(lower(email)));
    Ok(query.first(conn).await.optional()?)
}

pub(crate) async fn find_user_with_name(
    conn: &mut AsyncPgConnection,
    username: &Username,
    email: &Email,
) -> Result<Option<User>, PgError> {
    let has_username = lower(users::username).eq(lower_username(username.as_str()));
    let has_email = lower(users::email).eq(lower(email.as_str()));
    let row: Option<UserRow> = UserRow::query()
        .filter(not(users::deleted))
        .filter(has_username.or(has_email))
        .first(conn)
        .await
        .optional()?;
    row.map(User::try_from).transpose()
}

/// Returns the live user with the e-mail address, with their stored hashes.
pub(crate) async fn find_account(
    conn: &mut AsyncPgConnection,
    email: &Email,
) -> Result<Option<PasswordAccount>, PgError> {
    let query = AccountRow::query()
        .filter(not(users::deleted))
        .filter(lower(users::email).eq(lower(email.as_str())));
    let row: Option<AccountRow> = query.first(conn).await.optional()?;
    row.map(PasswordAccount::try_from).transpose()
}

/// Whether the username is the identifier of another user. A path parses 32 hexadecimal digits
/// as an identifier first, so that a user with such a name could not be found by it.
pub(crate) async fn is_identifier_of_another(
    conn: &mut AsyncPgConnection,
    username: &Username,
    user: UserId,
) -> Result<bool, PgError> {
    let Some(id) = username.as_uuid().filter(|id| *id != user) else {
        return Ok(false);
    };
    let other = users::table.filter(users::id.eq(id.0));
    Ok(diesel::select(exists(other)).get_result(conn).await?)
}
