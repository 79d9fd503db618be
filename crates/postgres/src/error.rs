//! Errors of this crate, and the mapping from database errors.
//!
//! Errors never contain Postgres' `DETAIL`, which may be a whole row with its hashes.
//! Conflicts are identified by the name of the constraint, not by text.

use std::{error::Error, fmt, sync::Arc};

use deadpool::managed::{PoolError, TimeoutType};
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind};
use usher_domain::error_chain;
use usher_store::{Conflict, StoreError};

/// Why an operation on Postgres failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PgError {
    /// The change would violate a constraint.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Postgres cannot be reached, is starting or stopping, or has no capacity.
    #[error("Postgres is not available: {0}")]
    Unavailable(String),
    /// The connection was lost during a statement.
    #[error("the connection to Postgres was lost: {0}")]
    ConnectionLost(String),
    /// Postgres or the pool did not respond in time.
    #[error("Postgres did not respond in time: {0}")]
    TimedOut(String),
    /// Postgres rejected a statement.
    #[error("Postgres rejected a statement: {0}")]
    Query(QueryError),
    /// A row contains a value that no version of this code can have written.
    #[error("the database contains an invalid value: {0}")]
    Corrupt(String),
    /// A secret is encrypted with a key that this store does not have.
    #[error("a secret in the database is encrypted with the key {0}, which is not configured")]
    UnknownSecretKey(String),
    /// The connection URL, or a file that it names, cannot be used.
    #[error("the connection to Postgres is misconfigured: {0}")]
    Configuration(String),
    /// The server's version is not supported.
    #[error(
        "Postgres {found} is too old, version {} or later is needed",
        crate::MINIMUM_MAJOR
    )]
    ServerTooOld {
        /// The version of the server.
        found: String,
    },
    /// The database was migrated by a later version of this program.
    #[error(
        "the database has migrations that this version does not know ({}); run the version that applied them, or a later one",
        .0.join(", ")
    )]
    SchemaTooNew(Vec<String>),
    /// A migration failed.
    #[error("could not migrate the database: {0}")]
    Migration(String),
}

/// A rejected statement, without data from its rows.
#[derive(Debug)]
pub struct QueryError {
    kind: Option<DatabaseErrorKind>,
    message: String,
    constraint: Option<String>,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(constraint) = &self.constraint {
            write!(f, " (constraint {constraint})")?;
        }
        match &self.kind {
            None | Some(DatabaseErrorKind::Unknown) => Ok(()),
            Some(kind) => write!(f, " ({kind:?})"),
        }
    }
}

impl Error for QueryError {}

impl PgError {
    /// Whether a concurrent change took the same username, e-mail address or provider
    /// account, so that a retry would have another outcome.
    pub(crate) fn is_overtaken(&self) -> bool {
        match self {
            Self::Conflict(Conflict::Username | Conflict::Email) => true,
            Self::Query(error) => {
                error.constraint.as_deref() == Some("user_links_linked_id_login_type_idx")
            }
            _ => false,
        }
    }

    /// Whether the error is unrelated to the request, so that a retry may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::ConnectionLost(_) | Self::TimedOut(_)
        )
    }

    /// Converts an error that affects all requests of a batch.
    pub(crate) fn of_all(error: Arc<Self>) -> StoreError {
        match *error {
            Self::Conflict(conflict) => StoreError::Conflict(conflict),
            _ if error.is_transient() => StoreError::Unavailable(Box::new(error)),
            _ => StoreError::Internal(Box::new(error)),
        }
    }

    /// Whether the connection was lost, so that another one may succeed.
    pub(crate) fn is_connection_lost(&self) -> bool {
        matches!(self, Self::ConnectionLost(_))
    }
}

