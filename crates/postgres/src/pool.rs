//! The connection pool. Calls use it through [`read`](Pool::read) or
//! [`write`](Pool::write).
//!
//! Both have a deadline that covers the pool, the network and the server. Both survive a
//! restart of the server: if a pooled connection turns out to be closed before anything
//! was changed, the call is retried once on a new connection.

use std::time::Duration;

use deadpool::{Runtime, managed::Timeouts};
use diesel::ConnectionError;
use diesel_async::{
    AsyncPgConnection, TransactionManager,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool as Deadpool},
    },
};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use crate::{PgError, PgOptions, connect::Target};

pub(crate) mod long;
#[cfg(test)]
mod tests;

type Manager = diesel_async::AnsiTransactionManager;

/// An operation on a connection, run at most once.
///
/// Implemented by closures `async |conn| …`. The trait exists because the future of an
/// `AsyncFnOnce` cannot be bounded directly.
pub(crate) trait Work<C, R>:
    AsyncFnOnce(C) -> R + FnOnce(C) -> <Self as Work<C, R>>::Future
{
    type Future: Future<Output = R>;
}

impl<F, C, R, Fut> Work<C, R> for F
where
    F: AsyncFnOnce(C) -> R + FnOnce(C) -> Fut,
    Fut: Future<Output = R>,
{
    type Future = Fut;
}

/// An idempotent operation on a connection, retried on a new one if the connection was
/// lost.
pub(crate) trait Query<C, R>:
    AsyncFn(C) -> R + Fn(C) -> <Self as Query<C, R>>::Future
{
    type Future: Future<Output = R>;
}

impl<F, C, R, Fut> Query<C, R> for F
where
    F: AsyncFn(C) -> R + Fn(C) -> Fut,
    Fut: Future<Output = R>,
{
    type Future = Fut;
}

/// A pool of connections with a deadline for each call.
#[derive(Clone)]
pub(crate) struct Pool {
    connections: Deadpool<AsyncPgConnection>,
    call_timeout: Duration,
}

impl Pool {
    /// Creates a general pool, and one with a dedicated connection for credential
    /// lookups. With `max_connections` of 1 they are the same. Connections are opened on
    /// demand.
    pub(crate) fn pair(options: &PgOptions, target: Target) -> Result<(Self, Self), PgError> {
        if options.max_connections <= 1 {
            let pool = Self::new(options, target, options.max_connections)?;
            return Ok((pool.clone(), pool));
        }
        let mut for_credentials = target.clone();
        // Without a statement timeout, startup options are not available (PgBouncer).
        if options.statement_timeout.is_some() {
            for_credentials.optimize_for_lookups();
        }
        let pool = Self::new(options, target, options.max_connections - 1)?;
        Ok((pool, Self::new(options, for_credentials, 1)?))
    }

