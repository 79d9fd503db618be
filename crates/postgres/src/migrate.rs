//! Embedded schema migrations, each applied once and in order.

use std::{collections::BTreeSet, time::Duration};

use diesel::{
    QueryableByName,
    migration::{MigrationSource, MigrationVersion},
    sql_types::Text,
};
use diesel_async::{
    AsyncPgConnection, RunQueryDsl as _, async_connection_wrapper::AsyncConnectionWrapper,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};
use usher_domain::error_chain;

use crate::{PgError, PgStore, connect::Target};

mod inspect;

pub use inspect::{Inspection, inspect};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The advisory lock for migrating.
const LOCK: i64 = 0x7573_6865_7200;

/// Selects the applied migrations.
const APPLIED: &str = "SELECT version FROM __diesel_schema_migrations";

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between attempts to take the lock.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Applies pending migrations. Of several concurrent processes one applies them and the
/// others wait. If none are pending, only one statement is run.
///
/// Must connect to Postgres directly rather than through PgBouncer, since it takes a
/// session-level lock.
///
/// # Errors
///
/// [`PgError::SchemaTooNew`] if the database has migrations unknown to this version,
/// [`PgError::ServerTooOld`], [`PgError::Migration`] if a migration fails, which is then
/// rolled back.
pub async fn migrate(url: &str) -> Result<(), PgError> {
    let session = Session::open(url).await?;
    if session.pending().await?.is_empty() {
        return Ok(());
    }
    session.lock().await?;
    let pending = session.pending().await?;
    if pending.is_empty() {
        return Ok(());
    }
    tracing::info!(pending = pending.len(), "migrating the database");
    session
        .run(|connection| connection.run_pending_migrations(MIGRATIONS).map(drop))
        .await?;
    tracing::info!("migrated the database");
    Ok(())
}

impl PgStore {
    /// Whether the database has exactly the schema of this version, so that [`migrate()`]
    /// would do nothing. Runs one statement on a connection of the store.
    ///
    /// # Errors
    ///
    /// If the query fails, also because the database was never migrated.
    pub async fn is_migrated(&self) -> Result<bool, PgError> {
        let query = async |conn: &mut AsyncPgConnection| -> Result<Vec<AppliedRow>, PgError> {
            Ok(diesel::sql_query(APPLIED).load(conn).await?)
        };
        let applied = self.pool.read(query).await?;
        let applied: BTreeSet<String> = applied.into_iter().map(|row| row.version).collect();
        Ok(applied == known_versions()?)
    }
}

#[derive(QueryableByName)]
struct AppliedRow {
    #[diesel(sql_type = Text)]
    version: String,
}

/// A separate connection, which holds the lock until it is closed.
struct Session {
    client: Client,
}

type Blocking = AsyncConnectionWrapper<AsyncPgConnection>;
type Outcome = diesel::migration::Result<()>;

impl Session {
    async fn open(url: &str) -> Result<Self, PgError> {
        let target = Target::parse(url, "usher migrate")?;
        let (client, connection) = tokio::time::timeout(CONNECT_TIMEOUT, target.open())
            .await
            .map_err(|_| PgError::TimedOut("could not connect".to_owned()))??;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(
                    error = error_chain::to_string(&error),
                    "the migration connection failed"
                );
            }
        });
        Ok(Self { client })
    }

    /// The versions that are not applied.
    async fn pending(&self) -> Result<Vec<String>, PgError> {
        let known = known_versions()?;
        let applied = self.applied_versions().await?;
        let unknown: Vec<String> = applied.difference(&known).cloned().collect();
        if !unknown.is_empty() {
            return Err(PgError::SchemaTooNew(unknown));
        }
        Ok(known.difference(&applied).cloned().collect())
    }

    async fn applied_versions(&self) -> Result<BTreeSet<String>, PgError> {
        let messages = match self.client.simple_query(APPLIED).await {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                return Ok(BTreeSet::new());
            }
            answer => answer?,
        };
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Takes the lock. Polls, since a statement that waits for the lock would block a
    /// `CREATE INDEX CONCURRENTLY` of its holder.
    async fn lock(&self) -> Result<(), PgError> {
        let statement = format!("SELECT pg_try_advisory_lock({LOCK})");
        loop {
            let messages = self.client.simple_query(&statement).await?;
            let is_locked = messages.iter().any(|message| {
                matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))
            });
            if is_locked {
                return Ok(());
            }
            tokio::time::sleep(LOCK_RETRY_INTERVAL).await;
        }
    }

    /// Runs diesel's blocking migrations without a timeout, and closes the connection.
    async fn run(
        self,
        work: impl FnOnce(&mut Blocking) -> Outcome + Send + 'static,
    ) -> Result<(), PgError> {
        self.client
            .simple_query("SET statement_timeout = 0")
            .await?;
        let connection = AsyncPgConnection::try_from(self.client)
            .await
            .map_err(|error| PgError::Unavailable(error.to_string()))?;
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = Blocking::from(connection);
            work(&mut connection).map_err(|error| PgError::Migration(error.to_string()))
        });
        done.await
            .map_err(|error| PgError::Migration(error.to_string()))?
    }
}

fn known_versions() -> Result<BTreeSet<String>, PgError> {
    let migrations = MigrationSource::<diesel::pg::Pg>::migrations(&MIGRATIONS)
        .map_err(|error| PgError::Migration(error.to_string()))?;
    let version = |version: MigrationVersion<'_>| version.to_string();
    Ok(migrations
        .iter()
        .map(|migration| version(migration.name().version()))
        .collect())
}

#[cfg(test)]
mod tests;
