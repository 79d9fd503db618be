//! Clients of the fake provider, and sign-ins with them.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;
use usher_domain::{external_login::ExternalIdentity, time::SystemClock};
use usher_fake_provider::FakeProvider;
use usher_identity::{
    Flow, GitHub, GithubSettings, IdentifyError, IdentityProvider, OidcSettings, OpenIdConnect,
};

pub(crate) const CLIENT_ID: &str = "usher-client";
pub(crate) const CLIENT_SECRET: &str = "very-secret-of-the-client";
pub(crate) const CODE: &str = "very-secret-code";
pub(crate) const VERIFIER: &str = "very-secret-verifier-of-forty-three-letters";

pub(crate) fn flow() -> Flow {
    Flow {
        state: "StateOfThirtyTwoLettersAndDigits".to_owned(),
        code_verifier: VERIFIER.into(),
        nonce: "nonce-of-this-flow".to_owned(),
    }
}

pub(crate) fn redirect_url() -> Url {
    "https://usher.example.com/back".parse().unwrap()
}

pub(crate) async fn fake() -> FakeProvider {
    FakeProvider::start().await.unwrap()
}

pub(crate) fn oidc_settings(provider: &FakeProvider) -> OidcSettings {
    OidcSettings::new(
        format!("{}/oidc", provider.url()),
        CLIENT_ID,
        CLIENT_SECRET.into(),
        redirect_url(),
    )
}

pub(crate) fn oidc(settings: OidcSettings) -> OpenIdConnect {
    OpenIdConnect::new(settings, Arc::new(SystemClock)).unwrap()
}

pub(crate) fn github_settings(provider: &FakeProvider) -> GithubSettings {
    GithubSettings {
        enterprise_base_url: Some(provider.url().parse().unwrap()),
        ..GithubSettings::new(CLIENT_ID, CLIENT_SECRET.into(), redirect_url())
    }
}

pub(crate) fn github(settings: GithubSettings) -> GitHub {
    GitHub::new(settings, Arc::new(SystemClock)).unwrap()
}

/// A provider at which a browser has started [`flow`].
pub(crate) struct SignIn<P> {
    pub(crate) provider: FakeProvider,
    pub(crate) client: P,
}

impl SignIn<OpenIdConnect> {
    pub(crate) async fn oidc() -> Self {
        Self::oidc_with(|_| {}).await
    }

    pub(crate) async fn oidc_with(change: impl FnOnce(&mut OidcSettings)) -> Self {
        let provider = fake().await;
        let mut settings = oidc_settings(&provider);
        change(&mut settings);
        Self::started(provider, oidc(settings)).await
    }

    /// The identity for an ID token with these claims.
    pub(crate) async fn with_claims(
        &self,
        claims: Value,
    ) -> Result<ExternalIdentity, IdentifyError> {
        self.changed(json!({"oidc": {"claims": claims}})).await
    }
}

impl SignIn<GitHub> {
    pub(crate) async fn github_with(change: impl FnOnce(&mut GithubSettings)) -> Self {
        let provider = fake().await;
        let mut settings = github_settings(&provider);
        change(&mut settings);
        Self::started(provider, github(settings)).await
    }

    pub(crate) async fn open() -> Self {
        Self::github_with(|settings| settings.allow_everyone = true).await
    }
}

impl<P: IdentityProvider> SignIn<P> {
    async fn started(provider: FakeProvider, client: P) -> Self {
        let url = client.authorization_url(&flow()).await.unwrap();
        provider
            .control(&json!({"authorize": url.as_str()}))
            .unwrap();
        Self { provider, client }
    }

    /// The identity after this change of the provider.
    pub(crate) async fn changed(&self, change: Value) -> Result<ExternalIdentity, IdentifyError> {
        self.provider.control(&change).unwrap();
        self.identify().await
    }

    pub(crate) async fn identify(&self) -> Result<ExternalIdentity, IdentifyError> {
        let result = self.client.identify(&CODE.into(), &flow()).await;
        if let Err(error) = &result {
            require_no_secret(&format!("{error} {error:?}"));
        }
        result
    }
}

/// The detail of an unusable identity.
pub(crate) fn detail(result: Result<ExternalIdentity, IdentifyError>) -> String {
    match result {
        Err(IdentifyError::Unusable {
            detail: Some(detail),
            ..
        }) => detail,
        other => panic!("no detail: {other:?}"),
    }
}

pub(crate) fn require_no_secret(text: &str) {
    for secret in [
        CLIENT_SECRET,
        CODE,
        VERIFIER,
        "refresh-",
        "oidc-",
        "github-",
    ] {
        assert!(!text.contains(secret), "{secret} is in: {text}");
    }
}

pub(crate) fn secret(text: &SecretString) -> &str {
    use secrecy::ExposeSecret as _;
    text.expose_secret()
}
