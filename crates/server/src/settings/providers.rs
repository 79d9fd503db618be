//! The settings of identity providers, and the clients built from them.
//!
//! The settings of the first OpenID provider have the names of Coder's. Further providers have
//! the same settings with a number in the name: `USHER_OIDC_2_ISSUER_URL`.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use url::Url;
use usher_api::Providers;
use usher_identity::SetupError;

mod github;
mod numbered;
mod oidc;

pub use github::GithubSettings;
pub use numbered::NumberedOidcSettings;
use numbered::variable;
pub use oidc::OidcSettings;

/// The identity providers.
#[derive(Args, Clone, Debug)]
pub struct ProviderSettings {
    /// GitHub.
    #[command(flatten)]
    pub github: GithubSettings,
    /// The first OpenID provider.
    #[command(flatten)]
    pub oidc: OidcSettings,
    /// The second and further OpenID providers.
    #[command(flatten)]
    pub numbered_oidc: NumberedOidcSettings,
}

/// A single value to clap, which would read a `Vec` as a repeated flag.
type List = Vec<String>;

impl ProviderSettings {
    /// Creates the clients of the providers, for a server that clients reach at `access_url`.
    /// Connects to none of them, so that an outage of a provider does not prevent the start.
    ///
    /// # Errors
    ///
    /// If a setting is invalid; the error names it.
    pub fn connect(&self, access_url: &Url) -> Result<Providers> {
        let github = self.github.connect(access_url)?;
        let issuers = self.issuers();
        check_issuers_differ(&issuers)?;
        let mut oidc = Vec::new();
        for (number, settings) in self.all_oidc() {
            let others = issuers.iter().filter(|(other, _)| *other != number);
            let others = others.map(|(_, issuer)| (*issuer).to_owned()).collect();
            let Some(provider) = settings.connect(access_url, number, others)? else {
                continue;
            };
            if number != oidc.len() + 1 {
                bail!(
                    "{} is set without {}: OpenID providers must be numbered consecutively, and \
                     the first has no number",
                    variable("oidc-issuer-url", number),
                    variable("oidc-issuer-url", oidc.len() + 1)
                );
            }
            oidc.push(provider);
        }
        Ok(Providers { github, oidc })
    }

    /// The OpenID providers by their numbers.
    fn all_oidc(&self) -> impl Iterator<Item = (usize, &OidcSettings)> {
        let numbered = self.numbered_oidc.0.iter();
        [(1, &self.oidc)]
            .into_iter()
            .chain(numbered.map(|(number, provider)| (*number, provider)))
    }

    /// The issuers of the enabled OpenID providers, by their numbers.
    pub(crate) fn issuers(&self) -> Vec<(usize, &str)> {
        self.all_oidc()
            .filter(|(_, provider)| provider.oidc_client_id.is_some())
            .filter_map(|(number, provider)| Some((number, provider.oidc_issuer_url.as_deref()?)))
            .collect()
    }

    /// Warnings for the operator.
    pub(super) fn warnings(&self) -> Vec<String> {
        let disabled = self.all_oidc().filter(|(_, provider)| {
            provider.oidc_issuer_url.is_some() && provider.oidc_client_id.is_none()
        });
        let mut warnings: Vec<_> = disabled
            .map(|(number, _)| {
                format!(
                    "{} is set without {}: the provider is disabled",
                    variable("oidc-issuer-url", number),
                    variable("oidc-client-id", number)
                )
            })
            .collect();
        let unchecked: Vec<_> = self
            .all_oidc()
            .filter(|(_, provider)| {
                provider.oidc_client_id.is_some() && provider.dangerous_oidc_skip_issuer_checks
            })
            .map(|(number, _)| variable("dangerous-oidc-skip-issuer-checks", number))
            .collect();
        if unchecked.len() > 1 {
            warnings.push(format!(
                "{} are set: each of these providers can sign in the users of the others",
                unchecked.join(" and ")
            ));
        }
        warnings
    }
}

/// Accounts, and the providers that their tokens are sent to, are identified by issuer.
fn check_issuers_differ(issuers: &[(usize, &str)]) -> Result<()> {
    let normalized = |issuer: &str| {
        let url = Url::parse(issuer).map_or_else(|_| issuer.to_owned(), Into::into);
        url.trim_end_matches('/').to_owned()
    };
    for (index, (number, issuer)) in issuers.iter().enumerate() {
        let same = issuers[..index]
            .iter()
            .find(|(_, earlier)| normalized(earlier) == normalized(issuer));
        if let Some((earlier, _)) = same {
            bail!(
                "{} is the same as {}: accounts are identified by their issuer, so each \
                 provider needs its own",
                variable("oidc-issuer-url", *number),
                variable("oidc-issuer-url", *earlier)
            );
        }
    }
    Ok(())
}

/// Names the variable of the setting that a client refused.
fn explain(error: SetupError, variable: impl FnOnce(&str) -> String) -> anyhow::Error {
    match error {
        SetupError::Setting(fault) => anyhow!("{} {}", variable(fault.field), fault.problem),
        other => other.into(),
    }
}

fn join(access_url: &Url, path: &str) -> Result<Url> {
    let base = access_url.as_str().trim_end_matches('/');
    Ok(Url::parse(&format!("{base}{path}"))?)
}
