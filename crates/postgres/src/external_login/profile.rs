//! What a provider says of a user, taken over into their account.

use diesel::{
    dsl::{exists, not},
    prelude::*,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{AuditContext, UserId, audit::Diff, external_login::ExternalIdentity};

use crate::{
    PgError,
    schema::users,
    user::{find::lower, row::UserRow},
};

/// Whether another live user has the address that the provider says.
pub(super) async fn is_address_taken(
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

/// Takes over address, name and picture, never the username, and the number at github.com.
/// Returns what changed, for the log.
pub(super) async fn take_over(
    conn: &mut AsyncPgConnection,
    old: &UserRow,
    identity: &ExternalIdentity,
    by: &AuditContext,
) -> Result<Diff, PgError> {
    let (email, name) = (identity.email.as_str(), identity.name.as_str());
    let avatar_url = identity.avatar_url.as_str();
    if (email, name, avatar_url) != (&old.email, &old.name, &old.avatar_url) {
        diesel::update(users::table.find(old.id))
            .set((
                users::email.eq(email),
                users::name.eq(name),
                users::avatar_url.eq(avatar_url),
                users::updated_at.eq(by.initiator.at),
            ))
            .execute(conn)
            .await?;
    }
    if let Some(number) = identity.github_com_user_id {
        diesel::update(users::table.find(old.id))
            .filter(users::github_com_user_id.is_distinct_from(number))
            .set(users::github_com_user_id.eq(number))
            .execute(conn)
            .await?;
    }
    Ok(Diff::new()
        .field("email", old.email.as_str(), email)
        .field("name", old.name.as_str(), name))
}
