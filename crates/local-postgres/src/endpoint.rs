//! Connecting to a running cluster, and managing its databases.

use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use crate::Error;

/// The name of the superuser, which has no password: the permissions of the socket protect it.
pub const SUPERUSER: &str = "usher";

/// The database that is connected to while creating and dropping others.
const MAINTENANCE_DATABASE: &str = "postgres";

/// The socket of a running cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    socket_directory: PathBuf,
}

impl Endpoint {
    pub(crate) fn new(socket_directory: PathBuf) -> Self {
        Self { socket_directory }
    }

    /// The directory of the socket, the `host` of a connection.
    pub fn socket_directory(&self) -> &Path {
        &self.socket_directory
    }

    /// Returns the URL of a database, for tokio-postgres, diesel-async and libpq.
    pub fn url(&self, database: &str) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        format!(
            "postgresql:///{}?host={}&port=5432&user={SUPERUSER}",
            encode(database),
            encode(&self.socket_directory.to_string_lossy()),
        )
    }

    /// Creates a database, as a copy of `template` if one is given. Fails if there are
    /// connections to the template.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), Error> {
        let template = template.map_or_else(String::new, |template| {
            format!(" TEMPLATE {}", quoted(template))
        });
        let statement = format!("CREATE DATABASE {}{template}", quoted(name));
        self.execute(&statement)
            .await
            .map_err(sql("create the database", name))
    }

    /// Creates a database unless it exists. Returns whether it was created.
    pub async fn ensure_database(&self, name: &str) -> Result<bool, Error> {
        let error = match self.create_database(name, None).await {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        match &error {
            Error::Sql { source, .. } if source.code() == Some(&SqlState::DUPLICATE_DATABASE) => {
                Ok(false)
            }
            _ => Err(error),
        }
    }

    /// Drops a database if it exists, and disconnects its clients.
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        self.execute(&format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quoted(name)
        ))
        .await
        .map_err(sql("drop the database", name))
    }

    /// Disallows connections to a database, so that it can be copied at any time.
    pub(crate) async fn close_template(&self, name: &str) -> Result<(), Error> {
        let disallow = format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", quoted(name));
        let disconnect = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            name.replace('\'', "''"),
        );
        let both = async {
            self.execute(&disallow).await?;
            self.execute(&disconnect).await
        };
        both.await
            .map_err(sql("disallow connections to the database", name))
    }

    /// Runs a statement on a new connection to the maintenance database.
    async fn execute(&self, statement: &str) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = Config::new()
            .host_path(&self.socket_directory)
            .user(SUPERUSER)
            .dbname(MAINTENANCE_DATABASE)
            .application_name("usher-local-postgres")
            .connect(NoTls)
            .await?;
        let connection = tokio::spawn(connection);
        let result = client.batch_execute(statement).await;
        drop(client);
        let _ = connection.await;
        result
    }
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn sql(action: &str, name: &str) -> impl FnOnce(tokio_postgres::Error) -> Error {
    let action = format!("{action} `{name}`");
    move |source| Error::Sql { action, source }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn the_url_encodes_the_directory_and_the_database() {
        let directory = "/home/Ödön K/a&b?c=d%20#e/socket";
        let endpoint = Endpoint::new(directory.into());

        let config: Config = endpoint.url("my db/ä").parse().unwrap();

        assert_eq!(config.get_hosts(), [Host::Unix(directory.into())]);
        assert_eq!(config.get_ports(), [5432]);
        assert_eq!(config.get_user(), Some(SUPERUSER));
        assert_eq!(config.get_dbname(), Some("my db/ä"));
    }

    #[test]
    fn the_url_of_a_plain_directory() {
        let url = Endpoint::new("/var/lib/usher/socket".into()).url("usher");

        assert_eq!(
            url,
            "postgresql:///usher?host=%2Fvar%2Flib%2Fusher%2Fsocket&port=5432&user=usher"
        );
    }
}
