//! The settings of the providers that people sign in through, and the clients made of them.
//!
//! The first OpenID provider has the settings of the API that we speak. Further ones have
//! the same with a number in the name: `USHER_OIDC_2_ISSUER_URL`, `USHER_OIDC_3_ISSUER_URL`.

use std::{collections::BTreeMap, ffi::OsString, ops::RangeInclusive, sync::Arc};

use anyhow::{Result, anyhow, bail};
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches,
    builder::{Resettable, ValueParser},
};
use secrecy::SecretString;
use url::Url;
use usher_api::{
    Provider, Providers,
    sessions::providers::{github, oidc::callback_path},
};
use usher_domain::time::SystemClock;
use usher_identity::{
    ClaimsSource, EmailVerification, GitHub, GithubSettings as GithubClientSettings,
    IdentityProvider, OidcSettings as OidcClientSettings, OpenIdConnect, SetupError,
};

use super::parse;
use crate::environment;

/// The numbers of further OpenID providers.
const NUMBERS: RangeInclusive<usize> = 2..=9;

/// The providers that people sign in through.
#[derive(Args, Clone, Debug)]
pub struct ProviderSettings {
    /// GitHub.
    #[command(flatten)]
    pub github: GithubSettings,
    /// The first OpenID provider.
    #[command(flatten)]
    pub oidc: OidcSettings,
    /// The others.
    #[command(flatten)]
    pub further_oidc: FurtherOidcSettings,
}

/// One value for clap, which would take a `Vec` for a flag that is repeated.
type List = Vec<String>;
/// See [`List`].
type Parameters = BTreeMap<String, String>;

/// Signing in through GitHub.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "GitHub")]
pub struct GithubSettings {
    /// The client ID of the OAuth app at GitHub. With it, people sign in through GitHub.
    #[arg(long, value_name = "ID")]
    pub oauth2_github_client_id: Option<String>,

    /// The client secret of that app.
    #[arg(long, value_name = "SECRET")]
    pub oauth2_github_client_secret: Option<SecretString>,

    /// The organizations of which people must be an active member of one.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::list
    )]
    pub oauth2_github_allowed_orgs: List,

    /// The teams of those organizations, as `organization/team`, of which people must be an
    /// active member of one. Without it, every member of an organization may sign in.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::list
    )]
    pub oauth2_github_allowed_teams: List,

    /// Let everybody in who has an account at GitHub, whatever their organizations.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub oauth2_github_allow_everyone: bool,

    /// Make a user for whoever signs in for the first time. Otherwise only those come in
    /// whom an administrator made for GitHub.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub oauth2_github_allow_signups: bool,

    /// Sign in by a code that people type at GitHub, which works where GitHub cannot send
    /// browsers back.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub oauth2_github_device_flow: bool,

    /// The address of a GitHub Enterprise server. Without it, github.com.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    pub oauth2_github_enterprise_base_url: Option<Url>,
}

/// Signing in through an OpenID provider.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "OpenID Connect")]
pub struct OidcSettings {
    /// The issuer, as the provider writes it: what its metadata are below of. With it and a
    /// client ID, people sign in through the provider.
    #[arg(long, value_name = "URL")]
    pub oidc_issuer_url: Option<String>,

    /// The client ID of the application at the provider.
    #[arg(long, value_name = "ID")]
    pub oidc_client_id: Option<String>,

    /// The client secret of that application. Without it, it is a public client.
    #[arg(long, value_name = "SECRET")]
    pub oidc_client_secret: Option<SecretString>,

