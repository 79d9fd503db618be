//! Users, and what is born and dies with them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use usher_domain::{
    AuditContext, DisplayName, Email, Listing, LoginType, Membership, OrganizationId, Page,
    PasswordHash, SiteRole, User, UserFilter, UserId, UserStatus, Username, ssh_key::SshKeyPair,
};

use crate::StoreError;

/// Users, and what is born and dies with them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Whether a live user exists that is no account of the system.
    async fn has_users(&self) -> Result<bool, StoreError>;

    /// The user, by identifier deleted ones included, else live ones only.
    async fn find_user(&self, lookup: UserLookup) -> Result<Option<User>, StoreError>;

    /// A live user, hidden accounts of the system included, that has the username or the
    /// address, without regard to case; one of several if both are taken.
    async fn find_user_with_name(
        &self,
        username: &Username,
        email: &Email,
    ) -> Result<Option<User>, StoreError>;

    /// The page of live users that match, in the order of their lower-cased usernames,
    /// and how many match the filter, the visibility and the cursor. An empty page
    /// counts as none at all.
    async fn list_users(&self, query: UserListQuery) -> Result<Listing<User>, StoreError>;

    /// The same list in parts, all of one moment, for one that is too long to be held at
    /// once. It ends with its count; a stream that ends without it has failed. To drop it
    /// is to want no more.
    async fn stream_users(&self, query: UserListQuery) -> Result<UserListStream, StoreError>;

    /// The user's memberships of live organizations, in no order.
    async fn list_memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError>;

    /// The stored hash of the user's password; [`PasswordHash::none`] if they have none.
    async fn find_password_hash(&self, user: UserId) -> Result<Option<PasswordHash>, StoreError>;

    /// Creates the user, a member of the default organization, only if there is none
    /// yet, however many callers try at once. Leaves no audit row. Returns the user with
    /// the organization in `organization_ids`.
    ///
    /// # Errors
    ///
    /// [`Conflict::FirstUserExists`](crate::Conflict::FirstUserExists) otherwise;
    /// [`Conflict::Username`](crate::Conflict::Username) or
    /// [`Conflict::Email`](crate::Conflict::Email) if an account of the system has it.
    async fn create_first_user(&self, new: NewUser) -> Result<User, StoreError>;

    /// Creates the user with their memberships and SSH key.
    ///
    /// # Errors
    ///
    /// [`Conflict::Username`](crate::Conflict::Username) or
    /// [`Conflict::Email`](crate::Conflict::Email) if taken,
    /// [`Conflict::NoSuchOrganization`](crate::Conflict::NoSuchOrganization),
    /// [`Conflict::StaleCredential`](crate::Conflict::StaleCredential).
    async fn create_user(&self, new: NewUser, by: &AuditContext) -> Result<User, StoreError>;

    /// Sets username and display name.
    ///
    /// # Errors
    ///
    /// [`Conflict::Username`](crate::Conflict::Username) if another live user has it.
    async fn set_user_profile(
        &self,
        user: UserId,
        change: ProfileChange,
        by: &AuditContext,
    ) -> Result<Option<User>, StoreError>;

    /// Sets the status. The user's keys stay. `updated_at` moves in any case.
    ///
    /// # Errors
    ///
    /// [`Conflict::LastOwner`](crate::Conflict::LastOwner), and
    /// [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if an owner would be suspended.
    async fn set_user_status(
        &self,
        user: UserId,
        status: UserStatus,
        by: &AuditContext,
    ) -> Result<Option<User>, StoreError>;

    /// Replaces the site roles. `updated_at` does not move.
    ///
    /// # Errors
    ///
    /// [`Conflict::LastOwner`](crate::Conflict::LastOwner) if no active owner would be
    /// left, [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if the stored roles are no
    /// longer those that the caller was allowed to replace.
    async fn set_user_roles(
        &self,
        user: UserId,
        change: RolesChange,
        by: &AuditContext,
    ) -> Result<Option<User>, StoreError>;

    /// Replaces the password, voids a pending one-time passcode, and ends all keys of
    /// the user. `updated_at` does not move.
    ///
    /// # Errors
    ///
    /// [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if `change.replaces` is given and
    /// no longer the stored hash.
    async fn set_user_password(
        &self,
        user: UserId,
        change: PasswordChange,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError>;

    /// Marks the user as deleted, which ends all their keys and provider links. Their
    /// memberships, SSH key and settings stay.
    ///
    /// # Errors
    ///
    /// [`Conflict::LastOwner`](crate::Conflict::LastOwner), and
    /// [`Conflict::ConcurrentModification`](crate::Conflict::ConcurrentModification) if `unless_owner` is set and the
    /// user is an owner now.
    async fn delete_user(
        &self,
        user: UserId,
        unless_owner: bool,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError>;

    /// Writes a one-time passcode and its end over any earlier one, and puts a message
    /// with its text into the outbox if there is a way to deliver it. Returns whether
    /// there is; the inbox is none.
    async fn set_passcode(
        &self,
        user: UserId,
        passcode: NewPasscode,
        by: &AuditContext,
    ) -> Result<Option<bool>, StoreError>;

    /// Replaces the password and ends all keys if `passcode` is still the stored hash of
    /// the passcode and has not ended, and voids it: it works once, however often it is
    /// tried at the same time. `None` if it is not.
    async fn consume_passcode(
        &self,
        user: UserId,
        passcode: PasswordHash,
        password: PasswordHash,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError>;
}

/// A list of users in parts, in its order.
pub type UserListStream = BoxStream<'static, Result<UserListPart, StoreError>>;

/// A part of a list of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserListPart {
    /// The next users.
    Users(Vec<User>),
    /// How many match the filter, the visibility and the cursor; the last part, and there
    /// only. A list without users counts as none at all.
    Count(u64),
}

/// How a user is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserLookup {
    /// By identifier, deleted ones included.
    Id(UserId),
    /// By identifier, or a live one by username if nobody has it.
    IdOrUsername(UserId, String),
    /// A live one by username, without regard to case.
    Username(String),
    /// A live one by address, without regard to case.
    Email(String),
}

