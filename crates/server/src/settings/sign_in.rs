//! The settings of sessions, tokens, sign-in, passwords and SSH keys.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use usher_api::SameSite;
use usher_domain::{password_hash::HashCost, ssh_key::SshKeyAlgorithm};

use super::{boolean::BooleanArg as _, parse};
use crate::duration;

/// The lifetimes of credentials.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sessions and tokens")]
pub struct SessionSettings {
    /// How long a browser session is valid after its last use.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "24h",
        value_parser = duration::parse_positive
    )]
    pub session_duration: Duration,

    /// Do not extend sessions when they are used.
    #[arg(long, boolean())]
    pub disable_session_expiry_refresh: bool,

    /// The default lifetime of tokens, and the lifetime of command-line sessions.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "168h",
        value_parser = duration::parse_positive
    )]
    pub default_token_lifetime: Duration,

    /// The maximum lifetime of tokens.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "876600h",
        value_parser = duration::parse_positive
    )]
    pub max_token_lifetime: Duration,

    /// The maximum lifetime of tokens of owners.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "168h",
        value_parser = duration::parse_positive
    )]
    pub max_admin_token_lifetime: Duration,
}

/// How users sign in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sign-in")]
pub struct SignInSettings {
    /// Disable sign-in with a password.
    #[arg(long, boolean())]
    pub disable_password_auth: bool,

    /// Set the `Secure` attribute of cookies, so that browsers send them over TLS only. By
    /// default true if the access URL is `https`.
    #[arg(long, optional_boolean())]
    pub secure_auth_cookie: Option<bool>,

    /// The `SameSite` attribute of cookies: `lax`, or `none`, which browsers accept for secure
    /// cookies only.
    #[arg(
        long,
        value_name = "lax|none",
        default_value = "lax",
        value_parser = parse::same_site
    )]
    pub samesite_auth_cookie: SameSite,

    /// The URL of the terms of service, which users accept by signing in.
    #[arg(long, value_name = "URL")]
    pub terms_of_service_url: Option<String>,
}

/// How passwords are hashed and SSH keys generated.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Passwords and SSH keys")]
pub struct SecretSettings {
    /// The algorithm of new SSH keys: `ed25519`, `ecdsa` or `rsa4096`.
    #[arg(
        long,
        value_name = "ALGORITHM",
        default_value = "ed25519",
        value_parser = parse::ssh_key_algorithm
    )]
    pub ssh_keygen_algorithm: SshKeyAlgorithm,

    /// The memory cost of password hashes (Argon2id), in KiB. Existing hashes are upgraded at
    /// the next sign-in.
    #[arg(long, value_name = "KIB", default_value = "19456", value_parser = parse::number)]
    pub password_hash_memory: u32,

    /// The number of passes of password hashes (Argon2id).
    #[arg(long, value_name = "NUMBER", default_value = "2", value_parser = parse::number)]
    pub password_hash_passes: u32,
}

impl SecretSettings {
    /// The cost of password hashes.
    ///
    /// # Errors
    ///
    /// If the parameters are outside of the ranges of RFC 9106.
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
                 --password-hash-passes (USHER_PASSWORD_HASH_PASSES) {} are not valid Argon2id \
                 parameters: {reason}",
                cost.memory_kib,
                cost.passes
            ),
        }
    }
}
