//! The settings of an OpenID provider.

use std::collections::{BTreeMap, HashSet};

use secrecy::SecretString;
use url::Url;

use crate::setup::{SettingFault, require_text, require_web_url};

/// The parameters of the authorization request that the client sets.
const RESERVED: [&str; 9] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "response_type",
    "scope",
    "state",
];

/// The settings of sign-in with an OpenID provider.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer, exactly as in the metadata of the provider.
    pub issuer_url: String,
    /// The client ID.
    pub client_id: String,
    /// The client secret; empty for a public client.
    pub client_secret: SecretString,
    /// The redirect URI, as registered at the provider.
    pub redirect_url: Url,
    /// The scopes, which must include `openid`.
    pub scopes: Vec<String>,
    /// Additional parameters of the authorization request. `access_type` is `offline` by
    /// default.
    pub auth_url_params: BTreeMap<String, String>,
    /// The allowed domains of e-mail addresses, with or without a leading `@`; empty for all.
    pub email_domain: Vec<String>,
    /// The claim from which usernames are derived.
    pub username_field: String,
    /// The claim with the e-mail address.
    pub email_field: String,
    /// The claim with the display name.
    pub name_field: String,
    /// How to check the claim `email_verified`.
    pub email_verification: EmailVerification,
    /// The source of claims besides the ID token.
    pub claims_source: ClaimsSource,
    /// The claim with the groups; empty for none.
    pub group_field: String,
    /// The groups whose members may sign in; empty for all users.
    pub allowed_groups: Vec<String>,
    /// Accepts any issuer in the metadata and in tokens. Signatures are still verified with the
    /// provider's keys.
    pub skip_issuer_checks: bool,
    /// The issuers of the other providers. Tokens of this provider with such an issuer are
    /// rejected, even if issuers are not checked.
    pub other_issuers: Vec<String>,
}

impl OidcSettings {
    /// The default settings.
    pub fn new(
        issuer_url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: SecretString,
        redirect_url: Url,
    ) -> Self {
        Self {
            issuer_url: issuer_url.into(),
            client_id: client_id.into(),
            client_secret,
            redirect_url,
            scopes: ["openid", "profile", "email"].map(str::to_owned).into(),
            auth_url_params: BTreeMap::new(),
            email_domain: Vec::new(),
            username_field: "preferred_username".to_owned(),
            email_field: "email".to_owned(),
            name_field: "name".to_owned(),
            email_verification: EmailVerification::default(),
            claims_source: ClaimsSource::default(),
            group_field: String::new(),
            allowed_groups: Vec::new(),
            skip_issuer_checks: false,
            other_issuers: Vec::new(),
        }
    }

    /// Validates the settings and normalizes the domains.
    pub(crate) fn checked(mut self) -> Result<Self, SettingFault> {
        require_text("issuer_url", &self.issuer_url)?;
        let issuer = Url::parse(&self.issuer_url)
            .map_err(|_| SettingFault::new("issuer_url", "must be a URL"))?;
        require_web_url("issuer_url", &issuer)?;
        if self.issuer_url.contains('|') {
            return Err(SettingFault::new("issuer_url", "must not contain |"));
        }
        require_text("client_id", &self.client_id)?;
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return Err(SettingFault::new("scopes", "must contain openid"));
        }
        let reserved = self
            .auth_url_params
            .keys()
            .find(|name| RESERVED.contains(&name.as_str()));
        if let Some(name) = reserved {
            return Err(SettingFault::new(
                "auth_url_params",
                format!("must not set {name}, which the client sets"),
            ));
        }
        require_text("username_field", &self.username_field)?;
        require_text("email_field", &self.email_field)?;
        require_text("name_field", &self.name_field)?;
        if !self.allowed_groups.is_empty() && self.group_field.is_empty() {
            return Err(SettingFault::new(
                "allowed_groups",
                "requires the name of the claim with the groups (group_field)",
            ));
        }
        for domain in &mut self.email_domain {
            let bare = domain.trim().trim_start_matches('@').to_ascii_lowercase();
            if bare.is_empty() || bare.contains(|c: char| c == '@' || c.is_whitespace()) {
                return Err(SettingFault::new(
                    "email_domain",
                    "must be domains such as example.com",
                ));
            }
            *domain = bare;
        }
        Ok(self)
    }

    /// Whether e-mail addresses of the domain are allowed. Only ASCII letters are compared without
    /// case: characters that fold to them, such as the Kelvin sign, are different.
    pub(crate) fn allows_domain(&self, domain: &str) -> bool {
        self.email_domain.is_empty()
            || self
                .email_domain
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(domain))
    }

    /// Whether the issuer is that of another provider.
    pub(crate) fn is_other_issuer(&self, issuer: &str) -> bool {
        self.other_issuers.iter().any(|other| other == issuer)
    }

    /// The groups as a set.
    pub(crate) fn allowed_group_set(&self) -> HashSet<&str> {
        self.allowed_groups.iter().map(String::as_str).collect()
    }
}

