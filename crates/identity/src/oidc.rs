//! OpenID Connect: the code flow of OpenID Connect Core 1.0 (3.1) with discovery.
//!
//! OAuth is implemented by the `oauth2` crate. ID tokens are not parsed with `openidconnect`: it
//! rejects tokens without `iat` and with standard claims of unexpected types, which real
//! providers send and the reference accepts, and it cannot return the claims unchanged. So
//! `jsonwebtoken` checks signature, audience and times, and this module the rest of section
//! 3.1.3.7 (issuer, authorized party, nonce, subject).

mod claims;
mod discovery;
mod settings;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::{Method, Request, header};
use secrecy::SecretString;
use serde_json::Value;
use url::Url;
use usher_domain::{
    LoginType,
    external_login::{ExternalIdentity, LinkClaims, ProviderTokens},
    time::Clock,
};

pub use self::settings::{ClaimsSource, EmailVerification, OidcSettings};
use self::{
    claims::{Claims, Sources},
    discovery::Metadata,
};
use crate::{
    DeviceAuthorization, Flow, IdentifyError, IdentityProvider, ProviderError, RefreshError,
    SetupError,
    cached::Cached,
    http::HttpClient,
    jwt::{KeySet, TokenFault},
    oauth::{OAuthClient, Registration, TokenResponseBody},
};

/// The maximum length of a subject (OpenID Connect Core, 2), in bytes.
const MAX_SUBJECT: usize = 255;
/// The maximum length of an issuer, in bytes: with the subject it must fit into an index.
const MAX_ISSUER: usize = 1024;

/// A client of an OpenID provider. Metadata and keys are cached for an hour; keys are refreshed
/// for a token that none of them signed.
pub struct OpenIdConnect {
    settings: OidcSettings,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    metadata: Cached<Metadata>,
    keys: Cached<KeySet>,
}

impl OpenIdConnect {
    /// Creates a client. Does not connect yet.
    pub fn new(settings: OidcSettings, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        Ok(Self {
            settings: settings.checked()?,
            http: HttpClient::new()?,
            clock,
            metadata: Cached::new(),
            keys: Cached::new(),
        })
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        self.metadata
            .get(|| discovery::fetch_metadata(&self.http, &self.settings))
            .await
    }

    fn oauth(&self, metadata: &Metadata) -> OAuthClient {
        OAuthClient::new(
            &Registration {
                client_id: &self.settings.client_id,
                client_secret: &self.settings.client_secret,
                redirect_url: &self.settings.redirect_url,
            },
            metadata.authorization_endpoint.clone(),
            metadata.token_endpoint.clone(),
            metadata.auth_type(),
        )
    }

    /// Verifies a token and returns its claims.
    async fn verify(
        &self,
        metadata: &Metadata,
        token: &str,
        message: &str,
    ) -> Result<Claims, IdentifyError> {
        let fetch = || discovery::fetch_keys(&self.http, metadata);
        let audience = &self.settings.client_id;
        let keys = self.keys.get(fetch).await?;
        let mut result = keys.verify(token, audience);
        if result == Err(TokenFault::Signature)
            && let Some(newer) = self.keys.newer(&keys, fetch).await?
        {
            result = newer.verify(token, audience);
        }
        let claims = result.map_err(|fault| {
            let detail = match fault {
                TokenFault::Signature => {
                    "the token is not signed with a key of the provider".to_owned()
                }
                TokenFault::Unusable(reason) => reason,
            };
            unusable(message, &detail)
        })?;
        self.require_issuer(metadata, &claims, message)?;
        Ok(claims)
    }

    fn require_issuer(
        &self,
        metadata: &Metadata,
        claims: &Claims,
        message: &str,
    ) -> Result<(), IdentifyError> {
        let issuer = claims
            .get("iss")
            .and_then(Value::as_str)
            .unwrap_or_default();
        // `|` separates issuer and subject in the link ID.
        if issuer.is_empty() || issuer.len() > MAX_ISSUER || issuer.contains(['\0', '|']) {
            return Err(unusable(message, "the token has no valid issuer"));
        }
        let is_of_another = self.settings.is_other_issuer(issuer);
        if is_of_another || !self.settings.skip_issuer_checks && issuer != metadata.issuer {
            return Err(unusable(
                message,
                "id token issued by a different provider than the configured one",
            ));
        }
        Ok(())
    }

    /// Verifies the ID token, which must belong to the flow, and returns its claims and subject.
    async fn id_token(
        &self,
        metadata: &Metadata,
        token: &str,
        flow: &Flow,
    ) -> Result<(Claims, String), IdentifyError> {
        const MESSAGE: &str = "The identity provider sent an invalid ID token.";
        let claims = self.verify(metadata, token, MESSAGE).await?;
        if let Some(party) = claims.get("azp")
            && party.as_str() != Some(&self.settings.client_id)
        {
            return Err(unusable(MESSAGE, "the token was issued to another client"));
        }
        if claims.get("nonce").and_then(Value::as_str) != Some(&flow.nonce) {
            return Err(unusable(MESSAGE, "the token belongs to another sign-in"));
        }
        let subject = claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if subject.is_empty() {
            return Err(unusable(MESSAGE, "the token has no valid claim sub"));
        }
        if subject.len() > MAX_SUBJECT || subject.contains('\0') {
            return Err(unusable(
                MESSAGE,
                "the claim sub is longer than 255 bytes or contains NUL",
            ));
        }
        let subject = subject.to_owned();
        Ok((claims, subject))
    }

