//! Links between users and accounts at providers.

use chrono::{DateTime, Utc};
use diesel::{dsl::not, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use usher_domain::{
    LoginType, UserId,
    external_login::{ExternalIdentity, LinkClaims, ProviderTokens},
    time::never,
};
use usher_store::ExternalLogin;
use uuid::Uuid;

use crate::{
    PgError,
    encryption::{Encrypted, Keyring, SecretLocation},
    schema::{user_links, users},
    user::{find::lower, row::parse_login_type},
};

/// Returns the live user that is linked to the account, or else has its e-mail address.
pub(super) async fn find_matching_user(
    conn: &mut AsyncPgConnection,
    identity: &ExternalIdentity,
) -> Result<Option<UserId>, PgError> {
    if let Some(linked) = find_linked_user(conn, identity).await? {
        return Ok(Some(linked));
    }
    find_by_email(conn, identity).await
}

/// Returns the live user that is linked to the account.
pub(super) async fn find_linked_user(
    conn: &mut AsyncPgConnection,
    identity: &ExternalIdentity,
) -> Result<Option<UserId>, PgError> {
    // The condition on empty identifiers is that of the index.
    let user: Option<Uuid> = user_links::table
        .inner_join(users::table)
        .filter(user_links::linked_id.eq(&identity.link_id))
        .filter(user_links::linked_id.ne(""))
        .filter(user_links::login_type.eq(identity.login_type.as_str()))
        .filter(not(users::deleted))
        .select(user_links::user_id)
        .first(conn)
        .await
        .optional()?;
    Ok(user.map(UserId))
}

async fn find_by_email(
    conn: &mut AsyncPgConnection,
    identity: &ExternalIdentity,
) -> Result<Option<UserId>, PgError> {
    let user: Option<Uuid> = users::table
        .filter(not(users::deleted))
        .filter(lower(users::email).eq(lower(identity.email.as_str())))
        .select(users::id)
        .first(conn)
        .await
        .optional()?;
    Ok(user.map(UserId))
}

/// Returns the user's link of this login type.
pub(super) async fn find(
    conn: &mut AsyncPgConnection,
    user: UserId,
    login_type: LoginType,
) -> Result<Option<LinkRow>, PgError> {
    let query = LinkRow::query()
        .filter(user_links::user_id.eq(user.0))
        .filter(user_links::login_type.eq(login_type.as_str()));
    Ok(query.first(conn).await.optional()?)
}

/// Returns the account of this login type that the user is linked to; empty on old rows.
pub(super) async fn find_link_id(
    conn: &mut AsyncPgConnection,
    user: UserId,
    login_type: LoginType,
) -> Result<Option<String>, PgError> {
    Ok(user_links::table
        .find((user.0, login_type.as_str()))
        .select(user_links::linked_id)
        .first(conn)
        .await
        .optional()?)
}

/// Links the user to the account, with its tokens. Voids a lease for refreshing older tokens.
pub(super) async fn put(
    conn: &mut AsyncPgConnection,
    user: UserId,
    identity: &ExternalIdentity,
    keys: &Keyring,
) -> Result<(), PgError> {
    let (access, refresh) = seal(&identity.tokens, user, identity.login_type, keys)?;
    let row = WrittenLink {
        linked_id: &identity.link_id,
        oauth_access_token: access.text,
        oauth_access_token_key_id: access.key_id,
        oauth_refresh_token: refresh.text,
        oauth_refresh_token_key_id: refresh.key_id,
        oauth_expiry: identity.tokens.expires_at.unwrap_or_else(never),
        claims: claims(&identity.claims),
        oauth_refresh_leased_until: None,
    };
    let owner = (
        user_links::user_id.eq(user.0),
        user_links::login_type.eq(identity.login_type.as_str()),
    );
    diesel::insert_into(user_links::table)
        .values((owner, &row))
        .on_conflict((user_links::user_id, user_links::login_type))
        .do_update()
        .set(&row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Encrypts the access token and the refresh token.
pub(super) fn seal(
    tokens: &ProviderTokens,
    user: UserId,
    login_type: LoginType,
    keys: &Keyring,
) -> Result<(Encrypted, Encrypted), PgError> {
    let none = SecretString::default();
    let access = keys.encrypt(
        &tokens.access_token,
        SecretLocation::AccessToken(user, login_type),
    )?;
    let refresh = tokens.refresh_token.as_ref().unwrap_or(&none);
    let refresh = keys.encrypt(refresh, SecretLocation::RefreshToken(user, login_type))?;
    Ok((access, refresh))
}

fn claims(claims: &LinkClaims) -> Value {
    if *claims == LinkClaims::default() {
        return json!({});
    }
    json!({
        "id_token": claims.id_token,
        "secondary": claims.secondary,
        "merged": claims.merged,
    })
}

#[derive(AsChangeset, Insertable)]
#[diesel(table_name = user_links, treat_none_as_null = true)]
struct WrittenLink<'a> {
    linked_id: &'a str,
    oauth_access_token: String,
    oauth_access_token_key_id: Option<String>,
    oauth_refresh_token: String,
    oauth_refresh_token_key_id: Option<String>,
    oauth_expiry: DateTime<Utc>,
    claims: Value,
    oauth_refresh_leased_until: Option<DateTime<Utc>>,
}

/// A stored link.
#[derive(HasQuery)]
#[diesel(table_name = user_links)]
pub(super) struct LinkRow {
    user_id: Uuid,
    login_type: String,
    linked_id: String,
    oauth_access_token: String,
    oauth_access_token_key_id: Option<String>,
    oauth_refresh_token: String,
    oauth_refresh_token_key_id: Option<String>,
    oauth_expiry: DateTime<Utc>,
}

impl LinkRow {
    pub(super) fn is_expired(&self, at: DateTime<Utc>) -> bool {
        self.oauth_expiry != never() && self.oauth_expiry < at
    }

    pub(super) fn has_refresh_token(&self) -> bool {
        !self.oauth_refresh_token.is_empty()
    }

    /// Decrypts the tokens.
    pub(super) fn open(self, keys: &Keyring) -> Result<ExternalLogin, PgError> {
        let user_id = UserId(self.user_id);
        let login_type = parse_login_type(&self.login_type)?;
        let access_token = keys.decrypt(
            &self.oauth_access_token,
            self.oauth_access_token_key_id.as_deref(),
            SecretLocation::AccessToken(user_id, login_type),
        )?;
        let refresh_token = keys.decrypt(
            &self.oauth_refresh_token,
            self.oauth_refresh_token_key_id.as_deref(),
            SecretLocation::RefreshToken(user_id, login_type),
        )?;
        Ok(ExternalLogin {
            user_id,
            login_type,
            link_id: self.linked_id,
            tokens: ProviderTokens {
                access_token,
                refresh_token: Some(refresh_token)
                    .filter(|token| !token.expose_secret().is_empty()),
                expires_at: Some(self.oauth_expiry).filter(|end| *end != never()),
            },
        })
    }
}
