//! The numbers of users that the database keeps, so that lists need not count.
//!
//! Triggers write what changes into `user_count_deltas`, and lists add that up with the
//! rest (`user/kept.rs`), so that nothing here is needed for a right answer. What is kept
//! and the deltas that a transaction sees always make up the users that it sees: each step
//! below leaves it so.

use std::time::Duration;

use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Bool, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_store::{CountDrift, StoreError, UserCountStore};

use crate::{
    PgError, PgStore,
    lock::{self, AdvisoryLock},
};

#[cfg(test)]
pub(crate) mod tests;

/// How long the work may take where it reads every user.
const LIMIT: Duration = Duration::from_mins(15);

#[async_trait]
impl UserCountStore for PgStore {
    async fn fold_user_counts(&self) -> Result<(), StoreError> {
        if self.read(async |conn| is_there_work(conn).await).await? {
            let tend = async |conn: &mut AsyncPgConnection| tend(conn, BUCKET).await;
            self.pool.write_within(LIMIT, tend).await?;
        }
        Ok(())
    }

    async fn check_user_counts(&self) -> Result<Vec<CountDrift>, StoreError> {
        Ok(self.pool.write_within(LIMIT, check).await?)
    }

    async fn recount_users(&self) -> Result<(), StoreError> {
        let recount = async |conn: &mut AsyncPgConnection| recount(conn, BUCKET).await;
        Ok(self.pool.write_within(LIMIT, recount).await?)
    }

    async fn has_search_index(&self) -> Result<bool, StoreError> {
        let query = "SELECT to_regclass('user_list_search_idx') IS NOT NULL AS is_so";
        self.read(async |conn| ask(conn, query).await).await
    }
}

/// How many users a bucket has when it is made. One of four times as many is divided.
const BUCKET: i64 = 1000;

async fn is_there_work(conn: &mut AsyncPgConnection) -> Result<bool, PgError> {
    let query = format!(
        "SELECT EXISTS (SELECT FROM user_count_deltas) \
         OR EXISTS (SELECT FROM user_buckets GROUP BY lo HAVING sum(n) > {}) AS is_so",
        4 * BUCKET
    );
    ask(conn, &query).await
}

async fn tend(conn: &mut AsyncPgConnection, size: i64) -> Result<(), PgError> {
    if !lock::try_lock_advisory(conn, AdvisoryLock::UserCounts).await? {
        return Ok(());
    }
    lift_limit(conn).await?;
    sql_query(FOLD).execute(conn).await?;
    for range in too_large(conn, 4 * size).await? {
        sql_query("DELETE FROM user_buckets WHERE lo = $1")
            .bind::<Text, _>(&range.lo)
            .execute(conn)
            .await?;
        divide(conn, &range, size).await?;
    }
    Ok(())
}

async fn recount(conn: &mut AsyncPgConnection, size: i64) -> Result<(), PgError> {
    lock::lock_advisory(conn, AdvisoryLock::UserCounts).await?;
    lift_limit(conn).await?;
    for statement in ["DELETE FROM user_totals", TOTAL, "DELETE FROM user_buckets"] {
        sql_query(statement).execute(conn).await?;
    }
    let whole = Range {
        lo: String::new(),
        hi: None,
    };
    divide(conn, &whole, size).await?;
    sql_query(REPAIR_LIST).execute(conn).await?;
    Ok(())
}

async fn check(conn: &mut AsyncPgConnection) -> Result<Vec<CountDrift>, PgError> {
    lift_limit(conn).await?;
    let drifts: Vec<DriftRow> = sql_query(CHECK).load(conn).await?;
    Ok(drifts.into_iter().map(CountDrift::from).collect())
}

/// Has the statements of this transaction take their time, and room to sort in.
async fn lift_limit(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    for setting in ["statement_timeout = 0", "work_mem = '32MB'"] {
        sql_query(format!("SET LOCAL {setting}"))
            .execute(conn)
            .await?;
    }
    Ok(())
}

async fn ask(conn: &mut AsyncPgConnection, query: &str) -> Result<bool, PgError> {
    let answer: Answer = sql_query(query).get_result(conn).await?;
    Ok(answer.is_so)
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    is_so: bool,
}

/// Part of the list: from a lower-cased username on, and up to another one.
#[derive(QueryableByName)]
struct Range {
    #[diesel(sql_type = Text)]
    lo: String,
    #[diesel(sql_type = Nullable<Text>)]
    hi: Option<String>,
}

async fn too_large(conn: &mut AsyncPgConnection, size: i64) -> Result<Vec<Range>, PgError> {
    let query = "SELECT lo, hi FROM (SELECT lo, lead(lo) OVER (ORDER BY lo) AS hi, sum(n) AS n \
                 FROM user_buckets GROUP BY lo) AS buckets WHERE n > $1";
    let query = sql_query(query).bind::<BigInt, _>(size);
    Ok(query.load(conn).await?)
}

