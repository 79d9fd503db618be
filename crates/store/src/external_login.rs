//! Accounts elsewhere that people sign in with, and the tokens of their providers.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::{
    ApiKeyId, AuditContext, LoginType, User, UserId, Username,
    external_login::{ExternalIdentity, ProviderTokens},
    ssh_key::SshKeyPair,
};
use uuid::Uuid;

use crate::{NewApiKey, StoreError};

/// Accounts elsewhere that people sign in with, and the tokens of their providers.
///
/// Tokens are encrypted in the store and in clear here.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ExternalLoginStore: Send + Sync {
    /// Signs in, in one transaction: finds the user or makes one, wakes a dormant one,
    /// takes over what the provider says of them (never the username), keeps the link with
    /// its tokens, makes the key, and writes the audit rows. Unless the outcome is
    /// [`SignInOutcome::SignedIn`], nothing is changed.
    ///
    /// The user is the live one who is linked to the account; else the live one with the
    /// address, if they are of this login type and have no link of it yet (an old row
    /// without an account counts as none); else a new one. A link to another account
    /// refuses, and so does an address alone where it is no
    /// [claim](ExternalSignIn::may_claim_by_address), or the same only but for the case of
    /// letters beyond ASCII. A link refuses, too, whose number is that of an account of
    /// another GitHub than the one that says it now. However many come at once with one
    /// account: one user, one link.
    async fn sign_in(
        &self,
        sign_in: ExternalSignIn,
        by: &AuditContext,
    ) -> Result<SignInOutcome, StoreError>;

    /// Changes how a user signs in from the password to the provider of `identity`, in one
    /// transaction: the login type, no password any more, the link, what the provider says
    /// of them; ends all sessions of the user, makes `key` if given, and writes the audit rows.
    /// Unless the outcome is [`SignInOutcome::SignedIn`], nothing is changed.
    ///
    /// # Errors
    ///
    /// [`Conflict::UserDeleted`](crate::Conflict::UserDeleted).
    async fn convert(
        &self,
        conversion: Conversion,
        by: &AuditContext,
    ) -> Result<SignInOutcome, StoreError>;

    /// The live user whom the account belongs to: linked to it, or by its address. `None`
    /// is nobody. An address only selects whom to compare with whoever has proved to be
    /// them: it lets nobody in.
    async fn find_user(&self, identity: &ExternalIdentity) -> Result<Option<User>, StoreError>;

    /// The user's link of that kind.
    async fn find_link(
        &self,
        user: UserId,
        login_type: LoginType,
    ) -> Result<Option<ExternalLogin>, StoreError>;

    /// Takes the turn to refresh the tokens of a link whose access token has ended at `at`,
    /// for at most `hold`, so that of all replicas one asks the provider. `None` if the
    /// link is gone. Without a refresh token there is nothing to take a turn at: everybody
    /// gets [`RefreshLease::Mine`] at once.
    ///
    /// `turn` is chosen by who asks: whoever has the turn and asks again has it again.
    /// The hold is measured by the clock of the store, which all replicas have in common.
    async fn begin_refresh(
        &self,
        user: UserId,
        login_type: LoginType,
        turn: Uuid,
        at: DateTime<Utc>,
        hold: Duration,
    ) -> Result<Option<RefreshLease>, StoreError>;

    /// Ends the turn, unless it is somebody else's by now. `tokens` are kept if the link
    /// still has the refresh token that was used, `None` is that the provider gave none;
    /// claims stay.
    async fn end_refresh(
        &self,
        login: &ExternalLogin,
        turn: Uuid,
        tokens: Option<ProviderTokens>,
    ) -> Result<(), StoreError>;
}

/// A link of a user to an account elsewhere.
#[derive(Clone, Debug)]
pub struct ExternalLogin {
    /// Whose it is.
    pub user_id: UserId,
    /// Of which kind.
    pub login_type: LoginType,
    /// The account there; empty on old rows, until the next sign-in.
    pub link_id: String,
    /// The provider's tokens.
    pub tokens: ProviderTokens,
}

/// Somebody who comes from a provider.
#[derive(Clone, Debug)]
pub struct ExternalSignIn {
    /// What the provider says of them.
    pub identity: ExternalIdentity,
    /// The key that they get. Its `user_id` is that of `new_user`, and is replaced by that
    /// of the user who is found.
    pub key: NewApiKey,
    /// The user to be made if there is none.
    pub new_user: NewExternalUser,
    /// Whether somebody who has no link yet gets the user of this login type who has their
    /// address. Where it is false, that user counts as one of
    /// [another account](SignInOutcome::OtherAccount).
    pub may_claim_by_address: bool,
    /// Whether one may be made. The first user of a deployment is made in any case, and
    /// becomes an owner.
    pub allow_sign_up: bool,
}

/// What a new user needs besides what the provider says of them. They become a member of
/// the default organization.
#[derive(Clone, Debug)]
pub struct NewExternalUser {
    /// The identifier.
    pub id: UserId,
    /// Usernames, the first of which that is free is taken.
    pub usernames: Vec<Username>,
    /// Their SSH key pair.
    pub ssh_key: SshKeyPair,
}

/// A user who changes to a provider.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Who.
    pub user_id: UserId,
    /// The [fingerprint](usher_domain::PasswordHash::fingerprint) of the hash that their
    /// password was checked against.
    pub replaces: String,
    /// What the provider says of them.
    pub identity: ExternalIdentity,
    /// What they came with, which ends even if it is a token.
    pub ended: Option<ApiKeyId>,
    /// The session that they get, if they came with none.
    pub key: Option<NewApiKey>,
}

/// What became of somebody who came from a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    /// They are in.
    SignedIn {
        /// Who they are.
        user: Box<User>,
        /// Whether they were made now.
        is_new: bool,
    },
    /// The user who is linked to the account or has its address signs in otherwise.
    OtherLoginType(LoginType),
    /// The user with that address is linked to another account, or may not be claimed by an
    /// address; or the account is linked to another user than the one who changes to it, or
    /// has its number at another GitHub.
    OtherAccount,
    /// The user who changes to the provider has another password than the one that was
    /// checked.
    PasswordChanged,
    /// The user is suspended.
    Suspended,
    /// There is no such user, and nobody may sign up.
    SignUpClosed,
    /// The provider's address belongs to another user now.
    AddressTaken,
    /// None of the usernames is free.
    UsernamesTaken,
}

/// Who refreshes the tokens of a link.
#[derive(Clone, Debug)]
pub enum RefreshLease {
    /// The one who asks does, with these, and [ends](ExternalLoginStore::end_refresh) the
    /// turn.
    Mine(ExternalLogin),
    /// Somebody else does at the moment. Ask again in a moment.
    Others,
    /// Somebody has: the access token is good.
    Done,
    /// Nobody can: the tokens do not open, for this reason. Another sign-in mends it.
    Unreadable(String),
}
