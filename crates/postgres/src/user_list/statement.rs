//! The statements of the list: the `.sql` files with their parameters.
//!
//! Conditions that a query does not have are NULL. The statements are planned each time, with
//! their values, so that the planner removes those conditions and sees which partial indexes
//! apply. A prepared statement could keep a plan for an empty table after a bulk load.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::{
    dsl::AsSelect,
    expression::Expression,
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Nullable, Text, Timestamp, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{LoginType, UserFilter, UserStatus};
use usher_store::{UserListQuery, Visibility};
use uuid::Uuid;

use crate::{
    PgError,
    schema::users,
    user::{find::lower, row::UserRow},
};

const PAGE: &str = include_str!("page.sql");
const FILTERED_PAGE: &str = include_str!("filtered_page.sql");
const STREAM: &str = include_str!("stream.sql");

/// The least key that the list includes, where a key is a lower-cased username; `None` for a
/// list from its beginning.
pub(crate) struct Start(Option<String>);

impl Start {
    /// Finds where the list starts. `None` if it is to start after a user that does not exist;
    /// a deleted one still has a position.
    pub(crate) async fn find(
        conn: &mut AsyncPgConnection,
        query: &UserListQuery,
    ) -> Result<Option<Self>, PgError> {
        let Some(id) = query.after else {
            return Ok(Some(Self(None)));
        };
        let username: Option<String> = users::table
            .find(id.0)
            .select(lower(users::username))
            .first(conn)
            .await
            .optional()?;
        Ok(username.as_deref().map(Self::after))
    }

    /// After this key. Nothing sorts between a text and the same text with U+0001 added.
    pub(crate) fn after(key: &str) -> Self {
        Self(Some(format!("{key}\u{1}")))
    }

    #[cfg(test)]
    pub(crate) fn beginning() -> Self {
        Self(None)
    }
}

/// The conditions of a query, as the parameters of a statement.
struct Conditions<'a> {
    start: Option<&'a str>,
    statuses: Option<Vec<&'static str>>,
    login_types: Option<Vec<&'static str>>,
    roles: Option<&'a [String]>,
    last_seen_before: Option<NaiveDateTime>,
    last_seen_after: Option<NaiveDateTime>,
    created_before: Option<DateTime<Utc>>,
    created_after: Option<DateTime<Utc>>,
    github_com_user_id: Option<i64>,
    visible: Option<Vec<Uuid>>,
    search: Option<String>,
    has_wildcards: bool,
}

impl<'a> Conditions<'a> {
    fn new(query: &'a UserListQuery, start: &'a Start) -> Self {
        let filter = &query.filter;
        let statuses = filter.statuses.iter().copied().map(UserStatus::as_str);
        let login_types = filter.login_types.iter().copied().map(LoginType::as_str);
        Self {
            start: start.0.as_deref(),
            statuses: any(statuses.collect()),
            login_types: any(login_types.collect()),
            roles: (!filter.roles.is_empty()).then_some(filter.roles.as_slice()),
            last_seen_before: filter.last_seen_before.map(|time| time.naive_utc()),
            last_seen_after: filter.last_seen_after.map(|time| time.naive_utc()),
            created_before: filter.created_before,
            created_after: filter.created_after,
            github_com_user_id: filter.github_com_user_id,
            visible: match &query.visible {
                Visibility::All => None,
                Visibility::Only(ids) => Some(ids.iter().map(|id| id.0).collect()),
            },
            search: filter.search.as_deref().map(pattern),
            has_wildcards: filter
                .search
                .as_deref()
                .is_some_and(|text| text.contains(['%', '_', '\\', '\n'])),
        }
    }

    /// Binds `$1` to `$12` of `filtered_page.sql` and `stream.sql`.
    fn bind<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param_value_only::<Nullable<Text>, _>(&self.start)?;
        self.bind_kinds(out)?;
        out.push_bind_param_value_only::<Nullable<Array<Text>>, _>(&self.roles)?;
        out.push_bind_param_value_only::<Nullable<Timestamp>, _>(&self.last_seen_before)?;
        out.push_bind_param_value_only::<Nullable<Timestamp>, _>(&self.last_seen_after)?;
        out.push_bind_param_value_only::<Nullable<Timestamptz>, _>(&self.created_before)?;
        out.push_bind_param_value_only::<Nullable<Timestamptz>, _>(&self.created_after)?;
        out.push_bind_param_value_only::<Nullable<BigInt>, _>(&self.github_com_user_id)?;
        out.push_bind_param_value_only::<Nullable<Array<SqlUuid>>, _>(&self.visible)?;
        out.push_bind_param_value_only::<Nullable<Text>, _>(&self.search)?;
        let search = if self.has_wildcards {
            &self.search
        } else {
            &None
        };
        out.push_bind_param_value_only::<Nullable<Text>, _>(search)
    }

    fn bind_kinds<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param_value_only::<Nullable<Array<Text>>, _>(&self.statuses)?;
        out.push_bind_param_value_only::<Nullable<Array<Text>>, _>(&self.login_types)
    }
}

