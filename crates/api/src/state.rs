//! The state that handlers extract: the stores, the clock, the random generator, the settings.

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::extract::FromRef;
use chrono::TimeDelta;
use ipnet::IpNet;
use tokio_util::task::TaskTracker;
use url::Url;
use usher_domain::{
    notification::NotificationMethod,
    password_hash::HashCost,
    random::{Random, SystemRandom},
    ssh_key::SshKeyAlgorithm,
    time::{Clock, SystemClock},
};
use usher_store::{
    ApiKeyStore, AuditLogStore, AuditStore, BuildParameterStore, ExternalLoginStore,
    NotificationStore, OrganizationStore, SessionStore, SettingsStore, SigningKeyStore, SiteStore,
    SshKeyStore, UserStore,
};
use uuid::Uuid;

use crate::{
    Providers,
    hashing::Hasher,
    limits::{Limits, RateLimits},
    renewal::Renewals,
};

/// The state of the API. Handlers extract the parts that they use. Clones share them and are
/// cheap.
#[derive(Clone)]
pub struct AppState(Arc<AppParts>);

impl From<AppParts> for AppState {
    fn from(parts: AppParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

/// Generates, from one list, the struct, the extraction of each part by its type, and the trait
/// of a store that serves as all of them.
macro_rules! app_parts {
    (
        stores { $($(#[$store_doc:meta])* $store:ident: $trait:ident,)* }
        others { $($(#[$other_doc:meta])* $other:ident: $type:ty,)* }
    ) => {
        /// The parts of an [`AppState`].
        pub struct AppParts {
            $($(#[$store_doc])* pub $store: Arc<dyn $trait>,)*
            $($(#[$other_doc])* pub $other: $type,)*
        }

        $(impl FromRef<AppState> for Arc<dyn $trait> {
            fn from_ref(state: &AppState) -> Self {
                state.$store.clone()
            }
        })*
        $(impl FromRef<AppState> for $type {
            fn from_ref(state: &AppState) -> Self {
                state.$other.clone()
            }
        })*

        /// Implements every storage trait.
        pub trait Store: $($trait +)* 'static {}

        impl<S: $($trait +)* 'static> Store for S {}

        impl AppState {
            /// Creates the state from one store, with the system's clock and random generator.
            pub fn new<S: Store>(store: Arc<S>, providers: Providers, settings: Settings) -> Self {
                AppParts {
                    $($store: store.clone(),)*
                    clock: Arc::new(SystemClock),
                    random: Arc::new(SystemRandom),
                    limits: RateLimits::new(settings.rate_limits),
                    hasher: Hasher::start(settings.hash_cost),
                    providers: Arc::new(providers),
                    renewals: Renewals::default(),
                    background: TaskTracker::new(),
                    settings: Arc::new(settings),
                }
                .into()
            }
        }
    };
}

app_parts! {
    stores {
        /// Users.
        users: UserStore,
        /// Credentials, sign-in and sign-out.
        sessions: SessionStore,
        /// Links to accounts at identity providers.
        external_logins: ExternalLoginStore,
        /// API keys and tokens.
        api_keys: ApiKeyStore,
        /// Organizations and members.
        organizations: OrganizationStore,
        /// SSH keys.
        ssh_keys: SshKeyStore,
        /// Settings of users.
        user_settings: SettingsStore,
        /// Values that users entered before.
        build_parameters: BuildParameterStore,
        /// Templates, preferences and messages.
        notifications: NotificationStore,
        /// The keys that the service signs with.
        signing_keys: SigningKeyStore,
        /// Writes the audit rows of failed requests.
        audit: AuditStore,
        /// Reads the audit log.
        audit_log: AuditLogStore,
        /// The deployment as a whole.
        site: SiteStore,
    }
    others {
        /// The clock.
        clock: Arc<dyn Clock>,
        /// The random generator.
        random: Arc<dyn Random>,
        /// The rate limits and their counts.
        limits: RateLimits,
        /// Hashes and verifies passwords.
        hasher: Hasher,
        /// The identity providers.
        providers: Arc<Providers>,
        /// The renewals of access at a provider that are in progress.
        renewals: Renewals,
        /// Tasks that no response waits for, but shutdown does.
        background: TaskTracker,
        /// The settings.
        settings: Arc<Settings>,
    }
}

/// The settings of a deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ID of the deployment.
    pub deployment_id: Uuid,
    /// The URL at which clients reach the server, and the base of links.
    pub access_url: Url,
    /// The announced version of the API, with a leading `v`. Clients compare it with their own.
    pub build_version: String,
    /// The lifetime of browser sessions.
    pub session_duration: TimeDelta,
    /// The lifetime of CLI sessions, and of tokens that request none.
    pub default_token_lifetime: TimeDelta,
    /// The maximum lifetime of tokens.
    pub max_token_lifetime: TimeDelta,
    /// The maximum lifetime of owners' tokens.
    pub max_admin_token_lifetime: TimeDelta,
    /// Whether use extends the lifetime of keys.
    pub refresh_sessions: bool,
    /// Whether users can sign in with a password.
    pub password_auth: bool,
    /// Whether cookies have the attribute `Secure`.
    pub secure_auth_cookie: bool,
    /// The `SameSite` attribute of cookies.
    pub same_site_auth_cookie: SameSite,
    /// The URL of the terms of service; may be empty.
    pub terms_of_service_url: String,
    /// The algorithm of new SSH keys.
    pub ssh_key_algorithm: SshKeyAlgorithm,
    /// The delivery method of notifications whose template sets none.
    pub notification_method: NotificationMethod,
    /// The rate limits.
    pub rate_limits: Limits,
    /// The cost of password hashes.
    pub hash_cost: HashCost,
    /// Whether pages of every origin may read responses to `GET` requests.
    pub allow_all_cors: bool,
    /// The proxies whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The headers with the client's address that those proxies set.
    pub forwarding_headers: Vec<http::HeaderName>,
    /// The maximum size of request bodies, in bytes.
    pub max_body_bytes: usize,
    /// The timeout of requests.
    pub request_timeout: Duration,
}

/// The `SameSite` attribute of cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Sent with top-level navigation from other sites only.
    #[default]
    Lax,
    /// Sent with all requests.
    None,
}

impl Default for Settings {
    /// The default settings.
    fn default() -> Self {
        Self {
            deployment_id: Uuid::nil(),
            access_url: Url::parse("http://127.0.0.1:3000").expect("a URL"),
            build_version: "v2.29.0".to_owned(),
            session_duration: TimeDelta::hours(24),
            default_token_lifetime: TimeDelta::days(7),
            max_token_lifetime: TimeDelta::hours(876_600),
            max_admin_token_lifetime: TimeDelta::days(7),
            refresh_sessions: true,
            password_auth: true,
            secure_auth_cookie: false,
            same_site_auth_cookie: SameSite::Lax,
            terms_of_service_url: String::new(),
            ssh_key_algorithm: SshKeyAlgorithm::Ed25519,
            notification_method: NotificationMethod::Smtp,
            rate_limits: Limits::default(),
            hash_cost: HashCost::default(),
            allow_all_cors: false,
            trusted_proxies: Vec::new(),
            forwarding_headers: Vec::new(),
            max_body_bytes: 1 << 20,
            request_timeout: Duration::from_secs(30),
        }
    }
}
