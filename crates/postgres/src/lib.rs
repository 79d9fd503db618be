//! The storage traits, implemented on Postgres.
//!
//! [`PgStore`] implements all of them; [`migrate()`] creates the schema. Each aggregate
//! has a file with its trait, queries and rows. Trait methods call `read` or `write`,
//! which provide a connection, a deadline and, for writes, a transaction. Queries are
//! functions over a connection, so that one transaction can call several. [`PgError`]
//! becomes `StoreError` at the trait and nowhere else.
//!
//! # Locking
//!
//! Transactions run at `READ COMMITTED`, so a change locks the rows it depends on before
//! it reads them. To avoid deadlocks, locks are taken in this order:
//!
//! 1. rows of `users`, the caller's and the target's, ordered by ID;
//! 2. the advisory lock for the last owner or the first user;
//! 3. rows of `organizations`, ordered by ID;
//! 4. everything else (`api_keys`, `user_links`, `organization_members`, `gitsshkeys`, …);
//! 5. rows inserted into `notification_messages`, ordered by recipient.
//!
//! The caller's row is locked `FOR SHARE`, then their key is checked. Operations that
//! revoke a user's keys (suspension, deletion, a new password) change the user's row
//! first, so that a concurrent request either commits before them or is rejected. See
//! `lock.rs`, and `api_key/create.rs`, which also locks the key to need only one
//! statement.
//!
//! # Encrypted secrets
//!
//! Provider tokens and SSH private keys are encrypted (`encryption.rs`). Methods get the
//! keys before they begin a transaction and pass them to the queries.
//!
//! # Behind PgBouncer
//!
//! Transaction mode is supported: nothing depends on a session. Prepared statements need
//! PgBouncer 1.21 or later with `max_prepared_statements`. PgBouncer rejects the startup
//! parameter `options`, which sets `statement_timeout`, unless configured with
//! `ignore_startup_parameters = options`; or set [`PgOptions::statement_timeout`] to
//! `None` and the timeout on the role (`ALTER ROLE … SET statement_timeout = '4s'`).
//! [`migrate()`] takes a session-level lock and must connect to Postgres directly.
//!
//! # Scope
//!
//! Authorization and validation happen before a method is called.
//!
//! To add an operation: take locks in the order above, write the audit row last, and map
//! new constraints to their conflicts in `error.rs`.

use std::{fmt, sync::Arc, time::Duration};

use diesel_async::AsyncPgConnection;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;
use usher_domain::notification::Delivery;
use usher_store::StoreError;

mod api_key;
mod audit;
mod batcher;
mod build_parameter;
mod connect;
mod encryption;
mod error;
mod external_login;
mod lock;
mod membership;
mod migrate;
mod notification;
mod organization;
mod pool;
mod schema;
mod session;
mod settings;
mod signing_key;
mod site;
mod ssh_key;
#[cfg(test)]
mod testing;
mod tls;
mod user;
mod user_list;

pub use connect::MINIMUM_MAJOR;
pub use encryption::{InvalidSecretKeys, SecretKeys};
pub use error::{PgError, QueryError};
pub use migrate::{Inspection, inspect, migrate};

use batcher::Batcher;
use connect::Target;
use encryption::Keyring;
use pool::{Pool, Query, Work};
use session::credential::Credentials;
use user_list::stream::Readers;

/// Connection options. With the default timeouts, every call returns within 5 seconds.
#[derive(Clone)]
#[non_exhaustive]
pub struct PgOptions {
    /// The connection URL, in libpq's syntax.
    pub url: SecretString,
    /// The maximum number of connections. If there are at least two, one is reserved for
    /// credential lookups.
    pub max_connections: usize,
    /// How long a call may wait for a pooled connection.
    pub acquire_timeout: Duration,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// The server's `statement_timeout`; `None` leaves it unset, as PgBouncer may need
    /// (see the [crate]).
    pub statement_timeout: Option<Duration>,
    /// How long a call may take in total.
    pub call_timeout: Duration,
    /// The `application_name` of the connections.
    pub application_name: String,
    /// The keys for stored secrets: the first encrypts, all decrypt. If empty, a key is
    /// generated and stored in the database.
    pub secret_keys: SecretKeys,
}

impl PgOptions {
    /// Default options for a URL.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(3),
            statement_timeout: Some(Duration::from_secs(4)),
            call_timeout: Duration::from_millis(4500),
            application_name: "usher".to_owned(),
            secret_keys: SecretKeys::default(),
        }
    }
}

impl fmt::Debug for PgOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgOptions")
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("application_name", &self.application_name)
            .finish_non_exhaustive()
    }
}

/// Implements all storage traits on one connection pool. Clones share the pool.
#[derive(Clone)]
pub struct PgStore {
    pool: Pool,
    credentials: Batcher<Credentials>,
    readers: Readers,
    outbox: notification::Listener,
    delivery: Delivery,
    secret_keys: SecretKeys,
    keyring: Arc<OnceCell<Keyring>>,
}

impl PgStore {
    /// Creates a store and opens its first connection.
    ///
    /// # Errors
    ///
    /// [`PgError::Configuration`] if the URL cannot be used, [`PgError::Unavailable`] or
    /// [`PgError::TimedOut`] if the server does not respond.
    pub async fn connect(options: PgOptions) -> Result<Self, PgError> {
        let store = Self::lazy(&options)?;
        store.pool.read(async |conn| site::ping(conn).await).await?;
        Ok(store)
    }

    /// Creates a store that connects on first use.
    ///
    /// # Errors
    ///
    /// [`PgError::Configuration`] if the URL cannot be used.
    pub fn lazy(options: &PgOptions) -> Result<Self, PgError> {
        let mut target = Target::parse(options.url.expose_secret(), &options.application_name)?;
        if let Some(timeout) = options.statement_timeout {
            target.limit_statements(timeout);
        }
        let outbox = notification::Listener::new(target.clone(), options.connect_timeout);
        let (pool, for_credentials) = Pool::pair(options, target)?;
        Ok(Self {
            credentials: Batcher::new(Credentials(for_credentials), options.call_timeout),
            pool,
            readers: Readers::new(options.max_connections, options.acquire_timeout),
            outbox,
            delivery: Delivery::default(),
            secret_keys: options.secret_keys.clone(),
            keyring: Arc::default(),
        })
    }

    /// Sets the delivery methods for enqueued notifications. By default they are
    /// delivered to the inbox only.
    pub fn with_delivery(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }

    /// Closes idle connections and opens no new ones.
    #[cfg(test)]
    fn close(&self) {
        self.pool.close();
        self.credentials.batched().0.close();
    }

    /// Runs queries. See [`Pool::read`].
    async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        for<'c> F: AsyncFn(&'c mut AsyncPgConnection) -> Result<T, PgError>
            + Query<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
            + Send
            + Sync,
        T: Send,
    {
        Ok(self.pool.read(query).await?)
    }

    /// Runs a single idempotent statement. See [`Pool::run_idempotent`].
    async fn run_idempotent<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        for<'c> F: AsyncFn(&'c mut AsyncPgConnection) -> Result<T, PgError>
            + Query<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
            + Send
            + Sync,
        T: Send,
    {
        Ok(self.pool.run_idempotent(query).await?)
    }

    /// Runs a change in a transaction. See [`Pool::write`].
    async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, PgError>
            + Work<&'c mut AsyncPgConnection, Result<T, PgError>, Future: Send>
            + Send,
        T: Send,
    {
        Ok(self.pool.write(change).await?)
    }
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgStore").finish_non_exhaustive()
    }
}
