use super::*;

/// An error of a failed check, with the whole row in its details.
struct CheckError {
    message: &'static str,
    constraint: Option<&'static str>,
}

impl DatabaseErrorInformation for CheckError {
    fn message(&self) -> &str {
        self.message
    }
    fn details(&self) -> Option<&str> {
        Some("Failing row contains (hunter2)")
    }
    fn hint(&self) -> Option<&str> {
        Some("try hunter2")
    }
    fn table_name(&self) -> Option<&str> {
        Some("users")
    }
    fn column_name(&self) -> Option<&str> {
        None
    }
    fn constraint_name(&self) -> Option<&str> {
        self.constraint
    }
    fn statement_position(&self) -> Option<i32> {
        None
    }
}

fn error(
    kind: DatabaseErrorKind,
    message: &'static str,
    constraint: Option<&'static str>,
) -> StoreError {
    let error = Box::new(CheckError {
        message,
        constraint,
    });
    PgError::from(diesel::result::Error::DatabaseError(kind, error)).into()
}

#[test]
fn a_constraint_that_a_caller_can_violate_is_a_conflict() {
    for (constraint, conflict) in [
        ("users_username_lower_idx", Conflict::Username),
        ("users_email_lower_idx", Conflict::Email),
        ("idx_api_key_name", Conflict::TokenName),
        ("organizations_name_lower_idx", Conflict::OrganizationName),
        ("api_keys_user_not_deleted", Conflict::UserDeleted),
    ] {
        let error = error(DatabaseErrorKind::UniqueViolation, "x", Some(constraint));
        assert!(
            matches!(error, StoreError::Conflict(got) if got == conflict),
            "{constraint}: {error:?}"
        );
    }
}

#[test]
fn transient_errors_are_unavailable() {
    use DatabaseErrorKind::{
        ClosedConnection, ReadOnlyTransaction, SerializationFailure, UnableToSendCommand, Unknown,
    };

    for (kind, message) in [
        (Unknown, "canceling statement due to statement timeout"),
        (Unknown, "canceling statement due to lock timeout"),
        (
            Unknown,
            "terminating connection due to administrator command",
        ),
        (Unknown, "the database system is shutting down"),
        (
            Unknown,
            "the database system is not yet accepting connections",
        ),
        (Unknown, "sorry, too many clients already"),
        (Unknown, "deadlock detected"),
        (UnableToSendCommand, "connection closed"),
        (UnableToSendCommand, "error communicating with the server"),
        (ClosedConnection, "x"),
        (ReadOnlyTransaction, "x"),
        (SerializationFailure, "x"),
    ] {
        let error = error(kind, message, None);
        assert!(matches!(error, StoreError::Unavailable(_)), "{message}");
    }
    let broken: PgError = diesel::result::Error::BrokenTransactionManager.into();
    assert!(matches!(broken.into(), StoreError::Unavailable(_)));
}

#[test]
fn other_errors_are_internal_and_contain_no_row_data() {
    use DatabaseErrorKind::{CheckViolation, UnableToSendCommand, Unknown};

    for error in [
        error(
            CheckViolation,
            "violates a check",
            Some("users_status_check"),
        ),
        error(Unknown, "syntax error", None),
        error(UnableToSendCommand, "error serializing parameter 3", None),
        PgError::from(diesel::result::Error::NotFound).into(),
    ] {
        let StoreError::Internal(source) = &error else {
            panic!("{error:?}")
        };
        let text = format!("{error} {error:?} {source} {source:?}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let failed = error(
        CheckViolation,
        "violates a check",
        Some("users_status_check"),
    );
    let source = failed.source().expect("it has a source");
    assert_eq!(
        source.to_string(),
        "Postgres rejected a statement: violates a check (constraint users_status_check) (CheckViolation)"
    );
}
