//! Users, with their memberships, passwords and passcodes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use usher_domain::{
    AuditContext, DisplayName, Email, Listing, LoginType, Membership, OrganizationId, Page,
    PasswordHash, SiteRole, User, UserFilter, UserId, UserStatus, Username, ssh_key::SshKeyPair,
};

use crate::StoreError;

/// Stores users, with their memberships, passwords and passcodes.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Whether a live user exists, not counting system accounts.
    async fn has_users(&self) -> Result<bool, StoreError>;

    /// Returns the user. Only an identifier finds deleted users.
    async fn find_user(&self, lookup: UserLookup) -> Result<Option<User>, StoreError>;

    /// Returns a live user, system accounts included, that has the username or the e-mail
    /// address, ignoring case. If two users match, returns either.
    async fn find_user_with_name(
        &self,
        username: &Username,
        email: &Email,
    ) -> Result<Option<User>, StoreError>;

    /// Returns a page of the matching live users, ordered by lower-cased username, and how
    /// many match the filter, the visibility and the cursor. The count of an empty page is 0.
    async fn list_users(&self, query: UserListQuery) -> Result<Listing<User>, StoreError>;

    /// Streams a list that is too long to hold in memory, from one snapshot. The last item is
    /// the count; a stream that ends without it has failed. Dropping the stream ends the query.
    async fn stream_users(&self, query: UserListQuery) -> Result<UserListStream, StoreError>;

    /// Returns the user's memberships of live organizations, in no particular order.
    async fn list_memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError>;

    /// Returns the stored hash of the user's password, [`PasswordHash::none`] without one.
    async fn find_password_hash(&self, user: UserId) -> Result<Option<PasswordHash>, StoreError>;

    /// Creates the user as a member of the default organization if no user exists yet. At
    /// most one of several concurrent calls succeeds. Writes no audit row.
    ///
    /// # Errors
    ///
    /// [`Conflict::FirstUserExists`](crate::Conflict::FirstUserExists) if a user exists,
    /// [`Conflict::Username`](crate::Conflict::Username) or
    /// [`Conflict::Email`](crate::Conflict::Email) if a system account has it,
    /// [`Conflict::NoSuchOrganization`](crate::Conflict::NoSuchOrganization).
    async fn create_first_user(&self, new: NewUser) -> Result<User, StoreError>;

    /// Creates the user with their memberships and SSH key.
    ///
    /// # Errors
    ///
    /// [`Conflict::Username`](crate::Conflict::Username) or
    /// [`Conflict::Email`](crate::Conflict::Email) if taken,
    /// [`Conflict::NoSuchOrganization`](crate::Conflict::NoSuchOrganization).
    async fn create_user(&self, new: NewUser, by: &AuditContext) -> Result<User, StoreError>;

    /// Sets username and display name.
    ///
    /// # Errors
    ///
    /// [`Conflict::Username`](crate::Conflict::Username) if taken.
    async fn set_user_profile(
        &self,
        user: UserId,
        change: ProfileChange,
        by: &AuditContext,
    ) -> Result<Option<User>, StoreError>;

    /// Sets the status, and `updated_at` even if the status stays the same. The user's keys
    /// are kept.
    ///
    /// # Errors
    ///
    /// [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if an
    /// owner would be suspended.
    async fn set_user_status(
        &self,
        user: UserId,
        status: UserStatus,
        by: &AuditContext,
    ) -> Result<Option<User>, StoreError>;

    /// Replaces the site roles. Leaves `updated_at`.
    ///
    /// # Errors
    ///
    /// [`Conflict::LastOwner`](crate::Conflict::LastOwner) if no active owner would be left,
    /// [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if
    /// `change.replaces` are no longer the stored roles.
    async fn set_user_roles(
        &self,
        user: UserId,
        change: RolesChange,
        by: &AuditContext,
    ) -> Result<Option<User>, StoreError>;

    /// Replaces the password, voids a pending one-time passcode, and deletes all keys of the
    /// user. Leaves `updated_at`.
    ///
    /// # Errors
    ///
    /// [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if
    /// `change.replaces` is given and no longer the stored hash, or `change.unless_owner` is
    /// set and the user is an owner.
    async fn set_user_password(
        &self,
        user: UserId,
        change: PasswordChange,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError>;

    /// Marks the user as deleted and deletes their keys and provider links. Their memberships,
    /// SSH key and settings are kept.
    ///
    /// # Errors
    ///
    /// [`Conflict::LastOwner`](crate::Conflict::LastOwner) if no active owner would be left,
    /// [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if
    /// `unless_owner` is set and the user is an owner.
    async fn delete_user(
        &self,
        user: UserId,
        unless_owner: bool,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError>;

    /// Replaces the user's one-time passcode, and puts a message with its text into the outbox
    /// if a delivery method other than the inbox is available. Returns whether one is, or
    /// `None` if the user does not exist or is deleted.
    async fn set_passcode(
        &self,
        user: UserId,
        passcode: NewPasscode,
        by: &AuditContext,
    ) -> Result<Option<bool>, StoreError>;

    /// Replaces the password, voids the passcode and deletes all keys of the user, if
    /// `passcode` is the hash of the pending passcode and that has not expired. At most one of
    /// several concurrent calls succeeds; the others return `None`.
    async fn consume_passcode(
        &self,
        user: UserId,
        passcode: PasswordHash,
        password: PasswordHash,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError>;
}

/// A list of users, in order.
pub type UserListStream = BoxStream<'static, Result<UserListPart, StoreError>>;

/// An item of a streamed list of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserListPart {
    /// The next users.
    Users(Vec<User>),
    /// How many users match the filter, the visibility and the cursor; the last item. 0 if
    /// the list is empty.
    Count(u64),
}

/// How to find a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserLookup {
    /// By identifier, including deleted users.
    Id(UserId),
    /// By identifier, or if no user has it, a live one by username.
    IdOrUsername(UserId, String),
    /// A live user by username, ignoring case.
    Username(String),
    /// A live user by e-mail address, ignoring case.
    Email(String),
}

