//! Work that takes longer than a call of the store may.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, RunQueryDsl as _, TransactionManager as _};
use tokio::time::Instant;

use super::{Call, Manager, Pool, Work, begin, finish};
use crate::PgError;

impl Pool {
    /// Runs a change in a transaction that may take this long, which is undone if it fails.
    /// The change lifts the server's own limit by itself, with `SET LOCAL`.
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

    /// Begins a transaction that only reads, all of it as it is at one moment.
    pub(crate) async fn begin_reading(&self) -> Result<Reading, PgError> {
        Ok(Reading {
            call: self.open(begin_reading).await?,
            call_timeout: self.call_timeout,
        })
    }
}

/// A transaction that only reads. It may last, as long as each step takes no longer than a
/// call.
pub(crate) struct Reading {
    call: Call,
    call_timeout: Duration,
}

impl Reading {
    /// Runs a step. After one that failed there is only [`end`](Self::end).
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

    /// Ends the transaction and gives the connection back to the pool, if it is still good.
    pub(crate) async fn end(mut self) {
        if let Err(error) = self.run(roll_back).await {
            tracing::debug!(%error, "could not end a transaction that only read");
            self.call.discard_connection();
        }
    }
}

async fn begin_reading(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    Manager::begin_transaction_sql(conn, sql).await?;
    // It would hold up the first rows of a long list, where the connection could not be
    // opened without it.
    diesel::sql_query("SET LOCAL jit = off")
        .execute(conn)
        .await?;
    Ok(())
}

async fn roll_back(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    Ok(Manager::rollback_transaction(conn).await?)
}
