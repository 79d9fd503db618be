//! Changing from the password to a provider.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    ApiKeyId, AuditContext, LoginType, PasswordHash, UserStatus, audit::AuditAction,
};
use usher_store::{Conflict, Conversion, SignInOutcome};

use super::{
    Attempt, link, profile,
    sign_in::{Log, of_user, read},
};
use crate::{
    PgError,
    api_key::insert_key,
    encryption::Keyring,
    lock::{self, LockStrength},
    schema::{api_keys, users},
    session,
    user::{change, row::parse_login_type},
};

pub(super) async fn convert(
    conn: &mut AsyncPgConnection,
    conversion: &Conversion,
    keys: &Keyring,
    by: &AuditContext,
) -> Result<Attempt, PgError> {
    let (user, identity) = (conversion.user_id, &conversion.identity);
    let account = lock::lock_caller_and_user(conn, by, user, LockStrength::NoKeyUpdate).await?;
    let Some(old) = account.filter(|account| !account.user.deleted) else {
        return Err(Conflict::UserDeleted.into());
    };
    let is_outdated = old.password()?.fingerprint() != conversion.replaces;
    let old = old.user;
    let login_type = parse_login_type(&old.login_type)?;
    if login_type != LoginType::Password {
        return Ok(Attempt::Done(SignInOutcome::OtherLoginType(login_type)));
    }
    if is_outdated {
        return Ok(Attempt::Done(SignInOutcome::PasswordChanged));
    }
    let linked = link::find_linked(conn, identity).await?;
    if linked.is_some_and(|linked| linked != user)
        || link::is_to_another(conn, user, identity).await?
    {
        return Ok(Attempt::Done(SignInOutcome::OtherAccount));
    }
    if old.status == UserStatus::Suspended.as_str() {
        return Ok(Attempt::Done(SignInOutcome::Suspended));
    }
    if profile::is_address_taken(conn, user, identity).await? {
        return Ok(Attempt::Done(SignInOutcome::AddressTaken));
    }
    let mut log = Log::of(user, by);
    if session::wake_if_dormant(conn, user, &log.by).await? {
        log.advance();
    }
    diesel::update(users::table.find(user.0))
        .set((
            users::login_type.eq(identity.login_type.as_str()),
            users::hashed_password.eq(PasswordHash::none().as_str().as_bytes()),
            users::hashed_one_time_passcode.eq(None::<Vec<u8>>),
            users::one_time_passcode_expires_at.eq(None::<DateTime<Utc>>),
            users::updated_at.eq(by.initiator.at),
        ))
        .execute(conn)
        .await?;
    let diff = profile::take_over(conn, &old, identity, by)
        .await?
        .field(
            "login_type",
            login_type.as_str(),
            identity.login_type.as_str(),
        )
        .secret_bytes("hashed_password");
    change::record(conn, AuditAction::Write, &old, diff, &log.by).await?;
    link::put(conn, user, identity, keys).await?;
    end_sessions(conn, conversion).await?;
    if let Some(key) = &conversion.key {
        log.advance();
        insert_key(conn, &of_user(key, user)).await?;
        session::record(conn, AuditAction::Login, user, &log.by).await?;
    }
    Ok(Attempt::signed_in(read(conn, user).await?, false))
}

/// Whoever knew the password may have a session of it.
async fn end_sessions(
    conn: &mut AsyncPgConnection,
    conversion: &Conversion,
) -> Result<usize, PgError> {
    let ended = conversion.ended.as_ref().map(ApiKeyId::as_str);
    let is_session = api_keys::login_type.ne(LoginType::Token.as_str());
    let of_user = api_keys::table.filter(api_keys::user_id.eq(conversion.user_id.0));
    let ending = of_user.filter(is_session.or(api_keys::id.eq(ended.unwrap_or_default())));
    Ok(diesel::delete(ending).execute(conn).await?)
}