/// Selects the users of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserListQuery {
    /// The filters of the search.
    pub filter: UserFilter,
    /// The users that the caller may see.
    pub visible: Visibility,
    /// Only users after this one in the order of the list. A deleted user keeps their
    /// position; after an unknown user the list is empty.
    pub after: Option<UserId>,
    /// Limit and offset.
    pub page: Page,
}

/// The users that a caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// All users.
    All,
    /// Only these users.
    Only(Vec<UserId>),
}

/// A user to create.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The identifier.
    pub id: UserId,
    /// The username.
    pub username: Username,
    /// The e-mail address.
    pub email: Email,
    /// The display name.
    pub name: DisplayName,
    /// The URL of a picture; may be empty.
    pub avatar_url: String,
    /// The hash of the password; [`PasswordHash::none`] without one.
    pub password: PasswordHash,
    /// How the user signs in.
    pub login_type: LoginType,
    /// The status.
    pub status: UserStatus,
    /// The site roles.
    pub roles: Vec<SiteRole>,
    /// The organizations that the user becomes a member of, without duplicates. The first
    /// user also becomes a member of the default organization.
    pub organization_ids: Vec<OrganizationId>,
    /// The SSH key pair.
    pub ssh_key: SshKeyPair,
    /// When the user is created.
    pub created_at: DateTime<Utc>,
}

/// A complete new profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChange {
    /// The username.
    pub username: Username,
    /// The display name; may be empty.
    pub name: DisplayName,
}

/// A new set of site roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolesChange {
    /// The stored names that the caller was allowed to replace.
    pub replaces: Vec<String>,
    /// The new names.
    pub roles: Vec<String>,
}

/// A new password.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// The hash that the old password was checked against, if it was.
    pub replaces: Option<PasswordHash>,
    /// The new hash.
    pub hash: PasswordHash,
    /// Whether the caller may not change the password of an owner.
    pub unless_owner: bool,
}

/// A one-time passcode.
#[derive(Clone, Debug)]
pub struct NewPasscode {
    /// The hash that attempts are checked against.
    pub hash: PasswordHash,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// The passcode, stored in the outbox until it is sent.
    pub text: SecretString,
}
