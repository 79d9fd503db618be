//! Sign-ins through identity providers, and the providers' tokens.
//!
//! The matching user is looked up without locks, and again under the lock of that user, or
//! under the advisory lock for sign-ups. If the result differs, or a concurrent change takes
//! the username, e-mail address or account, the transaction is rolled back and retried.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use usher_domain::{
    AuditContext, LoginType, User, UserId,
    external_login::{ExternalIdentity, ProviderTokens},
};
use usher_store::{
    Conversion, ExternalLogin, ExternalLoginStore, ExternalSignIn, RefreshLease, SignInOutcome,
    StoreError,
};
use uuid::Uuid;

use crate::{PgError, PgStore, user::find::find_by_id};

mod convert;
mod link;
mod profile;
mod refresh;
mod sign_in;
#[cfg(test)]
mod tests;

/// How often a transaction is retried after a concurrent one. Each retry means that another
/// transaction has committed, so this limit is not reached in practice.
const MAX_TRIES: usize = 20;

#[async_trait]
impl ExternalLoginStore for PgStore {
    async fn sign_in(
        &self,
        sign_in: ExternalSignIn,
        by: &AuditContext,
    ) -> Result<SignInOutcome, StoreError> {
        let keys = self.keyring().await?;
        for _ in 0..MAX_TRIES {
            let change = async |conn: &mut AsyncPgConnection| {
                sign_in::sign_in(conn, &sign_in, keys, by).await
            };
            if let Some(outcome) = unless_overtaken(self.pool.write(change).await)? {
                return Ok(outcome);
            }
        }
        Err(too_many_tries().into())
    }

    async fn convert(
        &self,
        conversion: Conversion,
        by: &AuditContext,
    ) -> Result<SignInOutcome, StoreError> {
        let keys = self.keyring().await?;
        for _ in 0..MAX_TRIES {
            let change = async |conn: &mut AsyncPgConnection| {
                convert::convert(conn, &conversion, keys, by)
                    .await
                    .map(Some)
            };
            if let Some(outcome) = unless_overtaken(self.pool.write(change).await)? {
                return Ok(outcome);
            }
        }
        Err(too_many_tries().into())
    }

    async fn find_user(&self, identity: &ExternalIdentity) -> Result<Option<User>, StoreError> {
        self.read(async |conn| {
            let Some(user) = link::find_matching_user(conn, identity).await? else {
                return Ok(None);
            };
            let row = find_by_id(conn, user).await?.filter(|row| !row.deleted);
            row.map(User::try_from).transpose()
        })
        .await
    }

    async fn find_link(
        &self,
        user: UserId,
        login_type: LoginType,
    ) -> Result<Option<ExternalLogin>, StoreError> {
        let keys = self.keyring().await?;
        self.read(async |conn| {
            let row = link::find(conn, user, login_type).await?;
            row.map(|row| row.open(keys)).transpose()
        })
        .await
    }

    async fn begin_refresh(
        &self,
        user: UserId,
        login_type: LoginType,
        lease: Uuid,
        at: DateTime<Utc>,
        duration: Duration,
    ) -> Result<Option<RefreshLease>, StoreError> {
        let keys = self.keyring().await?;
        let request = refresh::LeaseRequest {
            user,
            login_type,
            lease,
            at,
            duration,
        };
        // Taking the same lease twice is harmless.
        self.run_idempotent(async |conn| refresh::begin(conn, &request, keys).await)
            .await
    }

    async fn end_refresh(
        &self,
        login: &ExternalLogin,
        lease: Uuid,
        tokens: Option<ProviderTokens>,
    ) -> Result<(), StoreError> {
        let keys = self.keyring().await?;
        self.write(async |conn| refresh::end(conn, login, lease, tokens.as_ref(), keys).await)
            .await
    }
}

/// The outcome of a transaction; `None` if a concurrent one overtook it, so that it is to be
/// retried.
fn unless_overtaken(
    result: Result<Option<SignInOutcome>, PgError>,
) -> Result<Option<SignInOutcome>, PgError> {
    match result {
        Err(error) if error.is_overtaken() => Ok(None),
        result => result,
    }
}

fn too_many_tries() -> PgError {
    PgError::Unavailable("the account is being changed by too many requests".to_owned())
}