    /// The claims of the second source, if there is one. They must have the same subject.
    async fn secondary_claims(
        &self,
        metadata: &Metadata,
        response: &TokenResponseBody,
        subject: &str,
    ) -> Result<Option<Claims>, IdentifyError> {
        let is_of_subject =
            |claims: &Claims| claims.get("sub").and_then(Value::as_str) == Some(subject);
        match (self.settings.claims_source, &metadata.userinfo_endpoint) {
            (ClaimsSource::IdTokenOnly, _) | (ClaimsSource::UserInfo, None) => Ok(None),
            (ClaimsSource::UserInfo, Some(endpoint)) => {
                let claims = self
                    .user_info(endpoint, response.access_token_text())
                    .await?;
                if !is_of_subject(&claims) {
                    return Err(unusable(
                        "The identity provider sent invalid user information.",
                        "its subject is not that of the ID token",
                    ));
                }
                Ok(Some(claims))
            }
            (ClaimsSource::AccessToken, _) => {
                const MESSAGE: &str = "The identity provider sent an invalid access token.";
                let token = response.access_token_text();
                let claims = self.verify(metadata, token, MESSAGE).await?;
                if !is_of_subject(&claims) {
                    return Err(unusable(MESSAGE, "its subject is not that of the ID token"));
                }
                Ok(Some(claims))
            }
        }
    }

    async fn user_info(&self, endpoint: &Url, access_token: &str) -> Result<Claims, ProviderError> {
        let failed = |reason: &str| {
            ProviderError::Unavailable(format!("the provider's userinfo endpoint: {reason}"))
        };
        let request = Request::builder()
            .method(Method::GET)
            .uri(endpoint.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {access_token}"))
            .body(Vec::new())
            .map_err(|_| failed("the access token is not a valid header value"))?;
        let body = self
            .http
            .fetch(request)
            .await
            .map_err(|error| failed(&error.to_string()))?;
        serde_json::from_slice(&body).map_err(|_| failed("the response is not a JSON object"))
    }
}

#[async_trait]
impl IdentityProvider for OpenIdConnect {
    fn login_type(&self) -> LoginType {
        LoginType::Oidc
    }

    fn issued(&self, link_id: &str) -> bool {
        link_id
            .strip_prefix(&self.settings.issuer_url)
            .is_some_and(|rest| rest.starts_with("||"))
    }

    fn may_have_issued(&self, link_id: &str) -> bool {
        let settings = &self.settings;
        let is_of_another = || {
            link_id
                .split_once("||")
                .is_some_and(|(issuer, _)| settings.is_other_issuer(issuer))
        };
        link_id.is_empty() || settings.skip_issuer_checks && !is_of_another()
    }

    fn uses_device_flow(&self) -> bool {
        false
    }

    async fn authorization_url(&self, flow: &Flow) -> Result<Url, ProviderError> {
        let metadata = self.metadata().await?;
        let settings = &self.settings;
        let offline = (!settings.auth_url_params.contains_key("access_type"))
            .then_some(("access_type", "offline"));
        let additional = settings
            .auth_url_params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        self.oauth(&metadata).authorization_url(
            flow,
            settings.scopes.iter().map(String::as_str),
            std::iter::once(("nonce", flow.nonce.as_str()))
                .chain(offline)
                .chain(additional),
        )
    }

    async fn authorize_device(&self) -> Result<DeviceAuthorization, ProviderError> {
        Err(ProviderError::Unavailable(
            "OpenID providers do not support the device flow here".to_owned(),
        ))
    }

    async fn identify(
        &self,
        code: &SecretString,
        flow: &Flow,
    ) -> Result<ExternalIdentity, IdentifyError> {
        let metadata = self.metadata().await?;
        let response = self
            .oauth(&metadata)
            .exchange(&self.http, code, flow)
            .await?;
        let token = response.id_token().ok_or_else(|| IdentifyError::Unusable {
            message: "The identity provider did not send an ID token.".to_owned(),
            detail: None,
        })?;
        let (id_token, subject) = self.id_token(&metadata, token, flow).await?;
        let secondary = self
            .secondary_claims(&metadata, &response, &subject)
            .await?;
        let sources = Sources {
            id_token,
            secondary,
            source: self.settings.claims_source,
        };
        let profile = claims::read(&self.settings, &sources)?;
        // From the ID token, whose issuer was checked, not from the second source.
        let issuer = sources
            .id_token
            .get("iss")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(ExternalIdentity {
            login_type: LoginType::Oidc,
            link_id: format!("{issuer}||{subject}"),
            email: profile.email,
            username: profile.username.replace('\0', ""),
            name: profile.name,
            avatar_url: profile.avatar_url.replace('\0', ""),
            github_com_user_id: None,
            tokens: response.tokens(self.clock.now()),
            claims: LinkClaims {
                id_token: Value::Object(claims::storable(&sources.id_token)),
                secondary: sources
                    .secondary
                    .as_ref()
                    .map_or(Value::Null, |all| Value::Object(claims::storable(all))),
                merged: Value::Object(claims::storable(&sources.merged())),
            },
        })
    }

    async fn refresh(&self, refresh_token: &SecretString) -> Result<ProviderTokens, RefreshError> {
        let metadata = self.metadata().await?;
        self.oauth(&metadata)
            .refresh(&self.http, refresh_token, self.clock.now())
            .await
    }

    async fn check(&self) -> Result<Option<DateTime<Utc>>, ProviderError> {
        let metadata = self.metadata().await?;
        discovery::check_keys(&self.http, &metadata).await
    }
}

fn unusable(message: &str, detail: &str) -> IdentifyError {
    IdentifyError::Unusable {
        message: message.to_owned(),
        detail: Some(detail.to_owned()),
    }
}
