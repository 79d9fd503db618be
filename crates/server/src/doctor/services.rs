//! Checks the mail server, the webhook and the identity providers.

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;
use usher_api::{
    Provider,
    sessions::providers::{github, oidc::callback_path},
};
use usher_domain::notification::NotificationMethod;

use super::{Finding, addresses};
use crate::settings::{NotificationSettings, ServerSettings};

/// The maximum clock skew, including the latency of a response. Tokens are accepted up to a
/// minute before and after their validity.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);

/// Connects to the mail server and the webhook. Sends no messages.
pub(super) async fn check_notifications(settings: &NotificationSettings) -> Vec<Finding> {
    const SUBJECT: &str = "notifications";
    let dispatchers = match settings.dispatchers() {
        Ok(dispatchers) => dispatchers,
        Err(error) => return vec![Finding::error(SUBJECT, format!("{error:#}"))],
    };
    if dispatchers.is_empty() {
        let text = "no mail server or webhook is configured; notifications are delivered to the inbox only";
        return vec![Finding::ok(SUBJECT, text)];
    }
    let mut findings = Vec::new();
    for dispatcher in &dispatchers {
        let (subject, remedy) = labels(dispatcher.method());
        findings.push(match dispatcher.check().await {
            Ok(()) => Finding::ok(subject, "reachable"),
            Err(error) => Finding::error(subject, format!("{error}; {remedy}")),
        });
    }
    if !dispatchers
        .iter()
        .any(|dispatcher| dispatcher.method() == settings.notifications_method)
    {
        let text = "the delivery method of USHER_NOTIFICATIONS_METHOD is not configured, so most \
                    notifications are delivered to the inbox only";
        findings.push(Finding::warning(SUBJECT, text));
    }
    findings
}

/// The name of a delivery method, and the settings to check if it fails.
fn labels(method: NotificationMethod) -> (&'static str, &'static str) {
    match method {
        NotificationMethod::Smtp => (
            "mail",
            "check USHER_EMAIL_SMARTHOST, USHER_EMAIL_FORCE_TLS, USHER_EMAIL_AUTH_USERNAME and \
             USHER_EMAIL_AUTH_PASSWORD",
        ),
        NotificationMethod::Webhook | NotificationMethod::Inbox => {
            ("webhook", "check USHER_NOTIFICATIONS_WEBHOOK_ENDPOINT")
        }
    }
}

/// Reads the metadata of each identity provider, and checks its callback URL.
pub(super) async fn check_providers(settings: &ServerSettings) -> Vec<Finding> {
    let access_url = match &settings.network.access_url {
        Some(url) => Ok(url.clone()),
        None => addresses::local_url(settings),
    };
    let Ok(access_url) = access_url else {
        return Vec::new();
    };
    // Invalid settings are a finding of `check_settings` already.
    let Ok(providers) = settings.providers.connect(&access_url) else {
        return Vec::new();
    };
    let base = access_url.as_str().trim_end_matches('/');
    let mut findings = Vec::new();
    if let Some(provider) = &providers.github {
        let enterprise = &settings.providers.github.oauth2_github_enterprise_base_url;
        let check = ProviderCheck {
            subject: "GitHub".to_owned(),
            prefix: "OAUTH2_GITHUB".to_owned(),
            is_loopback: enterprise.as_ref().is_some_and(addresses::is_loopback),
            callback: format!("{base}{}", github::PATH),
        };
        findings.extend(check.run(provider, &access_url).await);
    }
    let issuers = settings.providers.issuers();
    for (index, (provider, (_, issuer))) in providers.oidc.iter().zip(issuers).enumerate() {
        let (subject, prefix) = match index {
            0 => ("OpenID provider".to_owned(), "OIDC".to_owned()),
            _ => (
                format!("OpenID provider {}", index + 1),
                format!("OIDC_{}", index + 1),
            ),
        };
        let check = ProviderCheck {
            subject,
            prefix,
            is_loopback: Url::parse(issuer).is_ok_and(|url| addresses::is_loopback(&url)),
            callback: format!("{base}{}", callback_path(index)),
        };
        findings.extend(check.run(provider, &access_url).await);
    }
    findings
}

struct ProviderCheck {
    subject: String,
    /// The prefix of its variables.
    prefix: String,
    is_loopback: bool,
    /// The redirect URI.
    callback: String,
}

impl ProviderCheck {
    async fn run(&self, provider: &Provider, access_url: &Url) -> Vec<Finding> {
        let (subject, callback) = (&self.subject, &self.callback);
        let mut findings = Vec::new();
        match provider.client.check().await {
            Ok(time) => {
                let text =
                    format!("reachable; {callback} must be registered there as a redirect URI");
                findings.push(Finding::ok(subject, text));
                findings.extend(time.and_then(|theirs| self.clock(theirs, Utc::now())));
            }
            Err(error) => findings.push(Finding::error(
                subject,
                format!(
                    "{error}; check that this machine can reach it, and the settings that start \
                     with USHER_{}_. Sign-in with this provider fails until then",
                    self.prefix
                ),
            )),
        }
        findings.extend(self.redirect(access_url));
        findings
    }

