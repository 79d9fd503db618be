//! Users one by one.

use diesel::{
    dsl::{exists, not},
    prelude::*,
    sql_types::Text,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{Email, User, UserId, Username};
use usher_store::UserLookup;

use super::row::{AccountRow, UserRow};
use crate::{PgError, schema::users};

diesel::define_sql_function! {
    /// The text in lower case.
    fn lower(text: Text) -> Text;
}

/// Usernames are compared as `lower(username)` has them, whose collation is "C": letters
/// of ASCII only, whatever the language of the database.
pub(crate) fn lower_username(username: &str) -> String {
    username.to_ascii_lowercase()
}

/// Whether a live user exists that is no account of the system.
pub(crate) async fn has_users(conn: &mut AsyncPgConnection) -> Result<bool, PgError> {
    let people = users::table
        .filter(not(users::deleted))
        .filter(not(users::is_system));
    Ok(diesel::select(exists(people)).get_result(conn).await?)
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

/// The user, who may be deleted.
pub(crate) async fn find_by_id(
    conn: &mut AsyncPgConnection,
    id: UserId,
) -> Result<Option<UserRow>, PgError> {
    let query = UserRow::query().filter(users::id.eq(id.0));
    Ok(query.first(conn).await.optional()?)
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

/// The live user with the address, with what a password is checked against.
pub(crate) async fn find_account(
    conn: &mut AsyncPgConnection,
    email: &Email,
) -> Result<Option<AccountRow>, PgError> {
    let query = AccountRow::query()
        .filter(not(users::deleted))
        .filter(lower(users::email).eq(lower(email.as_str())));
    Ok(query.first(conn).await.optional()?)
}
