//! The statement of a list: page, count and organizations in one, and so of one moment.
//!
//! It is put together for each set of filters and, if there are any, planned each time, with
//! the values at hand: a plan for any value would be a scan.

use diesel::{
    dsl::{AsSelect, CountStar, Select},
    expression::Expression,
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::BigInt,
};
use usher_domain::UserFilter;
use usher_store::{UserListQuery, Visibility};

use super::{
    find::lower,
    kept::Kept,
    list::{Cursor, Found, Matching, found, matching},
    row::UserRow,
};
use crate::schema::{user_list, users};

/// What a list without a limit is limited to: there cannot be as many.
const NO_LIMIT: i64 = u32::MAX as i64;

/// From which offset on it pays to look for the bucket that the page begins in; tests have
/// few users.
const DEEP: i64 = if cfg!(test) { 3 } else { 1000 };

/// What is read of `users`, whose names the columns of a page have.
type Columns = (<users::table as Table>::AllColumns, lower<users::username>);

/// Who they are, and where in the list.
type Place = (users::id, lower<users::username>);
/// The same in the narrow copy.
type FoundPlace = (user_list::id, user_list::key);

/// Where the users of a list are looked for.
enum Source<'a> {
    /// In order, until the page is full.
    Users(Select<Matching<'a>, Columns>),
    /// All who match at once, since they are few; the page and its count are taken from them.
    Few(Select<Matching<'a>, Place>),
    /// In the narrow copy, in order until the page is full.
    List(Select<Found<'a>, user_list::id>),
    /// In the narrow copy, all at once, be they many, since an index finds them. To go in
    /// order seems cheap, and is not where those who match have names alike.
    Indexed(Select<Found<'a>, FoundPlace>),
}

/// The rows of a list, in order. What is in other tables comes later, so that users whom
/// the offset leaves out cost no look at it.
struct Rows<'a> {
    source: Source<'a>,
    columns: AsSelect<UserRow, Pg>,
    limit: i64,
    offset: i64,
    kept: Option<Kept<'a>>,
    is_planned_for_values: bool,
}

impl<'a> Rows<'a> {
    fn new(query: &'a UserListQuery, cursor: &'a Cursor) -> Self {
        let is_plain = query.filter == UserFilter::default() && query.visible == Visibility::All;
        let source = if let Some(found) = found(query, cursor) {
            let text = query.filter.search.as_deref().unwrap_or_default();
            if has_trigram(text) {
                Source::Indexed(found.select((user_list::id, user_list::key)))
            } else {
                Source::List(found.select(user_list::id))
            }
        } else if has_few(query) {
            let place = (users::id, lower(users::username));
            Source::Few(matching(query, cursor).select(place))
        } else {
            let columns = (users::all_columns, lower(users::username));
            Source::Users(matching(query, cursor).select(columns))
        };
        Self {
            source,
            columns: UserRow::as_select(),
            limit: query.page.limit.map_or(NO_LIMIT, i64::from),
            offset: query.page.offset.into(),
            kept: Kept::of(query, cursor),
            is_planned_for_values: !is_plain,
        }
    }

    /// The kept counts, if the place of the page is found by them.
    fn deep(&self) -> Option<&Kept<'a>> {
        self.kept.as_ref().filter(|_| self.offset >= DEEP)
    }

    /// Begins a statement with the table `page`, and those that it and the count need.
    fn push_page<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>, has_count: bool) -> QueryResult<()> {
        if self.is_planned_for_values {
            out.unsafe_to_cache_prepared();
        }
        let deep = self.deep();
        out.push_sql("WITH ");
        if let Some(kept) = &self.kept
            && (has_count || deep.is_some())
        {
            kept.push_rank(out)?;
        }
        if let Some(kept) = deep {
            kept.push_place(out, &self.offset)?;
        }
        match &self.source {
            Source::Users(matching) => {
                out.push_sql("page AS (");
                QueryFragment::<Pg>::walk_ast(matching, out.reborrow())?;
                if deep.is_some() {
                    out.push_sql(" AND ");
                    Kept::push_bounds(out, &self.limit)?;
                }
                out.push_sql(" ORDER BY lower(users.username)");
                self.push_limit(out)?;
            }
            Source::List(found) => {
                push_page_of(out, |out| {
                    QueryFragment::<Pg>::walk_ast(found, out.reborrow())?;
                    out.push_sql(" ORDER BY user_list.key");
                    self.push_limit(out)
                })?;
            }
            Source::Few(matching) => self.push_page_of_matches(out, matching)?,
            Source::Indexed(found) => self.push_page_of_matches(out, found)?,
        }
        out.push_sql(")");
        Ok(())
    }

    /// Behind it there is the table `matches` too, of all who match.
    fn push_page_of_matches<'b>(
        &'b self,
        out: &mut AstPass<'_, 'b, Pg>,
        matches: &'b impl QueryFragment<Pg>,
    ) -> QueryResult<()> {
        out.push_sql("matches (id, key) AS MATERIALIZED (");
        matches.walk_ast(out.reborrow())?;
        out.push_sql("), ");
        push_page_of(out, |out| {
            out.push_sql("SELECT id FROM matches ORDER BY key");
            self.push_limit(out)
        })
    }

    /// How many match; behind the page.
    fn push_count<'b>(
        &'b self,
        out: &mut AstPass<'_, 'b, Pg>,
        count: &'b Count<'_>,
    ) -> QueryResult<()> {
        match &self.source {
            Source::Users(_) | Source::List(_) => count.push(out),
            Source::Few(_) | Source::Indexed(_) => {
                out.push_sql("SELECT count(*) FROM matches");
                Ok(())
            }
        }
    }

    fn push_limit<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // A limit, were it ever so high, would have the whole list sorted first.
        if self.limit < NO_LIMIT {
            out.push_sql(" LIMIT ");
            out.push_bind_param::<BigInt, _>(&self.limit)?;
        }
        out.push_sql(" OFFSET ");
        if self.deep().is_some() {
            out.push_sql("(SELECT rest FROM place)");
            return Ok(());
        }
        out.push_bind_param::<BigInt, _>(&self.offset)
    }
}

