//! The settings: one struct for each section, one field for each setting.
//!
//! A field is a flag (`--http-address`) and a variable (`USHER_HTTP_ADDRESS`); its comment
//! is what `--help` and `docs/configuration.md` say. Where the API that we speak has a
//! setting, ours has its name, forms and default.
//!
//! A value is read by a function that says what it must be; settings that depend on one
//! another are checked in [`ServerSettings::check`].

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use chrono::TimeDelta;
use clap::{ArgAction, Args};
use http::HeaderName;
use ipnet::IpNet;
use secrecy::SecretString;
use tracing_subscriber::filter::Targets;
use url::Url;
use usher_api::{SameSite, limits::Limits};
use usher_domain::{
    notification::{Delivery, NotificationMethod},
    password_hash::HashCost,
    ssh_key::SshKeyAlgorithm,
};
use usher_notifier::{Dispatcher, Smtp, SmtpCredentials, SmtpSettings, SmtpTls, Webhook};
use uuid::Uuid;

use crate::duration;

mod parse;
mod providers;

pub use parse::{HttpAddress, LogFormat};
pub use providers::{FurtherOidcSettings, GithubSettings, OidcSettings, ProviderSettings};

/// All settings of the server.
#[derive(Args, Clone, Debug)]
pub struct ServerSettings {
    /// Network.
    #[command(flatten)]
    pub network: NetworkSettings,
    /// Database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Sessions and tokens.
    #[command(flatten)]
    pub sessions: SessionSettings,
    /// Signing in.
    #[command(flatten)]
    pub sign_in: SignInSettings,
    /// Signing in through providers.
    #[command(flatten)]
    pub providers: ProviderSettings,
    /// Secrets that the server makes.
    #[command(flatten)]
    pub secrets: SecretSettings,
    /// Proxies and other sites.
    #[command(flatten)]
    pub proxies: ProxySettings,
    /// Limits.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// Notifications.
    #[command(flatten)]
    pub notifications: NotificationSettings,
    /// Logs.
    #[command(flatten)]
    pub log: LogSettings,
}

/// Where the server listens and where clients find it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub struct NetworkSettings {
    /// Where to listen: `host:port`, or `:port` for every address of the machine. Port 0 is
    /// any free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000")]
    pub http_address: HttpAddress,

    /// Where clients reach the server, the base of links and redirects. Without it, the
    /// address that it listens on.
    #[arg(long, value_name = "URL", value_parser = parse::access_url)]
    pub access_url: Option<Url>,

    /// The version of the API that clients are told. They compare it with their own.
    #[arg(
        long,
        value_name = "VERSION",
        default_value = "v2.29.0",
        value_parser = parse::build_version
    )]
    pub build_version: String,

    /// How long requests under way may take to finish when the server is told to stop.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "15s",
        value_parser = duration::parse
    )]
    pub shutdown_timeout: Duration,
}

/// Where the data is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// The URL of a Postgres database, version 13 or later. Without it, the server runs a
    /// Postgres of its own, with its data in the data directory.
    #[arg(long, value_name = "URL")]
    pub pg_connection_url: Option<SecretString>,

    /// The greatest number of connections to the database.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "10",
        value_parser = parse::positive_number
    )]
    pub pg_max_connections: usize,

    /// The directory of the Postgres of our own and of programs that were fetched for it.
    /// Without it, `~/.local/share/usher`, or for root `/var/lib/usher` where no other
    /// account may enter the home directory.
    #[arg(long, value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,

    /// The directory of `initdb` and `postgres` for the Postgres of our own. Without it,
    /// the usual places are searched, and if there is none a version is fetched.
    #[arg(long, value_name = "DIRECTORY")]
    pub postgres_bin_dir: Option<PathBuf>,

    /// The keys that tokens of providers and private SSH keys are encrypted with in the
    /// database: 32 random bytes in base64 each, separated by commas. The first encrypts,
    /// all decrypt. Without them, a key is made at the first start and kept in the database.
    #[arg(long, value_name = "KEYS")]
    pub external_token_encryption_keys: Option<SecretString>,
}

