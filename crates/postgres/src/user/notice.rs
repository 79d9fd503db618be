//! What is told of a change of somebody's account: to those who manage users, whoever of
//! them made the change included, and to the one whom it is about.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use usher_domain::{
    AuditContext, UserId, UserStatus,
    notification::{
        Delivery, ONE_TIME_PASSCODE, PASSCODE_LABEL, USER_ACCOUNT_ACTIVATED, USER_ACCOUNT_CREATED,
        USER_ACCOUNT_DELETED, USER_ACCOUNT_SUSPENDED, YOUR_ACCOUNT_ACTIVATED,
        YOUR_ACCOUNT_SUSPENDED,
    },
};
use uuid::Uuid;

use crate::{
    PgError,
    notification::{Message, Receivers, insert_messages},
    schema::users,
};

/// Who did it where nobody was signed in, as on the command line.
const THE_SERVICE: &str = "Usher";

/// Whom a notice is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) id: UserId,
    pub(super) username: &'a str,
    /// The display name; may be empty.
    pub(super) name: &'a str,
}

pub(super) async fn tell_of_creation(
    conn: &mut AsyncPgConnection,
    delivery: Delivery,
    subject: Subject<'_>,
    by: &AuditContext,
) -> Result<(), PgError> {
    let told = [(Receivers::UserManagers, USER_ACCOUNT_CREATED)];
    tell(conn, delivery, subject, &told, "api-users-create", by).await
}

/// Nobody is told that somebody became dormant.
pub(super) async fn tell_of_status(
    conn: &mut AsyncPgConnection,
    delivery: Delivery,
    subject: Subject<'_>,
    status: UserStatus,
    by: &AuditContext,
) -> Result<(), PgError> {
    let (to_managers, to_them) = match status {
        UserStatus::Suspended => (USER_ACCOUNT_SUSPENDED, YOUR_ACCOUNT_SUSPENDED),
        UserStatus::Active => (USER_ACCOUNT_ACTIVATED, YOUR_ACCOUNT_ACTIVATED),
        UserStatus::Dormant => return Ok(()),
    };
    let told = [
        (Receivers::UserManagers, to_managers),
        (Receivers::User(subject.id), to_them),
    ];
    tell(conn, delivery, subject, &told, "api-put-user-status", by).await
}

/// After the deletion, so that the deleted is not told.
pub(super) async fn tell_of_deletion(
    conn: &mut AsyncPgConnection,
    delivery: Delivery,
    subject: Subject<'_>,
    by: &AuditContext,
) -> Result<(), PgError> {
    let told = [(Receivers::UserManagers, USER_ACCOUNT_DELETED)];
    tell(conn, delivery, subject, &told, "api-users-delete", by).await
}

/// Sends a passcode to its user. Returns whether there is a way to.
pub(super) async fn send_passcode(
    conn: &mut AsyncPgConnection,
    delivery: Delivery,
    user: UserId,
    passcode: &SecretString,
    by: &AuditContext,
) -> Result<bool, PgError> {
    let message = Message {
        template_id: ONE_TIME_PASSCODE,
        labels: labels([(PASSCODE_LABEL, passcode.expose_secret())]),
        targets: Vec::new(),
        created_by: "change-password-with-one-time-passcode",
    };
    let receivers = Receivers::User(user);
    let sent = insert_messages(conn, delivery, receivers, &message, by.initiator.at).await?;
    Ok(sent > 0)
}

async fn tell(
    conn: &mut AsyncPgConnection,
    delivery: Delivery,
    subject: Subject<'_>,
    told: &[(Receivers, Uuid)],
    created_by: &'static str,
    by: &AuditContext,
) -> Result<(), PgError> {
    let initiator = find_username(conn, by.initiator.user_id).await?;
    let labels = labels([
        ("username", subject.username),
        ("name", subject.name),
        ("initiator", initiator.as_deref().unwrap_or(THE_SERVICE)),
    ]);
    for &(receivers, template_id) in told {
        let message = Message {
            template_id,
            labels: labels.clone(),
            targets: vec![subject.id.0],
            created_by,
        };
        insert_messages(conn, delivery, receivers, &message, by.initiator.at).await?;
    }
    Ok(())
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Map<String, Value> {
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.into()));
    pairs.into_iter().collect()
}

async fn find_username(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Option<String>, PgError> {
    Ok(users::table
        .find(user.0)
        .select(users::username)
        .first(conn)
        .await
        .optional()?)
}
