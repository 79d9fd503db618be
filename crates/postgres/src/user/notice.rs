//! Enqueues notifications about changes of accounts.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, User, UserId,
    notification::{AccountEvent, Delivery, account_notifications},
};

use crate::{PgError, notification::insert_messages, schema::users};

/// Enqueues the messages about the change of an account.
pub(super) async fn enqueue(
    conn: &mut AsyncPgConnection,
    delivery: Delivery,
    event: AccountEvent,
    user: &User,
    by: &AuditContext,
) -> Result<(), PgError> {
    let initiator = find_username(conn, by.initiator.user_id).await?;
    for message in account_notifications(event, user, initiator.as_deref()) {
        insert_messages(conn, delivery, &message, by.initiator.at).await?;
    }
    Ok(())
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
