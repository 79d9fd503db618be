//! Inspects a database without changing it.

use chrono::{DateTime, Utc};
use tokio_postgres::SimpleQueryMessage;

use super::{Session, known_versions};
use crate::PgError;

/// The state of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The version of the server, such as `15.14`.
    pub server_version: String,
    /// The server's current time.
    pub clock: DateTime<Utc>,
    /// The migrations of this version that are not applied, in order.
    pub pending: Vec<String>,
    /// The applied migrations that this version does not know.
    pub unknown: Vec<String>,
    /// Whether the role may create tables, as migrations do.
    pub may_migrate: bool,
}

/// Inspects a database. Changes nothing and takes no locks.
///
/// # Errors
///
/// If it cannot be reached or its server is too old ([`PgError::ServerTooOld`]).
pub async fn inspect(url: &str) -> Result<Inspection, PgError> {
    let session = Session::open(url).await?;
    let known = known_versions()?;
    let applied = session.applied_versions().await?;
    let statement = "SELECT current_setting('server_version'),
            (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
            coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let messages = session.client.simple_query(statement).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let value = |at| row.and_then(|row| row.get(at)).unwrap_or_default();
    let clock = value(1).parse().ok();
    let clock = clock.and_then(DateTime::from_timestamp_micros);
    Ok(Inspection {
        server_version: value(0).to_owned(),
        clock: clock
            .ok_or_else(|| PgError::Corrupt("cannot parse the server's time".to_owned()))?,
        pending: known.difference(&applied).cloned().collect(),
        unknown: applied.difference(&known).cloned().collect(),
        may_migrate: value(2) == "t",
    })
}

#[cfg(test)]
mod tests {
    use usher_local_postgres::testing::TestCluster;

    use super::*;
    use crate::{migrate, testing::client};

    #[tokio::test]
    async fn pending_and_unknown_migrations_are_listed() {
        let database = TestCluster::shared().await.database().await;
        let url = database.url();

        let empty = inspect(url).await.unwrap();
        assert_eq!(empty.pending.len(), known_versions().unwrap().len());
        assert!(empty.unknown.is_empty() && empty.may_migrate);
        assert!((Utc::now() - empty.clock).num_minutes().abs() < 2);
        assert!(
            empty
                .server_version
                .starts_with(|c: char| c.is_ascii_digit())
        );
        // Inspecting created no table.
        assert_eq!(inspect(url).await.unwrap().pending, empty.pending);

        migrate(url).await.unwrap();
        assert!(inspect(url).await.unwrap().pending.is_empty());
        let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')";
        client(url).await.batch_execute(later).await.unwrap();
        assert_eq!(inspect(url).await.unwrap().unknown, ["20990101000000"]);
    }

    #[tokio::test]
    async fn a_role_that_may_not_create_tables_is_detected() {
        let database = TestCluster::shared().await.database().await;
        let name = database.name();
        let role = format!("reader_of_{name}");
        let statements =
            format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM public");
        let owner = client(database.url()).await;
        owner.batch_execute(&statements).await.unwrap();
        let (before, after) = database.url().split_once("user=").unwrap();
        let after = after.split_once('&').map_or("", |(_, after)| after);
        let url = format!("{before}user={role}&{after}");

        assert!(!inspect(&url).await.unwrap().may_migrate);
        owner
            .batch_execute(&format!("DROP ROLE {role}"))
            .await
            .unwrap();
    }
}
