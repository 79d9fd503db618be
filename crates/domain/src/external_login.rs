//! Accounts at identity providers: the reported identity, and the provider's tokens.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;

use crate::{DisplayName, Email, LoginType, user::MAX_DISPLAY_NAME_BYTES};

/// The identity that a provider reports, after it passed all checks.
#[derive(Clone, Debug)]
pub struct ExternalIdentity {
    /// The login type: GitHub or OpenID.
    pub login_type: LoginType,
    /// The identifier of the account, which never changes: the decimal number at GitHub,
    /// `<issuer>||<subject>` with OpenID.
    pub link_id: String,
    /// The e-mail address.
    pub email: Email,
    /// The username at the provider, unchanged; may be empty. The username here is
    /// [derived](crate::username) from it.
    pub username: String,
    /// The display name; may be empty.
    pub name: DisplayName,
    /// The URL of a picture; may be empty.
    pub avatar_url: String,
    /// The account's number at github.com; `None` on any other server.
    pub github_com_user_id: Option<i64>,
    /// The tokens for further requests to the provider.
    pub tokens: ProviderTokens,
    /// The claims in full.
    pub claims: LinkClaims,
}

/// The tokens that a provider issued.
#[derive(Clone, Debug)]
pub struct ProviderTokens {
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token, if the provider issued one.
    pub refresh_token: Option<SecretString>,
    /// When the access token expires, if it does.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The claims of an OpenID provider at the last sign-in: JSON objects, or null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkClaims {
    /// The claims of the ID token.
    pub id_token: Value,
    /// The claims of the second source: user information, or the access token.
    pub secondary: Value,
    /// The claims of both, as they were used.
    pub merged: Value,
}

/// Converts a name at a provider to a display name: removes NUL, which the store cannot hold,
/// and surrounding white space, and truncates it between characters.
pub fn display_name(text: &str) -> DisplayName {
    let text = text.replace('\0', "");
    let text = text.trim();
    let end = text.floor_char_boundary(MAX_DISPLAY_NAME_BYTES);
    DisplayName::from_stored(text[..end].trim_end().to_owned())
}

/// Parses an e-mail address at a provider. Rejects quoted local parts, which may contain
/// another `@`: other systems may parse them differently.
pub fn address(text: &str) -> Option<Email> {
    if text.len() > MAX_ADDRESS_BYTES || text.contains('"') {
        return None;
    }
    Email::parse(text).ok()
}

/// The greatest length of an e-mail address (RFC 5321, 4.5.3.1.3), in bytes.
const MAX_ADDRESS_BYTES: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_truncated_between_characters() {
        let name = |text: &str| display_name(text).as_str().to_owned();
        assert_eq!(name("  Hot  Dog "), "Hot  Dog");
        assert_eq!(name(&format!("  {} ", "n".repeat(129))), "n".repeat(128));
        assert_eq!(name("\0 a\0b \0"), "ab");
        // The 128th byte is in the middle of a character.
        let long = format!("n{}", "ä".repeat(80));
        assert_eq!(name(&long), format!("n{}", "ä".repeat(63)));
        // White space at the cut.
        let spaced = format!("{} tail", "n".repeat(127));
        assert_eq!(name(&spaced), "n".repeat(127));
        for text in ["", " ", &"日本".repeat(99), &" ".repeat(500)] {
            assert!(DisplayName::parse(&name(text)).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_email_address_has_one_at_sign_and_no_quoted_part() {
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