    /// Checks the redirect URI, unless the provider is on this machine, which is a test setup.
    fn redirect(&self, access_url: &Url) -> Option<Finding> {
        if self.is_loopback {
            return None;
        }
        let callback = &self.callback;
        let text = if addresses::is_loopback(access_url) {
            format!(
                "it redirects browsers to {callback}, a loopback address; set USHER_ACCESS_URL \
                 to the URL at which browsers reach the server"
            )
        } else if access_url.scheme() != "https" {
            format!(
                "it redirects browsers to {callback}, which is not https: most providers reject \
                 that, and authorization codes are sent unencrypted; add a proxy that terminates \
                 TLS, and set USHER_ACCESS_URL to its URL"
            )
        } else {
            return None;
        };
        Some(Finding::warning(&self.subject, text))
    }

    fn clock(&self, theirs: DateTime<Utc>, ours: DateTime<Utc>) -> Option<Finding> {
        let skew = (theirs - ours).abs();
        (skew > MAX_SKEW).then(|| {
            let text = format!(
                "this machine and {} are {} seconds apart; synchronize the clock with NTP, since \
                 tokens that seem to be expired or not yet valid are rejected",
                self.subject,
                skew.num_seconds()
            );
            Finding::warning("clock", text)
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use usher_fake_provider::FakeProvider;

    use super::*;
    use crate::doctor::{Level, tests::settings};

    fn levels(findings: &[Finding]) -> Vec<(&str, Level)> {
        let levels = findings.iter();
        levels.map(|found| (&*found.subject, found.level)).collect()
    }

    #[tokio::test]
    async fn each_provider_is_checked_and_its_redirect_uri_reported() {
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

        let found = check_providers(&settings(&flags)).await;

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
        let found = check_providers(&settings(&flags)).await;
        assert_eq!(found[1].level, Level::Error, "{found:?}");
    }

    fn remote(callback: &str) -> ProviderCheck {
        ProviderCheck {
            subject: "OpenID provider".to_owned(),
            prefix: "OIDC".to_owned(),
            is_loopback: false,
            callback: callback.to_owned(),
        }
    }

    #[rstest]
    #[case::https("https://users.example.com/", None)]
    #[case::http("http://users.example.com/", Some("not https"))]
    #[case::loopback("http://127.0.0.1:3000/", Some("loopback address"))]
    #[case::by_name("https://localhost:3000/", Some("loopback address"))]
    #[case::unspecified("http://0.0.0.0:3000/", Some("loopback address"))]
    fn the_redirect_uri_must_be_reachable_and_https(
        #[case] access_url: &str,
        #[case] part: Option<&str>,
    ) {
        let url: Url = access_url.parse().unwrap();
        let check = remote(&format!("{access_url}callback"));

        let found = check.redirect(&url);

        let level = found.as_ref().map(|finding| finding.level);
        assert_eq!(level, part.map(|_| Level::Warning), "{found:?}");
        let text = found.map_or_else(String::new, |finding| finding.text);
        assert!(text.contains(part.unwrap_or_default()), "{text}");
        let is_loopback = true;
        let local = ProviderCheck {
            is_loopback,
            ..check
        };
        assert_eq!(local.redirect(&url), None);
    }

    #[rstest]
    #[case(30, false)]
    #[case(-30, false)]
    #[case(31, true)]
    #[case(-31, true)]
    fn clock_skew_to_a_provider_is_a_warning(#[case] seconds: i64, #[case] is: bool) {
        let ours = DateTime::UNIX_EPOCH;

        let found = remote("/").clock(ours + TimeDelta::seconds(seconds), ours);

        assert_eq!(found.is_some(), is, "{found:?}");
        let is_warning = found.is_none_or(|finding| finding.level == Level::Warning);
        assert!(is_warning);
    }

    #[tokio::test]
    async fn unreachable_delivery_methods_are_errors() {
        let found = check_notifications(&settings(&[]).notifications).await;
        assert_eq!(levels(&found), [("notifications", Level::Ok)]);

        let without_sender = settings(&["--email-smarthost=h:1"]);
        let found = check_notifications(&without_sender.notifications).await;
        assert_eq!(levels(&found), [("notifications", Level::Error)]);

        // A port without a listener.
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
        let found = check_notifications(&settings(&flags).notifications).await;
        assert_eq!(levels(&found), [("mail", Level::Error)]);
        assert!(!format!("{found:?}").contains("hidden"));

        let provider = FakeProvider::start().await.unwrap();
        let flag = format!("--notifications-webhook-endpoint={}/hook", provider.url());
        let found = check_notifications(&settings(&[&flag]).notifications).await;
        assert_eq!(
            levels(&found),
            [("webhook", Level::Ok), ("notifications", Level::Warning)]
        );
    }
}
