//! Delivery by webhook.

use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{Client, StatusCode, redirect::Policy};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use serde_json::{Map, Value, json};
use url::Url;
use usher_domain::{error_chain, notification::NotificationMethod, time};

use crate::{DispatchError, Dispatcher, Notification};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a webhook could not be created.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL's scheme is not `http` or `https`.
    #[error("the webhook URL must start with http:// or https://")]
    Endpoint,
    /// The TLS client could not be created.
    #[error("could not create the TLS client")]
    Tls(#[source] rustls::Error),
    /// The HTTP client could not be created.
    #[error("could not create the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Delivers messages by `POST` of a JSON object to a URL.
///
/// ```json
/// {
///   "_version": "1.0",
///   "msg_id": "5b1f…",
///   "payload": {
///     "template_id": "4e19…",
///     "template_name": "User account created",
///     "user_id": "c0ff…",
///     "user_username": "alice",
///     "user_name": "Alice",
///     "user_email": "alice@example.com",
///     "labels": { "username": "bob", "initiator": "carol" },
///     "targets": ["b0b0…"],
///     "actions": [{ "label": "See the account", "url": "https://…" }],
///     "created_at": "2026-01-02T03:04:05Z"
///   },
///   "title": "New account: bob",
///   "title_markdown": "New account: bob",
///   "body": "carol added bob to the users.",
///   "body_markdown": "carol added bob to the users."
/// }
/// ```
///
/// `labels` are unescaped; in the `_markdown` texts they are escaped. The user is the recipient.
/// `msg_id` is the same for each attempt. Passcodes are delivered too (label
/// `one_time_passcode`), so the URL should be `https`; a username and password in it are sent as
/// basic authentication.
///
/// Any 2xx status means success. Redirects are not followed. 408, 429 and 5xx are
/// worth another attempt, and so is silence; all other answers are for good.
pub struct Webhook {
    client: Client,
    endpoint: Url,
}

impl Webhook {
    /// Creates a dispatcher. Does not connect yet.
    pub fn new(endpoint: Url) -> Result<Self, WebhookError> {
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(WebhookError::Endpoint);
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(WebhookError::Tls)?
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .user_agent(concat!("usher/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(WebhookError::Client)?;
        Ok(Self { client, endpoint })
    }
}

#[async_trait]
impl Dispatcher for Webhook {
    fn method(&self) -> NotificationMethod {
        NotificationMethod::Webhook
    }

    async fn dispatch(&self, notification: &Notification) -> Result<(), DispatchError> {
        let response = self
            .client
            .post(self.endpoint.clone())
            .json(&body(notification))
            .send()
            .await
            .map_err(|error| connection_failure(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let reason = format!("the webhook responded with status {}", status.as_u16());
        Err(if is_final(status) {
            DispatchError::Permanent(reason)
        } else {
            DispatchError::Temporary(reason)
        })
    }

    /// Sends a `HEAD` request. Any response counts, since many webhooks only support `POST`.
    async fn check(&self) -> Result<(), DispatchError> {
        let response = self.client.head(self.endpoint.clone()).send().await;
        response
            .map(drop)
            .map_err(|error| connection_failure(&error))
    }
}

fn body(notification: &Notification) -> Value {
    let labels: Map<String, Value> = notification
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let actions: Vec<Value> = notification
        .actions
        .iter()
        .map(|action| json!({ "label": action.label, "url": action.url }))
        .collect();
    json!({
        "_version": "1.0",
        "msg_id": notification.id,
        "payload": {
            "template_id": notification.template_id,
            "template_name": notification.template_name,
            "user_id": notification.recipient.user_id.0,
            "user_username": notification.recipient.username,
            "user_name": notification.recipient.name,
            "user_email": notification.recipient.email,
            "labels": labels,
            "targets": notification.targets,
            "actions": actions,
            "created_at": time::to_wire(notification.created_at),
        },
        "title": notification.title,
        "title_markdown": notification.title_markdown,
        "body": notification.body,
        "body_markdown": notification.body_markdown,
    })
}

/// The reason without the URL, which may contain a password.
fn connection_failure(error: &reqwest::Error) -> DispatchError {
    if error.is_timeout() {
        return DispatchError::Temporary("the webhook timed out".to_owned());
    }
    DispatchError::Temporary(match error.source().map(error_chain::root_cause) {
        Some(cause) => format!("could not connect to the webhook: {cause}"),
        None => "could not connect to the webhook".to_owned(),
    })
}

fn is_final(status: StatusCode) -> bool {
    !status.is_server_error()
        && status != StatusCode::REQUEST_TIMEOUT
        && status != StatusCode::TOO_MANY_REQUESTS
}

#[cfg(test)]
mod tests;
