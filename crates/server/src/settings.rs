//! The settings: one struct per section, one field per setting.
//!
//! A field is a flag (`--http-address`) and an environment variable (`USHER_HTTP_ADDRESS`); its
//! doc comment is the text of `--help` and of `docs/configuration.md`. Where Coder has a
//! setting, ours has its name, format and default.
//!
//! The value parsers are in `parse.rs`; settings that depend on one another are checked in
//! [`ServerSettings::check`].

use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use clap::Args;
use url::Url;
use usher_api::SameSite;
use uuid::Uuid;

mod boolean;
mod database;
mod log;
mod network;
mod notifications;
mod parse;
mod providers;
mod sign_in;

pub use database::DatabaseSettings;
pub use log::{LogFormat, LogSettings};
pub use network::{HttpAddress, LimitSettings, NetworkSettings, ProxySettings};
pub use notifications::NotificationSettings;
pub use providers::{GithubSettings, NumberedOidcSettings, OidcSettings, ProviderSettings};
pub use sign_in::{SecretSettings, SessionSettings, SignInSettings};

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
    /// Sign-in.
    #[command(flatten)]
    pub sign_in: SignInSettings,
    /// Identity providers.
    #[command(flatten)]
    pub providers: ProviderSettings,
    /// Passwords and SSH keys.
    #[command(flatten)]
    pub secrets: SecretSettings,
    /// Proxies and CORS.
    #[command(flatten)]
    pub proxies: ProxySettings,
    /// Limits.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// Notifications.
    #[command(flatten)]
    pub notifications: NotificationSettings,
    /// Logging.
    #[command(flatten)]
    pub log: LogSettings,
}

impl ServerSettings {
    /// Checks the settings that depend on one another. Returns warnings for the operator.
    ///
    /// # Errors
    ///
    /// If the server cannot run with these settings.
    pub fn check(&self) -> Result<Vec<String>> {
        self.secrets.hash_cost()?;
        let placeholder = Url::parse("http://localhost").context("a URL")?;
        self.providers
            .connect(self.network.access_url.as_ref().unwrap_or(&placeholder))?;
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
                "USHER_SAMESITE_AUTH_COOKIE is none but USHER_SECURE_AUTH_COOKIE is not true: \
                 browsers reject such cookies"
                    .to_owned(),
            );
        }
        let proxies = &self.proxies;
        if proxies.proxy_trusted_headers.is_empty() != proxies.proxy_trusted_origins.is_empty() {
            warnings.push(
                "USHER_PROXY_TRUSTED_HEADERS and USHER_PROXY_TRUSTED_ORIGINS have no effect \
                 without each other: set both or neither"
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
