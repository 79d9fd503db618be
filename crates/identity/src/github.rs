//! GitHub, at github.com or as a GitHub Enterprise server.
//!
//! GitHub is no OpenID provider: who came is asked of its API with the access token.

mod settings;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::{Method, Request, StatusCode, header};
use oauth2::AuthType;
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use url::Url;
use usher_domain::{
    Email, LoginType,
    external_login::{self, ExternalIdentity, LinkClaims, ProviderTokens},
    time::Clock,
};

pub use self::settings::GithubSettings;
use self::settings::Team;
use crate::{
    DeviceAuthorization, Flow, IdentifyError, IdentityProvider, ProviderError, RefreshError,
    SetupError,
    http::{HttpClient, told_time},
    oauth::{self, OAuthClient, Registration},
    setup::below,
};

const SCOPES: [&str; 3] = ["read:user", "read:org", "user:email"];
/// How many organizations or addresses GitHub says at once, at most.
const PAGE: usize = 100;
/// How many pages are read, at most.
const MAX_PAGES: usize = 10;

/// GitHub.
pub struct GitHub {
    settings: GithubSettings,
    teams: Vec<Team>,
    addresses: Addresses,
    oauth: OAuthClient,
    http: HttpClient,
    clock: Arc<dyn Clock>,
}

/// Where GitHub is.
#[derive(Debug)]
struct Addresses {
    /// For people, and for OAuth.
    web: Url,
    api: Url,
    is_github_com: bool,
}

impl Addresses {
    fn of(enterprise: Option<&Url>) -> Self {
        let fixed = |text: &str| Url::parse(text).expect("a fixed URL");
        match enterprise.filter(|url| url.host_str() != Some("github.com")) {
            Some(base) => Self {
                web: base.clone(),
                api: below(base, ["api", "v3"]),
                is_github_com: false,
            },
            None => Self {
                web: fixed("https://github.com"),
                api: fixed("https://api.github.com"),
                is_github_com: true,
            },
        }
    }
}

#[derive(Deserialize)]
struct Membership {
    state: String,
    organization: Organization,
}

#[derive(Deserialize)]
struct Organization {
    login: String,
}

#[derive(Deserialize)]
struct TeamMembership {
    state: String,
}

/// What is missing or null is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Account {
    id: Option<i64>,
    login: Option<String>,
    name: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    #[serde(default)]
    primary: bool,
    #[serde(default)]
    verified: bool,
}

impl GitHub {
    /// A client with these settings. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// Which setting cannot be used and why, or that TLS does not work on this machine.
    pub fn new(settings: GithubSettings, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let addresses = Addresses::of(settings.enterprise_base_url.as_ref());
        Self::at(addresses, settings, clock)
    }

    fn at(
        addresses: Addresses,
        settings: GithubSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let teams = settings.teams()?;
        let oauth = OAuthClient::new(
            &Registration {
                client_id: &settings.client_id,
                client_secret: &settings.client_secret,
                redirect_url: &settings.redirect_url,
            },
            below(&addresses.web, ["login", "oauth", "authorize"]),
            below(&addresses.web, ["login", "oauth", "access_token"]),
            AuthType::RequestBody,
        );
        Ok(Self {
            teams,
            addresses,
            oauth,
            http: HttpClient::new()?,
            clock,
            settings,
        })
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &str,
        access_token: &str,
    ) -> Result<T, ProviderError> {
        let name = path.first().copied().unwrap_or_default();
        let failed = |reason: &str| {
            ProviderError::Unavailable(format!("GitHub's API, asked for {name}: {reason}"))
        };
        let mut url = below(&self.addresses.api, path.iter().copied());
        if !query.is_empty() {
            url.set_query(Some(query));
        }
        let request = Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .header(header::ACCEPT, "application/vnd.github+json")
            .header(header::AUTHORIZATION, format!("Bearer {access_token}"))
            .body(Vec::new())
            .map_err(|_| failed("the access token cannot be sent"))?;
        let body = self
            .http
            .fetch(request)
            .await
            .map_err(|error| failed(&error.to_string()))?;
        serde_json::from_slice(&body).map_err(|_| failed("the answer cannot be read"))
    }

