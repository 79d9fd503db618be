//! The settings of notifications, and the dispatchers built from them.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use secrecy::SecretString;
use url::Url;
use usher_domain::notification::{Delivery, NotificationMethod};
use usher_notifier::{Dispatcher, Smtp, SmtpCredentials, SmtpSettings, SmtpTls, Webhook};

use super::{boolean::BooleanArg as _, parse};
use crate::duration;

/// How notifications are delivered, besides to the inbox.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Notifications")]
pub struct NotificationSettings {
    /// The mail server. Without it, the server sends no e-mail.
    #[arg(long, value_name = "HOST:PORT")]
    pub email_smarthost: Option<String>,

    /// The sender of e-mails, such as `Usher <usher@example.com>`.
    #[arg(long, value_name = "ADDRESS")]
    pub email_from: Option<String>,

    /// The host name to send in the SMTP greeting. By default the name of the machine.
    #[arg(long, value_name = "NAME")]
    pub email_hello: Option<String>,

    /// Require TLS to the mail server. Otherwise TLS is used if the server offers it, and
    /// required if a username is set.
    #[arg(long, boolean())]
    pub email_force_tls: bool,

    /// The username at the mail server.
    #[arg(long, value_name = "NAME")]
    pub email_auth_username: Option<String>,

    /// The password at the mail server.
    #[arg(long, value_name = "PASSWORD")]
    pub email_auth_password: Option<SecretString>,

    /// The delivery method of messages whose template does not set one: e-mail (`smtp`) or
    /// `webhook`.
    #[arg(
        long,
        value_name = "smtp|webhook",
        default_value = "smtp",
        value_parser = parse::notification_method
    )]
    pub notifications_method: NotificationMethod,

    /// The URL to which each message is posted. Without it, the server calls no webhook.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    pub notifications_webhook_endpoint: Option<Url>,

    /// How often to poll for messages to deliver or retry. New messages are delivered
    /// immediately, unless PgBouncer keeps the server from being notified of them.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "15s",
        value_parser = duration::parse_positive
    )]
    pub notifications_fetch_interval: Duration,
}

impl NotificationSettings {
    /// The available delivery methods.
    pub fn delivery(&self) -> Delivery {
        Delivery {
            smtp: self.email_smarthost.is_some(),
            webhook: self.notifications_webhook_endpoint.is_some(),
            default: self.notifications_method,
        }
    }

    /// A dispatcher for each available delivery method but the inbox.
    ///
    /// # Errors
    ///
    /// If the settings of a delivery method are invalid.
    pub fn dispatchers(&self) -> Result<Vec<Arc<dyn Dispatcher>>> {
        let mut dispatchers: Vec<Arc<dyn Dispatcher>> = Vec::new();
        if let Some(smarthost) = &self.email_smarthost {
            let from = self.email_from.clone().context(
                "--email-from (USHER_EMAIL_FROM) is required with --email-smarthost \
                 (USHER_EMAIL_SMARTHOST)",
            )?;
            let username = self.email_auth_username.clone();
            let smtp = Smtp::new(SmtpSettings {
                smarthost: smarthost.clone(),
                from,
                credentials: username.map(|username| SmtpCredentials {
                    username,
                    password: self.email_auth_password.clone().unwrap_or_default(),
                }),
                tls: self.email_force_tls.then_some(SmtpTls::Required),
                hello: self.email_hello.clone(),
            })
            .context("invalid USHER_EMAIL_SMARTHOST or USHER_EMAIL_FROM")?;
            dispatchers.push(Arc::new(smtp));
        }
        if let Some(endpoint) = &self.notifications_webhook_endpoint {
            let webhook = Webhook::new(endpoint.clone())
                .context("invalid USHER_NOTIFICATIONS_WEBHOOK_ENDPOINT")?;
            dispatchers.push(Arc::new(webhook));
        }
        Ok(dispatchers)
    }
}
