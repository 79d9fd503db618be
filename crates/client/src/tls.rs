//! Verification of servers' certificates.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::Error;

/// TLS that trusts the system's certificates.
pub(crate) fn trusting_the_machine() -> Result<ClientConfig, Error> {
    let builder = builder()?.with_platform_verifier().map_err(tls_error)?;
    Ok(builder.with_no_client_auth())
}

/// TLS that trusts no certificate, for base URLs without TLS. It works on machines without
/// certificates.
pub(crate) fn unused() -> Result<ClientConfig, Error> {
    Ok(builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    // Does not install a default provider, since that is the program's choice.
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(ring::default_provider()));
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls_error)
}

fn tls_error(error: rustls::Error) -> Error {
    Error::Tls(error.into())
}
