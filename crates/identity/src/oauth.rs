//! OAuth 2.0 (RFC 6749) with PKCE (RFC 7636).

use std::{fmt, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, header};
use oauth2::{
    AccessToken, AsyncHttpClient as _, AuthType, AuthUrl, AuthorizationCode, ClientId,
    ClientSecret, CsrfToken, DeviceAuthorizationUrl, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    StandardDeviceAuthorizationResponse, StandardRevocableToken, TokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
        BasicTokenType,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Url, form_urlencoded};
use usher_domain::external_login::ProviderTokens;

use crate::{
    DeviceAuthorization, Flow, ProviderError, RefreshError,
    http::{HttpClient, HttpError},
};

const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The length to which errors of providers are truncated, in characters.
const MAX_ERROR: usize = 300;
/// The lengths that RFC 7636 (4.1) allows.
const VERIFIER_LENGTHS: std::ops::RangeInclusive<usize> = 43..=128;

type Endpoints = oauth2::Client<
    BasicErrorResponse,
    TokenResponseBody,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// An OAuth client of one provider.
pub(crate) struct OAuthClient {
    endpoints: Endpoints,
    client_id: String,
    client_secret: SecretString,
    token_url: Url,
}

/// The registration of the client at the provider.
#[derive(Clone, Debug)]
pub(crate) struct Registration<'a> {
    pub(crate) client_id: &'a str,
    /// Empty for a public client.
    pub(crate) client_secret: &'a SecretString,
    pub(crate) redirect_url: &'a Url,
}

impl OAuthClient {
    pub(crate) fn new(
        registration: &Registration<'_>,
        authorization_url: Url,
        token_url: Url,
        auth_type: AuthType,
    ) -> Self {
        let mut endpoints = oauth2::Client::new(ClientId::new(registration.client_id.to_owned()))
            .set_auth_uri(AuthUrl::from_url(authorization_url))
            .set_token_uri(TokenUrl::from_url(token_url.clone()))
            .set_redirect_uri(RedirectUrl::from_url(registration.redirect_url.clone()))
            .set_auth_type(auth_type);
        let secret = registration.client_secret.expose_secret();
        if !secret.is_empty() {
            endpoints = endpoints.set_client_secret(ClientSecret::new(secret.to_owned()));
        }
        Self {
            endpoints,
            client_id: registration.client_id.to_owned(),
            client_secret: registration.client_secret.clone(),
            token_url,
        }
    }

    /// The authorization URL, with the challenge and additional `parameters`.
    pub(crate) fn authorization_url<'a>(
        &self,
        flow: &Flow,
        scopes: impl IntoIterator<Item = &'a str>,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Url, ProviderError> {
        let verifier = flow.code_verifier.expose_secret();
        if !VERIFIER_LENGTHS.contains(&verifier.len()) {
            return Err(ProviderError::Unavailable(
                "the code verifier must have 43 to 128 characters".to_owned(),
            ));
        }
        let verifier = PkceCodeVerifier::new(verifier.to_owned());
        let scopes = scopes.into_iter().map(|name| Scope::new(name.to_owned()));
        let mut request = self
            .endpoints
            .authorize_url(|| CsrfToken::new(flow.state.clone()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(scopes);
        for (name, value) in parameters {
            request = request.add_extra_param(name, value);
        }
        Ok(request.url().0)
    }

    /// Exchanges an authorization code.
    pub(crate) async fn exchange(
        &self,
        http: &HttpClient,
        code: &SecretString,
        flow: &Flow,
    ) -> Result<TokenResponseBody, ProviderError> {
        let verifier = PkceCodeVerifier::new(flow.code_verifier.expose_secret().to_owned());
        self.endpoints
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(verifier)
            .request_async(http)
            .await
            .map_err(token_error)
    }

    /// Polls the token endpoint once (RFC 8628, 3.4). The call of `oauth2` polls until the user
    /// decides; here the device polls.
    pub(crate) async fn poll_device(
        &self,
        http: &HttpClient,
        device_code: &SecretString,
    ) -> Result<TokenResponseBody, ProviderError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.token_url.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.device_form(device_code).into_bytes())
            .map_err(|_| token_error(RequestTokenError::Request(HttpError::Request)))?;
        let response = http
            .call(request)
            .await
            .map_err(|error| token_error(RequestTokenError::Request(error)))?;
        if response.status().is_success() {
            serde_json::from_slice(response.body()).map_err(|_| no_tokens())
        } else {
            let error = serde_json::from_slice(response.body()).map_err(|_| no_tokens())?;
            Err(token_error(RequestTokenError::ServerResponse(error)))
        }
    }

    fn device_form(&self, device_code: &SecretString) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", DEVICE_CODE_GRANT)
            .append_pair("device_code", device_code.expose_secret())
            .append_pair("client_id", &self.client_id);
        if !self.client_secret.expose_secret().is_empty() {
            form.append_pair("client_secret", self.client_secret.expose_secret());
        }
        form.finish()
    }

    /// Exchanges a refresh token, which stays valid if the response has no new one.
    pub(crate) async fn refresh(
        &self,
        http: &HttpClient,
        refresh_token: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<ProviderTokens, RefreshError> {
        let response = self
            .endpoints
            .exchange_refresh_token(&RefreshToken::new(refresh_token.expose_secret().to_owned()))
            .request_async(http)
            .await
            .map_err(token_error)?;
        let mut tokens = response.tokens(now);
        tokens
            .refresh_token
            .get_or_insert_with(|| refresh_token.clone());
        Ok(tokens)
    }
}

