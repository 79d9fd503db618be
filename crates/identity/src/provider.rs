//! The trait of identity providers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use url::Url;
use usher_domain::{
    LoginType,
    external_login::{ExternalIdentity, ProviderTokens},
};

/// A client of an identity provider.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// The login type of users of the provider.
    fn login_type(&self) -> LoginType;

    /// Whether the link ID shows that the account is one of this provider.
    fn issued(&self, link_id: &str) -> bool;

    /// Whether an account with the link ID may be one of this provider unless another provider
    /// issued it: true for the empty link ID of old links, and for unknown issuers if issuers
    /// are not checked.
    fn may_have_issued(&self, link_id: &str) -> bool;

    /// Whether the device flow (RFC 8628) is used. Then the code of [`identify`](Self::identify)
    /// is a device code.
    fn uses_device_flow(&self) -> bool;

    /// Returns the URL to which a browser is redirected to sign in.
    ///
    /// # Errors
    ///
    /// If the provider's metadata cannot be fetched.
    async fn authorization_url(&self, flow: &Flow) -> Result<Url, ProviderError>;

    /// Starts the device flow.
    async fn authorize_device(&self) -> Result<DeviceAuthorization, ProviderError>;

    /// Exchanges the code for the user's identity. Checks the requirements of the settings:
    /// organizations, teams, groups, and the domain and verification of the e-mail address.
    async fn identify(
        &self,
        code: &SecretString,
        flow: &Flow,
    ) -> Result<ExternalIdentity, IdentifyError>;

    /// Exchanges the refresh token for new tokens. If the provider does not rotate refresh
    /// tokens, the result contains the old one.
    async fn refresh(&self, refresh_token: &SecretString) -> Result<ProviderTokens, RefreshError>;

    /// Checks whether the provider is usable: an OpenID provider must publish its metadata and a
    /// usable key, GitHub's API must respond. Returns the provider's time, if it sends it.
    async fn check(&self) -> Result<Option<DateTime<Utc>>, ProviderError>;
}

/// The parameters of a sign-in at the provider. Verifier and nonce are derived from the state, so
/// that the browser only has to return the state.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The state parameter (RFC 6749, 4.1.1).
    pub state: String,
    /// The code verifier (RFC 7636, 4.1), whose S256 challenge goes to the provider.
    pub code_verifier: SecretString,
    /// The nonce of the ID token (OpenID Connect Core, 3.1.2.1).
    pub nonce: String,
}

/// The response of the device authorization endpoint (RFC 8628, 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// The code with which the device polls.
    pub device_code: String,
    /// The code that the user enters.
    pub user_code: String,
    /// Where the user enters it.
    pub verification_uri: String,
    /// The lifetime of both codes, in seconds.
    pub expires_in: i64,
    /// The minimum time between two polls, in seconds.
    pub interval: i64,
}

/// A failure of the provider, not of the user. The text is for operators and contains no
/// secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No response, or an invalid one.
    #[error("{0}")]
    Unavailable(String),
    /// The provider responded with an OAuth error (RFC 6749, 5.2).
    #[error("{}", description.as_ref().unwrap_or(code))]
    Refused {
        /// The error code.
        code: String,
        /// The error description.
        description: Option<String>,
    },
}

/// Why a user could not be identified, or may not sign in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// The provider failed, or refused the code.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The user has not confirmed the device yet (`authorization_pending`).
    #[error("authorization_pending")]
    Pending,
    /// A required claim is missing or malformed: status 400.
    #[error("{message}")]
    Unusable {
        /// The message for the user.
        message: String,
        /// Details, if any.
        detail: Option<String>,
    },
    /// The group claim is malformed: a page with status 400.
    #[error("{0}")]
    UnusableGroups(String),
    /// The user is not a member of an allowed organization or team: the sign-in page with status
    /// 401.
    #[error("{0}")]
    NotAMember(String),
    /// The e-mail address is not verified or its domain not allowed: status 403.
    #[error("{0}")]
    AddressRefused(String),
    /// The user is not a member of an allowed group: a page with status 403.
    #[error("{0}")]
    NotInGroup(String),
}

/// Why tokens could not be refreshed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The provider rejected the refresh token.
    #[error("{0}")]
    Refused(String),
    /// The provider failed; another attempt may succeed.
    #[error("{0}")]
    Unavailable(String),
}
