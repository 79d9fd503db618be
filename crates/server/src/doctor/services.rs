//! What the server talks to besides the database: the mail server, the webhook, and
//! identity providers.

use usher_api::{
    Provider,
    sessions::providers::{github, oidc::callback_path},
};
use usher_domain::notification::NotificationMethod;

use super::{Finding, addresses};
use crate::settings::{NotificationSettings, ServerSettings};

/// Greets the mail server and asks the webhook whether it is there. Sends no message.
pub(super) async fn look_at_notifications(settings: &NotificationSettings) -> Vec<Finding> {
    const ABOUT: &str = "notifications";
    let dispatchers = match settings.dispatchers() {
        Ok(dispatchers) => dispatchers,
        Err(error) => return vec![Finding::error(ABOUT, format!("{error:#}"))],
    };
    if dispatchers.is_empty() {
        let text = "neither mail nor a webhook is set up, so messages stand in the inbox only";
        return vec![Finding::ok(ABOUT, text)];
    }
    let mut findings = Vec::new();
    for dispatcher in &dispatchers {
        let (about, remedy) = words(dispatcher.method());
        findings.push(match dispatcher.check().await {
            Ok(()) => Finding::ok(about, "it answers"),
            Err(error) => Finding::error(about, format!("{error}; {remedy}")),
        });
    }
    if !dispatchers
        .iter()
        .any(|dispatcher| dispatcher.method() == settings.notifications_method)
    {
        let text = "USHER_NOTIFICATIONS_METHOD names a way that is not set up, so most messages \
                    stand in the inbox only";
        findings.push(Finding::warning(ABOUT, text));
    }
    findings
}

/// What a way is called, and what to do if it is closed.
fn words(method: NotificationMethod) -> (&'static str, &'static str) {
    match method {
        NotificationMethod::Smtp => (
            "mail",
            "see USHER_EMAIL_SMARTHOST, USHER_EMAIL_FORCE_TLS, USHER_EMAIL_AUTH_USERNAME and \
             USHER_EMAIL_AUTH_PASSWORD",
        ),
        NotificationMethod::Webhook | NotificationMethod::Inbox => {
            ("webhook", "see USHER_NOTIFICATIONS_WEBHOOK_ENDPOINT")
        }
    }
}

/// Asks each identity provider for what everybody may know, and says which address must be
/// registered there.
pub(super) async fn look_at_providers(settings: &ServerSettings) -> Vec<Finding> {
    let access_url = match &settings.network.access_url {
        Some(url) => Ok(url.clone()),
        None => addresses::local_url(settings),
    };
    let Ok(access_url) = access_url else {
        return Vec::new();
    };
    // What keeps them from being made is a finding about the settings already.
    let Ok(providers) = settings.providers.connect(&access_url) else {
        return Vec::new();
    };
    let base = access_url.as_str().trim_end_matches('/');
    let mut findings = Vec::new();
    if let Some(provider) = &providers.github {
        findings.push(
            ask(
                "GitHub",
                "OAUTH2_GITHUB",
                provider,
                &format!("{base}{}", github::PATH),
            )
            .await,
        );
    }
    for (index, provider) in providers.oidc.iter().enumerate() {
        let (about, section) = match index {
            0 => ("OpenID provider".to_owned(), "OIDC".to_owned()),
            _ => (
                format!("OpenID provider {}", index + 1),
                format!("OIDC_{}", index + 1),
            ),
        };
        let callback = format!("{base}{}", callback_path(index));
        findings.push(ask(&about, &section, provider, &callback).await);
    }
    findings
}

async fn ask(about: &str, section: &str, provider: &Provider, callback: &str) -> Finding {
    match provider.client.check().await {
        Ok(()) => Finding::ok(
            about,
            format!("it answers; {callback} must be registered there as where browsers go back to"),
        ),
        Err(error) => Finding::error(
            about,
            format!(
                "{error}; see that this machine may reach it, and the settings that begin with \
                 USHER_{section}_. Nobody signs in through it until then; all others do"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use usher_fake_provider::FakeProvider;

    use super::*;
    use crate::doctor::{Level, tests::settings};

    fn levels(findings: &[Finding]) -> Vec<(&str, Level)> {
        let levels = findings.iter();
        levels.map(|found| (&*found.about, found.level)).collect()
    }

    #[tokio::test]
    async fn each_provider_is_asked_and_its_callback_told() {
        let provider = FakeProvider::start().await.unwrap();
        let url = provider.url();
        let flags = [
            "--access-url=https://users.example.com/".to_owned(),
            "--oauth2-github-client-id=me".to_owned(),
            "--oauth2-github-client-secret=hidden".to_owned(),
            "--oauth2-github-allow-everyone=true".to_owned(),
            format!("--oauth2-github-enterprise-base-url={url}"),
            format!("--oidc-issuer-url={url}/oidc"),
            "--oidc-client-id=me".to_owned(),
            format!("--oidc-2-issuer-url={url}/nowhere"),
            "--oidc-2-client-id=me".to_owned(),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();

        let found = look_at_providers(&settings(&flags)).await;

        assert_eq!(
            levels(&found),
            [
                ("GitHub", Level::Ok),
                ("OpenID provider", Level::Ok),
                ("OpenID provider 2", Level::Error),
            ]
        );
        let callback = "https://users.example.com/api/v2/users/oidc/callback";
        assert!(found[1].text.contains(callback), "{found:?}");
        assert!(found[2].text.contains("USHER_OIDC_2_"), "{found:?}");
        assert!(!format!("{found:?}").contains("hidden"));
        assert_eq!(
            (
                provider.calls("oidc.discovery"),
                provider.calls("oidc.keys")
            ),
            (1, 1)
        );

        provider.control(&json!({"down": true})).unwrap();
        let found = look_at_providers(&settings(&flags)).await;
        assert_eq!(found[1].level, Level::Error, "{found:?}");
    }

    #[tokio::test]
    async fn ways_of_messages_that_are_closed_are_errors() {
        let found = look_at_notifications(&settings(&[]).notifications).await;
        assert_eq!(levels(&found), [("notifications", Level::Ok)]);

        let without_sender = settings(&["--email-smarthost=h:1"]);
        let found = look_at_notifications(&without_sender.notifications).await;
        assert_eq!(levels(&found), [("notifications", Level::Error)]);

        // The address of a listener that is gone.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = listener.local_addr().unwrap();
        drop(listener);
        let flags = [
            format!("--email-smarthost={closed}"),
            "--email-from=usher@example.com".to_owned(),
            "--email-auth-username=me".to_owned(),
            "--email-auth-password=hidden".to_owned(),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let found = look_at_notifications(&settings(&flags).notifications).await;
        assert_eq!(levels(&found), [("mail", Level::Error)]);
        assert!(!format!("{found:?}").contains("hidden"));

        let provider = FakeProvider::start().await.unwrap();
        let flag = format!("--notifications-webhook-endpoint={}/hook", provider.url());
        let found = look_at_notifications(&settings(&[&flag]).notifications).await;
        assert_eq!(
            levels(&found),
            [("webhook", Level::Ok), ("notifications", Level::Warning)]
        );
    }
}