    /// What the provider is asked for; `openid` must be in it.
    #[arg(
        long,
        value_name = "SCOPES",
        default_value = "openid,profile,email",
        value_parser = parse::list
    )]
    pub oidc_scopes: List,

    /// Further parameters for the address that browsers are sent to.
    #[arg(
        long,
        value_name = "MAP",
        default_value = r#"{"access_type":"offline"}"#,
        value_parser = parse::parameters
    )]
    pub oidc_auth_url_params: Parameters,

    /// Make a user for whoever signs in for the first time. Otherwise only those come in
    /// whom an administrator made for the provider.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub oidc_allow_signups: bool,

    /// Give whoever comes for the first time the user whom an administrator made for OpenID
    /// with their address. Without it, only people of the first provider get theirs: whoever
    /// runs a provider can say any address.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub oidc_claim_by_email: Option<bool>,

    /// What others are told, in Markdown. Without it, to ask an administrator.
    #[arg(long, value_name = "MARKDOWN")]
    pub oidc_signups_disabled_text: Option<String>,

    /// The domains of which an address must have one, exactly. Without it, any.
    #[arg(
        long,
        value_name = "DOMAINS",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::list
    )]
    pub oidc_email_domain: List,

    /// What is demanded of the claim `email_verified`: where it is present it must be true
    /// (`if-present`), it must be there and be true (`required`), or anything but false will
    /// do, texts and numbers too (`lax`), as it is with the reference.
    #[arg(
        long,
        value_name = "if-present|required|lax",
        default_value = "if-present",
        value_parser = parse::email_verification
    )]
    pub oidc_email_verified: EmailVerification,

    /// Take addresses as they come, verified or not.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub oidc_ignore_email_verified: bool,

    /// The claim that usernames are made from.
    #[arg(long, value_name = "CLAIM", default_value = "preferred_username")]
    pub oidc_username_field: String,

    /// The claim with the address.
    #[arg(long, value_name = "CLAIM", default_value = "email")]
    pub oidc_email_field: String,

    /// The claim with the name that people read.
    #[arg(long, value_name = "CLAIM", default_value = "name")]
    pub oidc_name_field: String,

    /// Take claims from the ID token only, and not from the user information of the
    /// provider as well.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub oidc_ignore_userinfo: bool,

    /// Take claims from the access token as well, which must be a signed one of the
    /// provider. Needs that user information is ignored.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub oidc_access_token_claims: bool,

    /// The claim with the groups, for the allowed ones.
    #[arg(long, value_name = "CLAIM")]
    pub oidc_group_field: Option<String>,

    /// The groups of which people must be in one. Without it, any.
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::list
    )]
    pub oidc_allowed_groups: List,

    /// The text of the button.
    #[arg(long, value_name = "TEXT", default_value = "OpenID Connect")]
    pub oidc_sign_in_text: String,

    /// Where the picture of the button is.
    #[arg(long, value_name = "URL")]
    pub oidc_icon_url: Option<String>,

    /// Believe the provider whatever issuer it names.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub dangerous_oidc_skip_issuer_checks: bool,
}

/// Further OpenID providers by their numbers.
#[derive(Clone, Debug, Default)]
pub struct FurtherOidcSettings(BTreeMap<usize, OidcSettings>);

impl FurtherOidcSettings {
    fn flags(number: usize) -> impl Iterator<Item = Arg> {
        OidcSettings::augment_args(Command::new("oidc"))
            .get_arguments()
            .cloned()
            .collect::<Vec<_>>()
            .into_iter()
            .map(move |flag| {
                let long = numbered(flag.get_long().unwrap_or_default(), number);
                flag.long(long)
            })
    }
}

/// The name of a setting for the provider of that number.
fn numbered(flag: &str, number: usize) -> String {
    flag.replacen("oidc-", &format!("oidc-{number}-"), 1)
}

fn id(flag: &Arg, number: usize) -> String {
    format!("{}_{number}", flag.get_id())
}