/// Begins the table `page`, of users whose identifiers a query gives.
fn push_page_of<'b>(
    out: &mut AstPass<'_, 'b, Pg>,
    ids: impl FnOnce(&mut AstPass<'_, 'b, Pg>) -> QueryResult<()>,
) -> QueryResult<()> {
    out.push_sql("page AS (SELECT users.*, lower(users.username) FROM (");
    ids(out)?;
    out.push_sql(") AS found JOIN users ON users.id = found.id");
    Ok(())
}

/// Whether the list is of those with site roles, who are few.
fn has_few(query: &UserListQuery) -> bool {
    !query.filter.roles.is_empty()
}

/// Whether an index of trigrams helps to find the text: it has three letters or digits on
/// end, none of which is made a wildcard or taken from its neighbours by one.
fn has_trigram(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric())
        .any(|word| word.chars().count() >= 3)
}

/// How many match.
enum Count<'a> {
    Kept(Kept<'a>),
    Users(Select<Matching<'a>, CountStar>),
    List(Select<Found<'a>, CountStar>),
}

impl<'a> Count<'a> {
    fn new(query: &'a UserListQuery, cursor: &'a Cursor) -> Self {
        if let Some(kept) = Kept::of(query, cursor) {
            return Self::Kept(kept);
        }
        match found(query, cursor) {
            Some(found) => Self::List(found.count()),
            None => Self::Users(matching(query, cursor).count()),
        }
    }

    /// Behind the table `rank` if the count is kept.
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        match self {
            Self::Kept(kept) => kept.push_count(out),
            Self::Users(counted) => QueryFragment::<Pg>::walk_ast(counted, out.reborrow()),
            Self::List(counted) => QueryFragment::<Pg>::walk_ast(counted, out.reborrow()),
        }
    }
}

/// A page, with how many users match the filter, the visibility and the cursor in each row.
pub(super) struct ListStatement<'a> {
    rows: Rows<'a>,
    count: Count<'a>,
}

