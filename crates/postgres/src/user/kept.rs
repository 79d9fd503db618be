//! Counts and ranks of users from the numbers that the database keeps of them.
//!
//! They add up `user_totals` or `user_buckets` and `user_count_deltas` in the statement of
//! the list itself, so that all are of the same moment; see `docs/architecture.md`.

use diesel::{
    expression::SqlLiteral,
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, QueryFragment},
    sql_types::{BigInt, Bool, Text},
};
use usher_store::{UserListQuery, Visibility};

use super::list::{Cursor, kinds, of_kind};

/// The kept counts that tell of a list.
pub(super) struct Kept<'a> {
    of_kind: Option<SqlLiteral<Bool>>,
    after: Option<&'a str>,
}

impl<'a> Kept<'a> {
    /// The counts for a list of all users, or of those of some statuses and login types;
    /// `None` for others.
    pub(super) fn of(query: &'a UserListQuery, cursor: &'a Cursor) -> Option<Self> {
        let filter = &query.filter;
        let is_kept = query.visible == Visibility::All && *filter == kinds(filter);
        is_kept.then(|| Self {
            of_kind: of_kind(filter),
            after: cursor.username(),
        })
    }

    /// That a row is of a kind that the list is of. Nothing but text where it is of all: diesel
    /// keeps no prepared statement that has a literal in it.
    fn push_kind<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let Some(of_kind) = &self.of_kind else {
            out.push_sql("true");
            return Ok(());
        };
        of_kind.walk_ast(out.reborrow())
    }

    /// The table `rank`: how many users are up to the cursor and left out for it. None if
    /// there is no cursor.
    ///
    /// Those of the buckets before the one with the cursor, and in that as many as there are.
    pub(super) fn push_rank<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let Some(after) = &self.after else {
            out.push_sql("rank (n) AS (SELECT 0::bigint), ");
            return Ok(());
        };
        out.push_sql(
            "rank (n) AS MATERIALIZED (SELECT \
             (SELECT coalesce(sum(n), 0) FROM user_buckets WHERE user_buckets.lo < bucket.lo AND ",
        );
        self.push_kind(out)?;
        out.push_sql(
            ") + (SELECT coalesce(sum(d), 0) FROM user_count_deltas WHERE key < bucket.lo AND ",
        );
        self.push_kind(out)?;
        out.push_sql(
            ") + (SELECT count(*) FROM users WHERE NOT deleted AND NOT is_system \
             AND lower(username) >= bucket.lo AND lower(username) <= ",
        );
        out.push_bind_param::<Text, _>(after)?;
        out.push_sql(" AND ");
        self.push_kind(out)?;
        out.push_sql(") FROM (SELECT coalesce(max(lo), '') AS lo FROM user_buckets WHERE lo <= ");
        out.push_bind_param::<Text, _>(after)?;
        out.push_sql(") AS bucket), ");
        Ok(())
    }

    /// How many users there are after the cursor; behind the table `rank`.
    pub(super) fn push_count<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(SELECT coalesce(sum(n), 0) FROM (SELECT n FROM user_totals WHERE ");
        self.push_kind(out)?;
        out.push_sql(" UNION ALL SELECT d FROM user_count_deltas WHERE ");
        self.push_kind(out)?;
        out.push_sql(") AS kept)::bigint - (SELECT n FROM rank)");
        Ok(())
    }

    /// The table `place`: the bucket in which the page begins, and how many of its users the
    /// page leaves out. Behind the table `rank`.
    ///
    /// `starts` has the rank that each bucket starts at, which is the running sum of all
    /// buckets and deltas before it.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "a bound value lives as long as the statement"
    )]
    pub(super) fn push_place<'b>(
        &'b self,
        out: &mut AstPass<'_, 'b, Pg>,
        offset: &'b i64,
    ) -> QueryResult<()> {
        out.push_sql("target (n) AS MATERIALIZED (SELECT n + ");
        out.push_bind_param::<BigInt, _>(offset)?;
        out.push_sql(
            " FROM rank), starts (lo, start) AS MATERIALIZED (SELECT lo, start FROM (\
             SELECT lo, is_delta, coalesce(sum(n) OVER (ORDER BY lo, is_delta \
             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS start \
             FROM (SELECT lo, false AS is_delta, sum(n) AS n FROM user_buckets WHERE ",
        );
        self.push_kind(out)?;
        out.push_sql(" GROUP BY lo UNION ALL SELECT key, true, d FROM user_count_deltas WHERE ");
        self.push_kind(out)?;
        out.push_sql(
            ") AS steps) AS steps WHERE NOT is_delta), \
             place (lo, rest) AS MATERIALIZED (SELECT coalesce(max(lo), ''), \
             (SELECT n FROM target) - coalesce(max(start), 0) \
             FROM starts WHERE start <= (SELECT n FROM target)), ",
        );
        Ok(())
    }

    /// That a user is not before the bucket in which the page begins, nor after that in
    /// which it ends. Without a bound on both sides a scan would seem cheaper than an index.
    /// Behind the table `place`.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "a bound value lives as long as the statement"
    )]
    pub(super) fn push_bounds<'b>(
        out: &mut AstPass<'_, 'b, Pg>,
        limit: &'b i64,
    ) -> QueryResult<()> {
        out.push_sql(
            "lower(users.username) >= (SELECT lo FROM place) AND lower(users.username) <= \
             coalesce((SELECT min(lo) FROM starts WHERE start >= (SELECT n FROM target) + ",
        );
        out.push_bind_param::<BigInt, _>(limit)?;
        out.push_sql(
            "), (SELECT max(lower(username)) FROM users WHERE NOT deleted AND NOT is_system))",
        );
        Ok(())
    }
}