impl Args for FurtherOidcSettings {
    fn augment_args(command: Command) -> Command {
        // They would fill the help; they are read as texts here, and by their own rules when
        // it is known which providers there are.
        NUMBERS.fold(command, |command, number| {
            command.args(Self::flags(number).map(|flag| {
                let id = id(&flag, number);
                flag.id(id)
                    .hide(true)
                    .default_value(Resettable::Reset)
                    .value_parser(ValueParser::os_string())
            }))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FurtherOidcSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut all = BTreeMap::new();
        for number in NUMBERS {
            let given: Vec<OsString> = Self::flags(number)
                .filter_map(|flag| {
                    let value = matches.get_one::<OsString>(&id(&flag, number))?;
                    let mut argument = OsString::from(format!("--{}=", flag.get_long()?));
                    argument.push(value);
                    Some(argument)
                })
                .collect();
            if given.is_empty() {
                continue;
            }
            let command = Command::new("oidc")
                .no_binary_name(true)
                .args(Self::flags(number));
            let read = command.try_get_matches_from(given)?;
            all.insert(number, OidcSettings::from_arg_matches(&read)?);
        }
        Ok(Self(all))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ProviderSettings {
    /// The providers, for a server that clients reach at `access_url`. Connects to none yet,
    /// so that one that is down keeps nobody from starting.
    ///
    /// # Errors
    ///
    /// Which setting cannot be used, and why.
    pub fn connect(&self, access_url: &Url) -> Result<Providers> {
        let github = self.github.connect(access_url)?;
        let issuers = self.issuers();
        require_different(&issuers)?;
        let mut oidc = Vec::new();
        for (number, settings) in self.all_oidc() {
            let others = issuers.iter().filter(|(other, _)| *other != number);
            let others = others.map(|(_, issuer)| (*issuer).to_owned()).collect();
            let Some(provider) = settings.connect(access_url, number, others)? else {
                continue;
            };
            if number != oidc.len() + 1 {
                let missing = variable("issuer_url", oidc.len() + 1);
                bail!(
                    "{} is set, but not {missing}: OpenID providers are numbered without a gap, \
                     and the first one has no number",
                    variable("issuer_url", number)
                );
            }
            oidc.push(provider);
        }
        Ok(Providers { github, oidc })
    }

    /// The OpenID providers by their numbers.
    fn all_oidc(&self) -> impl Iterator<Item = (usize, &OidcSettings)> {
        let further = self.further_oidc.0.iter();
        [(1, &self.oidc)]
            .into_iter()
            .chain(further.map(|(number, one)| (*number, one)))
    }

    /// The issuers of the OpenID providers that people sign in through, by their numbers.
    pub(crate) fn issuers(&self) -> Vec<(usize, &str)> {
        self.all_oidc()
            .filter(|(_, one)| one.oidc_client_id.is_some())
            .filter_map(|(number, one)| Some((number, one.oidc_issuer_url.as_deref()?)))
            .collect()
    }

    /// What the operator should know of the settings.
    pub(super) fn warnings(&self) -> Vec<String> {
        let idle = self
            .all_oidc()
            .filter(|(_, one)| one.oidc_issuer_url.is_some() && one.oidc_client_id.is_none());
        let mut warnings: Vec<_> = idle
            .map(|(number, _)| {
                format!(
                    "{} is set, but not {}: nobody signs in through that provider",
                    variable("issuer_url", number),
                    variable("client_id", number)
                )
            })
            .collect();
        let lax: Vec<_> = self
            .all_oidc()
            .filter(|(_, one)| {
                one.oidc_client_id.is_some() && one.dangerous_oidc_skip_issuer_checks
            })
            .map(|(number, _)| dangerous(number))
            .collect();
        if lax.len() > 1 {
            warnings.push(format!(
                "{} are set: each of these providers can sign in the people of the others",
                lax.join(" and ")
            ));
        }
        warnings
    }
}

/// Accounts are known by their issuer, and so is the provider whom their tokens go to.
fn require_different(issuers: &[(usize, &str)]) -> Result<()> {
    let plain = |issuer: &str| {
        let url = Url::parse(issuer).map_or_else(|_| issuer.to_owned(), Into::into);
        url.trim_end_matches('/').to_owned()
    };
    for (index, (number, issuer)) in issuers.iter().enumerate() {
        let same = issuers[..index]
            .iter()
            .find(|(_, earlier)| plain(earlier) == plain(issuer));
        if let Some((earlier, _)) = same {
            bail!(
                "{} is the same as {}: accounts are known by their issuer, so each provider \
                 needs one of its own",
                variable("issuer_url", *number),
                variable("issuer_url", *earlier)
            );
        }
    }
    Ok(())
}

impl GithubSettings {
    fn connect(&self, access_url: &Url) -> Result<Option<Provider>> {
        let Some(client_id) = &self.oauth2_github_client_id else {
            return Ok(None);
        };
        let settings = GithubClientSettings {
            allow_everyone: self.oauth2_github_allow_everyone,
            allowed_orgs: self.oauth2_github_allowed_orgs.clone(),
            allowed_teams: self.oauth2_github_allowed_teams.clone(),
            enterprise_base_url: self.oauth2_github_enterprise_base_url.clone(),
            device_flow: self.oauth2_github_device_flow,
            ..GithubClientSettings::new(
                client_id,
                self.oauth2_github_client_secret.clone().unwrap_or_default(),
                below(access_url, github::PATH)?,
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

impl OidcSettings {
    fn connect(
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
                "{} is set, but not {}: the provider has no address",
                variable("client_id", number),
                variable("issuer_url", number)
            );
        };
        let named = |error| explain(error, |field| variable(field, number));
        let email_verification = if self.oidc_ignore_email_verified {
            EmailVerification::Ignored
        } else {
            self.oidc_email_verified
        };
        let claims_source =
            ClaimsSource::from_settings(self.oidc_ignore_userinfo, self.oidc_access_token_claims)
                .map_err(|_| {
                anyhow!(
                    "{} needs {} as well",
                    variable("access_token_claims", number),
                    variable("ignore_userinfo", number)
                )
            })?;
        let settings = OidcClientSettings {
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
            ..OidcClientSettings::new(
                issuer,
                client_id,
                self.oidc_client_secret.clone().unwrap_or_default(),
                below(access_url, &callback_path(number - 1))?,
            )
        };
        let client: Arc<dyn IdentityProvider> =
            Arc::new(OpenIdConnect::new(settings, Arc::new(SystemClock)).map_err(named)?);
        Ok(Some(Provider {
            client,
            may_claim_by_address: self.oidc_claim_by_email.unwrap_or(number == 1),
            allow_sign_ups: self.oidc_allow_signups,
            sign_ups_disabled_text: self.oidc_signups_disabled_text.clone().unwrap_or_default(),
            sign_in_text: self.oidc_sign_in_text.clone(),
            icon_url: self.oidc_icon_url.clone().unwrap_or_default(),
        }))
    }
}

/// The variable of the switch that leaves issuers unchecked.
fn dangerous(number: usize) -> String {
    let flag = "dangerous-oidc-skip-issuer-checks";
    match number {
        1 => environment::variable(flag),
        _ => environment::variable(&numbered(flag, number)),
    }
}

/// The variable of a setting of the OpenID provider of that number; the first has none.
fn variable(field: &str, number: usize) -> String {
    let flag = format!("oidc-{field}");
    match number {
        1 => environment::variable(&flag),
        _ => environment::variable(&numbered(&flag, number)),
    }
}

fn explain(error: SetupError, variable: impl FnOnce(&str) -> String) -> anyhow::Error {
    match error {
        SetupError::Setting(fault) => anyhow!("{} {}", variable(fault.field), fault.problem),
        other => other.into(),
    }
}

fn below(access_url: &Url, path: &str) -> Result<Url> {
    let base = access_url.as_str().trim_end_matches('/');
    Ok(Url::parse(&format!("{base}{path}"))?)
}
