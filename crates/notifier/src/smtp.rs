//! Delivery by e-mail.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};
use minijinja::{AutoEscape, Environment, Value, context};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;
use usher_domain::notification::NotificationMethod;

use crate::{DispatchError, Dispatcher, Notification};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may take to respond to QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum length of a recorded reason, in characters.
const MAX_REASON: usize = 200;

/// How to connect to the mail server.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// `host:port`, with an IPv6 address in brackets.
    pub smarthost: String,
    /// The sender: `usher@example.com` or `Usher <usher@example.com>`.
    pub from: String,
    /// The credentials; `None` for no authentication.
    pub credentials: Option<SmtpCredentials>,
    /// How the connection is encrypted. `None` is [`Implicit`](SmtpTls::Implicit) on port 465,
    /// [`Required`](SmtpTls::Required) with credentials, so that an attacker in the network
    /// cannot get them, and otherwise [`Opportunistic`](SmtpTls::Opportunistic).
    pub tls: Option<SmtpTls>,
    /// The host name in the greeting; `None` for the name of the machine.
    pub hello: Option<String>,
}

/// The credentials at the mail server.
#[derive(Clone, Debug)]
pub struct SmtpCredentials {
    /// The username.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// How the connection to the mail server is encrypted. The certificate must be valid for the
/// server's name and trusted by the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// No encryption.
    None,
    /// STARTTLS if the server offers it.
    Opportunistic,
    /// STARTTLS; fails if the server does not offer it.
    Required,
    /// TLS from the start of the connection.
    Implicit,
}

