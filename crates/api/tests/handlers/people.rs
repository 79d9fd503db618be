//! Users, keys and organizations for tests.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use usher_domain::{
    AllowEntry, AllowList, ApiKey, ApiKeyId, ApiToken, DisplayName, Email, LoginType, Membership,
    Organization, OrganizationId, Scope, TokenName, User, UserId, UserStatus, Username,
    time::never,
};
use usher_store::{Credential, LinkState};
use uuid::Uuid;

/// The caller's key.
pub(crate) const TOKEN: &str = "abcdefghij-ABCDEFGHIJKLMNOPQRSTUV";
/// The caller.
pub(crate) const CALLER: UserId = UserId(Uuid::from_u128(0xca));
/// A member without further roles.
pub(crate) const ALICE: UserId = UserId(Uuid::from_u128(0xa1));
/// Another owner.
pub(crate) const OLIVIA: UserId = UserId(Uuid::from_u128(0x01));
/// The default organization, of which all users are members.
pub(crate) const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(0x0a));
/// An organization without members.
pub(crate) const ELSEWHERE: OrganizationId = OrganizationId(Uuid::from_u128(0x0b));
/// A valid password.
pub(crate) const STRONG: &str = "MySecurePassword!";

pub(crate) fn now() -> DateTime<Utc> {
    "2026-01-02T03:04:05.678901Z".parse().expect("a time")
}

pub(crate) fn key_id() -> ApiKeyId {
    ApiKeyId::from_stored("abcdefghij".into())
}

/// The caller's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Owner,
    UserAdmin,
    TemplateAdmin,
    Auditor,
    Member,
    OrganizationAdmin,
    OrganizationUserAdmin,
}

impl Role {
    pub(crate) const ALL: [Self; 7] = [
        Self::Owner,
        Self::UserAdmin,
        Self::TemplateAdmin,
        Self::Auditor,
        Self::Member,
        Self::OrganizationAdmin,
        Self::OrganizationUserAdmin,
    ];

    /// Whether the role may read all users.
    pub(crate) fn reads_everybody(self) -> bool {
        self != Self::Member
    }

    fn of_site(self) -> &'static [&'static str] {
        match self {
            Self::Owner => &["owner"],
            Self::UserAdmin => &["user-admin"],
            Self::TemplateAdmin => &["template-admin"],
            Self::Auditor => &["auditor"],
            Self::Member | Self::OrganizationAdmin | Self::OrganizationUserAdmin => &[],
        }
    }

    fn of_organization(self) -> &'static [&'static str] {
        match self {
            Self::OrganizationAdmin => &["organization-admin"],
            Self::OrganizationUserAdmin => &["organization-user-admin"],
            _ => &[],
        }
    }
}

pub(crate) fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(crate) fn user(id: UserId, username: &str) -> User {
    User {
        id,
        username: Username::parse(username).expect("a username"),
        email: Email::parse(&format!("{username}@example.com")).expect("an address"),
        name: DisplayName::default(),
        avatar_url: String::new(),
        created_at: now() - TimeDelta::days(30),
        updated_at: now() - TimeDelta::days(20),
        last_seen_at: never(),
        status: UserStatus::Active,
        login_type: LoginType::Password,
        roles: Vec::new(),
        organization_ids: vec![ORGANIZATION],
        is_deleted: false,
        is_system: false,
    }
}

pub(crate) fn alice() -> User {
    user(ALICE, "alice")
}

pub(crate) fn olivia() -> User {
    User {
        roles: texts(&["owner"]),
        ..user(OLIVIA, "olivia")
    }
}

/// The body that creates alice.
pub(crate) fn alice_as_asked() -> Value {
    json!({
        "email": "alice@example.com",
        "username": "alice",
        "password": STRONG,
        "organization_ids": [ORGANIZATION.0],
    })
}

pub(crate) fn organization() -> Organization {
    Organization {
        id: ORGANIZATION,
        name: "coder".into(),
        display_name: "Coder".into(),
        description: "Everybody".into(),
        icon: String::new(),
        created_at: now() - TimeDelta::days(30),
        updated_at: now() - TimeDelta::days(30),
        is_default: true,
    }
}

pub(crate) fn elsewhere() -> Organization {
    Organization {
        id: ELSEWHERE,
        name: "elsewhere".into(),
        is_default: false,
        ..organization()
    }
}

pub(crate) fn membership(user: UserId, roles: &[&str]) -> Membership {
    Membership {
        user_id: user,
        organization_id: ORGANIZATION,
        roles: texts(roles),
        created_at: now() - TimeDelta::days(30),
        updated_at: now() - TimeDelta::days(30),
    }
}

pub(crate) fn key_of(owner: UserId) -> ApiKey {
    ApiKey {
        id: key_id(),
        user_id: owner,
        last_used: now(),
        expires_at: now() + TimeDelta::days(1),
        created_at: now(),
        updated_at: now(),
        login_type: LoginType::Password,
        lifetime_seconds: 86_400,
        token_name: TokenName::default(),
        scopes: vec![Scope::ALL],
        allow_list: AllowList::everything(),
    }
}

/// The stored credential of [`TOKEN`].
pub(crate) fn credential(role: Role) -> Credential {
    let token = ApiToken::parse(TOKEN).expect("a token");
    Credential {
        hashed_secret: token.secret.digest().to_vec(),
        key: key_of(CALLER),
        user: User {
            roles: texts(role.of_site()),
            ..user(CALLER, "caller")
        },
        memberships: vec![membership(CALLER, role.of_organization())],
        link: LinkState::NotNeeded,
    }
}

pub(crate) fn scopes(names: &[&str]) -> Vec<Scope> {
    names
        .iter()
        .map(|name| Scope::parse(name).expect("a scope"))
        .collect()
}

pub(crate) fn allow_list(entries: &[&str]) -> AllowList {
    let entries: Vec<AllowEntry> = entries
        .iter()
        .map(|entry| AllowEntry::parse(entry).expect("an entry"))
        .collect();
    AllowList::normalize(&entries)
}
