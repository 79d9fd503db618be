//! The list of users: who matches, and the page with its count.

use diesel::{
    dsl::{not, sql},
    expression::SqlLiteral,
    pg::Pg,
    prelude::*,
    sql_types::{Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{Listing, LoginType, User, UserFilter, UserId, UserStatus};
use usher_store::{UserListQuery, Visibility};
use uuid::Uuid;

use super::{find::lower, row::UserRow, statement::ListStatement};
use crate::{
    PgError,
    schema::{user_list, users},
};

/// Users as yet without order and limit.
pub(super) type Matching<'a> = users::BoxedQuery<'a, Pg>;
/// The same in the narrow copy.
pub(super) type Found<'a> = user_list::BoxedQuery<'a, Pg>;

pub(crate) async fn list_users(
    conn: &mut AsyncPgConnection,
    query: &UserListQuery,
) -> Result<Listing<User>, PgError> {
    let Some(cursor) = Cursor::find(conn, query).await? else {
        return Ok(Listing {
            items: Vec::new(),
            count: 0,
        });
    };
    let statement = ListStatement::new(query, &cursor);
    let rows: Vec<(UserRow, i64)> = statement.load(conn).await?;
    // Each row has the count; without any it is none at all.
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

/// Where a list begins: at its start, or after this lower-cased username.
pub(super) struct Cursor(Option<String>);

impl Cursor {
    /// Where the user stands, or stood before they were deleted, after whom the list is to
    /// begin. `None` if there is no such user.
    pub(super) async fn find(
        conn: &mut AsyncPgConnection,
        query: &UserListQuery,
    ) -> Result<Option<Self>, PgError> {
        let Some(id) = query.after else {
            return Ok(Some(Self(None)));
        };
        let username = users::table
            .find(id.0)
            .select(lower(users::username))
            .first(conn)
            .await
            .optional()?;
        Ok(username.map(|username| Self(Some(username))))
    }

    #[cfg(test)]
    pub(super) fn after(username: Option<&str>) -> Self {
        Self(username.map(str::to_owned))
    }

    pub(super) fn username(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// To the letter what the indexes of users with roles are for, each in its own words; see the
/// migration users_with_roles.
pub(super) const HAS_ROLES: &str = "users.rbac_roles <> '{}' AND cardinality(users.rbac_roles) > 0";

/// Those whom the filters, the visibility and the cursor let through.
///
/// The conditions of the partial indexes are repeated to the letter, and words of a closed
/// list stand in the text, so that the planner can prove an index to be enough.
pub(super) fn matching<'a>(query: &'a UserListQuery, cursor: &'a Cursor) -> Matching<'a> {
    let mut matching = users::table
        .filter(not(users::deleted))
        .filter(not(users::is_system))
        .into_boxed();
    if let Visibility::Only(ids) = &query.visible {
        matching = matching.filter(users::id.eq_any(uuids(ids)));
    }
    if let Some(after) = cursor.username() {
        matching = matching.filter(lower(users::username).gt(after));
    }
    let filter = &query.filter;
    matching = with_times(with_words(matching, filter), filter);
    if let Some(text) = &filter.search {
        matching = matching.filter(users::id.eq_any(containing(text).select(user_list::id)));
    }
    if let Some(id) = filter.github_com_user_id {
        matching = matching.filter(users::github_com_user_id.eq(id));
    }
    matching
}

/// The same, found in the narrow copy of the table; `None` if that has not all it takes or
/// nothing is searched for.
pub(super) fn found<'a>(query: &'a UserListQuery, cursor: &'a Cursor) -> Option<Found<'a>> {
    let text = query.filter.search.as_deref()?;
    let rest = UserFilter {
        search: None,
        ..query.filter.clone()
    };
    if rest != kinds(&query.filter) {
        return None;
    }
    let mut found = containing(text);
    if let Visibility::Only(ids) = &query.visible {
        found = found.filter(user_list::id.eq_any(uuids(ids)));
    }
    if let Some(after) = cursor.username() {
        found = found.filter(user_list::key.gt(after));
    }
    if let Some(condition) = of_kind(&rest) {
        found = found.filter(condition);
    }
    Some(found)
}

fn uuids(ids: &[UserId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

/// What the filter says of status and login type.
pub(super) fn kinds(filter: &UserFilter) -> UserFilter {
    UserFilter {
        statuses: filter.statuses.clone(),
        login_types: filter.login_types.clone(),
        ..UserFilter::default()
    }
}

fn with_words<'a>(mut matching: Matching<'a>, filter: &'a UserFilter) -> Matching<'a> {
    if let Some(condition) = of_kind(filter) {
        matching = matching.filter(condition);
    }
    if !filter.roles.is_empty() {
        matching = matching
            .filter(sql::<Bool>(HAS_ROLES))
            .filter(users::rbac_roles.overlaps_with(&filter.roles));
    }
    matching
}

/// That status and login type are among those of the filter, where it has any.
pub(super) fn of_kind(filter: &UserFilter) -> Option<SqlLiteral<Bool>> {
    let statuses = filter.statuses.iter().copied().map(UserStatus::as_str);
    let login_types = filter.login_types.iter().copied().map(LoginType::as_str);
    let conditions = [
        is_one_of("status", statuses),
        is_one_of("login_type", login_types),
    ];
    let conditions: Vec<String> = conditions.into_iter().flatten().collect();
    (!conditions.is_empty()).then(|| sql(&conditions.join(" AND ")))
}

/// That a column is one of our own words, each of which is plain letters.
fn is_one_of<'a>(column: &str, words: impl Iterator<Item = &'a str>) -> Option<String> {
    let quoted: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    (!quoted.is_empty()).then(|| format!("{column} IN ({})", quoted.join(", ")))
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

/// To the letter what the index of the search is of: username and address as one text.
const SEARCHED: &str = r"(user_list.key || E'\n' || user_list.email)";

/// Those whose username or address contains the text.
///
/// What is in one of the two is in both as one text, which the index knows. Only a wildcard
/// or a line feed could be what stands between them, so that it takes a second look.
fn containing<'a>(text: &str) -> Found<'a> {
    let pattern = pattern(text);
    let found = user_list::table
        .filter(sql::<Text>(SEARCHED).like(pattern.clone()))
        .into_boxed();
    if !text.contains(['%', '_', '\\', '\n']) {
        return found;
    }
    let in_username = user_list::key.like(pattern.clone());
    found.filter(in_username.or(user_list::email.like(pattern)))
}

/// What `LIKE` takes for the text. `%`, `_` and the backslash in it keep their meaning, but
/// a backslash at the end, which would take away the meaning of our own `%`, stands for
/// itself.
fn pattern(text: &str) -> String {
    let backslashes = text.len() - text.trim_end_matches('\\').len();
    let end = if backslashes % 2 == 1 { "\\" } else { "" };
    format!("%{text}{end}%")
}
