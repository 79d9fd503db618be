//! The settings of the database.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use super::parse;

/// Where data is stored.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// The URL of a Postgres database, version 13 or later. Without it, the server runs a
    /// local Postgres in the data directory.
    #[arg(long, value_name = "URL")]
    pub pg_connection_url: Option<SecretString>,

    /// The maximum number of database connections, without the one on which the server
    /// listens for new notifications.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "10",
        value_parser = parse::positive_number
    )]
    pub pg_max_connections: usize,

    /// The directory of the local Postgres and of the Postgres programs downloaded for it. By
    /// default `~/.local/share/usher`; for root, `/var/lib/usher` unless other accounts can
    /// enter the home directory.
    #[arg(long, value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,

    /// The directory of `initdb` and `postgres` for the local Postgres. Without it, the server
    /// searches the usual directories, and downloads Postgres if it finds none.
    #[arg(long, value_name = "DIRECTORY")]
    pub postgres_bin_dir: Option<PathBuf>,

    /// The keys that encrypt provider tokens and private SSH keys in the database: 32 random
    /// bytes each, in base64, separated by commas. The first key encrypts, all keys decrypt.
    /// Without them, the first start generates a key and stores it in the database.
    #[arg(long, value_name = "KEYS")]
    pub external_token_encryption_keys: Option<SecretString>,
}
