//! One page of the list, with the number of all users that match.

use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{Listing, User};
use usher_store::UserListQuery;

use super::statement::{PageStatement, Start};
use crate::{PgError, user::row::UserRow};

pub(crate) async fn list_users(
    conn: &mut AsyncPgConnection,
    query: &UserListQuery,
) -> Result<Listing<User>, PgError> {
    let mut rows: Vec<(UserRow, i64)> = Vec::new();
    if let Some(start) = Start::find(conn, query).await? {
        rows = PageStatement::new(query, &start).load(conn).await?;
    }
    // Every row has the count. The count of an empty page is 0.
    let count = rows
        .as_slice()
        .first()
        .map_or(0, |(_, count)| count.unsigned_abs());
    let items = rows.into_iter().map(|(row, _)| User::try_from(row));
    Ok(Listing {
        items: items.collect::<Result<_, _>>()?,
        count,
    })
}
