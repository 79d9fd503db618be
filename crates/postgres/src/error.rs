//! What goes wrong between this crate and Postgres, and what it means to a caller.
//!
//! The text of an error never holds Postgres' `DETAIL`: of a failed check that is the
//! whole row, hashes and all. Conflicts are read from the name of the constraint, never
//! from text.

use std::{error::Error, fmt, sync::Arc};

use deadpool::managed::{PoolError, TimeoutType};
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind};
use usher_domain::error_chain;
use usher_store::{Conflict, StoreError};

/// Why Postgres could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PgError {
    /// The change would break a rule of the data.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Postgres cannot be reached, is starting or stopping, or has no capacity left.
    #[error("Postgres is not available: {0}")]
    Unavailable(String),
    /// The connection was lost under a statement.
    #[error("the connection to Postgres was lost: {0}")]
    ConnectionLost(String),
    /// Postgres or the pool did not answer in time.
    #[error("Postgres did not answer in time: {0}")]
    TimedOut(String),
    /// Postgres refused a statement.
    #[error("Postgres refused a statement: {0}")]
    Query(QueryFault),
    /// A row holds what no version of this code can have written.
    #[error("the database has a bad value: {0}")]
    Corrupt(String),
    /// A secret is encrypted with a key that this store has not got.
    #[error(
        "a secret in the database is encrypted with the key {0}, which is not among the keys that were given"
    )]
    UnknownSecretKey(String),
    /// The connection URL or something that it names cannot be used.
    #[error("the connection to Postgres is not set up right: {0}")]
    Configuration(String),
    /// The server is older than what this crate's SQL needs.
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
        "the database has migrations that this version does not know ({}); run the version that made them, or a later one",
        .0.join(", ")
    )]
    SchemaTooNew(Vec<String>),
    /// A migration failed.
    #[error("could not migrate the database: {0}")]
    Migration(String),
}

/// A refused statement: what may be told of it.
#[derive(Debug)]
pub struct QueryFault {
    kind: Option<DatabaseErrorKind>,
    message: String,
    constraint: Option<String>,
}

impl fmt::Display for QueryFault {
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

impl Error for QueryFault {}

impl PgError {
    /// Whether another change took the same name, address or account elsewhere meanwhile,
    /// so that this one comes out otherwise if it is made again.
    pub(crate) fn is_overtaken(&self) -> bool {
        match self {
            Self::Conflict(Conflict::Username | Conflict::Email) => true,
            Self::Query(fault) => {
                fault.constraint.as_deref() == Some("user_links_linked_id_login_type_idx")
            }
            _ => false,
        }
    }

    /// Whether it says nothing about what was asked, and may pass.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::ConnectionLost(_) | Self::TimedOut(_)
        )
    }

    /// What an error is to one of those whom it befell together.
    pub(crate) fn of_all(error: Arc<Self>) -> StoreError {
        match *error {
            Self::Conflict(conflict) => StoreError::Conflict(conflict),
            _ if error.is_transient() => StoreError::Unavailable(Box::new(error)),
            _ => StoreError::Internal(Box::new(error)),
        }
    }

    /// Whether the connection was lost, so that another one may do better.
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
            diesel::result::Error::DatabaseError(kind, fault) => from_database(kind, &*fault),
            diesel::result::Error::DeserializationError(error) => Self::Corrupt(error.to_string()),
            // A COMMIT or ROLLBACK that went down with its connection.
            diesel::result::Error::BrokenTransactionManager => {
                Self::ConnectionLost("the transaction is broken".to_owned())
            }
            other => Self::Query(QueryFault {
                kind: None,
                message: other.to_string(),
                constraint: None,
            }),
        }
    }
}

fn from_database(
    kind: DatabaseErrorKind,
    fault: &(dyn DatabaseErrorInformation + Send + Sync),
) -> PgError {
    let message = fault.message().to_owned();
    if let Some(conflict) = fault.constraint_name().and_then(conflict) {
        return conflict.into();
    }
    match transient(kind, &message) {
        Some(Transient::Lost) => PgError::ConnectionLost(message),
        Some(Transient::Late) => PgError::TimedOut(message),
        Some(Transient::Busy) => PgError::Unavailable(message),
        None => PgError::Query(QueryFault {
            kind: Some(kind),
            message,
            constraint: fault.constraint_name().map(str::to_owned),
        }),
    }
}

/// The conflict that a violated constraint stands for, if a caller can cause it.
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

/// A refusal that says nothing about the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transient {
    Lost,
    Late,
    Busy,
}

/// Reads a refusal that another attempt may get past. From its text, mostly, since diesel
/// does not hand on the SQLSTATE. A server that speaks another language is still covered
/// by the deadline of each call and by the end of the connection.
fn transient(kind: DatabaseErrorKind, message: &str) -> Option<Transient> {
    const TEXTS: [(&str, Transient); 9] = [
        ("terminating connection", Transient::Lost),
        ("server closed the connection", Transient::Lost),
        ("server conn crashed", Transient::Lost), // PgBouncer
        ("canceling statement due to", Transient::Late),
        ("query_wait_timeout", Transient::Late), // PgBouncer
        ("the database system is ", Transient::Busy),
        ("too many clients already", Transient::Busy),
        ("remaining connection slots", Transient::Busy),
        ("deadlock detected", Transient::Busy),
    ];
    match kind {
        // All that tokio-postgres itself has to say; the rest of that is faults of ours.
        DatabaseErrorKind::UnableToSendCommand if message.starts_with("error serializing") => None,
        DatabaseErrorKind::UnableToSendCommand if message.starts_with("error encoding") => None,
        DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => {
            Some(Transient::Lost)
        }
        // A replica after a failover, a transaction that another one got in the way of.
        DatabaseErrorKind::ReadOnlyTransaction | DatabaseErrorKind::SerializationFailure => {
            Some(Transient::Busy)
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
                Self::TimedOut("no connection of the pool came free".to_owned())
            }
            PoolError::Timeout(_) => Self::TimedOut("could not connect".to_owned()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(fault) => Self::Unavailable(format!(
                "{} (SQLSTATE {})",
                fault.message(),
                fault.code().code()
            )),
            None => Self::Unavailable(error_chain::to_string(&error)),
        }
    }
}

#[cfg(test)]
mod tests;
