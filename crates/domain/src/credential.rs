//! Verifying the API key of a request, and what a password is checked against.

use chrono::{DateTime, Utc};

use crate::{Actor, ApiKey, ApiToken, Membership, PasswordHash, User, UserStatus};

/// An API key with its user and everything that decides what a request with it may do.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The SHA-256 digest of the key's secret.
    pub hashed_secret: Vec<u8>,
    /// The key.
    pub key: ApiKey,
    /// The user that the key belongs to.
    pub user: User,
    /// The user's memberships of live organizations.
    pub memberships: Vec<Membership>,
    /// The user's link to the provider that issued the session.
    pub link: LinkState,
}

impl Credential {
    /// Checks the token's secret, the key's expiry and its provider link, but not the status
    /// of the user.
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub fn verify(
        self,
        token: &ApiToken,
        now: DateTime<Utc>,
    ) -> Result<VerifiedCredential, CredentialError> {
        if token.id != self.key.id || !token.secret.matches(&self.hashed_secret) {
            return Err(CredentialError::WrongSecret);
        }
        if self.key.is_expired(now) {
            return Err(CredentialError::Expired(self.key.expires_at));
        }
        match self.link {
            LinkState::Missing => return Err(CredentialError::Unlinked),
            LinkState::Linked(Some(expired_at)) if expired_at < now => {
                return Err(CredentialError::LinkExpired(expired_at));
            }
            LinkState::NotNeeded | LinkState::Linked(_) => {}
        }
        Ok(VerifiedCredential {
            key: self.key,
            user: self.user,
            memberships: self.memberships,
        })
    }
}

/// A key whose secret the client presented. The request counts as a use of the key and
/// activates a dormant user; only an active user may act.
#[derive(Clone, Debug)]
pub struct VerifiedCredential {
    /// The key.
    pub key: ApiKey,
    /// The user that the key belongs to.
    pub user: User,
    memberships: Vec<Membership>,
}

impl VerifiedCredential {
    /// The user, acting with the key.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Inactive`] if the user is suspended or dormant.
    pub fn into_actor(self) -> Result<Actor, CredentialError> {
        match self.user.status {
            UserStatus::Active => Ok(Actor::new(self.user, self.memberships, self.key)),
            status => Err(CredentialError::Inactive(status)),
        }
    }
}

/// Why a credential is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The secret does not match the key.
    #[error("the key's secret is wrong")]
    WrongSecret,
    /// The key expired at this time.
    #[error("the key has expired")]
    Expired(DateTime<Utc>),
    /// The user is no longer linked to the provider that issued the session.
    #[error("the user is no longer linked to the provider")]
    Unlinked,
    /// The provider's access token expired at this time.
    #[error("the provider's access token has expired")]
    LinkExpired(DateTime<Utc>),
    /// The user is not active.
    #[error("the user is {}", .0.as_str())]
    Inactive(UserStatus),
}

/// A user's link to the provider that issued the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The key was not issued through a provider.
    NotNeeded,
    /// The user has no link to the provider.
    Missing,
    /// The user has a link, whose access token expires at this time; `None` if never.
    Linked(Option<DateTime<Utc>>),
}

/// A user with the hashes that passwords and passcodes are checked against.
#[derive(Clone, Debug)]
pub struct PasswordAccount {
    /// The user.
    pub user: User,
    /// The stored hash; [`PasswordHash::none`] without a password.
    pub password: PasswordHash,
    /// The stored hash of a pending one-time passcode, and its expiry.
    pub passcode: Option<(PasswordHash, DateTime<Utc>)>,
}

impl PasswordAccount {
    /// Whether the passcode that hashes to `hash` is pending and not expired.
    pub fn has_passcode(&self, hash: &PasswordHash, now: DateTime<Utc>) -> bool {
        let pending = self.passcode.as_ref();
        pending.is_some_and(|(stored, expires_at)| stored == hash && *expires_at > now)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{Action, AllowList, LoginType, Object, Scope, TokenName, testing::user as named};

    const TOKEN: &str = "0123456789-0123456789abcdefghijkl";

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn token(text: &str) -> ApiToken {
        ApiToken::parse(text).unwrap()
    }

    /// The stored credential of [`TOKEN`], which expires in an hour.
    fn credential() -> Credential {
        let token = token(TOKEN);
        let user = named("alice");
        Credential {
            hashed_secret: token.secret.digest().to_vec(),
            key: ApiKey {
                id: token.id,
                user_id: user.id,
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
            user,
            memberships: Vec::new(),
            link: LinkState::NotNeeded,
        }
    }

    fn rejection(credential: Credential, at: DateTime<Utc>) -> Option<CredentialError> {
        credential
            .verify(&token(TOKEN), at)
            .and_then(VerifiedCredential::into_actor)
            .err()
    }

    #[test]
    fn the_right_secret_authenticates_the_keys_user() {
        let verified = credential().verify(&token(TOKEN), now()).unwrap();
        let actor = verified.into_actor().unwrap();
        assert_eq!(actor.user.username.as_str(), "alice");
        assert!(actor.may(Action::ReadPersonal, Object::user(actor.id())));
    }

    #[test]
    fn a_wrong_secret_is_rejected_before_anything_else_is_checked() {
        let after_expiry = now() + TimeDelta::days(1);
        for other in [
            "0123456789-0123456789abcdefghijkL",
            "012345678A-0123456789abcdefghijkl",
        ] {
            let error = credential()
                .verify(&token(other), after_expiry)
                .unwrap_err();
            assert_eq!(error, CredentialError::WrongSecret, "{other}");
        }
    }

    #[test]
    fn a_key_is_valid_up_to_and_including_its_expiry() {
        let expiry = now() + TimeDelta::hours(1);
        let later = expiry + TimeDelta::microseconds(1);
        assert_eq!(rejection(credential(), expiry), None);
        assert_eq!(
            rejection(credential(), later),
            Some(CredentialError::Expired(expiry))
        );
    }

    #[test]
    fn a_session_of_a_provider_is_valid_as_long_as_its_link() {
        let a_second_ago = now() - TimeDelta::seconds(1);
        let cases = [
            (LinkState::Missing, Some(CredentialError::Unlinked)),
            (LinkState::Linked(None), None),
            (LinkState::Linked(Some(now())), None),
            (
                LinkState::Linked(Some(a_second_ago)),
                Some(CredentialError::LinkExpired(a_second_ago)),
            ),
        ];
        for (link, expected) in cases {
            let credential = Credential {
                link,
                ..credential()
            };
            assert_eq!(rejection(credential, now()), expected, "{link:?}");
        }
    }

    #[test]
    fn only_an_active_user_may_act_with_a_verified_key() {
        for status in [UserStatus::Dormant, UserStatus::Suspended] {
            let mut credential = credential();
            credential.user.status = status;
            let verified = credential.verify(&token(TOKEN), now()).unwrap();
            let error = verified.into_actor().unwrap_err();
            assert_eq!(error, CredentialError::Inactive(status));
        }
    }

    #[test]
    fn a_passcode_matches_until_it_expires() {
        let hash = |text: &str| PasswordHash::from_stored(text.to_owned());
        let mut account = PasswordAccount {
            user: named("alice"),
            password: hash("password"),
            passcode: Some((hash("code"), now() + TimeDelta::seconds(1))),
        };
        assert!(account.has_passcode(&hash("code"), now()));
        assert!(!account.has_passcode(&hash("other"), now()));
        assert!(!account.has_passcode(&hash("code"), now() + TimeDelta::seconds(1)));
        account.passcode = None;
        assert!(!account.has_passcode(&hash("code"), now()));
    }
}
