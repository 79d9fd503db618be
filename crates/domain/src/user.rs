//! Users: their names, e-mail addresses, status and login type.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::{Invalid, OrganizationId, SiteRole, UserId, id::parse_uuid};

/// The greatest length of a username or an organization's name, in bytes.
pub const MAX_NAME_BYTES: usize = 32;
/// The greatest length of a display name, in bytes.
pub const MAX_DISPLAY_NAME_BYTES: usize = 128;

/// A stored user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The identifier.
    pub id: UserId,
    /// The name in paths and lists; unique among live users, ignoring case.
    pub username: Username,
    /// The e-mail address; unique among live users, ignoring case.
    pub email: Email,
    /// The display name; may be empty.
    pub name: DisplayName,
    /// The URL of a picture; may be empty.
    pub avatar_url: String,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
    /// When the profile or the status last changed.
    pub updated_at: DateTime<Utc>,
    /// When the user last made a request; [`never`](crate::time::never) before the first.
    pub last_seen_at: DateTime<Utc>,
    /// Whether the user may sign in.
    pub status: UserStatus,
    /// How the user signs in.
    pub login_type: LoginType,
    /// The stored site roles, by name. An unknown name grants nothing.
    pub roles: Vec<String>,
    /// The live organizations that the user is a member of.
    pub organization_ids: Vec<OrganizationId>,
    /// Whether the user was deleted. Deleted users are found by identifier only.
    pub is_deleted: bool,
    /// Whether this is a system account, which lists leave out.
    pub is_system: bool,
}

impl User {
    /// Whether the user has the site role `owner`.
    pub fn is_owner(&self) -> bool {
        SiteRole::Owner.is_among(&self.roles)
    }

    /// Whether the user is an owner who may sign in. A deployment always has one.
    pub fn is_active_owner(&self) -> bool {
        self.is_owner()
            && !self.is_deleted
            && !self.is_system
            && self.status != UserStatus::Suspended
    }

    /// Whether the user may make requests.
    pub fn is_active(&self) -> bool {
        !self.is_deleted && self.status == UserStatus::Active
    }
}

/// A username: letters and digits with single hyphens between them, at most
/// [`MAX_NAME_BYTES`] long, and not `new` or `create`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Username(String);

impl Username {
    /// Parses a new name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        check_name(text)?;
        Ok(Self(text.to_owned()))
    }

    /// A stored name, which may be older than today's rules.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name, in its original case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identifier that the name parses as, if it is 32 hexadecimal digits. A user must
    /// not take the identifier of another as their name.
    pub fn as_uuid(&self) -> Option<UserId> {
        parse_uuid(&self.0).map(UserId)
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The rule that usernames and organization names share.
pub(crate) fn check_name(text: &str) -> Result<(), Invalid> {
    if text.is_empty() {
        return Err(Invalid::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(Invalid::TooLong {
            max: MAX_NAME_BYTES,
        });
    }
    if text == "new" || text == "create" {
        return Err(Invalid::Rule("must not be `new` or `create`"));
    }
    let pieces_are_plain = text
        .split('-')
        .all(|piece| !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if pieces_are_plain {
        Ok(())
    } else {
        Err(Invalid::Rule(
            "must be letters and digits, with single hyphens between them",
        ))
    }
}

/// An e-mail address in its original spelling. Addresses are compared ignoring case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Parses an address, without trimming or lower-casing it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::Empty);
        }
        if is_address(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::Rule("must be an e-mail address"))
        }
    }

    /// A stored address.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = split_address(text) else {
        return false;
    };
    is_local_part(local) && is_domain(domain)
}

/// Splits at the last `@`: only a quoted local part may contain another.
fn split_address(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('@')
}

fn is_local_part(local: &str) -> bool {
    if let Some(quoted) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        return !quoted.is_empty() && is_quoted_content(quoted);
    }
    local.split('.').all(|piece| {
        !piece.is_empty()
            && piece.chars().all(|c| {
                c.is_ascii_alphanumeric()
                    || "!#$%&'*+-/=?^_`{|}~".contains(c)
                    || is_foreign_letter(c)
            })
    })
}

fn is_quoted_content(quoted: &str) -> bool {
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        let fine = match c {
            '\\' => chars.next().is_some_and(|next| !next.is_control()),
            '"' => false,
            other => !other.is_control(),
        };
        if !fine {
            return false;
        }
    }
    true
}

fn is_domain(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    let Some(last) = labels.last() else {
        return false;
    };
    let is_edge = |c: char| c.is_ascii_alphanumeric() || is_foreign_letter(c);
    let is_letter = |c: char| c.is_ascii_alphabetic() || is_foreign_letter(c);
    let is_label = |label: &str| {
        label.chars().next().is_some_and(is_edge)
            && label.chars().next_back().is_some_and(is_edge)
            && label.chars().all(|c| is_edge(c) || c == '-')
    };
    labels.len() >= 2
        && labels.iter().all(|label| is_label(label))
        && last.chars().next().is_some_and(is_letter)
        && last.chars().next_back().is_some_and(is_letter)
}

