//! Metadata and keys of OpenID providers (OpenID Connect Discovery 1.0).

use chrono::{DateTime, Utc};
use http::{Method, Request, header};
use oauth2::{AuthType, HttpResponse};
use serde::Deserialize;
use url::Url;

use super::settings::OidcSettings;
use crate::{
    ProviderError,
    http::{HttpClient, response_time},
    jwt::KeySet,
    setup::join,
};

/// The metadata of a provider.
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
    /// The client authentication method: HTTP Basic unless the provider only supports form
    /// fields.
    pub(super) fn auth_type(&self) -> AuthType {
        let supports = |method: &str| {
            self.token_endpoint_auth_methods_supported
                .as_ref()
                .is_some_and(|all| all.iter().any(|name| name == method))
        };
        if supports("client_secret_post") && !supports("client_secret_basic") {
            AuthType::RequestBody
        } else {
            AuthType::BasicAuth
        }
    }

    fn has_web_urls(&self) -> bool {
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
    let issuer = Url::parse(&settings.issuer_url).map_err(|_| failed("it is not a URL"))?;
    let url = join(&issuer, [".well-known", "openid-configuration"]);
    let response = fetch(http, &url).await.map_err(|reason| failed(&reason))?;
    let metadata: Metadata = serde_json::from_slice(response.body())
        .map_err(|_| failed("the response is not the metadata of an OpenID provider"))?;
    if !metadata.has_web_urls() {
        return Err(failed("its URLs must start with https:// or http://"));
    }
    if metadata.issuer != settings.issuer_url && !settings.skip_issuer_checks {
        return Err(failed(&format!(
            "its issuer is {}, which must be exactly the issuer URL in the settings",
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

/// Checks that there is a usable key. Returns the provider's time.
pub(super) async fn check_keys(
    http: &HttpClient,
    metadata: &Metadata,
) -> Result<Option<DateTime<Utc>>, ProviderError> {
    let (keys, time) = fetch_keys_and_time(http, metadata).await?;
    if keys.has_usable_key() {
        Ok(time)
    } else {
        Err(no_keys(metadata, "none of them can verify tokens"))
    }
}

async fn fetch_keys_and_time(
    http: &HttpClient,
    metadata: &Metadata,
) -> Result<(KeySet, Option<DateTime<Utc>>), ProviderError> {
    let response = fetch(http, &metadata.jwks_uri)
        .await
        .map_err(|reason| no_keys(metadata, &reason))?;
    let keys = KeySet::parse(response.body())
        .ok_or_else(|| no_keys(metadata, "the response is not a JSON Web Key Set"))?;
    Ok((keys, response_time(response.headers())))
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
