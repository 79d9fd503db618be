//! What an OpenID provider publishes (OpenID Connect Discovery 1.0).

use chrono::{DateTime, Utc};
use http::{Method, Request, header};
use oauth2::{AuthType, HttpResponse};
use serde::Deserialize;
use url::Url;

use super::settings::OidcSettings;
use crate::{
    ProviderError,
    http::{HttpClient, told_time},
    jwt::KeySet,
    setup::below,
};

/// Where a provider is asked what, as it says itself.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    #[serde(default)]
    pub(super) userinfo_endpoint: Option<Url>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// How this service proves itself: by HTTP Basic, unless the provider takes only fields
    /// of the form.
    pub(super) fn auth_type(&self) -> AuthType {
        let takes = |method: &str| {
            self.token_endpoint_auth_methods_supported
                .as_ref()
                .is_some_and(|all| all.iter().any(|name| name == method))
        };
        if takes("client_secret_post") && !takes("client_secret_basic") {
            AuthType::RequestBody
        } else {
            AuthType::BasicAuth
        }
    }

    fn is_callable(&self) -> bool {
        [
            Some(&self.authorization_endpoint),
            Some(&self.token_endpoint),
            Some(&self.jwks_uri),
            self.userinfo_endpoint.as_ref(),
        ]
        .into_iter()
        .flatten()
        .all(|url| matches!(url.scheme(), "http" | "https"))
    }
}

pub(super) async fn fetch_metadata(
    http: &HttpClient,
    settings: &OidcSettings,
) -> Result<Metadata, ProviderError> {
    let failed = |reason: &str| {
        ProviderError::Unavailable(format!("the metadata of {}: {reason}", settings.issuer_url))
    };
    let issuer = Url::parse(&settings.issuer_url).map_err(|_| failed("it is no URL"))?;
    let url = below(&issuer, [".well-known", "openid-configuration"]);
    let answer = fetch(http, &url).await.map_err(|reason| failed(&reason))?;
    let metadata: Metadata = serde_json::from_slice(answer.body())
        .map_err(|_| failed("the answer is not what an OpenID provider publishes"))?;
    if !metadata.is_callable() {
        return Err(failed("its addresses must begin with https:// or http://"));
    }
    if metadata.issuer != settings.issuer_url && !settings.skip_issuer_checks {
        return Err(failed(&format!(
            "it calls itself {}, and the setting must be the same to the letter",
            metadata.issuer
        )));
    }
    Ok(metadata)
}

pub(super) async fn fetch_keys(
    http: &HttpClient,
    metadata: &Metadata,
) -> Result<KeySet, ProviderError> {
    fetch_keys_and_time(http, metadata)
        .await
        .map(|(keys, _)| keys)
}

/// Whether there is a key that tokens can be verified with. Returns the provider's time.
pub(super) async fn check_keys(
    http: &HttpClient,
    metadata: &Metadata,
) -> Result<Option<DateTime<Utc>>, ProviderError> {
    let (keys, time) = fetch_keys_and_time(http, metadata).await?;
    if keys.has_usable_key() {
        Ok(time)
    } else {
        Err(no_keys(metadata, "none of them can verify a token"))
    }
}

async fn fetch_keys_and_time(
    http: &HttpClient,
    metadata: &Metadata,
) -> Result<(KeySet, Option<DateTime<Utc>>), ProviderError> {
    let answer = fetch(http, &metadata.jwks_uri)
        .await
        .map_err(|reason| no_keys(metadata, &reason))?;
    let keys = KeySet::parse(answer.body())
        .ok_or_else(|| no_keys(metadata, "the answer is no set of keys"))?;
    Ok((keys, told_time(answer.headers())))
}

fn no_keys(metadata: &Metadata, reason: &str) -> ProviderError {
    ProviderError::Unavailable(format!("the keys of {}: {reason}", metadata.issuer))
}

async fn fetch(http: &HttpClient, url: &Url) -> Result<HttpResponse, String> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(url.as_str())
        .header(header::ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|error| error.to_string())?;
    http.succeed(request)
        .await
        .map_err(|error| error.to_string())
}
