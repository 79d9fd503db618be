//! Converting a user's login type from the password to a provider.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    ApiKeyId, AuditContext, LoginType, PasswordHash,
    audit::{AuditAction, AuditEntry, Diff},
    sign_in::{self, ConversionFacts},
};
use usher_store::{Conflict, Conversion, SignInOutcome};

use super::{
    link, profile,
    sign_in::{create_session, signed_in},
};
use crate::{
    PgError,
    audit::insert_audit,
    encryption::Keyring,
    lock::{self, LockStrength},
    schema::{api_keys, users},
    session::activate_if_dormant,
    user::find,
};

pub(super) async fn convert(
    conn: &mut AsyncPgConnection,
    conversion: &Conversion,
    keys: &Keyring,
    by: &AuditContext,
) -> Result<SignInOutcome, PgError> {
    let (user, identity) = (conversion.user_id, &conversion.identity);
    let account = lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await?;
    let account = account
        .filter(|account| !account.user.is_deleted)
        .ok_or(Conflict::UserDeleted)?;
    let linked_user = link::find_linked_user(conn, identity).await?;
    let facts = ConversionFacts {
        account,
        is_account_of_another: linked_user.is_some_and(|linked| linked != user),
        link_id: link::find_link_id(conn, user, identity.login_type).await?,
        is_email_taken: profile::is_email_taken(conn, user, identity).await?,
    };
    let decision = match sign_in::convert(identity, &conversion.replaces, &facts) {
        Ok(decision) => decision,
        Err(rejection) => return Ok(SignInOutcome::Rejected(rejection)),
    };
    let mut by_user = by.clone().acting_as(user);
    if decision.activates_user {
        activate_if_dormant(conn, user, &by_user).await?;
        by_user.advance();
    }
    replace_password(conn, conversion, by).await?;
    let old = facts.account.user;
    profile::replace(conn, &old, identity, by).await?;
    let diff = Diff::login_type_converted(&old, identity);
    let entry = AuditEntry::of_user(AuditAction::Write, &old, diff);
    insert_audit(conn, entry, &by_user).await?;
    link::put(conn, user, identity, keys).await?;
    delete_sessions(conn, conversion).await?;
    if let Some(key) = &conversion.key {
        by_user.advance();
        create_session(conn, user, key, AuditAction::Login, &by_user).await?;
    }
    let user = find::read_user(conn, user).await?;
    Ok(signed_in(user, false))
}

async fn replace_password(
    conn: &mut AsyncPgConnection,
    conversion: &Conversion,
    by: &AuditContext,
) -> Result<(), PgError> {
    diesel::update(users::table.find(conversion.user_id.0))
        .set((
            users::login_type.eq(conversion.identity.login_type.as_str()),
            users::hashed_password.eq(PasswordHash::none().as_str().as_bytes()),
            users::hashed_one_time_passcode.eq(None::<Vec<u8>>),
            users::one_time_passcode_expires_at.eq(None::<DateTime<Utc>>),
            users::updated_at.eq(by.initiator.at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Anyone who knew the password may have a session.
async fn delete_sessions(
    conn: &mut AsyncPgConnection,
    conversion: &Conversion,
) -> Result<(), PgError> {
    let ended = conversion.ended.as_ref().map(ApiKeyId::as_str);
    let is_session = api_keys::login_type.ne(LoginType::Token.as_str());
    let of_user = api_keys::table.filter(api_keys::user_id.eq(conversion.user_id.0));
    diesel::delete(of_user.filter(is_session.or(api_keys::id.eq(ended.unwrap_or_default()))))
        .execute(conn)
        .await?;
    Ok(())
}
