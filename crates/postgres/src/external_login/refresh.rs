//! Whose turn it is to refresh the tokens of a link, over all replicas.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use secrecy::ExposeSecret;
use usher_domain::{LoginType, UserId, external_login::ProviderTokens, time::never};
use usher_store::{ExternalLogin, RefreshTurn};

use super::link::{self, LinkRow};
use crate::{PgError, schema::user_links, sealing::Keyring};

/// Takes the turn if the access token has ended and nobody has it: in one statement, so
/// that of all who come at once one gets it.
pub(super) async fn begin(
    conn: &mut AsyncPgConnection,
    user: UserId,
    login_type: LoginType,
    at: DateTime<Utc>,
    until: DateTime<Utc>,
    keys: &Keyring,
) -> Result<Option<RefreshTurn>, PgError> {
    let is_free =
        user_links::oauth_refresh_leased_until
            .is_null()
            .or(user_links::oauth_refresh_leased_until
                .le(at)
                .assume_not_null());
    let taken: Option<LinkRow> =
        diesel::update(user_links::table.find((user.0, login_type.as_str())))
            .filter(user_links::oauth_expiry.ne(never()))
            .filter(user_links::oauth_expiry.lt(at))
            .filter(user_links::oauth_refresh_token.ne(""))
            .filter(is_free)
            .set(user_links::oauth_refresh_leased_until.eq(until))
            .returning(LinkRow::as_returning())
            .get_result(conn)
            .await
            .optional()?;
    if let Some(row) = taken {
        return Ok(Some(RefreshTurn::Mine(row.open(keys)?)));
    }
    let Some(row) = link::find(conn, user, login_type).await? else {
        return Ok(None);
    };
    Ok(Some(if !row.has_ended(at) {
        RefreshTurn::Done
    } else if row.has_refresh_token() {
        RefreshTurn::Others
    } else {
        RefreshTurn::Mine(row.open(keys)?)
    }))
}

/// Keeps the fresh tokens and ends the turn, unless the link has got other tokens
/// meanwhile, by a sign-in or by whoever had the turn after this one.
pub(super) async fn end(
    conn: &mut AsyncPgConnection,
    login: &ExternalLogin,
    tokens: Option<&ProviderTokens>,
    keys: &Keyring,
) -> Result<(), PgError> {
    let (user, login_type) = (login.user_id, login.login_type);
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
    let fresh = tokens
        .map(|tokens| {
            let (access, refresh) = link::seal(tokens, user, login_type, keys)?;
            Ok::<_, PgError>((
                user_links::oauth_access_token.eq(access.text),
                user_links::oauth_access_token_key_id.eq(access.key_id),
                user_links::oauth_refresh_token.eq(refresh.text),
                user_links::oauth_refresh_token_key_id.eq(refresh.key_id),
                user_links::oauth_expiry.eq(tokens.expires_at.unwrap_or_else(never)),
            ))
        })
        .transpose()?;
    let ended = user_links::oauth_refresh_leased_until.eq(None::<DateTime<Utc>>);
    diesel::update(user_links::table.find((user.0, login_type.as_str())))
        .set((ended, fresh))
        .execute(conn)
        .await?;
    Ok(())
}