/// How long credentials live.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sessions and tokens")]
pub struct SessionSettings {
    /// How long sessions of browsers live after their last use.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "24h",
        value_parser = duration::parse_positive
    )]
    pub session_duration: Duration,

    /// End sessions at their appointed time, however much they are used.
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
    pub disable_session_expiry_refresh: bool,

    /// How long tokens live that ask for nothing else, and sessions of the command line.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "168h",
        value_parser = duration::parse_positive
    )]
    pub default_token_lifetime: Duration,

    /// The longest that tokens may live.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "876600h",
        value_parser = duration::parse_positive
    )]
    pub max_token_lifetime: Duration,

    /// The longest that tokens of owners may live.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "168h",
        value_parser = duration::parse_positive
    )]
    pub max_admin_token_lifetime: Duration,
}

/// How people sign in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Signing in")]
pub struct SignInSettings {
    /// Sign nobody in by password.
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
    pub disable_password_auth: bool,

    /// Send cookies over TLS only. Without it, if the access URL is `https`.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = parse::boolean
    )]
    pub secure_auth_cookie: Option<bool>,

    /// Which requests that start at other sites carry cookies: those of links (`lax`), or
    /// all (`none`), which browsers allow to secure cookies only.
    #[arg(
        long,
        value_name = "lax|none",
        default_value = "lax",
        value_parser = parse::same_site
    )]
    pub samesite_auth_cookie: SameSite,

    /// Where the terms of service are, which people accept by signing in.
    #[arg(long, value_name = "URL")]
    pub terms_of_service_url: Option<String>,
}

/// How secrets are made.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Passwords and SSH keys")]
pub struct SecretSettings {
    /// The kind of new SSH keys: `ed25519`, `ecdsa` or `rsa4096`.
    #[arg(
        long,
        value_name = "ALGORITHM",
        default_value = "ed25519",
        value_parser = parse::ssh_key_algorithm
    )]
    pub ssh_keygen_algorithm: SshKeyAlgorithm,

    /// The memory that hashing a password takes (Argon2id), in KiB. Existing hashes are
    /// renewed at the next sign-in.
    #[arg(long, value_name = "KIB", default_value = "19456", value_parser = parse::number)]
    pub password_hash_memory: u32,

    /// The passes over that memory.
    #[arg(long, value_name = "NUMBER", default_value = "2", value_parser = parse::number)]
    pub password_hash_passes: u32,
}

/// Whom the server believes, and who may read its answers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Proxies and other sites")]
pub struct ProxySettings {
    /// The headers, separated by commas, in which trusted proxies name the client's
    /// address, such as `X-Forwarded-For`.
    #[arg(
        long,
        value_name = "HEADERS",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::header_names
    )]
    pub proxy_trusted_headers: HeaderNames,

    /// The proxies that are believed: addresses and networks, separated by commas, such as
    /// `10.0.0.0/8`. Without them, the client is whoever connects.
    #[arg(
        long,
        value_name = "NETWORKS",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::networks
    )]
    pub proxy_trusted_origins: Networks,

    /// Let the pages of every site read the answers.
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
    pub dangerous_allow_cors_requests: bool,
}

/// One value for clap, which would take a `Vec` for a flag that is repeated.
type HeaderNames = Vec<HeaderName>;
/// See [`HeaderNames`].
type Networks = Vec<IpNet>;

/// How much a client may ask for.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitSettings {
    /// The longest body of a request that is read, in bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "1048576",
        value_parser = parse::positive_number
    )]
    pub max_body_size: usize,

    /// How long the server works on a request.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration::parse_positive
    )]
    pub request_timeout: Duration,

    /// How many requests a user, or an address without a credential, may make of one path
    /// in a minute. 0 is the default; a negative number is no limit. Paths that sign in have
    /// a limit of 60 of their own.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "512",
        allow_negative_numbers = true,
        value_parser = parse::whole_number
    )]
    pub api_rate_limit: i64,

    /// Let clients make as many requests as they like, also to sign in.
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
    pub dangerous_disable_rate_limits: bool,
}

