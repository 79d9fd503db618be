//! The settings of GitHub.

use secrecy::SecretString;
use url::Url;

use crate::setup::{SettingFault, require_text, require_web_url};

/// The settings of sign-in with GitHub.
#[derive(Clone, Debug)]
pub struct GithubSettings {
    /// The client ID.
    pub client_id: String,
    /// The client secret. The device flow does not need it.
    pub client_secret: SecretString,
    /// The redirect URI, as registered at GitHub.
    pub redirect_url: Url,
    /// Allows all accounts. Cannot be combined with organizations and teams.
    pub allow_everyone: bool,
    /// The organizations whose active members may sign in.
    pub allowed_orgs: Vec<String>,
    /// The teams of these organizations, as `organization/slug`, whose active members may sign
    /// in; empty for all members of the organizations.
    pub allowed_teams: Vec<String>,
    /// The URL of a GitHub Enterprise server; `None` for github.com.
    pub enterprise_base_url: Option<Url>,
    /// Whether to use the device flow.
    pub device_flow: bool,
}

impl GithubSettings {
    /// Settings that do not allow any account yet.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: SecretString,
        redirect_url: Url,
    ) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret,
            redirect_url,
            allow_everyone: false,
            allowed_orgs: Vec::new(),
            allowed_teams: Vec::new(),
            enterprise_base_url: None,
            device_flow: false,
        }
    }

    /// Validates the settings and parses the teams.
    pub(super) fn teams(&self) -> Result<Vec<Team>, SettingFault> {
        require_text("client_id", &self.client_id)?;
        if let Some(url) = &self.enterprise_base_url {
            require_web_url("enterprise_base_url", url)?;
        }
        if self.allow_everyone {
            if !self.allowed_orgs.is_empty() || !self.allowed_teams.is_empty() {
                return Err(SettingFault::new(
                    "allow_everyone",
                    "must not be true together with allowed_orgs or allowed_teams",
                ));
            }
        } else if self.allowed_orgs.is_empty() {
            return Err(SettingFault::new(
                "allowed_orgs",
                "must name an organization unless allow_everyone is true",
            ));
        }
        for org in &self.allowed_orgs {
            require_text("allowed_orgs", org)?;
        }
        self.allowed_teams
            .iter()
            .map(|text| {
                Team::parse(text).ok_or_else(|| {
                    SettingFault::new("allowed_teams", "must be teams, as organization/slug")
                })
            })
            .collect()
    }
}

/// A team of an organization.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Team {
    pub(super) org: String,
    pub(super) slug: String,
}

impl Team {
    fn parse(text: &str) -> Option<Self> {
        let (org, slug) = text.split_once('/')?;
        let is_name = |part: &str| !part.is_empty() && !part.contains('/');
        (is_name(org) && is_name(slug)).then(|| Self {
            org: org.to_owned(),
            slug: slug.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn settings() -> GithubSettings {
        GithubSettings {
            allowed_orgs: vec!["acme".to_owned()],
            allowed_teams: vec!["acme/core".to_owned()],
            ..GithubSettings::new(
                "usher",
                "secret".into(),
                "https://usher.example.com/back".parse().unwrap(),
            )
        }
    }

    #[test]
    fn organizations_and_their_teams_are_valid() {
        let teams = settings().teams().unwrap();
        assert_eq!(teams, [Team::parse("acme/core").unwrap()]);
    }

    #[rstest]
    #[case::no_client("client_id", |s: &mut GithubSettings| s.client_id.clear())]
    #[case::no_organization("allowed_orgs", |s: &mut GithubSettings| s.allowed_orgs.clear())]
    #[case::empty_name("allowed_orgs", |s: &mut GithubSettings| s.allowed_orgs = vec![String::new()])]
    #[case::both("allow_everyone", |s: &mut GithubSettings| s.allow_everyone = true)]
    #[case::no_slug("allowed_teams", |s: &mut GithubSettings| s.allowed_teams = vec!["acme".into()])]
    #[case::no_org("allowed_teams", |s: &mut GithubSettings| s.allowed_teams = vec!["/core".into()])]
    #[case::too_much("allowed_teams", |s: &mut GithubSettings| s.allowed_teams = vec!["a/b/c".into()])]
    #[case::base("enterprise_base_url", |s: &mut GithubSettings| {
        s.enterprise_base_url = Some("https://a:pw@ghe.example.com".parse().unwrap());
    })]
    fn an_invalid_setting_is_named(#[case] field: &str, #[case] change: fn(&mut GithubSettings)) {
        let mut settings = settings();
        change(&mut settings);
        let fault = settings.teams().unwrap_err();
        assert_eq!(fault.field, field);
        assert!(!fault.to_string().contains("pw"), "{fault}");
    }
}
