//! Databases for the servers under test.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use url::Url;
use usher_local_postgres::testing::{TestCluster, TestDatabase};

use crate::server::usher;

/// A database of its own, dropped with the last value that refers to it.
#[derive(Clone)]
pub struct Database(Arc<TestDatabase>);

impl Database {
    /// Returns a database with nothing in it.
    pub async fn empty() -> Self {
        Self(Arc::new(TestCluster::shared().await.database().await))
    }

    /// Returns a copy of a database on which `usher migrate` has run.
    pub async fn migrated() -> Self {
        let cluster = TestCluster::shared().await;
        let database = cluster.database_from_template("migrated", async |url| {
            if let Err(error) = migrate(&url).await {
                panic!("{error:#}");
            }
        });
        Self(Arc::new(database.await))
    }

    /// The URL by which a server reaches the database.
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// The socket that the cluster listens on, for what stands between a server and it.
    pub fn socket(&self) -> Result<PathBuf> {
        let directory = self
            .parameter("host")?
            .context("the cluster has a socket")?;
        let port = self.parameter("port")?.unwrap_or_else(|| "5432".to_owned());
        Ok(PathBuf::from(directory).join(format!(".s.PGSQL.{port}")))
    }

    /// The URL of the database by way of what listens on a port of this machine.
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

    /// Runs statements and returns what they select, a line for each row and `|` between
    /// the values, as `psql` with the options `-At` prints it.
    pub async fn query(&self, sql: &str) -> Result<String> {
        let messages = self.connect().await?.simple_query(sql).await?;
        let lines: Vec<_> = messages.iter().filter_map(line).collect();
        Ok(lines.join("\n").trim().to_owned())
    }

    /// Returns a connection, for tests that need more than a printed result.
    pub async fn connect(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(self.url(), NoTls).await?;
        // Ends with the client. What goes wrong before shows in the client's next call.
        tokio::spawn(connection);
        Ok(client)
    }
}

async fn migrate(url: &str) -> Result<()> {
    let mut command = tokio::process::Command::from(usher("migrate")?);
    let done = command
        .env("USHER_PG_CONNECTION_URL", url)
        .output()
        .await
        .context("usher migrate")?;
    let told = String::from_utf8_lossy(&done.stderr);
    ensure!(
        done.status.success(),
        "usher migrate: {}\n{told}",
        done.status
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