/// Why the settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum SmtpSettingsError {
    /// The server is not `host:port`.
    #[error("the mail server must be host:port")]
    Smarthost,
    /// The sender is not an e-mail address.
    #[error("the sender must be an e-mail address, optionally with a name")]
    From(#[source] lettre::address::AddressError),
    /// The TLS client could not be created.
    #[error("could not create the TLS client")]
    Tls(#[source] lettre::transport::smtp::Error),
}

/// Delivers messages by e-mail, on a new connection for each.
///
/// An e-mail has a plain and an HTML part, and the header `Auto-Submitted` (RFC 3834), so that
/// auto-responders ignore it. Responses of 5xx are permanent failures, except to authentication,
/// which an operator may be about to fix; all other failures are temporary.
///
/// Uses lettre's connection, but not its transport, which waits for the response to QUIT before
/// it reports success: if there were none, the e-mail would be sent again.
pub struct Smtp {
    host: String,
    port: u16,
    tls: SmtpTls,
    tls_parameters: TlsParameters,
    hello: ClientId,
    credentials: Option<Credentials>,
    from: Mailbox,
    html: Environment<'static>,
}

impl Smtp {
    /// Validates the settings. Does not connect yet.
    pub fn new(settings: SmtpSettings) -> Result<Self, SmtpSettingsError> {
        let (host, port) =
            host_and_port(&settings.smarthost).ok_or(SmtpSettingsError::Smarthost)?;
        let from = settings
            .from
            .parse::<Mailbox>()
            .map_err(SmtpSettingsError::From)?;
        let has_credentials = settings.credentials.is_some();
        let credentials = settings.credentials.map(|credentials| {
            let password = credentials.password.expose_secret().to_owned();
            Credentials::new(credentials.username, password)
        });
        Ok(Self {
            host: host.to_owned(),
            port,
            tls: settings
                .tls
                .unwrap_or_else(|| default_tls(port, has_credentials)),
            tls_parameters: TlsParameters::new(host.to_owned()).map_err(SmtpSettingsError::Tls)?,
            hello: settings
                .hello
                .map_or_else(ClientId::default, ClientId::Domain),
            credentials,
            from,
            html: html_environment(),
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let implicit = (self.tls == SmtpTls::Implicit).then(|| self.tls_parameters.clone());
        let server = (self.host.as_str(), self.port);
        let timeout = Some(CONNECT_TIMEOUT);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, timeout, &self.hello, implicit, None)
                .await?;
        let starts_tls = match self.tls {
            SmtpTls::None | SmtpTls::Implicit => false,
            SmtpTls::Opportunistic => connection.can_starttls(),
            SmtpTls::Required => true,
        };
        if starts_tls {
            connection
                .starttls(self.tls_parameters.clone(), &self.hello)
                .await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    async fn send(&self, mail: &Message) -> Result<(), lettre::transport::smtp::Error> {
        let mut connection = self.connect().await?;
        connection.send(mail.envelope(), &mail.formatted()).await?;
        // The server has accepted the e-mail, so an error does not matter.
        let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
        Ok(())
    }

    fn mail(&self, notification: &Notification) -> Result<Message, DispatchError> {
        let recipient = &notification.recipient;
        let address: Address = recipient.email.parse().map_err(|_| {
            DispatchError::Permanent("the recipient's e-mail address is invalid".to_owned())
        })?;
        let message_id = format!("<{}@{}>", notification.id, self.from.email.domain());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(recipient.name.clone()), address))
            .subject(notification.title.as_str())
            .message_id(Some(message_id))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(
                plain(notification),
                self.html(notification)?,
            ))
            .map_err(|_| DispatchError::Permanent("could not build the e-mail".to_owned()))
    }

    fn html(&self, notification: &Notification) -> Result<String, DispatchError> {
        let actions: Value = notification
            .actions
            .iter()
            .map(|action| context! { label => action.label.as_str(), url => action.url.as_str() })
            .collect();
        let values = context! {
            title => notification.title.as_str(),
            name => notification.recipient.name.as_str(),
            body => Value::from_safe_string(notification.body_html.clone()),
            actions => actions,
        };
        self.html
            .render_str(include_str!("mail.html"), values)
            .map_err(|_| DispatchError::Permanent("could not render the e-mail".to_owned()))
    }
}

#[async_trait]
impl Dispatcher for Smtp {
    fn method(&self) -> NotificationMethod {
        NotificationMethod::Smtp
    }

    async fn dispatch(&self, notification: &Notification) -> Result<(), DispatchError> {
        let mail = self.mail(notification)?;
        self.send(&mail).await.map_err(|error| failure(&error))
    }

    /// Connects to the server, and authenticates if there are credentials.
    async fn check(&self) -> Result<(), DispatchError> {
        let mut connection = self.connect().await.map_err(|error| failure(&error))?;
        let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
        Ok(())
    }
}

/// Classifies an error. The reason does not contain the server's message, which often includes an
/// e-mail address.
fn failure(error: &lettre::transport::smtp::Error) -> DispatchError {
    if let Some(code) = error.status() {
        let code = u16::from(code);
        let reason = format!("the mail server responded with {code}");
        return if is_final(code) {
            DispatchError::Permanent(reason)
        } else {
            DispatchError::Temporary(reason)
        };
    }
    let reason = match error.source() {
        Some(source) if !error.is_response() => {
            format!("could not connect to the mail server: {source}")
        }
        _ => "the mail server sent an invalid response".to_owned(),
    };
    DispatchError::Temporary(reason.chars().take(MAX_REASON).collect())
}

/// Whether the failure is permanent. 530 to 538 are about authentication (RFC 4954, 6; RFC 3207,
/// 4).
fn is_final(code: u16) -> bool {
    code >= 500 && !(530..=538).contains(&code)
}

fn default_tls(port: u16, has_credentials: bool) -> SmtpTls {
    match (port, has_credentials) {
        (465, _) => SmtpTls::Implicit,
        (_, true) => SmtpTls::Required,
        (_, false) => SmtpTls::Opportunistic,
    }
}

fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.trim().rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host = match bare {
        Some(address) => address,
        None if host.contains(':') => return None,
        None => host,
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then_some((host, port))
}

/// The plain part.
fn plain(notification: &Notification) -> String {
    let mut text = format!(
        "Hello {},\n\n{}\n",
        notification.recipient.name, notification.body
    );
    for action in &notification.actions {
        text.push('\n');
        text.push_str(&action.label);
        text.push_str(": ");
        text.push_str(&action.url);
    }
    text
}

fn html_environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
}

/// Marks the e-mail as automatically generated (RFC 3834, 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests;