impl From<PgError> for StoreError {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Conflict(conflict) => Self::Conflict(conflict),
            _ if error.is_transient() => Self::Unavailable(Box::new(error)),
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl From<diesel::result::Error> for PgError {
    fn from(error: diesel::result::Error) -> Self {
        match error {
            diesel::result::Error::DatabaseError(kind, error) => from_database(kind, &*error),
            diesel::result::Error::DeserializationError(error) => Self::Corrupt(error.to_string()),
            // A COMMIT or ROLLBACK failed with its connection.
            diesel::result::Error::BrokenTransactionManager => {
                Self::ConnectionLost("the transaction is broken".to_owned())
            }
            other => Self::Query(QueryError {
                kind: None,
                message: other.to_string(),
                constraint: None,
            }),
        }
    }
}

fn from_database(
    kind: DatabaseErrorKind,
    error: &(dyn DatabaseErrorInformation + Send + Sync),
) -> PgError {
    let message = error.message().to_owned();
    if let Some(conflict) = error.constraint_name().and_then(conflict) {
        return conflict.into();
    }
    match transient(kind, &message) {
        Some(Transient::ConnectionLost) => PgError::ConnectionLost(message),
        Some(Transient::TimedOut) => PgError::TimedOut(message),
        Some(Transient::Unavailable) => PgError::Unavailable(message),
        None => PgError::Query(QueryError {
            kind: Some(kind),
            message,
            constraint: error.constraint_name().map(str::to_owned),
        }),
    }
}

/// Maps a violated constraint to its conflict, if a caller can cause it.
fn conflict(constraint: &str) -> Option<Conflict> {
    match constraint {
        "users_username_lower_idx" => Some(Conflict::Username),
        "users_email_lower_idx" => Some(Conflict::Email),
        "organizations_name_lower_idx" => Some(Conflict::OrganizationName),
        "organization_members_organization_id_fkey" => Some(Conflict::NoSuchOrganization),
        "organization_members_pkey" => Some(Conflict::AlreadyMember),
        "organizations_empty_before_deletion" => Some(Conflict::OrganizationNotEmpty),
        "notification_preferences_notification_template_id_fkey" => Some(Conflict::NoSuchTemplate),
        "idx_api_key_name" => Some(Conflict::TokenName),
        "api_keys_user_not_deleted" | "user_links_user_not_deleted" => Some(Conflict::UserDeleted),
        _ => None,
    }
}

/// A kind of transient error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transient {
    ConnectionLost,
    TimedOut,
    Unavailable,
}

/// Classifies transient errors, mostly by message, since diesel does not expose the
/// SQLSTATE. With a localized server, the call's deadline and lost connections still
/// apply.
fn transient(kind: DatabaseErrorKind, message: &str) -> Option<Transient> {
    const TEXTS: [(&str, Transient); 9] = [
        ("terminating connection", Transient::ConnectionLost),
        ("server closed the connection", Transient::ConnectionLost),
        ("server conn crashed", Transient::ConnectionLost), // PgBouncer
        ("canceling statement due to", Transient::TimedOut),
        ("query_wait_timeout", Transient::TimedOut), // PgBouncer
        ("the database system is ", Transient::Unavailable),
        ("too many clients already", Transient::Unavailable),
        ("remaining connection slots", Transient::Unavailable),
        ("deadlock detected", Transient::Unavailable),
    ];
    match kind {
        // Errors of tokio-postgres itself, except those caused by our own bugs.
        DatabaseErrorKind::UnableToSendCommand if message.starts_with("error serializing") => None,
        DatabaseErrorKind::UnableToSendCommand if message.starts_with("error encoding") => None,
        DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => {
            Some(Transient::ConnectionLost)
        }
        // A replica after a failover, or a serialization failure.
        DatabaseErrorKind::ReadOnlyTransaction | DatabaseErrorKind::SerializationFailure => {
            Some(Transient::Unavailable)
        }
        _ => TEXTS
            .iter()
            .find(|(text, _)| message.contains(text))
            .map(|(_, transient)| *transient),
    }
}

impl From<PoolError<diesel_async::pooled_connection::PoolError>> for PgError {
    fn from(error: PoolError<diesel_async::pooled_connection::PoolError>) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => {
                Self::TimedOut("no connection became free in time".to_owned())
            }
            PoolError::Timeout(_) => Self::TimedOut("could not connect".to_owned()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(error) => Self::Unavailable(format!(
                "{} (SQLSTATE {})",
                error.message(),
                error.code().code()
            )),
            None => Self::Unavailable(error_chain::to_string(&error)),
        }
    }
}

#[cfg(test)]
mod tests;