impl<'a> ListStatement<'a> {
    pub(super) fn new(query: &'a UserListQuery, cursor: &'a Cursor) -> Self {
        Self {
            rows: Rows::new(query, cursor),
            count: Count::new(query, cursor),
        }
    }
}

impl Query for ListStatement<'_> {
    type SqlType = (<AsSelect<UserRow, Pg> as Expression>::SqlType, BigInt);
}

impl QueryFragment<Pg> for ListStatement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.rows.push_page(&mut out, true)?;
        out.push_sql(", len (n) AS (SELECT count(*) FROM page) SELECT ");
        self.rows.columns.walk_ast(out.reborrow())?;
        // A page that is not full tells the count by itself: nobody comes after it.
        out.push_sql(", CASE WHEN (SELECT n FROM len) < ");
        out.push_bind_param::<BigInt, _>(&self.rows.limit)?;
        out.push_sql(" THEN (SELECT n FROM len) + ");
        out.push_bind_param::<BigInt, _>(&self.rows.offset)?;
        out.push_sql(" ELSE (");
        self.rows.push_count(&mut out, &self.count)?;
        out.push_sql(") END FROM page AS users ORDER BY users.lower");
        Ok(())
    }
}

/// How many users match, whatever page is asked for.
pub(super) struct CountStatement<'a>(Count<'a>);

impl<'a> CountStatement<'a> {
    pub(super) fn new(query: &'a UserListQuery, cursor: &'a Cursor) -> Self {
        Self(Count::new(query, cursor))
    }
}

impl Query for CountStatement<'_> {
    type SqlType = BigInt;
}

impl QueryFragment<Pg> for CountStatement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("WITH ");
        if let Count::Kept(kept) = &self.0 {
            kept.push_rank(&mut out)?;
        }
        out.push_sql("result (n) AS (SELECT (");
        self.0.push(&mut out)?;
        out.push_sql(")) SELECT n FROM result");
        Ok(())
    }
}

/// The name of the cursor over a long list.
const CURSOR: &str = "user_list_cursor";

/// Opens the cursor over a long list.
pub(super) struct DeclareStatement<'a>(Rows<'a>);

impl<'a> DeclareStatement<'a> {
    pub(super) fn new(query: &'a UserListQuery, cursor: &'a Cursor) -> Self {
        Self(Rows::new(query, cursor))
    }
}

impl QueryFragment<Pg> for DeclareStatement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("DECLARE ");
        out.push_sql(CURSOR);
        out.push_sql(" NO SCROLL CURSOR FOR ");
        self.0.push_page(&mut out, false)?;
        out.push_sql(" SELECT ");
        self.0.columns.walk_ast(out.reborrow())?;
        out.push_sql(" FROM page AS users");
        // Where nothing is joined, the page has its order; to say so once more would have it
        // planned as if all of it were wanted at once, that is, sorted.
        if !matches!(self.0.source, Source::Users(_)) {
            out.push_sql(" ORDER BY users.lower");
        }
        Ok(())
    }
}

/// Takes the next rows of the cursor over a long list.
pub(super) struct FetchStatement(pub(super) usize);

impl Query for FetchStatement {
    type SqlType = <AsSelect<UserRow, Pg> as Expression>::SqlType;
}

impl QueryFragment<Pg> for FetchStatement {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Its plan would end with the cursor.
        out.unsafe_to_cache_prepared();
        out.push_sql(&format!("FETCH {} FROM {CURSOR}", self.0));
        Ok(())
    }
}

/// Statements whose text is known when they run.
macro_rules! written_at_run_time {
    ($($statement:ty),*) => {$(
        impl QueryId for $statement {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }

        impl<C> diesel::query_dsl::RunQueryDsl<C> for $statement {}
    )*};
}

written_at_run_time!(
    ListStatement<'_>,
    CountStatement<'_>,
    DeclareStatement<'_>,
    FetchStatement
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigram_is_three_letters_or_digits_on_end() {
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
