//! Accounts elsewhere: what a provider says of a person, and the tokens that it gives.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;

use crate::{DisplayName, Email, LoginType, user::MAX_DISPLAY_NAME_BYTES};

/// A person as a provider knows them, when all that is demanded of them holds.
#[derive(Clone, Debug)]
pub struct ExternalIdentity {
    /// How they sign in: GitHub or OpenID.
    pub login_type: LoginType,
    /// The account there, which never changes: the decimal number at GitHub,
    /// `<issuer>||<subject>` with OpenID.
    pub link_id: String,
    /// Their address.
    pub email: Email,
    /// What they are called there, as it was said: a username is
    /// [derived](crate::username) from it. May be empty.
    pub username: String,
    /// The name that people read; may be empty.
    pub name: DisplayName,
    /// Where a picture is; empty is none.
    pub avatar_url: String,
    /// The account's number at github.com, and nowhere else.
    pub github_com_user_id: Option<i64>,
    /// What the provider gave to ask it further.
    pub tokens: ProviderTokens,
    /// What the provider said in full.
    pub claims: LinkClaims,
}

/// The tokens that a provider gave.
#[derive(Clone, Debug)]
pub struct ProviderTokens {
    /// The access token.
    pub access_token: SecretString,
    /// What fresh tokens are asked for with, if the provider gave one.
    pub refresh_token: Option<SecretString>,
    /// When the access token ends, if it does.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What an OpenID provider said at the last sign-in: JSON objects, or null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkClaims {
    /// Of the ID token.
    pub id_token: Value,
    /// Of the second source: user information, or the access token.
    pub secondary: Value,
    /// Of both, as they were used.
    pub merged: Value,
}

/// A name of a person elsewhere as a name here: without NUL, which the store has no text
/// for, without white space at its ends, and cut between letters where it is too long.
pub fn display_name(text: &str) -> DisplayName {
    let text = text.replace('\0', "");
    let text = text.trim();
    let end = text.floor_char_boundary(MAX_DISPLAY_NAME_BYTES);
    DisplayName::from_stored(text[..end].trim_end().to_owned())
}

/// An address of a person elsewhere as an address here. What other systems may read in
/// another way is none: a quoted part, which could hold another `@`.
pub fn address(text: &str) -> Option<Email> {
    if text.len() > MAX_ADDRESS_BYTES || text.contains('"') {
        return None;
    }
    Email::parse(text).ok()
}

/// The longest address that mail can go to (RFC 5321, 4.5.3.1.3), in bytes.
const MAX_ADDRESS_BYTES: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_cut_between_letters() {
        let name = |text: &str| display_name(text).as_str().to_owned();
        assert_eq!(name("  Hot  Dog "), "Hot  Dog");
        assert_eq!(name(&format!("  {} ", "n".repeat(129))), "n".repeat(128));
        assert_eq!(name("\0 a\0b \0"), "ab");
        // The 128th byte is in the middle of a letter.
        let long = format!("n{}", "ä".repeat(80));
        assert_eq!(name(&long), format!("n{}", "ä".repeat(63)));
        // What the cut leaves at the end.
        let spaced = format!("{} tail", "n".repeat(127));
        assert_eq!(name(&spaced), "n".repeat(127));
        for text in ["", " ", &"日本".repeat(99), &" ".repeat(500)] {
            assert!(DisplayName::parse(&name(text)).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_address_has_one_at_and_nothing_odd() {
        assert!(address("Ann.Lee@Example.com").is_some());
        let long = format!("{}@example.com", "a".repeat(243));
        for text in [
            "",
            "ann",
            "@corp.com",
            "ann@",
            "a@evil.io@corp.com",
            "\"a@evil.io\"@corp.com",
            "a b@corp.com",
            "ann@corp.com\r\nBcc: x@evil.io",
            "ann@corp.com ",
            "Ann <ann@corp.com>",
            "ann@corp.com,eve@evil.io",
            "ann\0@corp.com",
            &long,
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
