//! Maintenance of the counts. Pages are right without it: they add up `user_totals` and
//! `user_count_deltas`, which every statement here leaves with the same sum.

use std::time::Duration;

use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_store::{CountDrift, StoreError, UserCountStore};

use crate::{
    PgError, PgStore,
    lock::{self, AdvisoryLock},
};

/// How long a transaction that reads every user, or very many deltas, may take.
const LIMIT: Duration = Duration::from_mins(15);

#[async_trait]
impl UserCountStore for PgStore {
    async fn fold_user_counts(&self) -> Result<(), StoreError> {
        let has_deltas = "SELECT EXISTS (SELECT FROM user_count_deltas) AS is_so";
        if self.read(async |conn| ask(conn, has_deltas).await).await? {
            self.pool.write_within(LIMIT, fold).await?;
        }
        Ok(())
    }

    async fn check_user_counts(&self) -> Result<Vec<CountDrift>, StoreError> {
        Ok(self.pool.write_within(LIMIT, check).await?)
    }

    async fn recount_users(&self) -> Result<(), StoreError> {
        Ok(self.pool.write_within(LIMIT, recount).await?)
    }

    async fn has_search_index(&self) -> Result<bool, StoreError> {
        let query = "SELECT to_regclass('users_search_idx') IS NOT NULL AS is_so";
        self.read(async |conn| ask(conn, query).await).await
    }
}

async fn fold(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    if lock::try_lock_advisory(conn, AdvisoryLock::UserCounts).await? {
        lift_statement_timeout(conn).await?;
        sql_query(include_str!("fold.sql")).execute(conn).await?;
    }
    Ok(())
}

async fn recount(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    lock::lock_advisory(conn, AdvisoryLock::UserCounts).await?;
    lift_statement_timeout(conn).await?;
    sql_query("DELETE FROM user_totals").execute(conn).await?;
    sql_query(include_str!("recount.sql")).execute(conn).await?;
    Ok(())
}

async fn check(conn: &mut AsyncPgConnection) -> Result<Vec<CountDrift>, PgError> {
    lift_statement_timeout(conn).await?;
    let drifts: Vec<DriftRow> = sql_query(include_str!("check.sql")).load(conn).await?;
    Ok(drifts.into_iter().map(CountDrift::from).collect())
}

async fn lift_statement_timeout(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    sql_query("SET LOCAL statement_timeout = 0")
        .execute(conn)
        .await?;
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

#[derive(QueryableByName)]
struct DriftRow {
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = BigInt)]
    maintained: i64,
    #[diesel(sql_type = BigInt)]
    counted: i64,
}

impl From<DriftRow> for CountDrift {
    fn from(row: DriftRow) -> Self {
        Self {
            what: row.what,
            maintained: row.maintained,
            counted: row.counted,
        }
    }
}