/// How people are told what happened. Whatever is set, it stands in the inbox as well.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Notifications")]
pub struct NotificationSettings {
    /// The mail server, as `host:port`. Without it there is no mail.
    #[arg(long, value_name = "HOST:PORT")]
    pub email_smarthost: Option<String>,

    /// From whom mails come, such as `Usher <usher@example.com>`.
    #[arg(long, value_name = "ADDRESS")]
    pub email_from: Option<String>,

    /// By which name to greet the mail server. Without it, that of the machine.
    #[arg(long, value_name = "NAME")]
    pub email_hello: Option<String>,

    /// Send mails over TLS or not at all. Without it, over TLS where the server offers it,
    /// and always where a username is given.
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
    pub email_force_tls: bool,

    /// The account at the mail server.
    #[arg(long, value_name = "NAME")]
    pub email_auth_username: Option<String>,

    /// The password of that account.
    #[arg(long, value_name = "PASSWORD")]
    pub email_auth_password: Option<SecretString>,

    /// How messages go whose kind is not set to a way: by mail (`smtp`) or by a call to
    /// another service (`webhook`).
    #[arg(
        long,
        value_name = "smtp|webhook",
        default_value = "smtp",
        value_parser = parse::notification_method
    )]
    pub notifications_method: NotificationMethod,

    /// The URL that is called for each message. Without it there are no such calls.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    pub notifications_webhook_endpoint: Option<Url>,

    /// How often to look for messages that are due.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "15s",
        value_parser = duration::parse_positive
    )]
    pub notifications_fetch_interval: Duration,
}

impl NotificationSettings {
    /// Which ways there are.
    pub fn delivery(&self) -> Delivery {
        Delivery {
            smtp: self.email_smarthost.is_some(),
            webhook: self.notifications_webhook_endpoint.is_some(),
            default: self.notifications_method,
        }
    }

    /// What delivers by each way that is set up.
    ///
    /// # Errors
    ///
    /// If a way cannot work as it is set up.
    pub fn dispatchers(&self) -> Result<Vec<Arc<dyn Dispatcher>>> {
        let mut dispatchers: Vec<Arc<dyn Dispatcher>> = Vec::new();
        if let Some(smarthost) = &self.email_smarthost {
            let from = self.email_from.clone().context(
                "--email-from (USHER_EMAIL_FROM) must be given where --email-smarthost \
                 (USHER_EMAIL_SMARTHOST) is",
            )?;
            let username = self.email_auth_username.clone();
            let smtp = Smtp::new(SmtpSettings {
                smarthost: smarthost.clone(),
                from,
                credentials: username.map(|username| SmtpCredentials {
                    username,
                    password: self.email_auth_password.clone().unwrap_or_default(),
                }),
                tls: self.email_force_tls.then_some(SmtpTls::Required),
                hello: self.email_hello.clone(),
            })
            .context("mail is not set up right, see USHER_EMAIL_SMARTHOST and USHER_EMAIL_FROM")?;
            dispatchers.push(Arc::new(smtp));
        }
        if let Some(endpoint) = &self.notifications_webhook_endpoint {
            let webhook = Webhook::new(endpoint.clone()).context(
                "the webhook is not set up right, see USHER_NOTIFICATIONS_WEBHOOK_ENDPOINT",
            )?;
            dispatchers.push(Arc::new(webhook));
        }
        Ok(dispatchers)
    }
}

/// What is logged, to standard error.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogSettings {
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), also for single
    /// parts of the program, separated by commas.
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "warn,usher=info",
        value_parser = parse::log_filter
    )]
    pub log: Targets,

    /// The form of the log: `human` or `json`.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        value_parser = parse::log_format
    )]
    pub log_format: LogFormat,
}

impl LimitSettings {
    /// How many requests are taken in a minute.
    fn rates(&self) -> Limits {
        if self.dangerous_disable_rate_limits {
            return Limits::NONE;
        }
        let general = match self.api_rate_limit {
            0 => Limits::default().general,
            number => u32::try_from(number).ok(),
        };
        Limits {
            general,
            ..Limits::default()
        }
    }
}

