//! What handlers work with: the stores, the doors to time and chance, and the settings.

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::extract::FromRef;
use chrono::TimeDelta;
use ipnet::IpNet;
use url::Url;
use usher_domain::{
    notification::NotificationMethod, password_hash::HashCost, random::Random,
    ssh_key::SshKeyAlgorithm, time::Clock,
};
use usher_store::{
    ApiKeyStore, AuditLogStore, AuditStore, BuildParameterStore, ExternalLoginStore,
    NotificationStore, OrganizationStore, SessionStore, SettingsStore, SigningKeyStore, SiteStore,
    SshKeyStore, UserStore,
};
use uuid::Uuid;

use crate::{
    Background, Providers,
    hashing::Hasher,
    limits::{Limits, RateLimits},
    renewal::Renewals,
};

/// Everything that handlers work with. They ask for the parts that they use. A clone shares
/// them, and costs next to nothing: each request makes dozens.
#[derive(Clone)]
pub struct AppState(Arc<AppParts>);

/// What an [`AppState`] is made of.
pub struct AppParts {
    /// Users.
    pub users: Arc<dyn UserStore>,
    /// Credentials, signing in and out.
    pub sessions: Arc<dyn SessionStore>,
    /// Accounts elsewhere that people sign in with.
    pub external_logins: Arc<dyn ExternalLoginStore>,
    /// Keys and tokens.
    pub api_keys: Arc<dyn ApiKeyStore>,
    /// Organizations and members.
    pub organizations: Arc<dyn OrganizationStore>,
    /// SSH keys.
    pub ssh_keys: Arc<dyn SshKeyStore>,
    /// What users set for themselves.
    pub user_settings: Arc<dyn SettingsStore>,
    /// Values that users gave before.
    pub build_parameters: Arc<dyn BuildParameterStore>,
    /// Templates, preferences and messages.
    pub notifications: Arc<dyn NotificationStore>,
    /// The keys that the service signs with.
    pub signing_keys: Arc<dyn SigningKeyStore>,
    /// The log of refused and failed calls.
    pub audit: Arc<dyn AuditStore>,
    /// The audit log, to be read.
    pub audit_log: Arc<dyn AuditLogStore>,
    /// The deployment as a whole.
    pub site: Arc<dyn SiteStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// How many calls are taken from whom.
    pub limits: RateLimits,
    /// Where passwords are hashed.
    pub hasher: Hasher,
    /// The providers that people sign in through.
    pub providers: Arc<Providers>,
    /// Whose access to a provider is being renewed.
    pub renewals: Renewals,
    /// What no answer waits for.
    pub background: Background,
    /// How the deployment is set up.
    pub settings: Arc<Settings>,
}

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

/// Lets handlers ask for the parts by their types.
macro_rules! parts {
    ($($field:ident: $part:ty,)*) => {
        $(impl FromRef<AppState> for $part {
            fn from_ref(state: &AppState) -> Self {
                state.$field.clone()
            }
        })*
    };
}

parts! {
    users: Arc<dyn UserStore>,
    sessions: Arc<dyn SessionStore>,
    api_keys: Arc<dyn ApiKeyStore>,
    organizations: Arc<dyn OrganizationStore>,
    ssh_keys: Arc<dyn SshKeyStore>,
    user_settings: Arc<dyn SettingsStore>,
    build_parameters: Arc<dyn BuildParameterStore>,
    notifications: Arc<dyn NotificationStore>,
    signing_keys: Arc<dyn SigningKeyStore>,
    audit: Arc<dyn AuditStore>,
    audit_log: Arc<dyn AuditLogStore>,
    site: Arc<dyn SiteStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    limits: RateLimits,
    hasher: Hasher,
    providers: Arc<Providers>,
    settings: Arc<Settings>,
}

impl AppState {
    /// The state over one store that implements every trait, with the clock and the
    /// randomness of the machine, and with the providers that people sign in through.
    pub fn new<S>(store: Arc<S>, providers: Providers, settings: Settings) -> Self
    where
        S: UserStore
            + SessionStore
            + ExternalLoginStore
            + ApiKeyStore
            + OrganizationStore
            + SshKeyStore
            + SettingsStore
            + BuildParameterStore
            + NotificationStore
            + SigningKeyStore
            + AuditStore
            + AuditLogStore
            + SiteStore
            + 'static,
    {
        AppParts {
            users: store.clone(),
            sessions: store.clone(),
            external_logins: store.clone(),
            api_keys: store.clone(),
            organizations: store.clone(),
            ssh_keys: store.clone(),
            user_settings: store.clone(),
            build_parameters: store.clone(),
            notifications: store.clone(),
            signing_keys: store.clone(),
            audit: store.clone(),
            audit_log: store.clone(),
            site: store,
            clock: Arc::new(usher_domain::time::SystemClock),
            random: Arc::new(usher_domain::random::SystemRandom),
            limits: RateLimits::new(settings.rate_limits),
            hasher: Hasher::start(settings.hash_cost),
            providers: Arc::new(providers),
            renewals: Renewals::default(),
            background: Background::default(),
            settings: Arc::new(settings),
        }
        .into()
    }
}

/// How the deployment is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The identifier of the deployment.
    pub deployment_id: Uuid,
    /// Where clients reach the server; the base of links.
    pub access_url: Url,
    /// The version of the API that is spoken, with a leading `v`. Clients compare it with
    /// their own.
    pub build_version: String,
    /// How long sessions of browsers live.
    pub session_duration: TimeDelta,
    /// How long sessions of the command line live, and tokens that ask for nothing else.
    pub default_token_lifetime: TimeDelta,
    /// The longest that tokens may live.
    pub max_token_lifetime: TimeDelta,
    /// The longest that tokens of owners may live.
    pub max_admin_token_lifetime: TimeDelta,
    /// Whether use extends keys.
    pub refresh_sessions: bool,
    /// Whether people sign in by password.
    pub password_auth: bool,
    /// Whether cookies are sent over TLS only.
    pub secure_auth_cookie: bool,
    /// Which requests of other sites carry the cookies.
    pub same_site_auth_cookie: SameSite,
    /// Where the terms of service are; empty is none.
    pub terms_of_service_url: String,
    /// The kind of new SSH keys.
    pub ssh_key_algorithm: SshKeyAlgorithm,
    /// How messages are delivered whose template is not set to a way.
    pub notification_method: NotificationMethod,
    /// How many calls are taken in a minute.
    pub rate_limits: Limits,
    /// What hashing a password costs.
    pub hash_cost: HashCost,
    /// Whether pages of every origin may read answers.
    pub allow_all_cors: bool,
    /// The proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The headers in which those proxies name the client's address.
    pub forwarding_headers: Vec<http::HeaderName>,
    /// The longest body that is read, in bytes.
    pub max_body_bytes: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
}

/// Which requests of other sites carry a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Following a link only.
    #[default]
    Lax,
    /// All of them.
    None,
}

impl Default for Settings {
    /// The settings of a deployment that sets none.
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