    /// All of a list.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &str,
        access_token: &str,
    ) -> Result<Vec<T>, ProviderError> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let query = format!("{query}per_page={PAGE}&page={page}");
            let some: Vec<T> = self.get(path, &query, access_token).await?;
            let is_last = some.len() < PAGE;
            all.extend(some);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// Those of the allowed organizations that the person is an active member of, in small
    /// letters: GitHub does not tell names apart by case.
    async fn organizations(&self, access_token: &str) -> Result<BTreeSet<String>, IdentifyError> {
        let path = ["user", "memberships", "orgs"];
        let memberships: Vec<Membership> = self.list(&path, "state=active&", access_token).await?;
        let allowed: BTreeSet<String> = self
            .settings
            .allowed_orgs
            .iter()
            .map(|org| org.to_ascii_lowercase())
            .collect();
        let active: BTreeSet<String> = memberships
            .into_iter()
            .filter(|membership| membership.state == "active")
            .map(|membership| membership.organization.login.to_ascii_lowercase())
            .filter(|org| allowed.contains(org))
            .collect();
        if active.is_empty() {
            return Err(IdentifyError::NotAMember(
                "You are not a member of a GitHub organization that may sign in here.".to_owned(),
            ));
        }
        Ok(active)
    }

    async fn require_team(
        &self,
        organizations: &BTreeSet<String>,
        login: &str,
        access_token: &str,
    ) -> Result<(), IdentifyError> {
        if self.teams.is_empty() {
            return Ok(());
        }
        for team in &self.teams {
            if !organizations.contains(&team.org.to_ascii_lowercase()) {
                continue;
            }
            let path = ["orgs", &team.org, "teams", &team.slug, "memberships", login];
            // Whoever is not in a team may not even read who is, so a failure says no.
            match self.get::<TeamMembership>(&path, "", access_token).await {
                Ok(membership) if membership.state == "active" => return Ok(()),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a team's membership could not be read"),
            }
        }
        Err(IdentifyError::NotAMember(
            "You are not a member of a GitHub team that may sign in here.".to_owned(),
        ))
    }

    async fn email(&self, access_token: &str) -> Result<Email, IdentifyError> {
        let unusable = |message: &str| IdentifyError::Unusable {
            message: message.to_owned(),
            detail: None,
        };
        let addresses: Vec<Address> = self.list(&["user", "emails"], "", access_token).await?;
        let primary = addresses
            .iter()
            .find(|address| address.primary && address.verified)
            .ok_or_else(|| unusable("Your primary email address must be verified at GitHub."))?;
        external_login::address(&primary.email)
            .ok_or_else(|| unusable("GitHub says an email address that cannot be used."))
    }
}

#[async_trait]
impl IdentityProvider for GitHub {
    fn login_type(&self) -> LoginType {
        LoginType::Github
    }

