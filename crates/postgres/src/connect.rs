//! Parsing a connection URL and opening a connection.
//!
//! Accepts libpq's connection strings, as URLs or `key=value` pairs, with `sslmode`
//! (`disable`, `prefer`, which is the default, `require`, `verify-ca`, `verify-full`) and
//! `sslrootcert` (a file, or `system`). A `host` that begins with `/` is the directory of
//! a Unix socket, which never uses TLS.

use std::{path::PathBuf, str::FromStr, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Client, Config, Connection, Socket,
    config::{Host, SslMode},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;
use usher_domain::error_chain;

use crate::{
    PgError,
    tls::{self, Verification},
};

/// The oldest supported major version of Postgres.
pub const MINIMUM_MAJOR: u32 = 13;

#[cfg(test)]
mod tests;

type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// Where and how to connect.
#[derive(Clone)]
pub(crate) struct Target {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Target {
    /// Parses a connection URL.
    pub(crate) fn parse(url: &str, application_name: &str) -> Result<Self, PgError> {
        let (url, tls) = TlsSettings::take_from(url)?;
        // Errors must not contain the URL, which may contain a password.
        let mut config = Config::from_str(&url)
            .map_err(|error| PgError::Configuration(error_chain::to_string(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(PgError::Configuration("the URL has no host".to_owned()));
        }
        if config.get_application_name().is_none() {
            config.application_name(application_name);
        }
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        if config.get_hosts().iter().all(is_local) {
            config.ssl_mode(SslMode::Disable);
        } else if let Some(mode) = tls.mode {
            config.ssl_mode(mode);
        }
        let tls = tls::connector(tls.verification, tls.root_certificates.as_deref())?;
        Ok(Self { config, tls })
    }

    /// Sets `statement_timeout`, and disables JIT compilation and parallel queries, which
    /// make statements slower when all cores are busy. Uses startup options, since `SET`
    /// does not persist behind PgBouncer.
    pub(crate) fn limit_statements(&mut self, timeout: Duration) {
        let milliseconds = timeout.as_millis();
        self.set(&format!(
            "-c statement_timeout={milliseconds} -c jit=off \
             -c max_parallel_workers_per_gather=0"
        ));
    }

    /// Makes the server use index lookups and generic plans. By default it would plan
    /// each lookup anew, which takes longer than the lookup itself, or choose sequential
    /// scans while tables are small.
    pub(crate) fn optimize_for_lookups(&mut self) {
        self.set(
            "-c plan_cache_mode=force_generic_plan \
             -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off",
        );
    }

    /// Sets TCP keepalives that detect a lost idle connection within two minutes.
    pub(crate) fn detect_lost_connection(&mut self) {
        self.config
            .keepalives_idle(Duration::from_mins(1))
            .keepalives_interval(Duration::from_secs(15))
            .keepalives_retries(4);
    }

    /// Sets startup options. Options in the URL take precedence.
    fn set(&mut self, options: &str) {
        let own = self.config.get_options().unwrap_or_default();
        let options = format!("{options} {own}");
        self.config.options(options.trim_end());
    }

    /// Opens a connection.
    pub(crate) async fn open(&self) -> Result<(Client, Connection<Socket, Stream>), PgError> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        match connection.parameter("server_version") {
            Some(version) if !is_supported(version) => Err(PgError::ServerTooOld {
                found: version.to_owned(),
            }),
            _ => Ok((client, connection)),
        }
    }
}

/// Whether a version, such as `15.4 (Debian 15.4-1)` or `17beta1`, is supported. Versions
/// that cannot be parsed, from servers compatible with Postgres, are accepted.
fn is_supported(version: &str) -> bool {
    let digits = version.find(|c: char| !c.is_ascii_digit());
    let major: Option<u32> = version[..digits.unwrap_or(version.len())].parse().ok();
    major.is_none_or(|major| major >= MINIMUM_MAJOR)
}

/// The TLS settings of a connection URL.
#[derive(Debug, PartialEq, Eq)]
struct TlsSettings {
    mode: Option<SslMode>,
    verification: Verification,
    root_certificates: Option<PathBuf>,
}

impl TlsSettings {
    /// Removes the settings that tokio-postgres does not support from the URL.
    fn take_from(url: &str) -> Result<(String, Self), PgError> {
        let mut words = Vec::new();
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let rest = if is_url {
            take_from_query(url, &mut words)?
        } else {
            take_from_words(url, &mut words)
        };
        let mut settings = Self {
            mode: None,
            verification: Verification::Nothing,
            root_certificates: None,
        };
        let mut has_root = false;
        for (key, value) in words {
            if key == "sslmode" {
                settings.set_mode(&value)?;
            } else {
                has_root = true;
                settings.root_certificates = (value != "system").then(|| value.into());
            }
        }
        // As in libpq, `sslrootcert` turns `require` into `verify-ca`.
        if has_root
            && settings.mode == Some(SslMode::Require)
            && settings.verification == Verification::Nothing
        {
            settings.verification = Verification::Authority;
        }
        Ok((rest, settings))
    }

    fn set_mode(&mut self, word: &str) -> Result<(), PgError> {
        let (mode, verification) = match word {
            "disable" => (SslMode::Disable, Verification::Nothing),
            "allow" | "prefer" => (SslMode::Prefer, Verification::Nothing),
            "require" => (SslMode::Require, Verification::Nothing),
            "verify-ca" => (SslMode::Require, Verification::Authority),
            "verify-full" => (SslMode::Require, Verification::AuthorityAndName),
            _ => {
                let rule = "sslmode must be disable, prefer, require, verify-ca or verify-full";
                return Err(PgError::Configuration(rule.to_owned()));
            }
        };
        self.mode = Some(mode);
        self.verification = verification;
        Ok(())
    }
}

fn is_ours(key: &str) -> bool {
    matches!(key, "sslmode" | "sslrootcert")
}

fn take_from_query(url: &str, taken: &mut Vec<(String, String)>) -> Result<String, PgError> {
    let Some((base, query)) = url.split_once('?') else {
        return Ok(url.to_owned());
    };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some((key, value)) if is_ours(key) => {
                let value = percent_decode_str(value).decode_utf8().map_err(|_| {
                    PgError::Configuration(format!("{key} in the URL must be UTF-8"))
                })?;
                taken.push((key.to_owned(), value.into_owned()));
            }
            _ => rest.push(pair),
        }
    }
    if rest.is_empty() {
        return Ok(base.to_owned());
    }
    Ok(format!("{base}?{}", rest.join("&")))
}

/// Values with spaces or escaped quotes are not supported for these two keys.
fn take_from_words(text: &str, taken: &mut Vec<(String, String)>) -> String {
    let mut rest = Vec::new();
    for word in text.split_whitespace() {
        match word.split_once('=') {
            Some((key, value)) if is_ours(key) => {
                taken.push((key.to_owned(), value.trim_matches('\'').to_owned()));
            }
            _ => rest.push(word),
        }
    }
    rest.join(" ")
}
