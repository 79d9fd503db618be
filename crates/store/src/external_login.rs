//! Accounts at identity providers that users sign in with, and the providers' tokens.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::{
    ApiKeyId, AuditContext, LoginType, User, UserId, Username,
    external_login::{ExternalIdentity, ProviderTokens},
    sign_in::{SignInPolicy, SignInRejection},
    ssh_key::SshKeyPair,
};
use uuid::Uuid;

use crate::{NewApiKey, StoreError};

/// Signs users in through identity providers, and stores the providers' tokens. The store
/// encrypts tokens; arguments and results are in clear.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ExternalLoginStore: Send + Sync {
    /// Signs in: finds or creates the user, activates a dormant one, replaces their profile by
    /// the provider's (except the username), stores the link with its tokens, creates the key,
    /// and writes the audit rows. A rejected sign-in changes nothing.
    ///
    /// The user is the live one that is linked to the account, or else the live one with its
    /// e-mail address, if [`sign_in`](usher_domain::sign_in::sign_in) allows it, or else a new
    /// one, if [`sign_up`](usher_domain::sign_in::sign_up) does. Concurrent sign-ins with one
    /// account create one user and one link.
    async fn sign_in(
        &self,
        sign_in: ExternalSignIn,
        by: &AuditContext,
    ) -> Result<SignInOutcome, StoreError>;

    /// Converts a user's login type from the password to a provider, if
    /// [`convert`](usher_domain::sign_in::convert) allows it: removes the password, stores the
    /// link, replaces the profile by the provider's, deletes all sessions of the user, creates
    /// `key` if given, and writes the audit rows. A rejected conversion changes nothing.
    ///
    /// # Errors
    ///
    /// [`Conflict::UserDeleted`](crate::Conflict::UserDeleted) if the user does not exist or is
    /// deleted.
    async fn convert(
        &self,
        conversion: Conversion,
        by: &AuditContext,
    ) -> Result<SignInOutcome, StoreError>;

    /// Returns the live user that the account matches, by its link or by its e-mail address.
    /// Not a sign-in: the caller compares the user with one that is already authenticated.
    async fn find_user(&self, identity: &ExternalIdentity) -> Result<Option<User>, StoreError>;

    /// Returns the user's link of this login type.
    async fn find_link(
        &self,
        user: UserId,
        login_type: LoginType,
    ) -> Result<Option<ExternalLogin>, StoreError>;

    /// Takes the lease for refreshing the tokens of a link whose access token has expired at
    /// `at`, so that only one replica asks the provider. `None` if there is no link. A link
    /// without a refresh token has no lease: every caller gets [`RefreshLease::Mine`].
    ///
    /// The caller chooses the identifier of the lease; calling again with the same one renews
    /// it. It expires after `duration` by the store's clock, which all replicas share.
    async fn begin_refresh(
        &self,
        user: UserId,
        login_type: LoginType,
        lease: Uuid,
        at: DateTime<Utc>,
        duration: Duration,
    ) -> Result<Option<RefreshLease>, StoreError>;

    /// Releases the lease if the caller still has it, and stores `tokens`, unless the link has
    /// got another refresh token than `login` since. `None` if the provider issued no tokens.
    /// The claims are kept.
    async fn end_refresh(
        &self,
        login: &ExternalLogin,
        lease: Uuid,
        tokens: Option<ProviderTokens>,
    ) -> Result<(), StoreError>;
}

/// A user's link to an account at a provider.
#[derive(Clone, Debug)]
pub struct ExternalLogin {
    /// The user.
    pub user_id: UserId,
    /// The login type.
    pub login_type: LoginType,
    /// The identifier of the account; empty on old rows, until the next sign-in.
    pub link_id: String,
    /// The provider's tokens.
    pub tokens: ProviderTokens,
}

/// A sign-in through a provider.
#[derive(Clone, Debug)]
pub struct ExternalSignIn {
    /// The identity that the provider reports.
    pub identity: ExternalIdentity,
    /// The key to create. Its `user_id` is replaced by that of an existing user.
    pub key: NewApiKey,
    /// The user to create if none matches.
    pub new_user: NewExternalUser,
    /// What the provider's sign-ins may do.
    pub policy: SignInPolicy,
}

/// A user to create for an external account, in addition to the identity. They become a member
/// of the default organization.
#[derive(Clone, Debug)]
pub struct NewExternalUser {
    /// The identifier.
    pub id: UserId,
    /// The usernames to choose from; the first free one is taken.
    pub usernames: Vec<Username>,
    /// The SSH key pair.
    pub ssh_key: SshKeyPair,
}

/// A conversion of a user's login type from the password to a provider.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// The user.
    pub user_id: UserId,
    /// The [fingerprint](usher_domain::PasswordHash::fingerprint) of the hash that their
    /// password was checked against.
    pub replaces: String,
    /// The identity that the provider reports.
    pub identity: ExternalIdentity,
    /// The key that authenticated the request, which is deleted even if it is a token.
    pub ended: Option<ApiKeyId>,
    /// The session to create, if the request had none.
    pub key: Option<NewApiKey>,
}

/// The outcome of a sign-in through a provider or of a conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    /// The user is signed in.
    SignedIn {
        /// The user.
        user: Box<User>,
        /// Whether the user was created.
        is_new: bool,
    },
    /// The sign-in is rejected.
    Rejected(SignInRejection),
}

/// The state of a lease for refreshing the tokens of a link.
#[derive(Clone, Debug)]
pub enum RefreshLease {
    /// The caller has the lease, refreshes these tokens and
    /// [releases](ExternalLoginStore::end_refresh) it.
    Mine(ExternalLogin),
    /// Another caller has the lease. Retry after a short delay.
    Others,
    /// The access token has been refreshed and is valid.
    Done,
    /// The stored tokens cannot be decrypted, for this reason. Signing in again replaces them.
    Unreadable(String),
}