    fn issued(&self, link_id: &str) -> bool {
        !link_id.is_empty() && link_id.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn may_have_issued(&self, link_id: &str) -> bool {
        link_id.is_empty()
    }

    fn uses_device_flow(&self) -> bool {
        self.settings.device_flow
    }

    async fn authorization_url(&self, flow: &Flow) -> Result<Url, ProviderError> {
        self.oauth
            .authorization_url(flow, SCOPES, [("access_type", "offline")])
    }

    async fn authorize_device(&self) -> Result<DeviceAuthorization, ProviderError> {
        let url = below(&self.addresses.web, ["login", "device", "code"]);
        oauth::authorize_device(&self.http, &self.settings.client_id, url, SCOPES).await
    }

    async fn identify(
        &self,
        code: &SecretString,
        flow: &Flow,
    ) -> Result<ExternalIdentity, IdentifyError> {
        let answer = if self.settings.device_flow {
            match self.oauth.poll_device(&self.http, code).await {
                Err(ProviderError::Refused { code, .. }) if code == "authorization_pending" => {
                    return Err(IdentifyError::Pending);
                }
                answer => answer?,
            }
        } else {
            self.oauth.exchange(&self.http, code, flow).await?
        };
        let access_token = answer.access_token_text();
        // The order is that of the answers when several things are wrong.
        let organizations = if self.settings.allow_everyone {
            BTreeSet::new()
        } else {
            self.organizations(access_token).await?
        };
        let account: Account = self.get(&["user"], "", access_token).await?;
        let login = account.login.unwrap_or_default();
        self.require_team(&organizations, &login, access_token)
            .await?;
        let email = self.email(access_token).await?;
        let id = account.id.filter(|id| *id > 0).ok_or_else(|| {
            ProviderError::Unavailable("GitHub says no number of the account".to_owned())
        })?;
        let plain = |text: Option<String>| text.unwrap_or_default().replace('\0', "");
        Ok(ExternalIdentity {
            login_type: LoginType::Github,
            link_id: id.to_string(),
            email,
            username: plain(Some(login)),
            name: external_login::display_name(account.name.as_deref().unwrap_or_default()),
            avatar_url: plain(account.avatar_url),
            github_com_user_id: self.addresses.is_github_com.then_some(id),
            tokens: answer.tokens(self.clock.now()),
            claims: LinkClaims::default(),
        })
    }

    async fn refresh(&self, refresh_token: &SecretString) -> Result<ProviderTokens, RefreshError> {
        self.oauth
            .refresh(&self.http, refresh_token, self.clock.now())
            .await
    }

    async fn check(&self) -> Result<Option<DateTime<Utc>>, ProviderError> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(below(&self.addresses.api, ["meta"]).as_str())
            .header(header::ACCEPT, "application/vnd.github+json")
            .body(Vec::new());
        let failed = |reason: String| ProviderError::Unavailable(format!("GitHub's API: {reason}"));
        let request = request.map_err(|error| failed(error.to_string()))?;
        let answer = self
            .http
            .send(request)
            .await
            .map_err(|error| failed(error.to_string()))?;
        // Without a token it may refuse, which is an answer as well.
        let is_of_an_api = matches!(
            answer.status(),
            StatusCode::OK
                | StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::TOO_MANY_REQUESTS
        );
        if !is_of_an_api {
            return Err(failed(format!(
                "the answer is status {}",
                answer.status().as_u16()
            )));
        }
        if serde_json::from_slice::<Map<String, Value>>(answer.body()).is_err() {
            return Err(failed("the answer is no JSON object".to_owned()));
        }
        Ok(told_time(answer.headers()))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::json;
    use usher_domain::time::SystemClock;
    use usher_fake_provider::FakeProvider;

    use super::*;

    fn settings(enterprise: Option<&str>) -> GithubSettings {
        GithubSettings {
            allow_everyone: true,
            enterprise_base_url: enterprise.map(|url| url.parse().unwrap()),
            ..GithubSettings::new(
                "usher",
                "secret".into(),
                "https://usher.example.com/back".parse().unwrap(),
            )
        }
    }

    fn addresses(enterprise: Option<&str>) -> (String, String, bool) {
        let addresses = Addresses::of(settings(enterprise).enterprise_base_url.as_ref());
        let page = below(&addresses.api, ["user"]);
        let device = below(&addresses.web, ["login", "device", "code"]);
        (page.into(), device.into(), addresses.is_github_com)
    }

    #[test]
    fn everything_is_below_the_base_url_or_at_github_com() {
        let of = |page: &str, device: &str, is_github_com| {
            (page.to_owned(), device.to_owned(), is_github_com)
        };
        let github_com = of(
            "https://api.github.com/user",
            "https://github.com/login/device/code",
            true,
        );
        assert_eq!(addresses(None), github_com);
        assert_eq!(addresses(Some("https://github.com/")), github_com);
        for base in ["https://ghe.example.com", "https://ghe.example.com/"] {
            let enterprise = of(
                "https://ghe.example.com/api/v3/user",
                "https://ghe.example.com/login/device/code",
                false,
            );
            assert_eq!(addresses(Some(base)), enterprise);
        }
    }

    #[tokio::test]
    async fn the_number_is_kept_of_accounts_at_github_com_only() {
        let provider = FakeProvider::start().await.unwrap();
        provider
            .control(&json!({"github": {"user": {"id": 583_231, "login": "octocat"}}}))
            .unwrap();
        let flow = Flow {
            state: "state".to_owned(),
            code_verifier: "v".repeat(43).into(),
            nonce: "nonce".to_owned(),
        };
        for is_github_com in [true, false] {
            let addresses = Addresses {
                is_github_com,
                ..Addresses::of(Some(&provider.url().parse().unwrap()))
            };
            let client = GitHub::at(addresses, settings(None), Arc::new(SystemClock)).unwrap();
            let person = client
                .identify(&SecretString::from("code"), &flow)
                .await
                .unwrap();
            assert_eq!(person.link_id, "583231");
            assert_eq!(person.github_com_user_id, is_github_com.then_some(583_231));
        }
    }
}