/// Requests a device code (RFC 8628, 3.1).
pub(crate) async fn authorize_device(
    http: &HttpClient,
    client_id: &str,
    url: Url,
    scopes: impl IntoIterator<Item = &str>,
) -> Result<DeviceAuthorization, ProviderError> {
    let response: StandardDeviceAuthorizationResponse =
        oauth2::basic::BasicClient::new(ClientId::new(client_id.to_owned()))
            .set_device_authorization_url(DeviceAuthorizationUrl::from_url(url))
            .exchange_device_code()
            .add_scopes(scopes.into_iter().map(|name| Scope::new(name.to_owned())))
            .request_async(http)
            .await
            .map_err(|error| match token_error(error) {
                ProviderError::Unavailable(_) => ProviderError::Unavailable(
                    "the provider did not return a device code".to_owned(),
                ),
                refused @ ProviderError::Refused { .. } => refused,
            })?;
    Ok(DeviceAuthorization {
        device_code: response.device_code().secret().clone(),
        user_code: response.user_code().secret().clone(),
        verification_uri: response.verification_uri().to_string(),
        expires_in: whole_seconds(response.expires_in()),
        interval: whole_seconds(response.interval()),
    })
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// The response of a token endpoint. That of `oauth2` rejects lifetimes that are negative or
/// strings, which providers send.
#[derive(Deserialize, Serialize)]
pub(crate) struct TokenResponseBody {
    access_token: AccessToken,
    #[serde(default = "bearer")]
    token_type: BasicTokenType,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
    #[serde(default)]
    expires_in: Value,
    /// Sent by OpenID providers.
    #[serde(default)]
    id_token: Option<String>,
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

impl TokenResponseBody {
    /// The ID token, if it is not empty.
    pub(crate) fn id_token(&self) -> Option<&str> {
        self.id_token.as_deref().filter(|token| !token.is_empty())
    }

    /// The access token as text.
    pub(crate) fn access_token_text(&self) -> &str {
        self.access_token.secret()
    }

    /// The tokens; the lifetime of the access token starts at `now`.
    pub(crate) fn tokens(&self, now: DateTime<Utc>) -> ProviderTokens {
        ProviderTokens {
            access_token: self.access_token.secret().as_str().into(),
            refresh_token: self
                .refresh_token
                .as_ref()
                .map(|token| token.secret().as_str())
                .filter(|token| !token.is_empty())
                .map(SecretString::from),
            expires_at: self.expires_at(now),
        }
    }

    fn expires_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let seconds = match &self.expires_in {
            Value::String(text) => text.parse().ok()?,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates outside of the range, which then has no time"
            )]
            Value::Number(number) => number
                .as_i64()
                .or_else(|| number.as_f64().map(|seconds| seconds as i64))?,
            _ => return None,
        };
        if seconds == 0 {
            return None;
        }
        now.checked_add_signed(TimeDelta::try_seconds(seconds)?)
    }
}

