//! Users, with their memberships, passwords and passcodes.

use async_trait::async_trait;
use usher_domain::{
    AuditContext, Email, Listing, Membership, PasswordHash, User, UserId, UserStatus, Username,
};
use usher_store::{
    NewPasscode, NewUser, PasswordChange, ProfileChange, RolesChange, StoreError, UserListQuery,
    UserListStream, UserLookup, UserStore,
};

use crate::{PgStore, membership, user_list};

mod change;
pub(crate) mod create;
pub(crate) mod find;
mod notice;
pub(crate) mod row;
mod secret;
#[cfg(test)]
mod tests;

#[async_trait]
impl UserStore for PgStore {
    async fn has_users(&self) -> Result<bool, StoreError> {
        self.read(async |conn| find::has_users(conn).await).await
    }

    async fn find_user(&self, lookup: UserLookup) -> Result<Option<User>, StoreError> {
        self.read(async |conn| find::find_user(conn, &lookup).await)
            .await
    }

    async fn find_user_with_name(
        &self,
        username: &Username,
        email: &Email,
    ) -> Result<Option<User>, StoreError> {
        self.read(async |conn| find::find_user_with_name(conn, username, email).await)
            .await
    }

    async fn list_users(&self, query: UserListQuery) -> Result<Listing<User>, StoreError> {
        self.read(async |conn| user_list::list_users(conn, &query).await)
            .await
    }

    async fn stream_users(&self, query: UserListQuery) -> Result<UserListStream, StoreError> {
        Ok(user_list::stream::stream_users(&self.pool, &self.readers, query).await?)
    }

    async fn list_memberships(&self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        self.read(async |conn| membership::list_memberships(conn, user).await)
            .await
    }

    async fn find_password_hash(&self, user: UserId) -> Result<Option<PasswordHash>, StoreError> {
        self.read(async |conn| secret::find_password_hash(conn, user).await)
            .await
    }

    async fn create_first_user(&self, new: NewUser) -> Result<User, StoreError> {
        let keys = self.keyring().await?;
        self.write(async |conn| create::create_first_user(conn, &new, keys).await)
            .await
    }

    async fn create_user(&self, new: NewUser, by: &AuditContext) -> Result<User, StoreError> {
        let keys = self.keyring().await?;
        self.write(async |conn| create::create_user(conn, &new, keys, self.delivery, by).await)
            .await
    }

    async fn set_user_profile(
        &self,
        user: UserId,
        change: ProfileChange,
        by: &AuditContext,
    ) -> Result<Option<User>, StoreError> {
        self.write(async |conn| change::set_profile(conn, user, &change, by).await)
            .await
    }

    async fn set_user_status(
        &self,
        user: UserId,
        status: UserStatus,
        by: &AuditContext,
    ) -> Result<Option<User>, StoreError> {
        self.write(async |conn| change::set_status(conn, user, status, self.delivery, by).await)
            .await
    }

    async fn set_user_roles(
        &self,
        user: UserId,
        change: RolesChange,
        by: &AuditContext,
    ) -> Result<Option<User>, StoreError> {
        self.write(async |conn| change::set_roles(conn, user, &change, by).await)
            .await
    }

    async fn set_user_password(
        &self,
        user: UserId,
        change: PasswordChange,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError> {
        self.write(async |conn| secret::set_password(conn, user, &change, by).await)
            .await
    }

    async fn delete_user(
        &self,
        user: UserId,
        unless_owner: bool,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError> {
        self.write(async |conn| {
            change::delete_user(conn, user, unless_owner, self.delivery, by).await
        })
        .await
    }

    async fn set_passcode(
        &self,
        user: UserId,
        passcode: NewPasscode,
        by: &AuditContext,
    ) -> Result<Option<bool>, StoreError> {
        self.write(async |conn| {
            secret::set_passcode(conn, user, &passcode, self.delivery, by).await
        })
        .await
    }

    async fn consume_passcode(
        &self,
        user: UserId,
        passcode: PasswordHash,
        password: PasswordHash,
        by: &AuditContext,
    ) -> Result<Option<()>, StoreError> {
        self.write(async |conn| {
            secret::consume_passcode(conn, user, &passcode, &password, by).await
        })
        .await
    }
}
