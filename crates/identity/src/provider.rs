//! What a provider is asked.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use url::Url;
use usher_domain::{
    LoginType,
    external_login::{ExternalIdentity, ProviderTokens},
};

/// Where people sign in with an account that they have elsewhere.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// How those sign in who come from here.
    fn login_type(&self) -> LoginType;

    /// Whether an account with that identifier is one of this provider's, by the identifier
    /// itself.
    fn issued(&self, link_id: &str) -> bool;

    /// Whether an account with that identifier may be one of this provider's if it is no
    /// other's: an empty identifier, of a link from before there were any, may be anybody's;
    /// so may any of an unknown issuer where issuers are not checked.
    fn may_have_issued(&self, link_id: &str) -> bool;

    /// Whether devices sign in by a code that is typed into another one (RFC 8628). Then
    /// the code of [`identify`](Self::identify) is a device code.
    fn uses_device_flow(&self) -> bool;

    /// Where a browser is sent to sign in.
    ///
    /// # Errors
    ///
    /// If the provider's metadata cannot be had.
    async fn authorization_url(&self, flow: &Flow) -> Result<Url, ProviderError>;

    /// Begins to sign in a device.
    ///
    /// # Errors
    ///
    /// What the provider says, or that it says nothing.
    async fn authorize_device(&self) -> Result<DeviceAuthorization, ProviderError>;

    /// Exchanges the code and says who came with it. All that the provider's settings
    /// demand of a person is checked: organizations, teams, groups, the domain and the
    /// verification of their address.
    ///
    /// # Errors
    ///
    /// Why nobody can be told, or may not come in.
    async fn identify(
        &self,
        code: &SecretString,
        flow: &Flow,
    ) -> Result<ExternalIdentity, IdentifyError>;

    /// Exchanges the refresh token for fresh tokens. The answer has the old refresh token
    /// if the provider gave no new one.
    ///
    /// # Errors
    ///
    /// Whether the provider refused, or could not be asked.
    async fn refresh(&self, refresh_token: &SecretString) -> Result<ProviderTokens, RefreshError>;

    /// Asks the provider for what everybody may know, to tell those who run the service
    /// whether it can be used: an OpenID provider for its metadata and keys, of which one
    /// must be of use, GitHub for an answer as GitHub gives them. Returns the provider's
    /// time, if it tells it.
    ///
    /// # Errors
    ///
    /// What is in the way.
    async fn check(&self) -> Result<Option<DateTime<Utc>>, ProviderError>;
}

/// One attempt to sign in, as the provider sees it. Verifier and nonce follow from the
/// state, so that the state is all that a browser has to bring back.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The state parameter (RFC 6749, 4.1.1).
    pub state: String,
    /// The code verifier (RFC 7636, 4.1), whose S256 challenge goes to the provider.
    pub code_verifier: SecretString,
    /// What the ID token must carry (OpenID Connect Core, 3.1.2.1).
    pub nonce: String,
}

/// What a person needs to let a device in (RFC 8628, 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// What the device asks with.
    pub device_code: String,
    /// What the person types.
    pub user_code: String,
    /// Where they type it.
    pub verification_uri: String,
    /// How long both are good, in seconds.
    pub expires_in: i64,
    /// How long to wait between two questions, in seconds.
    pub interval: i64,
}

/// A provider that could not be asked, or answered what cannot be used: not the fault of
/// the person. The text is for people who run the service and tells no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No answer in time, or none that makes sense.
    #[error("{0}")]
    Unavailable(String),
    /// The provider answered with an OAuth error (RFC 6749, 5.2): its code, and what it
    /// says besides.
    #[error("{}", description.as_ref().unwrap_or(code))]
    Refused {
        /// The error code.
        code: String,
        /// The provider's description of it.
        description: Option<String>,
    },
}

/// Why it cannot be told who came, or why they may not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// The provider could not be asked, or refused the code.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The person has not confirmed the device yet (`authorization_pending`).
    #[error("authorization_pending")]
    Pending,
    /// What the provider says of the person is missing or malformed: an answer of 400.
    #[error("{message}")]
    Unusable {
        /// What is wrong, for the person.
        message: String,
        /// What exactly, where there is more to say.
        detail: Option<String>,
    },
    /// A group claim that is malformed: an answer of 400, as a page.
    #[error("{0}")]
    UnusableGroups(String),
    /// The person is in none of the organizations or teams that are let in: back to the
    /// sign-in page with 401.
    #[error("{0}")]
    NotAMember(String),
    /// The address is not verified or of another domain: an answer of 403.
    #[error("{0}")]
    AddressRefused(String),
    /// The person is in none of the groups that are let in: an answer of 403, as a page.
    #[error("{0}")]
    NotInGroup(String),
}

/// Why there are no fresh tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The provider gives no more for this refresh token.
    #[error("{0}")]
    Refused(String),
    /// The provider could not be asked; another attempt may work.
    #[error("{0}")]
    Unavailable(String),
}
