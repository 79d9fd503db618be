//! Databases for the servers under test.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use url::Url;
use usher_local_postgres::testing::{TestCluster, TestDatabase};

use crate::server::usher;

/// A database, dropped with the last clone of this value.
#[derive(Clone)]
pub struct Database(Arc<TestDatabase>);

impl Database {
    /// Creates an empty database.
    pub async fn empty() -> Self {
        Self(Arc::new(TestCluster::shared().await.database().await))
    }

    /// Creates a copy of a database on which `usher migrate` has run.
    pub async fn migrated() -> Self {
        let cluster = TestCluster::shared().await;
        let database = cluster.database_from_template("migrated", async |url| {
            if let Err(error) = migrate(&url).await {
                panic!("{error:#}");
            }
        });
        Self(Arc::new(database.await))
    }

    /// Returns the connection URL of the database.
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Returns the socket that the cluster listens on, for proxies between it and a server.
    pub fn socket(&self) -> Result<PathBuf> {
        let directory = self
            .parameter("host")?
            .context("the cluster has a socket")?;
        let port = self.parameter("port")?.unwrap_or_else(|| "5432".to_owned());
        Ok(PathBuf::from(directory).join(format!(".s.PGSQL.{port}")))
    }

    /// Returns the connection URL through a proxy on a local port.
    pub fn url_through(&self, port: u16) -> Result<String> {
        let user = self.parameter("user")?.context("the cluster has a user")?;
        let url = Url::parse(self.url())?;
        let path = url.path();
        Ok(format!(
            "postgres://{user}@127.0.0.1:{port}{path}?sslmode=disable"
        ))
    }

    fn parameter(&self, name: &str) -> Result<Option<String>> {
        let url = Url::parse(self.url())?;
        let mut pairs = url.query_pairs();
        let found = pairs.find(|(key, _)| key == name);
        Ok(found.map(|(_, value)| value.into_owned()))
    }

    /// Runs statements and returns the selected rows as `psql -At` prints them: one per line,
    /// with `|` between the values.
    pub async fn query(&self, sql: &str) -> Result<String> {
        let messages = self.connect().await?.simple_query(sql).await?;
        let lines: Vec<_> = messages.iter().filter_map(line).collect();
        Ok(lines.join("\n").trim().to_owned())
    }

    /// Opens a connection, for tests that need more than a printed result.
    pub async fn connect(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(self.url(), NoTls).await?;
        // Ends with the client. An error shows in the client's next call.
        tokio::spawn(connection);
        Ok(client)
    }
}

async fn migrate(url: &str) -> Result<()> {
    let mut command = tokio::process::Command::from(usher("migrate")?);
    let output = command
        .env("USHER_PG_CONNECTION_URL", url)
        .output()
        .await
        .context("usher migrate")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "usher migrate: {}\n{stderr}",
        output.status
    );
    Ok(())
}

fn line(message: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    let value = |at| row.get(at).unwrap_or_default();
    Some((0..row.len()).map(value).collect::<Vec<_>>().join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_are_printed_as_psql_does() {
        let database = Database::empty().await;
        for (sql, printed) in [
            ("SELECT 1, NULL, 'a|b', true", "1||a|b|t"),
            ("SELECT * FROM (VALUES (1), (2)) AS numbers", "1\n2"),
            ("CREATE TABLE numbers (number int)", ""),
            (
                "INSERT INTO numbers VALUES (3); SELECT number FROM numbers",
                "3",
            ),
            ("SELECT pg_sleep(0)", ""),
        ] {
            assert_eq!(database.query(sql).await.unwrap(), printed, "{sql}");
        }
        assert!(database.query("SELECT 1 / 0").await.is_err());
    }
}
