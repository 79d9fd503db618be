//! Signing in to an existing user, and signing up.

use diesel::{dsl::not, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use usher_domain::{
    AuditContext, PasswordHash, User, UserId, UserStatus, Username,
    audit::{AuditAction, AuditEntry, Diff},
    sign_in::{self, MatchedUser, SignUp, SignUpFacts},
};
use usher_store::{ExternalSignIn, NewApiKey, NewUser, SignInOutcome};

use super::{link, profile};
use crate::{
    PgError,
    api_key::insert_key,
    audit::insert_audit,
    encryption::Keyring,
    lock::{self, AdvisoryLock, LockStrength},
    membership::find_default_organization,
    schema::users,
    session::activate_if_dormant,
    user::{
        create,
        find::{self, lower, lower_username},
    },
};

/// Signs in, or returns `None` if another user matches by the time that the locks are taken.
pub(super) async fn sign_in(
    conn: &mut AsyncPgConnection,
    sign_in: &ExternalSignIn,
    keys: &Keyring,
    by: &AuditContext,
) -> Result<Option<SignInOutcome>, PgError> {
    match link::find_matching_user(conn, &sign_in.identity).await? {
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
) -> Result<Option<SignInOutcome>, PgError> {
    let identity = &sign_in.identity;
    let account = lock::lock_user(conn, user, LockStrength::NoKeyUpdate).await?;
    let matching = link::find_matching_user(conn, identity).await?;
    let Some(account) = account.filter(|_| matching == Some(user)) else {
        return Ok(None);
    };
    let matched = MatchedUser {
        user: account.user,
        link_id: link::find_link_id(conn, user, identity.login_type).await?,
        github_com_user_id: profile::find_github_com_user_id(conn, user).await?,
        is_email_taken: profile::is_email_taken(conn, user, identity).await?,
    };
    let decision = match sign_in::sign_in(identity, sign_in.policy, &matched) {
        Ok(decision) => decision,
        Err(rejection) => return Ok(Some(SignInOutcome::Rejected(rejection))),
    };
    let mut by_user = by.clone().acting_as(user);
    if decision.activates_user {
        activate_if_dormant(conn, user, &by_user).await?;
        by_user.advance();
    }
    let old = matched.user;
    profile::replace(conn, &old, identity, by).await?;
    let diff = Diff::provider_profile(&old, identity);
    if diff != Diff::new() {
        let entry = AuditEntry::of_user(AuditAction::Write, &old, diff);
        insert_audit(conn, entry, &by_user).await?;
        by_user.advance();
    }
    link::put(conn, user, identity, keys).await?;
    create_session(conn, user, &sign_in.key, AuditAction::Login, &by_user).await?;
    let user = find::read_user(conn, user).await?;
    Ok(Some(signed_in(user, false)))
}

async fn sign_up(
    conn: &mut AsyncPgConnection,
    sign_in: &ExternalSignIn,
    keys: &Keyring,
    by: &AuditContext,
) -> Result<Option<SignInOutcome>, PgError> {
    let (identity, new_user) = (&sign_in.identity, &sign_in.new_user);
    lock::lock_advisory(conn, AdvisoryLock::FirstUser).await?;
    if link::find_matching_user(conn, identity).await?.is_some() {
        return Ok(None);
    }
    let facts = SignUpFacts {
        has_users: find::has_users(conn).await?,
        taken_usernames: taken(conn, &new_user.usernames, new_user.id).await?,
    };
    let decision = match sign_in::sign_up(sign_in.policy, &new_user.usernames, &facts) {
        Ok(decision) => decision,
        Err(rejection) => return Ok(Some(SignInOutcome::Rejected(rejection))),
    };
    let user = create_user(conn, decision, sign_in, keys, by).await?;
    link::put(conn, user.id, identity, keys).await?;
    let by = by.clone().acting_as(user.id);
    create_session(conn, user.id, &sign_in.key, AuditAction::Register, &by).await?;
    Ok(Some(signed_in(user, true)))
}

async fn create_user(
    conn: &mut AsyncPgConnection,
    decision: SignUp,
    sign_in: &ExternalSignIn,
    keys: &Keyring,
    by: &AuditContext,
) -> Result<User, PgError> {
    let identity = &sign_in.identity;
    let new = NewUser {
        id: sign_in.new_user.id,
        username: decision.username,
        email: identity.email.clone(),
        name: identity.name.clone(),
        avatar_url: identity.avatar_url.clone(),
        password: PasswordHash::none(),
        login_type: identity.login_type,
        status: UserStatus::Active,
        roles: decision.roles,
        organization_ids: vec![find_default_organization(conn).await?],
        ssh_key: sign_in.new_user.ssh_key.clone(),
        created_at: by.initiator.at,
    };
    let user = create::insert_with_belongings(conn, &new, &new.organization_ids, keys).await?;
    profile::set_github_com_user_id(conn, user.id, identity).await?;
    Ok(user)
}

/// Returns the usernames that a live user has, or that are the identifier of another user.
async fn taken(
    conn: &mut AsyncPgConnection,
    usernames: &[Username],
    user: UserId,
) -> Result<Vec<Username>, PgError> {
    let wanted = usernames.iter().map(|name| lower_username(name.as_str()));
    let in_use: Vec<String> = users::table
        .filter(not(users::deleted))
        .filter(lower(users::username).eq_any(wanted))
        .select(lower(users::username))
        .load(conn)
        .await?;
    let mut taken = Vec::new();
    for username in usernames {
        if in_use.contains(&lower_username(username.as_str()))
            || find::is_identifier_of_another(conn, username, user).await?
        {
            taken.push(username.clone());
        }
    }
    Ok(taken)
}

/// Creates the user's session and writes its audit row.
pub(super) async fn create_session(
    conn: &mut AsyncPgConnection,
    user: UserId,
    key: &NewApiKey,
    action: AuditAction,
    by: &AuditContext,
) -> Result<(), PgError> {
    let key = NewApiKey {
        user_id: user,
        ..key.clone()
    };
    insert_key(conn, &key).await?;
    insert_audit(conn, AuditEntry::of_session(action, user), by).await
}

pub(super) fn signed_in(user: User, is_new: bool) -> SignInOutcome {
    SignInOutcome::SignedIn {
        user: Box::new(user),
        is_new,
    }
}
