//! A user's profile as their provider reports it.

use diesel::{
    dsl::{exists, not},
    prelude::*,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{AuditContext, User, UserId, external_login::ExternalIdentity};

use crate::{PgError, schema::users, user::find::lower};

/// Whether another live user has the e-mail address that the provider reports.
pub(super) async fn is_email_taken(
    conn: &mut AsyncPgConnection,
    user: UserId,
    identity: &ExternalIdentity,
) -> Result<bool, PgError> {
    let others = users::table
        .filter(users::id.ne(user.0))
        .filter(not(users::deleted))
        .filter(lower(users::email).eq(lower(identity.email.as_str())));
    Ok(diesel::select(exists(others)).get_result(conn).await?)
}

/// Replaces e-mail address, display name and picture, but never the username.
pub(super) async fn replace(
    conn: &mut AsyncPgConnection,
    old: &User,
    identity: &ExternalIdentity,
    by: &AuditContext,
) -> Result<(), PgError> {
    let is_same = old.email == identity.email
        && old.name == identity.name
        && old.avatar_url == identity.avatar_url;
    if !is_same {
        diesel::update(users::table.find(old.id.0))
            .set((
                users::email.eq(identity.email.as_str()),
                users::name.eq(identity.name.as_str()),
                users::avatar_url.eq(&identity.avatar_url),
                users::updated_at.eq(by.initiator.at),
            ))
            .execute(conn)
            .await?;
    }
    set_github_com_user_id(conn, old.id, identity).await
}

pub(super) async fn find_github_com_user_id(
    conn: &mut AsyncPgConnection,
    user: UserId,
) -> Result<Option<i64>, PgError> {
    Ok(users::table
        .find(user.0)
        .select(users::github_com_user_id)
        .first(conn)
        .await?)
}

/// Stores the user's number at github.com, if the identity has one.
pub(super) async fn set_github_com_user_id(
    conn: &mut AsyncPgConnection,
    user: UserId,
    identity: &ExternalIdentity,
) -> Result<(), PgError> {
    if let Some(number) = identity.github_com_user_id {
        diesel::update(users::table.find(user.0))
            .filter(users::github_com_user_id.is_distinct_from(number))
            .set(users::github_com_user_id.eq(number))
            .execute(conn)
            .await?;
    }
    Ok(())
}
