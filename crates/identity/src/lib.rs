//! Signing in elsewhere: clients of GitHub and of OpenID providers behind one trait.
//!
//! A provider is asked three things: where to send a browser ([`IdentityProvider::authorization_url`]),
//! who came back with a code ([`IdentityProvider::identify`]), and for fresh tokens
//! ([`IdentityProvider::refresh`]). Which user that is, and whether they may come in, is
//! decided by who asks.
//!
//! Making a client connects to nothing, so a provider that is down stops nobody from
//! starting; what is to know of it is learned when it is first needed, and kept.
//!
//! One more provider is one more file with an implementation of [`IdentityProvider`]; OAuth
//! itself is in `oauth.rs`, the bounds on what others may send in `http.rs`.

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
