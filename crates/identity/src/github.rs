//! GitHub, at github.com or as a GitHub Enterprise server.
//!
//! GitHub does not support OpenID Connect, so the user is read from its API with the access token.

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
    http::{HttpClient, response_time},
    oauth::{self, OAuthClient, Registration},
    setup::join,
};

const SCOPES: [&str; 3] = ["read:user", "read:org", "user:email"];
/// The page size of lists.
const PAGE: usize = 100;
/// The maximum number of pages to read.
const MAX_PAGES: usize = 10;

/// A client of GitHub.
pub struct GitHub {
    settings: GithubSettings,
    teams: Vec<Team>,
    urls: BaseUrls,
    oauth: OAuthClient,
    http: HttpClient,
    clock: Arc<dyn Clock>,
}

/// The base URLs of GitHub.
#[derive(Debug)]
struct BaseUrls {
    /// Of the web pages and OAuth.
    web: Url,
    api: Url,
    is_github_com: bool,
}

impl BaseUrls {
    fn of(enterprise: Option<&Url>) -> Self {
        let fixed = |text: &str| Url::parse(text).expect("a fixed URL");
        match enterprise.filter(|url| url.host_str() != Some("github.com")) {
            Some(base) => Self {
                web: base.clone(),
                api: join(base, ["api", "v3"]),
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

/// Missing and null fields are empty.
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
    /// Creates a client. Does not connect yet.
    pub fn new(settings: GithubSettings, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let urls = BaseUrls::of(settings.enterprise_base_url.as_ref());
        Self::at(urls, settings, clock)
    }

    fn at(
        urls: BaseUrls,
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
            join(&urls.web, ["login", "oauth", "authorize"]),
            join(&urls.web, ["login", "oauth", "access_token"]),
            AuthType::RequestBody,
        );
        Ok(Self {
            teams,
            urls,
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
        let failed =
            |reason: &str| ProviderError::Unavailable(format!("GitHub's API ({name}): {reason}"));
        let mut url = join(&self.urls.api, path.iter().copied());
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
        serde_json::from_slice(&body).map_err(|_| failed("the response cannot be read"))
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

    /// The allowed organizations of which the user is an active member, in lower case, since
    /// GitHub's names are case-insensitive.
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
                "Only members of certain GitHub organizations may sign in.".to_owned(),
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
            // Only members may read a team, so a failure means that the user is not one.
            match self.get::<TeamMembership>(&path, "", access_token).await {
                Ok(membership) if membership.state == "active" => return Ok(()),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "could not read the membership of a team"),
            }
        }
        Err(IdentifyError::NotAMember(
            "Only members of certain GitHub teams may sign in.".to_owned(),
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
            .ok_or_else(|| unusable("Your primary e-mail address at GitHub is not verified. Verify it and try again."))?;
        external_login::address(&primary.email)
            .ok_or_else(|| unusable("Your primary e-mail address at GitHub is not valid."))
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
        let url = join(&self.urls.web, ["login", "device", "code"]);
        oauth::authorize_device(&self.http, &self.settings.client_id, url, SCOPES).await
    }

    async fn identify(
        &self,
        code: &SecretString,
        flow: &Flow,
    ) -> Result<ExternalIdentity, IdentifyError> {
        let response = if self.settings.device_flow {
            match self.oauth.poll_device(&self.http, code).await {
                Err(ProviderError::Refused { code, .. }) if code == "authorization_pending" => {
                    return Err(IdentifyError::Pending);
                }
                response => response?,
            }
        } else {
            self.oauth.exchange(&self.http, code, flow).await?
        };
        let access_token = response.access_token_text();
        // This order decides which error is returned if there are several.
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
            ProviderError::Unavailable("the account of GitHub has no ID".to_owned())
        })?;
        let plain = |text: Option<String>| text.unwrap_or_default().replace('\0', "");
        Ok(ExternalIdentity {
            login_type: LoginType::Github,
            link_id: id.to_string(),
            email,
            username: plain(Some(login)),
            name: external_login::display_name(account.name.as_deref().unwrap_or_default()),
            avatar_url: plain(account.avatar_url),
            github_com_user_id: self.urls.is_github_com.then_some(id),
            tokens: response.tokens(self.clock.now()),
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
            .uri(join(&self.urls.api, ["meta"]).as_str())
            .header(header::ACCEPT, "application/vnd.github+json")
            .body(Vec::new());
        let failed = |reason: String| ProviderError::Unavailable(format!("GitHub's API: {reason}"));
        let request = request.map_err(|error| failed(error.to_string()))?;
        let response = self
            .http
            .send(request)
            .await
            .map_err(|error| failed(error.to_string()))?;
        // Without a token, errors are valid responses too.
        let is_api_response = matches!(
            response.status(),
            StatusCode::OK
                | StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::TOO_MANY_REQUESTS
        );
        if !is_api_response {
            return Err(failed(format!(
                "the response has status {}",
                response.status().as_u16()
            )));
        }
        if serde_json::from_slice::<Map<String, Value>>(response.body()).is_err() {
            return Err(failed("the response is not a JSON object".to_owned()));
        }
        Ok(response_time(response.headers()))
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

    fn urls(enterprise: Option<&str>) -> (String, String, bool) {
        let urls = BaseUrls::of(settings(enterprise).enterprise_base_url.as_ref());
        let page = join(&urls.api, ["user"]);
        let device = join(&urls.web, ["login", "device", "code"]);
        (page.into(), device.into(), urls.is_github_com)
    }

    #[test]
    fn urls_are_those_of_github_com_or_the_enterprise_server() {
        let of = |page: &str, device: &str, is_github_com| {
            (page.to_owned(), device.to_owned(), is_github_com)
        };
        let github_com = of(
            "https://api.github.com/user",
            "https://github.com/login/device/code",
            true,
        );
        assert_eq!(urls(None), github_com);
        assert_eq!(urls(Some("https://github.com/")), github_com);
        for base in ["https://ghe.example.com", "https://ghe.example.com/"] {
            let enterprise = of(
                "https://ghe.example.com/api/v3/user",
                "https://ghe.example.com/login/device/code",
                false,
            );
            assert_eq!(urls(Some(base)), enterprise);
        }
    }

    #[tokio::test]
    async fn the_numeric_id_is_returned_for_accounts_at_github_com_only() {
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
            let urls = BaseUrls {
                is_github_com,
                ..BaseUrls::of(Some(&provider.url().parse().unwrap()))
            };
            let client = GitHub::at(urls, settings(None), Arc::new(SystemClock)).unwrap();
            let identity = client
                .identify(&SecretString::from("code"), &flow)
                .await
                .unwrap();
            assert_eq!(identity.link_id, "583231");
            assert_eq!(
                identity.github_com_user_id,
                is_github_com.then_some(583_231)
            );
        }
    }
}
