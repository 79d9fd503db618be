//! What the server talks to besides the database: the mail server, the webhook, and
//! identity providers.

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;
use usher_api::{
    Provider,
    sessions::providers::{github, oidc::callback_path},
};
use usher_domain::notification::NotificationMethod;

use super::{Finding, addresses};
use crate::settings::{NotificationSettings, ServerSettings};

/// How far this machine's clock and a provider's may be apart, with the time that an answer
/// takes: its tokens are believed a minute before and after their time.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);

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

/// Asks each identity provider for what everybody may know, says which address must be
/// registered there, and looks whether browsers can come back by it.
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
        let enterprise = &settings.providers.github.oauth2_github_enterprise_base_url;
        let asked = Asked {
            about: "GitHub".to_owned(),
            section: "OAUTH2_GITHUB".to_owned(),
            is_of_this_machine: enterprise
                .as_ref()
                .is_some_and(addresses::is_of_this_machine),
            callback: format!("{base}{}", github::PATH),
        };
        findings.extend(asked.look(provider, &access_url).await);
    }
    let issuers = settings.providers.issuers();
    for (index, (provider, (_, issuer))) in providers.oidc.iter().zip(issuers).enumerate() {
        let (about, section) = match index {
            0 => ("OpenID provider".to_owned(), "OIDC".to_owned()),
            _ => (
                format!("OpenID provider {}", index + 1),
                format!("OIDC_{}", index + 1),
            ),
        };
        let asked = Asked {
            about,
            section,
            is_of_this_machine: Url::parse(issuer)
                .is_ok_and(|url| addresses::is_of_this_machine(&url)),
            callback: format!("{base}{}", callback_path(index)),
        };
        findings.extend(asked.look(provider, &access_url).await);
    }
    findings
}

/// A provider that is asked.
struct Asked {
    about: String,
    /// What its variables begin with.
    section: String,
    is_of_this_machine: bool,
    /// Where browsers go back to.
    callback: String,
}

impl Asked {
    async fn look(&self, provider: &Provider, access_url: &Url) -> Vec<Finding> {
        let (about, callback) = (&self.about, &self.callback);
        let mut findings = Vec::new();
        match provider.client.check().await {
            Ok(time) => {
                let text = format!(
                    "it answers; {callback} must be registered there as where browsers go back to"
                );
                findings.push(Finding::ok(about, text));
                findings.extend(time.and_then(|theirs| self.clock(theirs, Utc::now())));
            }
            Err(error) => findings.push(Finding::error(
                about,
                format!(
                    "{error}; see that this machine may reach it, and the settings that begin \
                     with USHER_{}_. Nobody signs in through it until then; all others do",
                    self.section
                ),
            )),
        }
        findings.extend(self.way_back(access_url));
        findings
    }

    /// What is wrong with where the provider sends browsers back to. One on this machine is
    /// there to try things out.
    fn way_back(&self, access_url: &Url) -> Option<Finding> {
        if self.is_of_this_machine {
            return None;
        }
        let callback = &self.callback;
        let text = if addresses::is_of_this_machine(access_url) {
            format!(
                "it sends browsers back to {callback}, which is on their own machines; set \
                 USHER_ACCESS_URL to where browsers reach the server"
            )
        } else if access_url.scheme() != "https" {
            format!(
                "it sends browsers back to {callback}, which is not https: most providers refuse \
                 that, and codes cross the network in the clear; put a proxy that does TLS in \
                 front, and set USHER_ACCESS_URL to its address"
            )
        } else {
            return None;
        };
        Some(Finding::warning(&self.about, text))
    }

    fn clock(&self, theirs: DateTime<Utc>, ours: DateTime<Utc>) -> Option<Finding> {
        let skew = (theirs - ours).abs();
        (skew > MAX_SKEW).then(|| {
            let text = format!(
                "this machine and {} are {} seconds apart; set the clock by NTP, since tokens \
                 that seem to be over or not to have begun are refused",
                self.about,
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

    fn elsewhere(callback: &str) -> Asked {
        Asked {
            about: "OpenID provider".to_owned(),
            section: "OIDC".to_owned(),
            is_of_this_machine: false,
            callback: callback.to_owned(),
        }
    }

    #[rstest]
    #[case::good("https://users.example.com/", None)]
    #[case::in_the_clear("http://users.example.com/", Some("not https"))]
    #[case::of_this_machine("http://127.0.0.1:3000/", Some("their own machines"))]
    #[case::by_name("https://localhost:3000/", Some("their own machines"))]
    #[case::anywhere("http://0.0.0.0:3000/", Some("their own machines"))]
    fn browsers_must_find_back(#[case] access_url: &str, #[case] part: Option<&str>) {
        let url: Url = access_url.parse().unwrap();
        let asked = elsewhere(&format!("{access_url}callback"));

        let found = asked.way_back(&url);

        let level = found.as_ref().map(|it| it.level);
        assert_eq!(level, part.map(|_| Level::Warning), "{found:?}");
        let text = found.map_or_else(String::new, |it| it.text);
        assert!(text.contains(part.unwrap_or_default()), "{text}");
        let is_of_this_machine = true;
        let near = Asked {
            is_of_this_machine,
            ..asked
        };
        assert_eq!(near.way_back(&url), None);
    }

    #[rstest]
    #[case(30, false)]
    #[case(-30, false)]
    #[case(31, true)]
    #[case(-31, true)]
    fn a_clock_that_differs_from_the_providers_is_found(#[case] seconds: i64, #[case] is: bool) {
        let ours = DateTime::UNIX_EPOCH;

        let found = elsewhere("/").clock(ours + TimeDelta::seconds(seconds), ours);

        assert_eq!(found.is_some(), is, "{found:?}");
        let is_warning = found.is_none_or(|it| it.level == Level::Warning);
        assert!(is_warning);
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