    fn new(options: &PgOptions, target: Target, size: usize) -> Result<Self, PgError> {
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(move |_| {
            let target = target.clone();
            async move { connect(&target).await }.boxed()
        });
        // The custom setup connects, so the manager needs no URL.
        let manager = AsyncDieselConnectionManager::new_with_config("", config);
        let connections = Deadpool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(options.acquire_timeout),
                create: Some(options.connect_timeout),
                recycle: Some(options.connect_timeout),
            })
            .build()
            .map_err(|error| PgError::Configuration(error.to_string()))?;
        Ok(Self {
            connections,
            call_timeout: options.call_timeout,
        })
    }

    /// Runs queries. Retried once if the connection was lost.
    pub(crate) async fn read<T, F>(&self, query: F) -> Result<T, PgError>
    where
        for<'c> F: AsyncFn(&'c mut AsyncPgConnection) -> Result<T, PgError>
            + Query<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
            + Send
            + Sync,
        T: Send,
    {
        self.run_idempotent(query).await
    }

    /// Runs a single statement that may be executed twice: it is retried once if the connection
    /// was lost, and needs no transaction.
    pub(crate) async fn run_idempotent<T, F>(&self, query: F) -> Result<T, PgError>
    where
        for<'c> F: AsyncFn(&'c mut AsyncPgConnection) -> Result<T, PgError>
            + Query<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
            + Send
            + Sync,
        T: Send,
    {
        let mut call = self.begin_call().await?;
        match call.run(&query).await {
            Err(error) if error.is_connection_lost() => {
                call.replace_connection(self).await?;
                call.run(&query).await
            }
            result => result,
        }
    }

    /// Runs a change in a transaction, which is rolled back if it fails. Not retried once
    /// begun.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T, PgError>
    where
        for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, PgError>
            + Work<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
            + Send,
        T: Send,
    {
        let mut call = self.open(begin).await?;
        call.run(async |conn: &mut AsyncPgConnection| finish(conn, change).await)
            .await
    }

    /// Closes idle connections and opens no new ones.
    #[cfg(test)]
    pub(crate) fn close(&self) {
        self.connections.close();
    }

    /// Begins a transaction, on a new connection if a pooled one was lost.
    async fn open<F>(&self, begin: F) -> Result<Call, PgError>
    where
        for<'c> F: AsyncFn(&'c mut AsyncPgConnection) -> Result<(), PgError>
            + Query<&'c mut AsyncPgConnection, Result<(), PgError>, Future: Send>
            + Send
            + Sync,
    {
        let mut call = self.begin_call().await?;
        match call.run(&begin).await {
            Err(error) if error.is_connection_lost() => {
                call.replace_connection(self).await?;
                call.run(&begin).await?;
            }
            outcome => outcome?,
        }
        Ok(call)
    }

    async fn begin_call(&self) -> Result<Call, PgError> {
        let deadline = Instant::now() + self.call_timeout;
        let connection = self.connection(deadline).await?;
        Ok(Call {
            connection: Some(connection),
            deadline,
        })
    }

    async fn connection(&self, deadline: Instant) -> Result<Object<AsyncPgConnection>, PgError> {
        match timeout_at(deadline, self.connections.get()).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(PgError::TimedOut("could not get a connection".to_owned())),
        }
    }
}

/// A call of the store: its connection and its deadline.
struct Call {
    connection: Option<Object<AsyncPgConnection>>,
    deadline: Instant,
}

impl Call {
    async fn run<T, F>(&mut self, work: F) -> Result<T, PgError>
    where
        for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, PgError>
            + Work<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
            + Send,
        T: Send,
    {
        let connection = self
            .connection
            .as_mut()
            .ok_or_else(|| PgError::ConnectionLost("an earlier statement lost it".to_owned()))?;
        let result = timeout_at(self.deadline, work(connection))
            .await
            .unwrap_or_else(|_| Err(PgError::TimedOut("the call took too long".to_owned())));
        if let Err(PgError::ConnectionLost(_) | PgError::TimedOut(_)) = &result {
            self.discard_connection();
        }
        result
    }

    /// Drops a connection that is closed or still running a statement instead of
    /// returning it to the pool.
    fn discard_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }

    /// Gets a new connection. Drops all idle ones, which are probably closed too.
    async fn replace_connection(&mut self, pool: &Pool) -> Result<(), PgError> {
        self.discard_connection();
        pool.connections.retain(|_, _| false);
        self.connection = Some(pool.connection(self.deadline).await?);
        Ok(())
    }
}

async fn connect(target: &Target) -> Result<AsyncPgConnection, ConnectionError> {
    let (client, connection) = target
        .open()
        .await
        .map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

async fn begin(conn: &mut AsyncPgConnection) -> Result<(), PgError> {
    Ok(Manager::begin_transaction(conn).await?)
}

/// Runs the change and commits it, or rolls it back.
async fn finish<T, F>(conn: &mut AsyncPgConnection, change: F) -> Result<T, PgError>
where
    for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, PgError>
        + Work<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
        + Send,
    T: Send,
{
    match change(&mut *conn).await {
        Ok(value) => {
            Manager::commit_transaction(conn).await?;
            Ok(value)
        }
        Err(error) => {
            // The pool drops a connection that cannot roll back. The caller gets the
            // first error.
            if let Err(error) = Manager::rollback_transaction(conn).await {
                tracing::debug!(%error, "could not roll back");
            }
            Err(error)
        }
    }
}
