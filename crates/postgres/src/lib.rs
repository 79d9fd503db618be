//! The storage traits of Usher on Postgres.
//!
//! [`PgStore`] is all of them; [`migrate()`] brings a database to the schema that they need.
//! There is one file for each aggregate, in three parts: the trait, the queries, the rows.
//! A trait method says whether it `read`s or `write`s, which gives it a connection, a
//! deadline and, to write, a transaction; queries are plain functions over a connection,
//! so that one can call another. Errors inside are [`PgError`], which becomes a
//! `StoreError` at the trait and nowhere else.
//!
//! # What holds between transactions
//!
//! They run at `READ COMMITTED`, so what a change depends on is locked before it is looked
//! at, in the same order everywhere, which is what keeps them from deadlocks:
//!
//! 1. rows of `users`, the caller's and the target's, in the order of their ids;
//! 2. the advisory lock of the last owner, or of the first user;
//! 3. rows of `organizations`, in the order of their ids;
//! 4. everything else (`api_keys`, `user_links`, `organization_members`, `gitsshkeys`, …);
//! 5. rows put into `notification_messages`, in the order of their receivers.
//!
//! The caller's row is held `FOR SHARE` and their key is looked at after that. Whatever
//! ends a key against its holder's will (suspension, deletion, a new password) changes the
//! user's row first, so that a request under way either comes before it as a whole or is
//! refused. See `lock.rs`, and `api_key/create.rs` for the one change that locks the key too,
//! to be a single statement. What makes keys for many at once (`api_key/create_many.rs`) takes
//! only locks that are free.
//!
//! # Secrets that are read again
//!
//! Tokens of providers and private SSH keys are encrypted (`encryption.rs`). The keys are asked
//! for before a transaction begins and handed down to the queries.
//!
//! # Behind PgBouncer
//!
//! Works in transaction mode: nothing depends on a session. Statements are prepared, which
//! takes PgBouncer 1.21 or later with `max_prepared_statements`. It refuses the start
//! parameter `options`, by which `statement_timeout` is set, unless it is told to
//! `ignore_startup_parameters = options`; or leave [`PgOptions::statement_timeout`] out
//! and set it on the role (`ALTER ROLE … SET statement_timeout = '4s'`). [`migrate()`] takes
//! a session lock and must connect to Postgres itself.
//!
//! # What this crate does not do
//!
//! It decides nothing that is not about keeping data: who may do what, and what a name
//! may look like, is settled before a method is called.
//!
//! To add an operation: its trait says what stands or falls together; take the locks in
//! the order above, write the audit row last, and give a new constraint its conflict in
//! `error.rs`.

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
mod user_count;

pub use connect::MINIMUM_MAJOR;
pub use encryption::{InvalidSecretKeys, SecretKeys};
pub use error::{PgError, QueryFault};
pub use migrate::{Inspection, inspect, migrate};

use api_key::CreateKeys;
use batcher::Batcher;
use connect::Target;
use encryption::Keyring;
use pool::{Pool, Query, Work};
use session::credential::Credentials;
use settings::UpsertSettings;
use user::stream::Readers;

/// How a store connects. The times are such that a call is answered within 5 seconds,
/// whatever state the database is in.
#[derive(Clone)]
#[non_exhaustive]
pub struct PgOptions {
    /// The URL, as libpq understands it.
    pub url: SecretString,
    /// The greatest number of connections. From two on, one of them is kept for looking up
    /// credentials, which then wait for nothing else.
    pub max_connections: usize,
    /// How long a call waits for a connection of the pool.
    pub acquire_timeout: Duration,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// How long the server works on one statement; `None` leaves it to the server's own
    /// setting, as PgBouncer may need (see the [crate]).
    pub statement_timeout: Option<Duration>,
    /// How long a call may take altogether.
    pub call_timeout: Duration,
    /// The name under which the server lists the connections.
    pub application_name: String,
    /// The keys that secrets are encrypted with: the first encrypts, all decrypt. Without
    /// any, a key is made and kept in the database.
    pub secret_keys: SecretKeys,
}

impl PgOptions {
    /// The usual options for a URL.
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

/// All the storage traits, on one pool of connections. A clone shares the pool.
#[derive(Clone)]
pub struct PgStore {
    pool: Pool,
    credentials: Batcher<Credentials>,
    new_keys: Batcher<CreateKeys>,
    new_settings: Batcher<UpsertSettings>,
    readers: Readers,
    outbox: notification::Listener,
    delivery: Delivery,
    secret_keys: SecretKeys,
    keyring: Arc<OnceCell<Keyring>>,
}

impl PgStore {
    /// Makes a store and opens its first connection.
    ///
    /// # Errors
    ///
    /// [`PgError::Configuration`] if the URL cannot be used, [`PgError::Unavailable`] or
    /// [`PgError::TimedOut`] if nobody answers there.
    pub async fn connect(options: PgOptions) -> Result<Self, PgError> {
        let store = Self::lazy(&options)?;
        store.pool.read(async |conn| site::ping(conn).await).await?;
        Ok(store)
    }

    /// Makes a store that connects when it is first used.
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
        let patience = options.call_timeout;
        Ok(Self {
            credentials: Batcher::new(Credentials(for_credentials), patience),
            new_keys: Batcher::new(CreateKeys(pool.clone()), patience),
            new_settings: Batcher::new(UpsertSettings(pool.clone()), patience),
            pool,
            readers: Readers::new(options.max_connections, options.acquire_timeout),
            outbox,
            delivery: Delivery::default(),
            secret_keys: options.secret_keys.clone(),
            keyring: Arc::default(),
        })
    }

    /// The same store, which puts messages into the outbox for these ways. Without it they
    /// go to the inbox only.
    pub fn with_delivery(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }

    /// Closes the connections that are not in use, and opens none any more.
    #[cfg(test)]
    fn close(&self) {
        self.pool.close();
        self.credentials.batched().0.close();
    }

    /// Runs queries that change nothing, or one statement that may as well be done twice.
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

    /// Runs a change in a transaction.
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
