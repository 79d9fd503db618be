//! Values that the unit tests of several modules use.

use chrono::DateTime;
use uuid::Uuid;

use crate::{
    DisplayName, Email, LoginType, User, UserId, UserStatus, Username,
    external_login::{ExternalIdentity, LinkClaims, ProviderTokens},
};

/// An active user of that name with the login type "password" and without roles.
pub(crate) fn user(name: &str) -> User {
    User {
        id: UserId(Uuid::from_u128(1)),
        username: Username::from_stored(name.to_owned()),
        email: Email::from_stored(format!("{name}@example.com")),
        name: DisplayName::default(),
        avatar_url: String::new(),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        last_seen_at: DateTime::UNIX_EPOCH,
        status: UserStatus::Active,
        login_type: LoginType::Password,
        roles: Vec::new(),
        organization_ids: Vec::new(),
        is_deleted: false,
        is_system: false,
    }
}

/// The identity `ada` of a provider.
pub(crate) fn identity(login_type: LoginType, link_id: &str) -> ExternalIdentity {
    ExternalIdentity {
        login_type,
        link_id: link_id.to_owned(),
        email: Email::from_stored("ada@example.com".to_owned()),
        username: "ada".to_owned(),
        name: DisplayName::from_stored("Ada".to_owned()),
        avatar_url: String::new(),
        github_com_user_id: None,
        tokens: ProviderTokens {
            access_token: "access".into(),
            refresh_token: None,
            expires_at: None,
        },
        claims: LinkClaims::default(),
    }
}
