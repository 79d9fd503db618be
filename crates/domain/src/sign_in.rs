//! Whether a user may sign in, and what signing in changes.
//!
//! The functions decide over facts that the store has loaded under its locks; the store
//! carries the decision out.

use crate::{
    LoginType, PasswordHash, SiteRole, User, UserStatus, Username, credential::PasswordAccount,
    external_login::ExternalIdentity,
};

/// What a sign-in to an existing user does besides creating the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Whether the user is dormant and becomes active.
    pub activates_user: bool,
}

/// What a provider's sign-ins may do beyond finding the user that is linked to the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInPolicy {
    /// Whether an account without a link matches the user that has its e-mail address.
    pub match_by_email: bool,
    /// Whether an account that matches no user creates one. The first user of a deployment
    /// is created in any case.
    pub allow_sign_up: bool,
}

/// A live user that an external account matches, by its link or by its e-mail address.
#[derive(Clone, Debug)]
pub struct MatchedUser {
    /// The user.
    pub user: User,
    /// The external account of this login type that the user is linked to; an empty text on
    /// old rows counts as no link.
    pub link_id: Option<String>,
    /// The user's number at github.com, if known.
    pub github_com_user_id: Option<i64>,
    /// Whether another live user has the e-mail address that the provider reports.
    pub is_email_taken: bool,
}

/// What the store knows when no live user matches an external account.
#[derive(Clone, Debug)]
pub struct SignUpFacts {
    /// Whether any user exists.
    pub has_users: bool,
    /// The usernames to choose from that are taken.
    pub taken_usernames: Vec<Username>,
}

/// The user that a sign-up creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignUp {
    /// The username.
    pub username: Username,
    /// The site roles.
    pub roles: Vec<SiteRole>,
}

/// A user that asks to sign in through a provider instead of with their password.
#[derive(Clone, Debug)]
pub struct ConversionFacts {
    /// The user, with the stored password hash.
    pub account: PasswordAccount,
    /// The user that the external account is linked to, if any, is another one.
    pub is_account_of_another: bool,
    /// The external account of this login type that the user is linked to; an empty text on
    /// old rows counts as no link.
    pub link_id: Option<String>,
    /// Whether another live user has the e-mail address that the provider reports.
    pub is_email_taken: bool,
}

/// Why a sign-in through a provider, or a conversion to it, is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInRejection {
    /// The matching user has another login type.
    #[error("the user's login type is {}", .0.as_str())]
    OtherLoginType(LoginType),
    /// The matching user is linked to another account, or may not be matched by its e-mail
    /// address, or has the account's number at another GitHub; or the account that a user
    /// converts to is linked to another user.
    #[error("the account belongs to another user")]
    OtherAccount,
    /// The converting user's password was changed after it was checked.
    #[error("the password was changed")]
    PasswordChanged,
    /// The user is suspended.
    #[error("the user is suspended")]
    Suspended,
    /// No user matches, and the provider's policy does not allow to create one.
    #[error("sign-up is disabled")]
    SignUpDisabled,
    /// The provider reports an e-mail address that belongs to another user.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// All usernames to choose from are taken.
    #[error("all usernames are taken")]
    UsernamesTaken,
}

/// Decides whether an external account may sign in to the user that it matches.
pub fn sign_in(
    identity: &ExternalIdentity,
    policy: SignInPolicy,
    matched: &MatchedUser,
) -> Result<SignIn, SignInRejection> {
    let user = &matched.user;
    if user.login_type != identity.login_type {
        return Err(SignInRejection::OtherLoginType(user.login_type));
    }
    let may_match = match linked_account(matched.link_id.as_deref()) {
        Some(link_id) => link_id == identity.link_id,
        None => policy.match_by_email && has_email_of(user, identity),
    };
    if !may_match || is_of_another_github(matched.github_com_user_id, identity) {
        return Err(SignInRejection::OtherAccount);
    }
    enter(user, matched.is_email_taken)
}

/// Decides which user to create for an external account that matches none.
pub fn sign_up(
    policy: SignInPolicy,
    usernames: &[Username],
    facts: &SignUpFacts,
) -> Result<SignUp, SignInRejection> {
    if facts.has_users && !policy.allow_sign_up {
        return Err(SignInRejection::SignUpDisabled);
    }
    let mut free = usernames
        .iter()
        .filter(|username| !facts.taken_usernames.contains(username));
    let username = free.next().ok_or(SignInRejection::UsernamesTaken)?;
    let roles = if facts.has_users {
        Vec::new()
    } else {
        vec![SiteRole::Owner]
    };
    Ok(SignUp {
        username: username.clone(),
        roles,
    })
}

/// Decides whether a live user may sign in through a provider from now on. `checked` is the
/// [fingerprint](PasswordHash::fingerprint) of the hash that their password matched.
pub fn convert(
    identity: &ExternalIdentity,
    checked: &str,
    facts: &ConversionFacts,
) -> Result<SignIn, SignInRejection> {
    let user = &facts.account.user;
    if user.login_type != LoginType::Password {
        return Err(SignInRejection::OtherLoginType(user.login_type));
    }
    if facts.account.password.fingerprint() != checked {
        return Err(SignInRejection::PasswordChanged);
    }
    let link_id = linked_account(facts.link_id.as_deref());
    if facts.is_account_of_another || link_id.is_some_and(|link_id| link_id != identity.link_id) {
        return Err(SignInRejection::OtherAccount);
    }
    enter(user, facts.is_email_taken)
}

/// Decides whether a user may sign in with the password that matched the hash `checked`, or
/// `None` if the account has changed since then so that they may not.
pub fn password_sign_in(account: &PasswordAccount, checked: &PasswordHash) -> Option<SignIn> {
    let user = &account.user;
    if user.is_deleted || account.password != *checked {
        return None;
    }
    enter(user, false).ok()
}

fn enter(user: &User, is_email_taken: bool) -> Result<SignIn, SignInRejection> {
    if user.status == UserStatus::Suspended {
        return Err(SignInRejection::Suspended);
    }
    if is_email_taken {
        return Err(SignInRejection::EmailTaken);
    }
    Ok(SignIn {
        activates_user: user.status == UserStatus::Dormant,
    })
}

fn linked_account(link_id: Option<&str>) -> Option<&str> {
    link_id.filter(|link_id| !link_id.is_empty())
}

/// The database ignores the case of letters beyond ASCII too, but to a provider those are
/// different mailboxes.
fn has_email_of(user: &User, identity: &ExternalIdentity) -> bool {
    let email = user.email.as_str();
    email.eq_ignore_ascii_case(identity.email.as_str())
}

/// Whether the user has signed in at another GitHub server. Accounts there are bare numbers,
/// which belong to other users on each server.
fn is_of_another_github(known: Option<i64>, identity: &ExternalIdentity) -> bool {
    if identity.login_type != LoginType::Github {
        return false;
    }
    known.is_some_and(|known| match identity.github_com_user_id {
        Some(number) => number != known,
        None => identity.link_id == known.to_string(),
    })
}

#[cfg(test)]
mod tests;
