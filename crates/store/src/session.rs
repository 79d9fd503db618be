//! Who a credential stands for, signing in and signing out.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use usher_domain::{
    Actor, ApiKey, ApiKeyId, ApiToken, AuditContext, Email, Membership, PasswordHash, User, UserId,
    UserStatus, api_key::Touch,
};

use crate::{NewApiKey, StoreError};

/// Who a credential stands for, signing in and signing out.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// The key with its user and all that decides what they may do, in one read.
    async fn find_credential(&self, key: &ApiKeyId) -> Result<Option<Credential>, StoreError>;

    /// Writes down that a key was used: what `touch` says of the key, and that its user
    /// was seen.
    async fn touch_key(
        &self,
        key: &ApiKeyId,
        touch: Touch,
        ip: Option<IpAddr>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Makes a dormant user active, with the audit row of the system. A user who is not
    /// dormant any more stays as they are: a suspension is never lost. Returns the user
    /// as they are now.
    async fn activate_user(
        &self,
        user: UserId,
        at: DateTime<Utc>,
    ) -> Result<Option<User>, StoreError>;

    /// The live user with the address, with what a password is checked against.
    async fn find_password_account(
        &self,
        email: &Email,
    ) -> Result<Option<PasswordAccount>, StoreError>;

    /// Signs in: wakes a dormant user and makes the key, with the audit rows. `checked`
    /// is the hash that the password matched; `rehashed` replaces it, if given.
    ///
    /// # Errors
    ///
    /// [`Conflict::StaleCredential`](crate::Conflict::StaleCredential) if that hash is not
    /// the stored one any more, or the user was suspended or deleted.
    async fn log_in(
        &self,
        key: NewApiKey,
        checked: PasswordHash,
        rehashed: Option<PasswordHash>,
        by: &AuditContext,
    ) -> Result<(), StoreError>;

    /// Signs out: ends the key, and all keys of its user that connect to applications.
    /// `None` if the key is gone.
    async fn log_out(&self, key: &ApiKeyId, by: &AuditContext) -> Result<Option<()>, StoreError>;
}

/// A key, and all that decides what a request with it may do.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The SHA-256 digest of the key's secret.
    pub hashed_secret: Vec<u8>,
    /// The key.
    pub key: ApiKey,
    /// Its user.
    pub user: User,
    /// The user's memberships of live organizations.
    pub memberships: Vec<Membership>,
    /// The user's link to the provider that the key came from.
    pub link: LinkState,
}

impl Credential {
    /// Checks all that can be said against the token but for the status of its user: its
    /// secret, its end, and the provider that it came from.
    ///
    /// # Errors
    ///
    /// The first of these that is wrong.
    pub fn verify(self, token: &ApiToken, now: DateTime<Utc>) -> Result<Verified, Refusal> {
        if token.id != self.key.id || !token.secret.matches(&self.hashed_secret) {
            return Err(Refusal::WrongSecret);
        }
        if self.key.is_expired(now) {
            return Err(Refusal::Expired(self.key.expires_at));
        }
        match self.link {
            LinkState::Missing => return Err(Refusal::Unlinked),
            LinkState::Linked(Some(ended)) if ended < now => {
                return Err(Refusal::LinkExpired(ended));
            }
            LinkState::NotNeeded | LinkState::Linked(_) => {}
        }
        Ok(Verified {
            key: self.key,
            user: self.user,
            memberships: self.memberships,
        })
    }
}

/// A key whose holder has shown its secret. That is a use of the key, to be
/// [written down](SessionStore::touch_key) when due, and [wakes](SessionStore::activate_user)
/// a dormant user; only an active one may act.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The key.
    pub key: ApiKey,
    /// Its user.
    pub user: User,
    memberships: Vec<Membership>,
}

impl Verified {
    /// The user, as the one who acts with the key.
    ///
    /// # Errors
    ///
    /// [`Refusal::Inactive`] if they are not active, dormant users included.
    pub fn into_actor(self) -> Result<Actor, Refusal> {
        match self.user.status {
            UserStatus::Active => Ok(Actor::new(self.user, self.memberships, self.key)),
            status => Err(Refusal::Inactive(status)),
        }
    }
}

/// Why nobody may act with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The secret is not that of the key.
    #[error("the key's secret is wrong")]
    WrongSecret,
    /// The key ended then.
    #[error("the key has ended")]
    Expired(DateTime<Utc>),
    /// The key came from a provider that the user is not linked to any more.
    #[error("the link to the provider is gone")]
    Unlinked,
    /// The access that the key's provider gave ended then.
    #[error("the access of the provider has ended")]
    LinkExpired(DateTime<Utc>),
    /// The user is not active.
    #[error("the user is {}", .0.as_str())]
    Inactive(UserStatus),
}