/// How to check the claim `email_verified`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailVerification {
    /// If present, it must be the boolean true. Many providers do not send it.
    #[default]
    IfPresent,
    /// The source of the e-mail address must send it, as the boolean true.
    Required,
    /// It must not be the boolean false. As in the reference, strings and numbers are accepted.
    Lax,
    /// It is not checked.
    Ignored,
}

/// The source of claims besides the ID token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimsSource {
    /// The userinfo endpoint, if the provider has one. Its claims take precedence.
    #[default]
    UserInfo,
    /// The access token, which must be a JWT of the same issuer for the same audience. The claims
    /// of the ID token take precedence.
    AccessToken,
    /// No other source.
    IdTokenOnly,
}

impl ClaimsSource {
    /// Combines Coder's two settings.
    ///
    /// # Errors
    ///
    /// If the access token and the userinfo endpoint are combined.
    pub fn from_settings(
        ignore_userinfo: bool,
        access_token_claims: bool,
    ) -> Result<Self, SettingFault> {
        match (ignore_userinfo, access_token_claims) {
            (false, false) => Ok(Self::UserInfo),
            (true, false) => Ok(Self::IdTokenOnly),
            (true, true) => Ok(Self::AccessToken),
            (false, true) => Err(SettingFault::new(
                "access_token_claims",
                "requires ignore_userinfo",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn settings() -> OidcSettings {
        OidcSettings::new(
            "https://id.example.com/realm",
            "usher",
            "secret".into(),
            "https://usher.example.com/api/v2/users/oidc/callback"
                .parse()
                .unwrap(),
        )
    }

    #[test]
    fn domains_are_compared_without_case_in_ascii_only() {
        let mut settings = settings();
        settings.email_domain = vec!["@Kelvin.example".to_owned(), "bücher.example".to_owned()];
        let settings = settings.checked().unwrap();
        assert!(settings.allows_domain("KELVIN.example"));
        assert!(settings.allows_domain("bücher.EXAMPLE"));
        for domain in [
            "\u{212a}elvin.example",
            "kel.vin.example",
            "elvin.example",
            "bu\u{308}cher.example",
            "bÜcher.example",
        ] {
            assert!(!settings.allows_domain(domain), "{domain}");
        }
    }

    #[test]
    fn the_default_settings_are_valid() {
        settings().checked().unwrap();
    }

    #[rstest]
    #[case::no_issuer("issuer_url", |s: &mut OidcSettings| s.issuer_url.clear())]
    #[case::bar("issuer_url", |s: &mut OidcSettings| s.issuer_url.push_str("||x"))]
    #[case::no_url("issuer_url", |s: &mut OidcSettings| s.issuer_url = "id.example.com".into())]
    #[case::scheme("issuer_url", |s: &mut OidcSettings| s.issuer_url = "ldap://id".into())]
    #[case::password("issuer_url", |s: &mut OidcSettings| s.issuer_url = "https://a:pw@id".into())]
    #[case::query("issuer_url", |s: &mut OidcSettings| s.issuer_url = "https://id/?a=b".into())]
    #[case::no_client("client_id", |s: &mut OidcSettings| s.client_id = " ".into())]
    #[case::no_openid("scopes", |s: &mut OidcSettings| s.scopes = vec!["email".into()])]
    #[case::state("auth_url_params", |s: &mut OidcSettings| {
        s.auth_url_params.insert("state".into(), "x".into());
    })]
    #[case::no_claim("email_field", |s: &mut OidcSettings| s.email_field.clear())]
    #[case::groups("allowed_groups", |s: &mut OidcSettings| s.allowed_groups = vec!["a".into()])]
    #[case::domain("email_domain", |s: &mut OidcSettings| s.email_domain = vec!["@".into()])]
    #[case::address("email_domain", |s: &mut OidcSettings| s.email_domain = vec!["a@b.c".into()])]
    fn an_invalid_setting_is_named(#[case] field: &str, #[case] change: fn(&mut OidcSettings)) {
        let mut settings = settings();
        change(&mut settings);
        let fault = settings.checked().unwrap_err();
        assert_eq!(fault.field, field);
        assert!(!fault.to_string().contains("pw"), "{fault}");
    }

    #[test]
    fn access_token_claims_require_that_userinfo_is_ignored() {
        let source = ClaimsSource::from_settings;
        assert_eq!(source(false, false), Ok(ClaimsSource::UserInfo));
        assert_eq!(source(true, false), Ok(ClaimsSource::IdTokenOnly));
        assert_eq!(source(true, true), Ok(ClaimsSource::AccessToken));
        assert_eq!(
            source(false, true).unwrap_err().field,
            "access_token_claims"
        );
    }
}