async fn divide(conn: &mut AsyncPgConnection, range: &Range, size: i64) -> Result<(), PgError> {
    sql_query(DIVIDE)
        .bind::<Text, _>(&range.lo)
        .bind::<Nullable<Text>, _>(&range.hi)
        .bind::<BigInt, _>(size)
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves the deltas that there are into the other two tables. Those that come meanwhile are
/// not seen, and stay.
const FOLD: &str = "
WITH folded AS MATERIALIZED (
    DELETE FROM user_count_deltas RETURNING key, status, login_type, d
), totals AS (
    INSERT INTO user_totals (status, login_type, n)
    SELECT status, login_type, sum(d) FROM folded GROUP BY status, login_type
    ON CONFLICT (status, login_type) DO UPDATE SET n = user_totals.n + EXCLUDED.n
), placed AS (
    SELECT (SELECT coalesce(max(lo), '') FROM user_buckets WHERE lo <= key) AS lo,
           status, login_type, d
    FROM folded
)
INSERT INTO user_buckets (lo, status, login_type, n)
SELECT lo, status, login_type, sum(d) FROM placed GROUP BY lo, status, login_type
ON CONFLICT (lo, status, login_type) DO UPDATE SET n = user_buckets.n + EXCLUDED.n";

/// Makes the buckets of a part of the list: what there is, without what the deltas will add.
const DIVIDE: &str = "
WITH numbered AS MATERIALIZED (
    SELECT lower(username) AS key, status, login_type,
           (row_number() OVER (ORDER BY lower(username)) - 1) / $3 AS bucket
    FROM users
    WHERE NOT deleted AND NOT is_system
      AND lower(username) >= $1 AND ($2 IS NULL OR lower(username) < $2)
), starts AS MATERIALIZED (
    SELECT bucket, CASE WHEN bucket = 0 THEN $1 ELSE min(key) END AS lo
    FROM numbered GROUP BY bucket
)
INSERT INTO user_buckets (lo, status, login_type, n)
SELECT lo, status, login_type, sum(n)
FROM (
    SELECT lo, status, login_type, 1 AS n FROM numbered JOIN starts USING (bucket)
    UNION ALL
    SELECT coalesce((SELECT max(lo) FROM starts WHERE lo <= key), $1), status, login_type, -d
    FROM user_count_deltas
    WHERE key >= $1 AND ($2 IS NULL OR key < $2)
) AS parts
GROUP BY lo, status, login_type";

/// Makes the totals likewise.
const TOTAL: &str = "
INSERT INTO user_totals (status, login_type, n)
SELECT status, login_type, sum(n)
FROM (
    SELECT status, login_type, count(*) AS n
    FROM users WHERE NOT deleted AND NOT is_system
    GROUP BY status, login_type
    UNION ALL
    SELECT status, login_type, -d FROM user_count_deltas
) AS parts
GROUP BY status, login_type";

/// Brings the copy to search in to what it should be.
const REPAIR_LIST: &str = "
WITH wanted AS MATERIALIZED (
    SELECT id, lower(username) AS key, lower(email) AS email, status, login_type
    FROM users WHERE NOT deleted AND NOT is_system
), wrong AS (
    DELETE FROM user_list AS listed
    WHERE NOT EXISTS (
        SELECT FROM wanted
        WHERE (wanted.id, wanted.key, wanted.email, wanted.status, wanted.login_type)
            = (listed.id, listed.key, listed.email, listed.status, listed.login_type)
    ) OR EXISTS (
        SELECT FROM user_list AS twin
        WHERE twin.key = listed.key AND twin.id = listed.id AND twin.ctid < listed.ctid
    )
)
INSERT INTO user_list (id, key, email, status, login_type)
SELECT id, key, email, status, login_type FROM wanted
EXCEPT
SELECT id, key, email, status, login_type FROM user_list";

/// Where what is kept and what there is differ. A user is in the last bucket that does not
/// begin after them.
const CHECK: &str = "
WITH listed AS MATERIALIZED (
    SELECT id, lower(username) AS key, lower(email) AS email, status, login_type
    FROM users WHERE NOT deleted AND NOT is_system
), totals AS (
    SELECT status, login_type, n AS kept, 0 AS counted FROM user_totals
    UNION ALL SELECT status, login_type, d, 0 FROM user_count_deltas
    UNION ALL SELECT status, login_type, 0, count(*) FROM listed GROUP BY status, login_type
), places AS (
    SELECT lo AS key, false AS is_inside, lo, status, login_type, n AS kept, 0 AS counted
    FROM user_buckets
    UNION ALL SELECT key, true, NULL, status, login_type, d, 0 FROM user_count_deltas
    UNION ALL SELECT key, true, NULL, status, login_type, 0, 1 FROM listed
), buckets AS (
    SELECT coalesce(max(lo) OVER (ORDER BY key, is_inside), '') AS lo,
           status, login_type, kept, counted
    FROM places
)
SELECT format('users of status %s and login type %s', status, login_type) AS what,
       sum(kept)::bigint AS kept, sum(counted)::bigint AS counted
FROM totals GROUP BY status, login_type HAVING sum(kept) <> sum(counted)
UNION ALL
SELECT format('users from \"%s\" on of status %s and login type %s', lo, status, login_type),
       sum(kept)::bigint, sum(counted)::bigint
FROM buckets GROUP BY lo, status, login_type HAVING sum(kept) <> sum(counted)
UNION ALL
SELECT 'users who are not found by a search', 0, count(*)
FROM (SELECT * FROM listed EXCEPT ALL
      SELECT id, key, email, status, login_type FROM user_list) AS missing
HAVING count(*) > 0
UNION ALL
SELECT 'users who are found by a search, but are not there', count(*), 0
FROM (SELECT id, key, email, status, login_type FROM user_list EXCEPT ALL
      SELECT * FROM listed) AS extra
HAVING count(*) > 0";

#[derive(QueryableByName)]
struct DriftRow {
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = BigInt)]
    kept: i64,
    #[diesel(sql_type = BigInt)]
    counted: i64,
}

impl From<DriftRow> for CountDrift {
    fn from(row: DriftRow) -> Self {
        Self {
            what: row.what,
            kept: row.kept,
            counted: row.counted,
        }
    }
}
