//! The pool of connections, and the two ways to use one: [`read`](Pool::read) and
//! [`write`](Pool::write).
//!
//! Both bound a call in time, whatever state the network or the server is in, and both
//! live through a restart of the server: a pooled connection that turns out to be dead
//! before anything was done is replaced once, without the caller noticing.

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

/// What is done with a connection, at most once.
///
/// A closure `async |conn| …` is one. The bound on the future cannot be written on an
/// `AsyncFnOnce`, hence the trait.
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

/// What is done with a connection, and again with another if the first turns out dead.
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

/// The connections of a store.
#[derive(Clone)]
pub(crate) struct Pool {
    connections: Deadpool<AsyncPgConnection>,
    call_timeout: Duration,
}

impl Pool {
    /// Makes a pool for all work, and one with a connection of its own for looking up
    /// credentials. If there may be only one connection, they are the same. Connections are
    /// opened when they are needed.
    pub(crate) fn pair(options: &PgOptions, target: Target) -> Result<(Self, Self), PgError> {
        if options.max_connections <= 1 {
            let pool = Self::new(options, target, options.max_connections)?;
            return Ok((pool.clone(), pool));
        }
        let mut for_credentials = target.clone();
        // Where a limit on statements cannot be set in this way, neither can this.
        if options.statement_timeout.is_some() {
            for_credentials.look_up_only();
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
        // The target knows the URL, and nobody else need.
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

    /// Runs queries that change nothing, or one statement that may as well be done twice.
    pub(crate) async fn read<T, F>(&self, query: F) -> Result<T, PgError>
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

    /// Runs a change in a transaction, which is undone if it fails.
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

    /// Closes the connections that are not in use, and opens none any more.
    #[cfg(test)]
    pub(crate) fn close(&self) {
        self.connections.close();
    }

    /// Begins a transaction on a connection that is alive.
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
            Err(_) => Err(PgError::TimedOut("no connection could be had".to_owned())),
        }
    }
}

/// One call of the store: a connection, and until when there must be an answer.
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

    /// Keeps a connection out of the pool that is dead or still at work on a statement.
    fn discard_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }

    /// Takes a new connection: whatever ended one may have ended all others that are in the
    /// pool, some of which nobody has noticed yet.
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

/// Makes the change and commits it, or undoes it.
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
            // A connection that cannot even do this is noticed when it goes back to the
            // pool; what went wrong first is what the caller should know.
            if let Err(error) = Manager::rollback_transaction(conn).await {
                tracing::debug!(%error, "could not roll back");
            }
            Err(error)
        }
    }
}
