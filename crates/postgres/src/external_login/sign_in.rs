//! Signing in, and signing up where nobody is found.

use chrono::TimeDelta;
use diesel::{dsl::not, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, LoginType, PasswordHash, SiteRole, User, UserId, UserStatus, Username,
    audit::{AuditAction, Diff},
    external_login::ExternalIdentity,
};
use usher_store::{Conflict, ExternalSignIn, NewApiKey, NewUser, SignInOutcome};

use super::{Attempt, link, profile};
use crate::{
    PgError,
    api_key::insert_key,
    encryption::Keyring,
    lock::{self, AdvisoryLock, LockStrength},
    organization,
    schema::users,
    session,
    user::{
        change, create,
        find::{self, lower, lower_username},
        row::{UserRow, parse_login_type},
    },
};

pub(super) async fn sign_in(
    conn: &mut AsyncPgConnection,
    sign_in: &ExternalSignIn,
    keys: &Keyring,
    by: &AuditContext,
) -> Result<Attempt, PgError> {
    match link::find_owner(conn, &sign_in.identity).await? {
        Some(user) => enter(conn, user, sign_in, keys, by).await,
        None => sign_up(conn, sign_in, keys, by).await,
    }
}

async fn enter(
    conn: &mut AsyncPgConnection,
    user: UserId,
    sign_in: &ExternalSignIn,
    keys: &Keyring,
    by: &AuditContext,
) -> Result<Attempt, PgError> {
    let identity = &sign_in.identity;
    let account = lock::lock_user(conn, user, LockStrength::NoKeyUpdate).await?;
    let owner = link::find_owner(conn, identity).await?;
    let Some(old) = account.filter(|_| owner == Some(user)) else {
        return Ok(Attempt::Overtaken);
    };
    let old = old.user;
    let login_type = parse_login_type(&old.login_type)?;
    if login_type != identity.login_type {
        return Ok(Attempt::Done(SignInOutcome::OtherLoginType(login_type)));
    }
    if link::is_to_another(conn, user, identity).await?
        || is_of_another_github(conn, user, identity).await?
        || !may_claim(sign_in, &old) && link::find_linked(conn, identity).await? != Some(user)
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
    let diff = profile::take_over(conn, &old, identity, by).await?;
    if diff != Diff::new() {
        change::record(conn, AuditAction::Write, &old, diff, &log.by).await?;
        log.advance();
    }
    link::put(conn, user, identity, keys).await?;
    insert_key(conn, &of_user(&sign_in.key, user)).await?;
    session::record(conn, AuditAction::Login, user, &log.by).await?;
    Ok(Attempt::signed_in(read(conn, user).await?, false))
}

/// Whether the user may be found by the address. The database folds letters beyond ASCII,
/// which are another mailbox for a provider.
fn may_claim(sign_in: &ExternalSignIn, user: &UserRow) -> bool {
    sign_in.may_claim_by_address
        && user
            .email
            .eq_ignore_ascii_case(sign_in.identity.email.as_str())
}

/// Whether the user has signed in at another GitHub. Accounts there are bare numbers, which
/// are other people's at another server.
async fn is_of_another_github(
    conn: &mut AsyncPgConnection,
    user: UserId,
    identity: &ExternalIdentity,
) -> Result<bool, PgError> {
    if identity.login_type != LoginType::Github {
        return Ok(false);
    }
    let at_github_com: Option<i64> = users::table
        .find(user.0)
        .select(users::github_com_user_id)
        .first(conn)
        .await?;
    Ok(
        at_github_com.is_some_and(|known| match identity.github_com_user_id {
            Some(number) => number != known,
            None => identity.link_id == known.to_string(),
        }),
    )
}

async fn sign_up(
    conn: &mut AsyncPgConnection,
    sign_in: &ExternalSignIn,
    keys: &Keyring,
    by: &AuditContext,
) -> Result<Attempt, PgError> {
    let identity = &sign_in.identity;
    lock::lock_advisory(conn, AdvisoryLock::FirstUser).await?;
    if link::find_owner(conn, identity).await?.is_some() {
        return Ok(Attempt::Overtaken);
    }
    let is_first = !find::has_users(conn).await?;
    if !is_first && !sign_in.allow_sign_up {
        return Ok(Attempt::Done(SignInOutcome::SignUpClosed));
    }
    let given = &sign_in.new_user;
    let Some(username) = first_free(conn, &given.usernames, given.id).await? else {
        return Ok(Attempt::Done(SignInOutcome::UsernamesTaken));
    };
    let new = NewUser {
        id: given.id,
        username,
        email: identity.email.clone(),
        name: identity.name.clone(),
        avatar_url: identity.avatar_url.clone(),
        password: PasswordHash::none(),
        login_type: identity.login_type,
        status: UserStatus::Active,
        roles: if is_first {
            vec![SiteRole::Owner]
        } else {
            Vec::new()
        },
        organization_ids: vec![organization::find_default_id(conn).await?],
        ssh_key: given.ssh_key.clone(),
        created_at: by.initiator.at,
    };
    let user = create::insert_with_belongings(conn, &new, &new.organization_ids, keys).await?;
    if let Some(number) = identity.github_com_user_id {
        diesel::update(users::table.find(user.id.0))
            .set(users::github_com_user_id.eq(number))
            .execute(conn)
            .await?;
    }
    link::put(conn, user.id, identity, keys).await?;
    insert_key(conn, &of_user(&sign_in.key, user.id)).await?;
    let log = Log::of(user.id, by);
    session::record(conn, AuditAction::Register, user.id, &log.by).await?;
    Ok(Attempt::signed_in(user, true))
}

/// The first of the usernames that no live user has, nor is the identifier of anybody.
async fn first_free(
    conn: &mut AsyncPgConnection,
    usernames: &[Username],
    user: UserId,
) -> Result<Option<Username>, PgError> {
    let wanted = usernames.iter().map(|name| lower_username(name.as_str()));
    let taken: Vec<String> = users::table
        .filter(not(users::deleted))
        .filter(lower(users::username).eq_any(wanted))
        .select(lower(users::username))
        .load(conn)
        .await?;
    for username in usernames {
        if taken.contains(&lower_username(username.as_str())) {
            continue;
        }
        match create::refuse_identifier_of_another(conn, username, user).await {
            Ok(()) => return Ok(Some(username.clone())),
            Err(PgError::Conflict(Conflict::Username)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

pub(super) fn of_user(key: &NewApiKey, user: UserId) -> NewApiKey {
    NewApiKey {
        user_id: user,
        ..key.clone()
    }
}

pub(super) async fn read(conn: &mut AsyncPgConnection, user: UserId) -> Result<User, PgError> {
    let row = find::find_by_id(conn, user).await?;
    row.ok_or_else(|| PgError::Corrupt("a user is not there".to_owned()))?
        .try_into()
}

/// What the user does themself, one thing after the other: the log is ordered by time.
pub(super) struct Log {
    pub(super) by: AuditContext,
}

impl Log {
    pub(super) fn of(user: UserId, by: &AuditContext) -> Self {
        let by = by.clone().acting_as(user);
        Self { by }
    }

    pub(super) fn advance(&mut self) {
        self.by.initiator.at += TimeDelta::microseconds(1);
    }
}