impl SecretSettings {
    /// What hashing a password costs.
    ///
    /// # Errors
    ///
    /// If the numbers are outside of what RFC 9106 allows.
    pub fn hash_cost(&self) -> Result<HashCost> {
        let cost = HashCost {
            memory_kib: self.password_hash_memory,
            passes: self.password_hash_passes,
            ..HashCost::default()
        };
        match cost.check() {
            Ok(()) => Ok(cost),
            Err(reason) => bail!(
                "--password-hash-memory (USHER_PASSWORD_HASH_MEMORY) {} and \
                 --password-hash-passes (USHER_PASSWORD_HASH_PASSES) {} are no parameters of \
                 Argon2id: {reason}",
                cost.memory_kib,
                cost.passes
            ),
        }
    }
}

impl ServerSettings {
    /// Checks the settings that depend on one another. Returns what deserves a warning.
    ///
    /// # Errors
    ///
    /// If the server cannot run like that.
    pub fn check(&self) -> Result<Vec<String>> {
        self.secrets.hash_cost()?;
        let anywhere = Url::parse("http://localhost").context("a URL")?;
        self.providers
            .connect(self.network.access_url.as_ref().unwrap_or(&anywhere))?;
        let mut warnings = self.providers.warnings();
        let is_https = self
            .network
            .access_url
            .as_ref()
            .is_some_and(|url| url.scheme() == "https");
        if self.sign_in.samesite_auth_cookie == SameSite::None
            && !self.sign_in.secure_auth_cookie.unwrap_or(is_https)
        {
            warnings.push(
                "USHER_SAMESITE_AUTH_COOKIE is none, but the cookies are not secure \
                 (USHER_SECURE_AUTH_COOKIE): browsers refuse them"
                    .to_owned(),
            );
        }
        let proxies = &self.proxies;
        if proxies.proxy_trusted_headers.is_empty() != proxies.proxy_trusted_origins.is_empty() {
            warnings.push(
                "USHER_PROXY_TRUSTED_HEADERS and USHER_PROXY_TRUSTED_ORIGINS have an effect \
                 together only: set both or none"
                    .to_owned(),
            );
        }
        Ok(warnings)
    }

    /// The settings of the API, for a server that listens at `local_url`.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) fails.
    pub fn for_api(&self, deployment_id: Uuid, local_url: &Url) -> Result<usher_api::Settings> {
        let access_url = self.network.access_url.as_ref().unwrap_or(local_url);
        Ok(usher_api::Settings {
            deployment_id,
            access_url: access_url.clone(),
            build_version: self.network.build_version.clone(),
            session_duration: time_delta(self.sessions.session_duration)?,
            default_token_lifetime: time_delta(self.sessions.default_token_lifetime)?,
            max_token_lifetime: time_delta(self.sessions.max_token_lifetime)?,
            max_admin_token_lifetime: time_delta(self.sessions.max_admin_token_lifetime)?,
            refresh_sessions: !self.sessions.disable_session_expiry_refresh,
            password_auth: !self.sign_in.disable_password_auth,
            secure_auth_cookie: self
                .sign_in
                .secure_auth_cookie
                .unwrap_or(access_url.scheme() == "https"),
            same_site_auth_cookie: self.sign_in.samesite_auth_cookie,
            terms_of_service_url: self
                .sign_in
                .terms_of_service_url
                .clone()
                .unwrap_or_default(),
            ssh_key_algorithm: self.secrets.ssh_keygen_algorithm,
            hash_cost: self.secrets.hash_cost()?,
            notification_method: self.notifications.notifications_method,
            rate_limits: self.limits.rates(),
            allow_all_cors: self.proxies.dangerous_allow_cors_requests,
            trusted_proxies: self.proxies.proxy_trusted_origins.clone(),
            forwarding_headers: self.proxies.proxy_trusted_headers.clone(),
            max_body_bytes: self.limits.max_body_size,
            request_timeout: self.limits.request_timeout,
        })
    }
}

fn time_delta(duration: Duration) -> Result<TimeDelta> {
    TimeDelta::from_std(duration).context("a duration is too long")
}

#[cfg(test)]
mod tests;
