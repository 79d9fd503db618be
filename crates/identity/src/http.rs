//! The HTTP client for providers, with limits on time and response size.

use std::{error::Error, future::Future, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Request, Response, StatusCode, header};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, redirect::Policy};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use serde_json::{Map, Value};
use usher_domain::error_chain;

use crate::setup::SetupError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of a response, in bytes: several times that of tokens with 64 KiB of claims.
const MAX_RESPONSE: usize = 1 << 20;

/// Sends requests to providers. Does not follow redirects, so that credentials are sent to the
/// configured URLs only.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient(Client);

/// Why a request failed. Contains neither the URL nor the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("the request timed out")]
    Timeout,
    #[error("could not connect: {0}")]
    Connection(String),
    #[error("the response is larger than 1 MiB")]
    TooLong,
    #[error("the response has status {0}")]
    Status(u16),
    #[error("the request is invalid")]
    Request,
}

impl HttpClient {
    pub(crate) fn new() -> Result<Self, SetupError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(SetupError::Tls)?
            .with_no_client_auth();
        Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .user_agent(concat!("usher/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(SetupError::Client)
    }

    /// Returns the response, of any status.
    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(|_| HttpError::Request)?;
        let mut incoming = self.0.execute(request).await.map_err(|e| reason(&e))?;
        let mut body = Vec::new();
        while let Some(chunk) = incoming.chunk().await.map_err(|e| reason(&e))? {
            if body.len() + chunk.len() > MAX_RESPONSE {
                return Err(HttpError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body);
        *response.status_mut() = incoming.status();
        *response.headers_mut() = std::mem::take(incoming.headers_mut());
        Ok(response)
    }

    /// Returns the response if it is successful.
    pub(crate) async fn succeed(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<HttpResponse, HttpError> {
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(HttpError::Status(response.status().as_u16()));
        }
        Ok(response)
    }

    /// Returns the body of a successful response.
    pub(crate) async fn fetch(&self, request: Request<Vec<u8>>) -> Result<Vec<u8>, HttpError> {
        Ok(self.succeed(request).await?.into_body())
    }

    /// Like `send`, with the status that token endpoints should respond with (RFC 6749, 5): 200
    /// with tokens, 400 with an error.
    async fn call_token_endpoint(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.send(request).await?;
        let status = response.status();
        let is_error = !status.is_server_error()
            && serde_json::from_slice::<Map<String, Value>>(response.body())
                .is_ok_and(|body| body.get("error").is_some_and(Value::is_string));
        if is_error {
            // GitHub responds with 200 to errors.
            *response.status_mut() = StatusCode::BAD_REQUEST;
        } else if status.is_success() {
            *response.status_mut() = StatusCode::OK;
        } else {
            return Err(HttpError::Status(status.as_u16()));
        }
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.call_token_endpoint(request))
    }
}

/// The time of the server that responded, from `Date` and the `Age` of a cached response
/// (RFC 9110, 6.6.1, and RFC 9111, 5.1).
pub(crate) fn response_time(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let date = DateTime::parse_from_rfc2822(text(header::DATE)?).ok()?;
    let age = text(header::AGE).and_then(|age| age.trim().parse().ok());
    date.to_utc()
        .checked_add_signed(TimeDelta::try_seconds(age.unwrap_or(0))?)
}

fn reason(error: &reqwest::Error) -> HttpError {
    if error.is_timeout() {
        return HttpError::Timeout;
    }
    // The outermost error contains the URL, the innermost one the reason.
    let cause = error.source().map(error_chain::root_cause);
    HttpError::Connection(
        cause.map_or_else(|| "the connection failed".to_owned(), ToString::to_string),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain(&[("date", "Tue, 03 Mar 2026 04:05:06 GMT")], Some("2026-03-03T04:05:06Z"))]
    #[case::cached(
        &[("date", "Tue, 03 Mar 2026 04:05:06 GMT"), ("age", "60")],
        Some("2026-03-03T04:06:06Z")
    )]
    #[case::invalid_age(
        &[("date", "Tue, 03 Mar 2026 04:05:06 GMT"), ("age", "old")],
        Some("2026-03-03T04:05:06Z")
    )]
    #[case::overflowing_age(
        &[("date", "Tue, 03 Mar 2026 04:05:06 GMT"), ("age", "9223372036854775807")],
        None
    )]
    #[case::invalid(&[("date", "yesterday")], None)]
    #[case::none(&[], None)]
    fn the_time_is_that_of_the_date_and_age_headers(
        #[case] headers: &[(&'static str, &'static str)],
        #[case] time: Option<&str>,
    ) {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, http::HeaderValue::from_static(value))
            })
            .collect();
        let time: Option<DateTime<Utc>> = time.map(|time| time.parse().unwrap());
        assert_eq!(response_time(&headers), time);
    }
}