/// A user's link to the provider that their key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The key did not come from a provider.
    NotNeeded,
    /// There is none any more.
    Missing,
    /// There is one, whose access ends then; `None` is never.
    Linked(Option<DateTime<Utc>>),
}

/// A user with what a password is checked against.
#[derive(Clone, Debug)]
pub struct PasswordAccount {
    /// The user.
    pub user: User,
    /// The stored hash; [`PasswordHash::none`] if they have no password.
    pub password: PasswordHash,
    /// The stored hash of a pending one-time passcode, and its end.
    pub passcode: Option<(PasswordHash, DateTime<Utc>)>,
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use usher_domain::{
        Action, AllowList, DisplayName, LoginType, Object, Scope, TokenName, Username,
    };
    use uuid::Uuid;

    use super::*;

    const TOKEN: &str = "0123456789-0123456789abcdefghijkl";

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn token(text: &str) -> ApiToken {
        ApiToken::parse(text).unwrap()
    }

    /// What a store keeps of [`TOKEN`], which ends in an hour.
    fn credential() -> Credential {
        let token = token(TOKEN);
        let user_id = UserId(Uuid::from_u128(1));
        Credential {
            hashed_secret: token.secret.digest().to_vec(),
            key: ApiKey {
                id: token.id,
                user_id,
                last_used: now(),
                expires_at: now() + TimeDelta::hours(1),
                created_at: now(),
                updated_at: now(),
                login_type: LoginType::Password,
                lifetime_seconds: 3600,
                token_name: TokenName::default(),
                scopes: vec![Scope::ALL],
                allow_list: AllowList::everything(),
            },
            user: User {
                id: user_id,
                username: Username::from_stored("alice".into()),
                email: Email::from_stored("alice@example.com".into()),
                name: DisplayName::default(),
                avatar_url: String::new(),
                created_at: now(),
                updated_at: now(),
                last_seen_at: now(),
                status: UserStatus::Active,
                login_type: LoginType::Password,
                roles: Vec::new(),
                organization_ids: Vec::new(),
                is_deleted: false,
                is_system: false,
            },
            memberships: Vec::new(),
            link: LinkState::NotNeeded,
        }
    }

    fn refusal(credential: Credential, at: DateTime<Utc>) -> Option<Refusal> {
        credential
            .verify(&token(TOKEN), at)
            .and_then(Verified::into_actor)
            .err()
    }

    #[test]
    fn the_right_secret_makes_its_user_the_actor() {
        let verified = credential().verify(&token(TOKEN), now()).unwrap();
        let actor = verified.into_actor().unwrap();
        assert_eq!(actor.user.username.as_str(), "alice");
        assert!(actor.may(Action::ReadPersonal, Object::user(actor.id())));
    }

    #[test]
    fn another_secret_or_another_key_is_refused_before_anything_is_told() {
        let expired = now() + TimeDelta::days(1);
        for other in [
            "0123456789-0123456789abcdefghijkL",
            "012345678A-0123456789abcdefghijkl",
        ] {
            let refused = credential().verify(&token(other), expired).unwrap_err();
            assert_eq!(refused, Refusal::WrongSecret, "{other}");
        }
    }

    #[test]
    fn a_key_is_good_up_to_its_end() {
        let end = now() + TimeDelta::hours(1);
        let later = end + TimeDelta::microseconds(1);
        assert_eq!(refusal(credential(), end), None);
        assert_eq!(refusal(credential(), later), Some(Refusal::Expired(end)));
    }

    #[test]
    fn a_key_of_a_provider_is_good_as_long_as_the_provider_says() {
        let cases = [
            (LinkState::Missing, Some(Refusal::Unlinked)),
            (LinkState::Linked(None), None),
            (LinkState::Linked(Some(now())), None),
            (
                LinkState::Linked(Some(now() - TimeDelta::seconds(1))),
                Some(Refusal::LinkExpired(now() - TimeDelta::seconds(1))),
            ),
        ];
        for (link, refused) in cases {
            let credential = Credential {
                link,
                ..credential()
            };
            assert_eq!(refusal(credential, now()), refused, "{link:?}");
        }
    }

    #[test]
    fn only_an_active_user_acts_but_the_use_of_the_key_counts() {
        for status in [UserStatus::Dormant, UserStatus::Suspended] {
            let mut credential = credential();
            credential.user.status = status;
            let verified = credential.verify(&token(TOKEN), now()).unwrap();
            let refused = verified.into_actor().unwrap_err();
            assert_eq!(refused, Refusal::Inactive(status));
        }
    }
}