fn is_foreign_letter(c: char) -> bool {
    !c.is_ascii() && c.is_alphabetic()
}

/// A display name: at most [`MAX_DISPLAY_NAME_BYTES`] long, without leading or trailing white
/// space. May be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DisplayName(String);

impl DisplayName {
    /// Parses a new name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > MAX_DISPLAY_NAME_BYTES {
            return Err(Invalid::TooLong {
                max: MAX_DISPLAY_NAME_BYTES,
            });
        }
        if text.trim() != text {
            return Err(Invalid::Rule("must not begin or end with white space"));
        }
        Ok(Self(text.to_owned()))
    }

    /// A stored name.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a user may sign in and use their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserStatus {
    /// May sign in and use their keys.
    Active,
    /// Has not been seen yet or for a long time; becomes active by signing in or using a key.
    Dormant,
    /// May not. Their keys are kept, and rejected until the status changes.
    Suspended,
}

impl UserStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Active, Self::Dormant, Self::Suspended];

    /// The name on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Dormant => "dormant",
            Self::Suspended => "suspended",
        }
    }

    /// Parses the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// How a user signs in, or how a key was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoginType {
    /// With an e-mail address and a password.
    Password,
    /// Through GitHub.
    Github,
    /// Through an OpenID provider.
    Oidc,
    /// A long-lived token; only keys have this type.
    Token,
    /// Cannot sign in; owners create tokens for them.
    None,
    /// Through this service as a provider.
    OAuth2ProviderApp,
}

impl LoginType {
    /// Every login type.
    pub const ALL: [Self; 6] = [
        Self::Password,
        Self::Github,
        Self::Oidc,
        Self::Token,
        Self::None,
        Self::OAuth2ProviderApp,
    ];

    /// The name on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Github => "github",
            Self::Oidc => "oidc",
            Self::Token => "token",
            Self::None => "none",
            Self::OAuth2ProviderApp => "oauth2_provider_app",
        }
    }

    /// Parses the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The `{user}` of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserReference {
    /// `me`: the caller.
    Me,
    /// By identifier, including deleted users. 32 hexadecimal digits may also be a username,
    /// which applies if no user has the identifier.
    Id(UserId, Option<String>),
    /// By username, ignoring case, among live users.
    Username(String),
}

impl UserReference {
    /// Parses the `{user}` of a path, without trimming it.
    pub fn parse(text: &str) -> Self {
        if text == "me" {
            return Self::Me;
        }
        match parse_uuid(text) {
            Some(id) => Self::Id(
                UserId(id),
                Username::parse(text).is_ok().then(|| text.to_owned()),
            ),
            None => Self::Username(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_are_letters_digits_and_single_hyphens() {
        for name in [
            "A",
            "a-b",
            "New",
            "Create",
            "me",
            "a1-2b-3",
            &"a".repeat(32),
        ] {
            assert!(Username::parse(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "a--b",
            "-a",
            "a-",
            "a_b",
            "a.b",
            "a b",
            "new",
            "create",
            "ä",
            "a\0",
            &"a".repeat(33),
        ] {
            assert!(Username::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn addresses_follow_the_recorded_syntax() {
        for address in [
            "a@b.c",
            "a@b.c1d",
            "a.b@c.de",
            "ö@b.c",
            "中@中.中",
            "\"a b\"@b.c",
            "a+b@c-d.ef",
            "A@B.COM",
        ] {
            assert!(Email::parse(address).is_ok(), "{address}");
        }
        for address in [
            "",
            "nope",
            "a@b",
            "a@b.c1",
            "a@1.2.3.4",
            "a@b.c.",
            ".a@b.c",
            "a.@b.c",
            "a..b@c.d",
            " a@b.c",
            "a@b.c ",
            "A <a@b.c>",
            "a@localhost",
            "a@[1.2.3.4]",
            "\"\"@b.c",
            "a@-b.c",
            "a@b_c.d",
            "🙂@b.c",
            "a@evil.io@corp.com",
            "@corp.com",
            "a b@corp.com",
            "a@b.c\n",
        ] {
            assert!(Email::parse(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn display_names_are_short_and_have_no_white_space_at_their_ends() {
        for name in ["", "Mr  Bean", "<b>&", "\u{200b}x", &"é".repeat(64)] {
            assert!(DisplayName::parse(name).is_ok(), "{name:?}");
        }
        for name in [
            " x",
            "x ",
            "x\t",
            "x\u{85}",
            "\u{a0}x",
            "x\u{3000}",
            &"é".repeat(65),
        ] {
            assert!(DisplayName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_path_refers_to_a_user_by_me_identifier_or_name() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(UserReference::parse("me"), UserReference::Me);
        assert_eq!(
            UserReference::parse("ME"),
            UserReference::Username("ME".into())
        );
        assert_eq!(
            UserReference::parse("me "),
            UserReference::Username("me ".into())
        );
        assert!(matches!(UserReference::parse(id), UserReference::Id(_, Some(name)) if name == id));
        assert!(matches!(
            UserReference::parse("01234567-89ab-cdef-0123-456789abcdef"),
            UserReference::Id(_, None)
        ));
    }
}
