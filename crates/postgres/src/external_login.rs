//! Accounts elsewhere that people sign in with.
//!
//! Who comes is looked for without locks, and once more under the lock of the user who was
//! found, or under the turn of those who sign up. If that comes out otherwise, or another
//! change takes a name, an address or an account meanwhile, all of it is undone and done
//! again, so that those who come at once come one after the other.

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

/// How often a change is made again that others have overtaken. Each time somebody else got
/// done, so that it ends long before that.
const ATTEMPTS: usize = 20;

/// What came of making a change once.
#[derive(Debug)]
enum Attempt {
    Done(SignInOutcome),
    /// What it was to be decided by has changed meanwhile.
    Overtaken,
}

impl Attempt {
    fn signed_in(user: User, is_new: bool) -> Self {
        Self::Done(SignInOutcome::SignedIn {
            user: Box::new(user),
            is_new,
        })
    }
}

#[async_trait]
impl ExternalLoginStore for PgStore {
    async fn sign_in(
        &self,
        sign_in: ExternalSignIn,
        by: &AuditContext,
    ) -> Result<SignInOutcome, StoreError> {
        let keys = self.keyring().await?;
        for _ in 0..ATTEMPTS {
            let change = async |conn: &mut AsyncPgConnection| {
                sign_in::sign_in(conn, &sign_in, keys, by).await
            };
            if let Some(outcome) = settled(self.pool.write(change).await)? {
                return Ok(outcome);
            }
        }
        Err(never_settled().into())
    }

    async fn convert(
        &self,
        conversion: Conversion,
        by: &AuditContext,
    ) -> Result<SignInOutcome, StoreError> {
        let keys = self.keyring().await?;
        for _ in 0..ATTEMPTS {
            let change = async |conn: &mut AsyncPgConnection| {
                convert::convert(conn, &conversion, keys, by).await
            };
            if let Some(outcome) = settled(self.pool.write(change).await)? {
                return Ok(outcome);
            }
        }
        Err(never_settled().into())
    }

    async fn find_user(&self, identity: &ExternalIdentity) -> Result<Option<User>, StoreError> {
        self.read(async |conn| {
            let Some(user) = link::find_owner(conn, identity).await? else {
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
        turn: Uuid,
        at: DateTime<Utc>,
        hold: Duration,
    ) -> Result<Option<RefreshLease>, StoreError> {
        let keys = self.keyring().await?;
        let asked = refresh::Asked {
            user,
            login_type,
            turn,
            at,
            hold,
        };
        // A turn that is taken twice is the same turn.
        self.read(async |conn| refresh::begin(conn, &asked, keys).await)
            .await
    }

    async fn end_refresh(
        &self,
        login: &ExternalLogin,
        turn: Uuid,
        tokens: Option<ProviderTokens>,
    ) -> Result<(), StoreError> {
        let keys = self.keyring().await?;
        self.write(async |conn| refresh::end(conn, login, turn, tokens.as_ref(), keys).await)
            .await
    }
}

/// What a change has led to, unless it is to be made again.
fn settled(attempt: Result<Attempt, PgError>) -> Result<Option<SignInOutcome>, PgError> {
    match attempt {
        Ok(Attempt::Done(outcome)) => Ok(Some(outcome)),
        Ok(Attempt::Overtaken) => Ok(None),
        Err(error) if error.is_overtaken() => Ok(None),
        Err(error) => Err(error),
    }
}

fn never_settled() -> PgError {
    PgError::Unavailable("others keep changing the same account".to_owned())
}
