//! The list of users: page, filters and count.
//!
//! The statement is put together for each set of filters and planned each time, with the
//! values at hand: a plan for any value would be a scan. The conditions of the partial
//! indexes are repeated to the letter, and words of a closed list stand in the text, so
//! that the planner can prove an index to be enough.

use diesel::{
    dsl::{AsSelect, Select, not, sql},
    expression::SqlLiteral,
    pg::Pg,
    prelude::*,
    sql_types::Bool,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{Listing, LoginType, Page, User, UserFilter, UserId, UserStatus};
use usher_store::{UserListQuery, Visibility};
use uuid::Uuid;

use super::{find::lower, row::UserRow};
use crate::{PgError, schema::users};

/// Users as yet without order and limit.
type Matching<'a> = users::BoxedQuery<'a, Pg>;
type Selected<'a> = Select<Matching<'a>, AsSelect<UserRow, Pg>>;

pub(crate) async fn list_users(
    conn: &mut AsyncPgConnection,
    query: &UserListQuery,
) -> Result<Listing<User>, PgError> {
    let after = match query.after {
        None => None,
        Some(id) => match find_place(conn, id).await? {
            None => return Ok(nobody()),
            place => place,
        },
    };
    let after = after.as_deref();
    let rows: Vec<UserRow> = page(matching(query, after), query.page).load(conn).await?;
    let count = match count_of_last_page(query.page, rows.len()) {
        Some(count) => count,
        None => count(conn, matching(query, after)).await?,
    };
    let items = rows.into_iter().map(User::try_from);
    Ok(Listing {
        items: items.collect::<Result<_, _>>()?,
        count,
    })
}

fn nobody() -> Listing<User> {
    Listing {
        items: Vec::new(),
        count: 0,
    }
}

/// Where in the list a user stands, or stood before they were deleted.
async fn find_place(conn: &mut AsyncPgConnection, id: UserId) -> Result<Option<String>, PgError> {
    Ok(users::table
        .find(id.0)
        .select(lower(users::username))
        .first(conn)
        .await
        .optional()?)
}

/// Those whom the filters, the visibility and the cursor let through.
pub(super) fn matching<'a>(query: &'a UserListQuery, after: Option<&'a str>) -> Matching<'a> {
    let mut matching = users::table
        .filter(not(users::deleted))
        .filter(not(users::is_system))
        .into_boxed();
    if let Visibility::Only(ids) = &query.visible {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        matching = matching.filter(users::id.eq_any(ids));
    }
    if let Some(after) = after {
        matching = matching.filter(lower(users::username).gt(after));
    }
    let filter = &query.filter;
    matching = with_times(with_words(matching, filter), filter);
    if let Some(text) = &filter.search {
        let pattern = containing(text);
        let in_username = lower(users::username).like(pattern.clone());
        matching = matching.filter(in_username.or(lower(users::email).like(pattern)));
    }
    if let Some(id) = filter.github_com_user_id {
        matching = matching.filter(users::github_com_user_id.eq(id));
    }
    matching
}

fn with_words<'a>(mut matching: Matching<'a>, filter: &'a UserFilter) -> Matching<'a> {
    if !filter.statuses.is_empty() {
        let words = filter.statuses.iter().copied().map(UserStatus::as_str);
        matching = matching.filter(is_one_of("users.status", words));
    }
    if !filter.login_types.is_empty() {
        let words = filter.login_types.iter().copied().map(LoginType::as_str);
        matching = matching.filter(is_one_of("users.login_type", words));
    }
    if !filter.roles.is_empty() {
        matching = matching
            .filter(sql::<Bool>("users.rbac_roles <> '{}'"))
            .filter(users::rbac_roles.overlaps_with(&filter.roles));
    }
    matching
}

fn with_times<'a>(mut matching: Matching<'a>, filter: &UserFilter) -> Matching<'a> {
    if let Some(time) = filter.last_seen_before {
        matching = matching.filter(users::last_seen_at.le(time.naive_utc()));
    }
    if let Some(time) = filter.last_seen_after {
        matching = matching.filter(users::last_seen_at.ge(time.naive_utc()));
    }
    if let Some(time) = filter.created_before {
        matching = matching.filter(users::created_at.le(time));
    }
    if let Some(time) = filter.created_after {
        matching = matching.filter(users::created_at.ge(time));
    }
    matching
}

/// That a column is one of our own words, each of which is plain letters.
fn is_one_of(column: &'static str, words: impl Iterator<Item = &'static str>) -> SqlLiteral<Bool> {
    let quoted: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    sql(&format!("{column} IN ({})", quoted.join(", ")))
}

/// The pattern of a text with anything before and after it. `%`, `_` and the backslash in
/// it keep their meaning, but a backslash at the end, which would take away the meaning of
/// our own `%`, stands for itself.
fn containing(text: &str) -> String {
    let backslashes = text.len() - text.trim_end_matches('\\').len();
    let end = if backslashes % 2 == 1 { "\\" } else { "" };
    format!("%{text}{end}%")
}

/// The page of a list. No two live users have the same lower-cased username, so that it is
/// order enough.
pub(super) fn page(matching: Matching<'_>, page: Page) -> Selected<'_> {
    let mut selected = matching
        .select(UserRow::as_select())
        .order(lower(users::username));
    if let Some(limit) = page.limit {
        selected = selected.limit(limit.into());
    }
    if page.offset > 0 {
        selected = selected.offset(page.offset.into());
    }
    selected
}

/// How many match, if the page tells it: it is empty, which counts as none at all, or not
/// full, so that nobody comes after it.
fn count_of_last_page(page: Page, len: usize) -> Option<u64> {
    let len = len as u64;
    let is_full = page.limit.is_some_and(|limit| len >= u64::from(limit));
    match len {
        0 => Some(0),
        _ if is_full => None,
        _ => Some(u64::from(page.offset) + len),
    }
}

async fn count(conn: &mut AsyncPgConnection, matching: Matching<'_>) -> Result<u64, PgError> {
    let count: i64 = matching.count().get_result(conn).await?;
    Ok(count.unsigned_abs())
}
