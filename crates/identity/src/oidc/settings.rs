//! The settings of an OpenID provider.

use std::collections::{BTreeMap, HashSet};

use secrecy::SecretString;
use url::Url;

use crate::setup::{SettingFault, require_callable, require_text};

/// Parameters of the authorization request that the flow itself sets.
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

/// How an OpenID provider is used.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer, exactly as the provider writes it. Its metadata are below it.
    pub issuer_url: String,
    /// How this service is known there.
    pub client_id: String,
    /// What this service proves itself with; empty for a public client.
    pub client_secret: SecretString,
    /// Where browsers come back to, as it is registered there.
    pub redirect_url: Url,
    /// What is asked for; `openid` must be in it.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request. `access_type` is `offline` unless
    /// it is given here.
    pub auth_url_params: BTreeMap<String, String>,
    /// The domains, with or without `@` in front, of which an address must have one; empty
    /// for any.
    pub email_domain: Vec<String>,
    /// The claim that usernames are made from.
    pub username_field: String,
    /// The claim with the address.
    pub email_field: String,
    /// The claim with the name that people read.
    pub name_field: String,
    /// What is demanded of the claim `email_verified`.
    pub email_verification: EmailVerification,
    /// Where claims come from, besides the ID token.
    pub claims_source: ClaimsSource,
    /// The claim with the groups; empty for none.
    pub group_field: String,
    /// The groups of which a person must be in one; empty for any.
    pub allowed_groups: Vec<String>,
    /// Takes the issuer as it comes, in the metadata and in tokens. Who may sign tokens is
    /// still only known from the keys.
    pub skip_issuer_checks: bool,
    /// The issuers of the other providers that people sign in through. This one never speaks
    /// for them, also where its issuer is not checked.
    pub other_issuers: Vec<String>,
}

impl OidcSettings {
    /// The usual settings for a provider.
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

    /// Checks the settings, and brings what is compared with claims into the form in which
    /// it is.
    pub(crate) fn checked(mut self) -> Result<Self, SettingFault> {
        require_text("issuer_url", &self.issuer_url)?;
        let issuer = Url::parse(&self.issuer_url)
            .map_err(|_| SettingFault::new("issuer_url", "must be a URL"))?;
        require_callable("issuer_url", &issuer)?;
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
                format!("must not set {name}, which belongs to the flow"),
            ));
        }
        require_text("username_field", &self.username_field)?;
        require_text("email_field", &self.email_field)?;
        require_text("name_field", &self.name_field)?;
        if !self.allowed_groups.is_empty() && self.group_field.is_empty() {
            return Err(SettingFault::new(
                "allowed_groups",
                "needs the name of the claim with the groups (group_field)",
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

    /// Whether addresses of that domain are let in. Only ASCII letters have a case here:
    /// others that fold to them, such as the Kelvin sign, make another domain.
    pub(crate) fn admits_domain(&self, domain: &str) -> bool {
        self.email_domain.is_empty()
            || self
                .email_domain
                .iter()
                .any(|admitted| admitted.eq_ignore_ascii_case(domain))
    }

    /// Whether another provider has that issuer.
    pub(crate) fn is_issuer_of_another(&self, issuer: &str) -> bool {
        self.other_issuers.iter().any(|other| other == issuer)
    }

    /// The groups as a set to look things up in.
    pub(crate) fn allowed_group_set(&self) -> HashSet<&str> {
        self.allowed_groups.iter().map(String::as_str).collect()
    }
}

/// What is demanded of the claim `email_verified`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailVerification {
    /// Where it is present it must be the boolean true. Many providers have none.
    #[default]
    IfPresent,
    /// It must be there, from where the address comes from, and be the boolean true.
    Required,
    /// Only the boolean false refuses, as it is with the reference: texts and numbers pass,
    /// whatever they say.
    Lax,
    /// It is not looked at.
    Ignored,
}

/// Where claims come from, besides the ID token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimsSource {
    /// The userinfo endpoint, if the provider has one. Its claims win.
    #[default]
    UserInfo,
    /// The access token, which must be a token of the same issuer for the same audience.
    /// The claims of the ID token win.
    AccessToken,
    /// Nowhere.
    IdTokenOnly,
}

impl ClaimsSource {
    /// What the two settings of the reference mean together.
    ///
    /// # Errors
    ///
    /// If claims shall come from the access token and from the userinfo endpoint.
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
                "needs ignore_userinfo as well",
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
    fn a_domain_is_its_letters_but_for_the_case_of_ascii() {
        let mut settings = settings();
        settings.email_domain = vec!["@Kelvin.example".to_owned(), "bücher.example".to_owned()];
        let settings = settings.checked().unwrap();
        assert!(settings.admits_domain("KELVIN.example"));
        assert!(settings.admits_domain("bücher.EXAMPLE"));
        for domain in [
            "\u{212a}elvin.example",
            "kel.vin.example",
            "elvin.example",
            "bu\u{308}cher.example",
            "bÜcher.example",
        ] {
            assert!(!settings.admits_domain(domain), "{domain}");
        }
    }

    #[test]
    fn the_usual_settings_are_fine() {
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
    fn what_cannot_be_used_is_named(#[case] field: &str, #[case] spoil: fn(&mut OidcSettings)) {
        let mut settings = settings();
        spoil(&mut settings);
        let fault = settings.checked().unwrap_err();
        assert_eq!(fault.field, field);
        assert!(!fault.to_string().contains("pw"), "{fault}");
    }

    #[test]
    fn the_access_token_needs_the_userinfo_endpoint_out_of_the_way() {
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
