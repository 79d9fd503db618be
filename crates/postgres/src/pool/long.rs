//! Transactions that may take longer than the usual deadline.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, RunQueryDsl as _, TransactionManager as _};
use tokio::time::Instant;

use super::{Call, Manager, Pool, Work, begin, finish};
use crate::PgError;

impl Pool {
    /// Like [`write`](Pool::write), with a deadline of `limit`. The change must raise
    /// `statement_timeout` itself, with `SET LOCAL`.
    pub(crate) async fn write_within<T, F>(&self, limit: Duration, change: F) -> Result<T, PgError>
    where
        for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, PgError>
            + Work<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
            + Send,
        T: Send,
    {
        let mut call = self.open(begin).await?;
        call.deadline = Instant::now() + limit;
        call.run(async |conn: &mut AsyncPgConnection| finish(conn, change).await)
            .await
    }

    /// Begins a read-only transaction that sees one snapshot.
    pub(crate) async fn begin_reading(&self) -> Result<Reading, PgError> {
        Ok(Reading {
            call: self.open(begin_reading).await?,
            call_timeout: self.call_timeout,
        })
    }
}

/// A read-only transaction. Each step has the usual deadline; the transaction has none.
pub(crate) struct Reading {
    call: Call,
    call_timeout: Duration,
}

impl Reading {
    /// Runs a step. After a failed step, only [`end`](Self::end) may be called.
    pub(crate) async fn run<T, F>(&mut self, step: F) -> Result<T, PgError>
    where
        for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, PgError>
            + Work<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
            + Send,
        T: Send,
    {
        self.call.deadline = Instant::now() + self.call_timeout;
        self.call.run(step).await
    }

    /// Ends the transaction and returns the connection to the pool if it is still usable.
    pub(crate) async fn end(mut self) {
        if let Err(error) = self.run(roll_back).await {
            tracing::debug!(%error, "could not end a read-only transaction");
            self.call.discard_connection();
        }
    }
}

async fn begin_reading(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    Manager::begin_transaction_sql(conn, sql).await?;
    // JIT compilation would delay the first rows. The connection's own options may be
    // unset.
    diesel::sql_query("SET LOCAL jit = off")
        .execute(conn)
        .await?;
    Ok(())
}

async fn roll_back(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    Ok(Manager::rollback_transaction(conn).await?)
}
