//! Delivery by mail.

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
/// How long the server may take to say goodbye.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 200;

/// How to reach the mail server.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Where it listens: `host:port`, an IPv6 address in brackets.
    pub smarthost: String,
    /// From whom mails come: `usher@example.com` or `Usher <usher@example.com>`.
    pub from: String,
    /// How to sign in there; `None` is not at all.
    pub credentials: Option<SmtpCredentials>,
    /// How the connection is encrypted; `None` is [`Implicit`](SmtpTls::Implicit) on port
    /// 465, [`Required`](SmtpTls::Required) where there are credentials, so that nobody in
    /// between can ask for them, and else [`Opportunistic`](SmtpTls::Opportunistic).
    pub tls: Option<SmtpTls>,
    /// By which name to greet; `None` is that of the machine.
    pub hello: Option<String>,
}

/// How to sign in at the mail server.
#[derive(Clone, Debug)]
pub struct SmtpCredentials {
    /// The account.
    pub username: String,
    /// Its password.
    pub password: SecretString,
}

/// How the connection to the mail server is encrypted. A certificate must be valid, for the
/// server's name and to the machine's authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// By STARTTLS if the server offers it.
    Opportunistic,
    /// By STARTTLS, or nothing is sent.
    Required,
    /// From the first byte.
    Implicit,
}

/// Why mail cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SmtpSettingsError {
    /// The server is not a host and a port.
    #[error("the mail server must be given as host:port")]
    Smarthost,
    /// The sender is not an address.
    #[error("the sender of mails must be an email address, with or without a name before it")]
    From(#[source] lettre::address::AddressError),
    /// TLS does not work on this machine.
    #[error("TLS for mail cannot be set up")]
    Tls(#[source] lettre::transport::smtp::Error),
}

/// Delivers by mail: one connection for each, which ends with it.
///
/// A mail has a plain and an HTML part, and the header `Auto-Submitted` (RFC 3834), so that
/// no absence notice answers it. Answers of 5xx are for good, except those to the sign-in
/// (an operator may be about to mend it); all other trouble is worth another attempt.
///
/// The connection is lettre's, but not its transport: that waits for the server's goodbye
/// before it says that the mail was taken, and a server that is silent then would get the
/// mail again.
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
    /// Reads the settings. Connects to nothing yet.
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
        // The server has the mail; what it says now changes nothing.
        let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
        Ok(())
    }

    fn mail(&self, notification: &Notification) -> Result<Message, DispatchError> {
        let recipient = &notification.recipient;
        let address: Address = recipient.email.parse().map_err(|_| {
            DispatchError::Permanent("the receiver's address is none for mail".to_owned())
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
            .map_err(|_| DispatchError::Permanent("the mail cannot be written".to_owned()))
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
            .map_err(|_| DispatchError::Permanent("the mail cannot be laid out".to_owned()))
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

    /// Greets the server, and signs in where there are credentials.
    async fn check(&self) -> Result<(), DispatchError> {
        let mut connection = self.connect().await.map_err(|error| failure(&error))?;
        let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
        Ok(())
    }
}

/// What a failure means, without the words of the server, which often repeat an address.
fn failure(error: &lettre::transport::smtp::Error) -> DispatchError {
    if let Some(code) = error.status() {
        let code = u16::from(code);
        let reason = format!("the mail server answered {code}");
        return if is_final(code) {
            DispatchError::Permanent(reason)
        } else {
            DispatchError::Temporary(reason)
        };
    }
    let reason = match error.source() {
        Some(source) if !error.is_response() => {
            format!("no talk with the mail server: {source}")
        }
        _ => "the mail server answered nothing that SMTP knows".to_owned(),
    };
    DispatchError::Temporary(reason.chars().take(MAX_REASON).collect())
}

/// Whether the answer holds for later attempts as well. 530 to 538 are about the sign-in
/// (RFC 4954, 6; RFC 3207, 4).
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

/// Says that no person wrote the mail (RFC 3834, 5).
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