impl fmt::Debug for TokenResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponseBody").finish_non_exhaustive()
    }
}

impl TokenResponse for TokenResponseBody {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.as_u64().map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

fn token_error(error: RequestTokenError<HttpError, BasicErrorResponse>) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(error) => ProviderError::Refused {
            code: truncate(error.error().as_ref()),
            description: error
                .error_description()
                .map(|text| truncate(text))
                .filter(|text| !text.is_empty()),
        },
        RequestTokenError::Request(error) => {
            ProviderError::Unavailable(format!("the provider's token endpoint: {error}"))
        }
        // The response may contain a token, so it is not included.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => no_tokens(),
    }
}

fn no_tokens() -> ProviderError {
    ProviderError::Unavailable(
        "the response of the provider's token endpoint has no token".to_owned(),
    )
}

/// The text of a provider, truncated and on one line.
fn truncate(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_ERROR)
        .collect()
}

impl From<ProviderError> for RefreshError {
    fn from(error: ProviderError) -> Self {
        let text = error.to_string();
        match error {
            // Errors of the client's settings or the provider: the refresh token stays valid.
            ProviderError::Refused { code, .. }
                if !matches!(
                    code.as_str(),
                    "invalid_client"
                        | "unauthorized_client"
                        | "incorrect_client_credentials"
                        | "server_error"
                        | "slow_down"
                        | "temporarily_unavailable"
                ) =>
            {
                Self::Refused(text)
            }
            _ => Self::Unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn response(more: &Value) -> TokenResponseBody {
        let mut body = json!({"access_token": "top-secret", "token_type": "Bearer"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn a_lifetime_may_be_a_number_a_string_or_negative() {
        let seconds = |lifetime: Value| {
            let tokens = response(&json!({"expires_in": lifetime})).tokens(now());
            tokens
                .expires_at
                .map(|expiry| (expiry - now()).num_seconds())
        };
        assert_eq!(seconds(json!(3600)), Some(3600));
        assert_eq!(seconds(json!("3600")), Some(3600));
        assert_eq!(seconds(json!(3599.9)), Some(3599));
        assert_eq!(seconds(json!(-5)), Some(-5));
        for never in [
            json!(0),
            json!(null),
            json!("soon"),
            json!(1e300),
            json!({}),
        ] {
            assert_eq!(seconds(never.clone()), None, "{never}");
        }
        assert_eq!(response(&json!({})).tokens(now()).expires_at, None);
    }

    #[test]
    fn empty_tokens_are_ignored() {
        let response = response(&json!({"refresh_token": "", "id_token": ""}));
        assert!(response.tokens(now()).refresh_token.is_none());
        assert!(response.id_token().is_none());
    }

    #[test]
    fn tokens_are_not_in_debug_output() {
        let response = response(&json!({"refresh_token": "top-secret", "id_token": "top-secret"}));
        assert!(!format!("{response:?}").contains("top-secret"));
        assert!(!format!("{:?}", response.tokens(now())).contains("top-secret"));
    }

    #[test]
    fn only_the_rejection_of_the_token_is_permanent() {
        let refused = |code: &str| {
            RefreshError::from(ProviderError::Refused {
                code: code.to_owned(),
                description: None,
            })
        };
        for code in ["invalid_grant", "bad_refresh_token", "invalid_scope"] {
            assert_eq!(refused(code), RefreshError::Refused(code.to_owned()));
        }
        for code in ["invalid_client", "temporarily_unavailable", "slow_down"] {
            assert_eq!(refused(code), RefreshError::Unavailable(code.to_owned()));
        }
    }

    #[test]
    fn texts_of_providers_are_truncated_and_on_one_line() {
        assert_eq!(truncate("a\r\nb"), "a  b");
        assert_eq!(truncate(&"ä".repeat(1000)).chars().count(), MAX_ERROR);
    }
}