/// Which users a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserListQuery {
    /// The filters of the search.
    pub filter: UserFilter,
    /// Whom the caller may see at all.
    pub visible: Visibility,
    /// Only those after this user in the order of the list. An unknown one has nobody
    /// after it; a deleted one still marks its place.
    pub after: Option<UserId>,
    /// Which part of the list.
    pub page: Page,
}

/// Whom a caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    All,
    /// Only these.
    Only(Vec<UserId>),
}

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The identifier.
    pub id: UserId,
    /// The username.
    pub username: Username,
    /// The address.
    pub email: Email,
    /// The display name.
    pub name: DisplayName,
    /// Where a picture is; empty is none.
    pub avatar_url: String,
    /// The hash of the password; [`PasswordHash::none`] for none.
    pub password: PasswordHash,
    /// How they will sign in.
    pub login_type: LoginType,
    /// Their status.
    pub status: UserStatus,
    /// Their site roles.
    pub roles: Vec<SiteRole>,
    /// The organizations that they become a member of, each once. The first user
    /// becomes one of the default organization besides.
    pub organization_ids: Vec<OrganizationId>,
    /// Their SSH key pair.
    pub ssh_key: SshKeyPair,
    /// The time of making.
    pub created_at: DateTime<Utc>,
}

/// A new profile in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChange {
    /// The username.
    pub username: Username,
    /// The display name; an empty one clears it.
    pub name: DisplayName,
}

/// A new set of site roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolesChange {
    /// The stored names that the caller was allowed to replace.
    pub replaces: Vec<String>,
    /// The new names, each once.
    pub roles: Vec<String>,
}

/// A new password.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// The hash that the old password was checked against, if it was.
    pub replaces: Option<PasswordHash>,
    /// The new hash.
    pub hash: PasswordHash,
    /// Refuse if the user is an owner now.
    pub unless_owner: bool,
}

/// A one-time passcode.
#[derive(Clone, Debug)]
pub struct NewPasscode {
    /// The hash that it is checked against.
    pub hash: PasswordHash,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// What is sent to the user, and forgotten once that is done.
    pub text: SecretString,
}
