//! The settings of GitHub.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use secrecy::SecretString;
use url::Url;
use usher_api::{Provider, sessions::providers::github};
use usher_domain::time::SystemClock;
use usher_identity::{GitHub, GithubSettings as ClientSettings};

use super::{List, explain, join};
use crate::{
    environment,
    settings::{boolean::BooleanArg as _, parse},
};

/// Sign-in with GitHub.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "GitHub")]
pub struct GithubSettings {
    /// The client ID of the OAuth app at GitHub. Enables sign-in with GitHub.
    #[arg(long, value_name = "ID")]
    pub oauth2_github_client_id: Option<String>,

    /// The client secret of the OAuth app.
    #[arg(long, value_name = "SECRET")]
    pub oauth2_github_client_secret: Option<SecretString>,

    /// The organizations whose active members may sign in.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::list
    )]
    pub oauth2_github_allowed_orgs: List,

    /// The teams of these organizations, as `organization/team`, whose active members may sign
    /// in. Without it, all members of the organizations may.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::list
    )]
    pub oauth2_github_allowed_teams: List,

    /// Let all GitHub accounts sign in, regardless of their organizations.
    #[arg(long, boolean())]
    pub oauth2_github_allow_everyone: bool,

    /// Create a user at the first sign-in. Otherwise only users that an administrator created
    /// for GitHub can sign in.
    #[arg(long, boolean())]
    pub oauth2_github_allow_signups: bool,

    /// Use the device flow, in which users enter a code at GitHub. It works where GitHub
    /// cannot redirect browsers to the server.
    #[arg(long, boolean())]
    pub oauth2_github_device_flow: bool,

    /// The URL of a GitHub Enterprise server. By default github.com.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    pub oauth2_github_enterprise_base_url: Option<Url>,
}

impl GithubSettings {
    pub(super) fn connect(&self, access_url: &Url) -> Result<Option<Provider>> {
        let Some(client_id) = &self.oauth2_github_client_id else {
            return Ok(None);
        };
        let settings = ClientSettings {
            allow_everyone: self.oauth2_github_allow_everyone,
            allowed_orgs: self.oauth2_github_allowed_orgs.clone(),
            allowed_teams: self.oauth2_github_allowed_teams.clone(),
            enterprise_base_url: self.oauth2_github_enterprise_base_url.clone(),
            device_flow: self.oauth2_github_device_flow,
            ..ClientSettings::new(
                client_id,
                self.oauth2_github_client_secret.clone().unwrap_or_default(),
                join(access_url, github::PATH)?,
            )
        };
        let client = GitHub::new(settings, Arc::new(SystemClock)).map_err(|error| {
            explain(error, |field| {
                environment::variable(&format!("oauth2_github_{field}"))
            })
        })?;
        Ok(Some(Provider {
            client: Arc::new(client),
            may_claim_by_address: true,
            allow_sign_ups: self.oauth2_github_allow_signups,
            sign_ups_disabled_text: String::new(),
            sign_in_text: "GitHub".to_owned(),
            icon_url: String::new(),
        }))
    }
}
