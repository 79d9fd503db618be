//! Clients of identity providers, GitHub and OpenID Connect, behind one trait.
//!
//! A client builds the URL that starts a sign-in ([`IdentityProvider::authorization_url`]),
//! exchanges the code for the user's identity ([`IdentityProvider::identify`]) and refreshes
//! tokens ([`IdentityProvider::refresh`]). The caller maps the identity to a user and decides
//! whether they may sign in.
//!
//! Creating a client does not connect to the provider, so that an outage does not prevent the
//! start. Metadata and keys are fetched when they are needed first, and cached.
//!
//! To add a provider, implement [`IdentityProvider`] in a new file. OAuth is in `oauth.rs`, the
//! limits on responses are in `http.rs`.

mod cached;
mod github;
mod http;
mod jwt;
mod oauth;
mod oidc;
mod provider;
mod setup;

pub use github::{GitHub, GithubSettings};
pub use oidc::{ClaimsSource, EmailVerification, OidcSettings, OpenIdConnect};
pub use provider::{
    DeviceAuthorization, Flow, IdentifyError, IdentityProvider, ProviderError, RefreshError,
};
pub use setup::{SettingFault, SetupError};

#[cfg(feature = "mock")]
pub use provider::MockIdentityProvider;
