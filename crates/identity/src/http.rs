//! How providers are called: with bounds on the time and on what they may send.

use std::{error::Error, future::Future, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Request, Response, StatusCode, header};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, redirect::Policy};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use serde_json::{Map, Value};

use crate::setup::SetupError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes. Claims of 64 KiB pass easily, also twice and
/// in base64.
const MAX_ANSWER: usize = 1 << 20;

/// Calls providers. Redirects are not followed: credentials go to the configured address
/// only.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient(Client);

/// Why there is no answer. Tells neither addresses nor what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no answer in time")]
    Timeout,
    #[error("no answer: {0}")]
    Connection(String),
    #[error("the answer is longer than 1 MiB")]
    TooLong,
    #[error("the answer is status {0}")]
    Status(u16),
    #[error("the request cannot be made")]
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

    /// The answer, whatever its status.
    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(|_| HttpError::Request)?;
        let mut incoming = self.0.execute(request).await.map_err(|e| reason(&e))?;
        let mut body = Vec::new();
        while let Some(chunk) = incoming.chunk().await.map_err(|e| reason(&e))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(HttpError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = Response::new(body);
        *answer.status_mut() = incoming.status();
        *answer.headers_mut() = std::mem::take(incoming.headers_mut());
        Ok(answer)
    }

    /// The answer, if it is a success.
    pub(crate) async fn succeed(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<HttpResponse, HttpError> {
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Err(HttpError::Status(answer.status().as_u16()));
        }
        Ok(answer)
    }

    /// The answer's body, if the answer is a success.
    pub(crate) async fn fetch(&self, request: Request<Vec<u8>>) -> Result<Vec<u8>, HttpError> {
        Ok(self.succeed(request).await?.into_body())
    }

    /// As `send`, in the form that OAuth has for token endpoints (RFC 6749, 5): 200 with
    /// tokens, 400 with an error.
    async fn ask_token_endpoint(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut answer = self.send(request).await?;
        let status = answer.status();
        let is_refusal = !status.is_server_error()
            && serde_json::from_slice::<Map<String, Value>>(answer.body())
                .is_ok_and(|body| body.get("error").is_some_and(Value::is_string));
        if is_refusal {
            // GitHub refuses with 200.
            *answer.status_mut() = StatusCode::BAD_REQUEST;
        } else if status.is_success() {
            *answer.status_mut() = StatusCode::OK;
        } else {
            return Err(HttpError::Status(status.as_u16()));
        }
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask_token_endpoint(request))
    }
}

/// When it was answered, by the clock of whoever did: if a cache has kept the answer, by the
/// time that it is old (RFC 9110, 6.6.1, and RFC 9111, 5.1).
pub(crate) fn told_time(headers: &HeaderMap) -> Option<DateTime<Utc>> {
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
    // The outermost error has the address in it, the innermost one says why.
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
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
    #[case::kept(
        &[("date", "Tue, 03 Mar 2026 04:05:06 GMT"), ("age", "60")],
        Some("2026-03-03T04:06:06Z")
    )]
    #[case::odd_age(
        &[("date", "Tue, 03 Mar 2026 04:05:06 GMT"), ("age", "old")],
        Some("2026-03-03T04:05:06Z")
    )]
    #[case::endless_age(
        &[("date", "Tue, 03 Mar 2026 04:05:06 GMT"), ("age", "9223372036854775807")],
        None
    )]
    #[case::odd(&[("date", "yesterday")], None)]
    #[case::none(&[], None)]
    fn time_is_told(#[case] headers: &[(&'static str, &'static str)], #[case] time: Option<&str>) {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, http::HeaderValue::from_static(value))
            })
            .collect();
        let time: Option<DateTime<Utc>> = time.map(|time| time.parse().unwrap());
        assert_eq!(told_time(&headers), time);
    }
}
