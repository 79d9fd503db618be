//! The settings of an OpenID provider.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use secrecy::SecretString;
use url::Url;
use usher_api::{Provider, sessions::providers::oidc::callback_path};
use usher_domain::time::SystemClock;
use usher_identity::{
    ClaimsSource, EmailVerification, OidcSettings as ClientSettings, OpenIdConnect,
};

use super::{List, explain, join, numbered::variable};
use crate::settings::{boolean::BooleanArg as _, parse};

/// A single value to clap, which has no parser for maps.
type Parameters = BTreeMap<String, String>;

/// Sign-in with an OpenID provider.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "OpenID Connect")]
pub struct OidcSettings {
    /// The issuer URL of the provider, exactly as in its metadata. With a client ID, enables
    /// sign-in with the provider.
    #[arg(long, value_name = "URL")]
    pub oidc_issuer_url: Option<String>,

    /// The client ID at the provider.
    #[arg(long, value_name = "ID")]
    pub oidc_client_id: Option<String>,

    /// The client secret at the provider. Without it, the server is a public client.
    #[arg(long, value_name = "SECRET")]
    pub oidc_client_secret: Option<SecretString>,

    /// The scopes to request. Must include `openid`.
    #[arg(
        long,
        value_name = "SCOPES",
        default_value = "openid,profile,email",
        value_parser = parse::list
    )]
    pub oidc_scopes: List,

    /// Additional parameters of the authorization URL.
    #[arg(
        long,
        value_name = "MAP",
        default_value = r#"{"access_type":"offline"}"#,
        value_parser = parse::parameters
    )]
    pub oidc_auth_url_params: Parameters,

    /// Create a user at the first sign-in. Otherwise only users that an administrator created
    /// for OpenID Connect can sign in.
    #[arg(long, boolean(), default_value = "true")]
    pub oidc_allow_signups: bool,

    /// At the first sign-in, link the account to the user that an administrator created for
    /// OpenID Connect with the same e-mail address. By default true for the first provider
    /// only, since the operator of a provider can claim any address.
    #[arg(long, optional_boolean())]
    pub oidc_claim_by_email: Option<bool>,

    /// The Markdown shown to users who may not sign up. By default it refers them to an
    /// administrator.
    #[arg(long, value_name = "MARKDOWN")]
    pub oidc_signups_disabled_text: Option<String>,

    /// The allowed domains of e-mail addresses, without their subdomains. By default all.
    #[arg(
        long,
        value_name = "DOMAINS",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::list
    )]
    pub oidc_email_domain: List,

    /// How to check the claim `email_verified`: it must be true if it is present
    /// (`if-present`), it must be present and true (`required`), or it must not be false
    /// (`lax`, as in Coder, which also accepts strings and numbers).
    #[arg(
        long,
        value_name = "if-present|required|lax",
        default_value = "if-present",
        value_parser = parse::email_verification
    )]
    pub oidc_email_verified: EmailVerification,

    /// Accept unverified e-mail addresses.
    #[arg(long, boolean())]
    pub oidc_ignore_email_verified: bool,

    /// The claim from which usernames are derived.
    #[arg(long, value_name = "CLAIM", default_value = "preferred_username")]
    pub oidc_username_field: String,

    /// The claim with the e-mail address.
    #[arg(long, value_name = "CLAIM", default_value = "email")]
    pub oidc_email_field: String,

    /// The claim with the display name.
    #[arg(long, value_name = "CLAIM", default_value = "name")]
    pub oidc_name_field: String,

    /// Read claims from the ID token only, not from the provider's userinfo endpoint.
    #[arg(long, boolean())]
    pub oidc_ignore_userinfo: bool,

    /// Also read claims from the access token, which must be a JWT signed by the provider.
    /// Requires that userinfo is ignored.
    #[arg(long, boolean())]
    pub oidc_access_token_claims: bool,

    /// The claim with the groups, for the allowed groups.
    #[arg(long, value_name = "CLAIM")]
    pub oidc_group_field: Option<String>,

    /// The groups whose members may sign in. By default all users may.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::list
    )]
    pub oidc_allowed_groups: List,

    /// The label of the sign-in button.
    #[arg(long, value_name = "TEXT", default_value = "OpenID Connect")]
    pub oidc_sign_in_text: String,

    /// The URL of the icon of the sign-in button.
    #[arg(long, value_name = "URL")]
    pub oidc_icon_url: Option<String>,

    /// Do not check that the issuer in the provider's metadata and tokens is the issuer URL.
    #[arg(long, boolean())]
    pub dangerous_oidc_skip_issuer_checks: bool,
}

impl OidcSettings {
    pub(super) fn connect(
        &self,
        access_url: &Url,
        number: usize,
        other_issuers: Vec<String>,
    ) -> Result<Option<Provider>> {
        let Some(client_id) = &self.oidc_client_id else {
            return Ok(None);
        };
        let Some(issuer) = &self.oidc_issuer_url else {
            bail!(
                "{} is set without {}",
                variable("oidc-client-id", number),
                variable("oidc-issuer-url", number)
            );
        };
        let email_verification = if self.oidc_ignore_email_verified {
            EmailVerification::Ignored
        } else {
            self.oidc_email_verified
        };
        let claims_source =
            ClaimsSource::from_settings(self.oidc_ignore_userinfo, self.oidc_access_token_claims);
        let claims_source = claims_source.map_err(|_| {
            anyhow!(
                "{} requires {}",
                variable("oidc-access-token-claims", number),
                variable("oidc-ignore-userinfo", number)
            )
        })?;
        let settings = ClientSettings {
            scopes: self.oidc_scopes.clone(),
            auth_url_params: self.oidc_auth_url_params.clone(),
            email_domain: self.oidc_email_domain.clone(),
            username_field: self.oidc_username_field.clone(),
            email_field: self.oidc_email_field.clone(),
            name_field: self.oidc_name_field.clone(),
            email_verification,
            claims_source,
            group_field: self.oidc_group_field.clone().unwrap_or_default(),
            allowed_groups: self.oidc_allowed_groups.clone(),
            skip_issuer_checks: self.dangerous_oidc_skip_issuer_checks,
            other_issuers,
            ..ClientSettings::new(
                issuer,
                client_id,
                self.oidc_client_secret.clone().unwrap_or_default(),
                join(access_url, &callback_path(number - 1))?,
            )
        };
        let client = OpenIdConnect::new(settings, Arc::new(SystemClock))
            .map_err(|error| explain(error, |field| variable(&format!("oidc-{field}"), number)))?;
        Ok(Some(Provider {
            client: Arc::new(client),
            may_claim_by_address: self.oidc_claim_by_email.unwrap_or(number == 1),
            allow_sign_ups: self.oidc_allow_signups,
            sign_ups_disabled_text: self.oidc_signups_disabled_text.clone().unwrap_or_default(),
            sign_in_text: self.oidc_sign_in_text.clone(),
            icon_url: self.oidc_icon_url.clone().unwrap_or_default(),
        }))
    }
}