/// A list of words that restricts something; an empty one does not.
fn any(words: Vec<&'static str>) -> Option<Vec<&'static str>> {
    (!words.is_empty()).then_some(words)
}

/// The pattern for `LIKE`. `%`, `_` and the backslash keep their meaning there, except for a
/// backslash at the end, which would escape our own `%`: it stands for itself.
fn pattern(text: &str) -> String {
    let backslashes = text.len() - text.trim_end_matches('\\').len();
    let end = if backslashes % 2 == 1 { "\\" } else { "" };
    format!("%{text}{end}%")
}

/// Which statement reads a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// `page.sql`, where the counts are maintained: all users, or some statuses and login types.
    Counted,
    /// `filtered_page.sql`, reading users in the order of the list.
    Ordered,
    /// `filtered_page.sql`, reading all matches first, which an index finds. Reading in the
    /// order of the list seems cheaper to the planner, and is slow where matches have similar
    /// names.
    Matches,
}

impl Source {
    fn of(query: &UserListQuery) -> Self {
        let filter = &query.filter;
        let mut rest = filter.clone();
        rest.statuses.clear();
        rest.login_types.clear();
        if query.visible == Visibility::All && rest == UserFilter::default() {
            return Self::Counted;
        }
        if !filter.roles.is_empty() || filter.search.as_deref().is_some_and(has_trigram) {
            return Self::Matches;
        }
        Self::Ordered
    }
}

/// Whether the trigram index can find the text: it has three adjacent letters or digits that
/// no wildcard touches.
fn has_trigram(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric())
        .any(|word| word.chars().count() >= 3)
}

/// A page, with the number of all users that match in each row.
pub(crate) struct PageStatement<'a> {
    source: Source,
    conditions: Conditions<'a>,
    columns: AsSelect<UserRow, Pg>,
    limit: i64,
    offset: i64,
}

impl<'a> PageStatement<'a> {
    pub(crate) fn new(query: &'a UserListQuery, start: &'a Start) -> Self {
        Self {
            source: Source::of(query),
            conditions: Conditions::new(query, start),
            columns: UserRow::as_select(),
            limit: query.page.limit.unwrap_or(u32::MAX).into(),
            offset: query.page.offset.into(),
        }
    }
}

impl Query for PageStatement<'_> {
    type SqlType = (<AsSelect<UserRow, Pg> as Expression>::SqlType, BigInt);
}

impl QueryFragment<Pg> for PageStatement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("SELECT ");
        self.columns.walk_ast(out.reborrow())?;
        out.push_sql(", users.count FROM (");
        match self.source {
            Source::Counted => out.push_sql(PAGE),
            Source::Ordered => out.push_sql(FILTERED_PAGE),
            Source::Matches => {
                out.push_sql(&FILTERED_PAGE.replace("AS NOT MATERIALIZED", "AS MATERIALIZED"));
            }
        }
        out.push_sql(") AS users ORDER BY users.key");
        match self.source {
            Source::Counted => {
                let start = self.conditions.start.as_ref().unwrap_or(&"");
                out.push_bind_param_value_only::<Text, _>(start)?;
                self.conditions.bind_kinds(&mut out)?;
            }
            Source::Ordered | Source::Matches => self.conditions.bind(&mut out)?,
        }
        out.push_bind_param_value_only::<BigInt, _>(&self.limit)?;
        out.push_bind_param_value_only::<BigInt, _>(&self.offset)
    }
}

/// The name of the cursor over a whole list.
const CURSOR: &str = "user_list_cursor";

/// Opens the cursor over a whole list.
pub(super) struct DeclareStatement<'a> {
    conditions: Conditions<'a>,
    columns: AsSelect<UserRow, Pg>,
    limit: Option<i64>,
    offset: i64,
}

impl<'a> DeclareStatement<'a> {
    pub(super) fn new(query: &'a UserListQuery, start: &'a Start) -> Self {
        Self {
            conditions: Conditions::new(query, start),
            columns: UserRow::as_select(),
            limit: query.page.limit.map(i64::from),
            offset: query.page.offset.into(),
        }
    }
}

impl QueryFragment<Pg> for DeclareStatement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("DECLARE ");
        out.push_sql(CURSOR);
        out.push_sql(" NO SCROLL CURSOR FOR SELECT ");
        self.columns.walk_ast(out.reborrow())?;
        out.push_sql(" FROM (");
        out.push_sql(STREAM);
        out.push_sql(") AS users");
        self.conditions.bind(&mut out)?;
        out.push_bind_param_value_only::<Nullable<BigInt>, _>(&self.limit)?;
        out.push_bind_param_value_only::<BigInt, _>(&self.offset)
    }
}

/// Takes the next rows of the cursor.
pub(super) struct FetchStatement(pub(super) usize);

impl Query for FetchStatement {
    type SqlType = <AsSelect<UserRow, Pg> as Expression>::SqlType;
}

impl QueryFragment<Pg> for FetchStatement {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // A prepared statement would not outlive the cursor.
        out.unsafe_to_cache_prepared();
        out.push_sql(&format!("FETCH {} FROM {CURSOR}", self.0));
        Ok(())
    }
}

macro_rules! dynamic_statements {
    ($($statement:ty),*) => {$(
        impl QueryId for $statement {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }
    )*};
}

dynamic_statements!(PageStatement<'_>, DeclareStatement<'_>, FetchStatement);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigram_is_three_adjacent_letters_or_digits() {
        for (text, expected) in [
            ("ann", true),
            ("a.b1c", true),
            ("an", false),
            ("a-b-c", false),
            ("an%n", false),
            ("an_n", false),
            ("%ann_", true),
            ("", false),
        ] {
            assert_eq!(has_trigram(text), expected, "{text}");
        }
    }
}
