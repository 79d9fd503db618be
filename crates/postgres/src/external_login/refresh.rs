//! Leases for refreshing the tokens of a link, so that only one replica asks the provider.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    data_types::PgInterval,
    dsl::sql,
    prelude::*,
    sql_types::{Interval, Nullable, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use secrecy::ExposeSecret;
use usher_domain::{LoginType, UserId, external_login::ProviderTokens, time::never};
use usher_store::{ExternalLogin, RefreshLease};
use uuid::Uuid;

use super::link::{self, LinkRow};
use crate::{PgError, encryption::Keyring, schema::user_links};

/// A request for the lease of a link.
pub(super) struct LeaseRequest {
    pub(super) user: UserId,
    pub(super) login_type: LoginType,
    pub(super) lease: Uuid,
    pub(super) at: DateTime<Utc>,
    pub(super) duration: Duration,
}

/// Takes the lease if the access token has expired and no other caller has it, in one
/// statement, so that one of several concurrent callers gets it. The lease expires by the clock
/// of the database, because those of the replicas may differ.
pub(super) async fn begin(
    conn: &mut AsyncPgConnection,
    request: &LeaseRequest,
    keys: &Keyring,
) -> Result<Option<RefreshLease>, PgError> {
    let LeaseRequest {
        user,
        login_type,
        lease,
        at,
        duration,
    } = *request;
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let until = sql::<Nullable<Timestamptz>>("clock_timestamp() + ")
        .bind::<Interval, _>(PgInterval::from_microseconds(micros));
    let is_expired = user_links::oauth_refresh_leased_until
        .le(sql::<Nullable<Timestamptz>>("clock_timestamp()"))
        .assume_not_null();
    let is_mine = user_links::oauth_refresh_leased_by
        .eq(lease)
        .assume_not_null();
    let is_free = user_links::oauth_refresh_leased_until
        .is_null()
        .or(is_expired)
        .or(is_mine);
    let taken: Option<LinkRow> =
        diesel::update(user_links::table.find((user.0, login_type.as_str())))
            .filter(user_links::oauth_expiry.ne(never()))
            .filter(user_links::oauth_expiry.lt(at))
            .filter(user_links::oauth_refresh_token.ne(""))
            .filter(is_free)
            .set((
                user_links::oauth_refresh_leased_until.eq(until),
                user_links::oauth_refresh_leased_by.eq(lease),
            ))
            .returning(LinkRow::as_returning())
            .get_result(conn)
            .await
            .optional()?;
    if let Some(row) = taken {
        let opened = open(row, keys)?;
        if matches!(opened, RefreshLease::Unreadable(_)) {
            release(conn, user, login_type, lease).await?;
        }
        return Ok(Some(opened));
    }
    let Some(row) = link::find(conn, user, login_type).await? else {
        return Ok(None);
    };
    Ok(Some(if !row.is_expired(at) {
        RefreshLease::Done
    } else if row.has_refresh_token() {
        RefreshLease::Others
    } else {
        open(row, keys)?
    }))
}

/// Grants the lease if the tokens can be decrypted.
fn open(row: LinkRow, keys: &Keyring) -> Result<RefreshLease, PgError> {
    match row.open(keys) {
        Ok(login) => Ok(RefreshLease::Mine(login)),
        Err(error @ (PgError::UnknownSecretKey(_) | PgError::Corrupt(_))) => {
            Ok(RefreshLease::Unreadable(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// Ends the lease, if the caller still has it.
async fn release(
    conn: &mut AsyncPgConnection,
    user: UserId,
    login_type: LoginType,
    lease: Uuid,
) -> Result<(), PgError> {
    diesel::update(user_links::table.find((user.0, login_type.as_str())))
        .filter(user_links::oauth_refresh_leased_by.eq(lease))
        .set((
            user_links::oauth_refresh_leased_until.eq(None::<DateTime<Utc>>),
            user_links::oauth_refresh_leased_by.eq(None::<Uuid>),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends the lease if the caller still has it, and stores the new tokens, unless a sign-in or a
/// later lease has replaced the tokens since.
pub(super) async fn end(
    conn: &mut AsyncPgConnection,
    login: &ExternalLogin,
    lease: Uuid,
    tokens: Option<&ProviderTokens>,
    keys: &Keyring,
) -> Result<(), PgError> {
    let (user, login_type) = (login.user_id, login.login_type);
    release(conn, user, login_type, lease).await?;
    let Some(tokens) = tokens else {
        return Ok(());
    };
    let query = LinkRow::query()
        .filter(user_links::user_id.eq(user.0))
        .filter(user_links::login_type.eq(login_type.as_str()))
        .for_no_key_update();
    let row: Option<LinkRow> = query.first(conn).await.optional()?;
    let Some(row) = row else {
        return Ok(());
    };
    let stored = row.open(keys)?.tokens.refresh_token;
    let sent = login.tokens.refresh_token.as_ref();
    if stored.as_ref().map(ExposeSecret::expose_secret) != sent.map(ExposeSecret::expose_secret) {
        return Ok(());
    }
    let (access, refresh) = link::seal(tokens, user, login_type, keys)?;
    diesel::update(user_links::table.find((user.0, login_type.as_str())))
        .set((
            user_links::oauth_access_token.eq(access.text),
            user_links::oauth_access_token_key_id.eq(access.key_id),
            user_links::oauth_refresh_token.eq(refresh.text),
            user_links::oauth_refresh_token_key_id.eq(refresh.key_id),
            user_links::oauth_expiry.eq(tokens.expires_at.unwrap_or_else(never)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
