//! Sign-in through identity providers, including attempts to sign in as another user.

use anyhow::{Context as _, Result};
use rstest::rstest;
use serde_json::{Value, json};
use url::Url;
use usher_fake_provider::FakeProvider;
use usher_tests::cookie_browser::{Browser, Page};
use usher_tests::deployment::{self, PASSWORD, log_in};
use usher_tests::exchange::{Request, Response};
use usher_tests::server::{Server, Setup};

const OIDC: &str = "/api/v2/users/oidc/callback";
const GITHUB: &str = "/api/v2/users/oauth2/github/callback";

/// A fake provider, and a server with an owner whose other users sign in through it.
struct Deployment {
    provider: FakeProvider,
    server: Server,
    owner: String,
}

impl Deployment {
    async fn start() -> Result<Self> {
        Self::with(|setup| setup).await
    }

    async fn with(change: impl FnOnce(Setup) -> Setup) -> Result<Self> {
        let provider = FakeProvider::start().await?;
        Self::on(provider, change).await
    }

    async fn on(provider: FakeProvider, change: impl FnOnce(Setup) -> Setup) -> Result<Self> {
        let deployment::Deployment { server, owner, .. } =
            deployment::Deployment::start(change(setup(&provider))).await?;
        Ok(Self {
            provider,
            server,
            owner,
        })
    }

    /// Starts another server on the same database, with the same access URL.
    async fn replica(&self) -> Result<Server> {
        setup(&self.provider)
            .on(self.server.database())
            .set("ACCESS_URL", self.server.base_url())
            .start()
            .await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base_url())
    }

    /// Sets the claims of the OpenID provider's user.
    fn set_claims(&self, claims: &Value) -> Result<()> {
        self.provider
            .control(&json!({"oidc": {"claims": claims}}))?;
        Ok(())
    }

    /// Signs in through the OpenID provider.
    async fn sign_in(&self, browser: &mut Browser) -> Result<Page> {
        browser.visit(&self.url(OIDC)).await
    }

    /// Signs a user in with a new browser.
    async fn sign_in_as(&self, subject: &str, email: &str) -> Result<Browser> {
        self.set_claims(&json!({"sub": subject, "email": email}))?;
        let mut browser = Browser::new();
        let page = self.sign_in(&mut browser).await?;
        assert!(has_session(&browser, &self.server), "{page:?}");
        Ok(browser)
    }

    /// Starts to sign in at the provider and returns the URL of the callback, unvisited.
    async fn start_sign_in(&self, browser: &mut Browser) -> Result<Url> {
        let start = browser.get(&self.url(OIDC)).await?;
        assert_eq!(start.response.status, 307, "{start:?}");
        let visited = browser.get(&start.response.header("location")).await?;
        Ok(Url::parse(&visited.response.header("location"))?)
    }

    async fn me(&self, browser: &mut Browser) -> Result<(u16, Value)> {
        let response = browser.get(&self.url("/api/v2/users/me")).await?.response;
        let body = response.json().unwrap_or_default();
        Ok((response.status, body))
    }

    async fn as_owner(&self, method: &str, path: &str, body: &Value) -> Result<Response> {
        let request = Request::new(method, path).token(&self.owner).json(body);
        self.server.send(&request).await
    }

    async fn sql(&self, sql: &str) -> Result<String> {
        self.server.database().query(sql).await
    }

    /// Returns the number of users from providers, and of their links.
    async fn counts(&self) -> Result<(String, String)> {
        let users = self
            .sql("SELECT count(*) FROM users WHERE login_type IN ('oidc', 'github')")
            .await?;
        Ok((users, self.sql("SELECT count(*) FROM user_links").await?))
    }
}

fn setup(provider: &FakeProvider) -> Setup {
    Setup::default()
        .set("OIDC_ISSUER_URL", &format!("{}/oidc", provider.url()))
        .set("OIDC_CLIENT_ID", "usher-oidc")
        .set("OIDC_CLIENT_SECRET", "hidden-oidc-secret")
        .set("OAUTH2_GITHUB_CLIENT_ID", "usher-github")
        .set("OAUTH2_GITHUB_CLIENT_SECRET", "hidden-github-secret")
        .set("OAUTH2_GITHUB_ENTERPRISE_BASE_URL", provider.url())
        .set("OAUTH2_GITHUB_ALLOW_EVERYONE", "true")
        .set("OAUTH2_GITHUB_ALLOW_SIGNUPS", "true")
}

fn has_session(browser: &Browser, server: &Server) -> bool {
    let url = Url::parse(server.base_url()).expect("a valid base URL");
    browser.cookie(&url, "coder_session_token").is_some()
}

/// Returns the request of a callback, with the cookies of the browser that started the sign-in.
fn callback_request(browser: &Browser, callback: &Url) -> Request {
    let cookie = |name| {
        browser
            .cookie(callback, name)
            .unwrap_or_default()
            .to_owned()
    };
    let cookies = format!(
        "oauth_state={}; oauth_redirect={}",
        cookie("oauth_state"),
        cookie("oauth_redirect")
    );
    let path = &callback[url::Position::BeforePath..];
    Request::new("GET", path).header("Cookie", &cookies)
}

/// Sends requests concurrently, alternating between the servers.
async fn send_concurrently(servers: &[&Server], requests: Vec<Request>) -> Result<Vec<Response>> {
    let sent = requests.iter().enumerate().map(|(index, request)| {
        let server = servers[index % servers.len()];
        server.send(request)
    });
    futures_util::future::try_join_all(sent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_up_signs_in_again_and_signs_out() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.set_claims(&json!({
        "sub": "7", "email": "ann@example.com", "email_verified": true,
        "preferred_username": "ann", "name": "Ann Lee",
    }))?;

    let mut browser = Browser::new();
    let page = browser
        .visit(&deployment.url(&format!("{OIDC}?redirect=%2Fthere%3Fa%3D1%23x")))
        .await?;
    assert_eq!(page.url.as_str(), deployment.url("/there?a=1"));
    let (status, ann) = deployment.me(&mut browser).await?;
    assert_eq!(status, 200);
    assert_eq!(ann["username"], "ann");
    assert_eq!(ann["login_type"], "oidc");

    // Their profile at the provider has changed, and they use another browser.
    deployment.set_claims(&json!({
        "sub": "7", "email": "ann@example.org", "preferred_username": "ann-smith",
        "name": "Ann Smith",
    }))?;
    let mut other = Browser::new();
    deployment.sign_in(&mut other).await?;
    let (_, again) = deployment.me(&mut other).await?;
    assert_eq!(again["id"], ann["id"]);
    assert_eq!(again["username"], "ann");
    assert_eq!(again["email"], "ann@example.org");
    assert_eq!(again["name"], "Ann Smith");
    assert_eq!(deployment.counts().await?, ("1".into(), "1".into()));

    let out = deployment.url("/api/v2/users/logout");
    let out = browser.post(&out, &json!({})).await?.response;
    assert_eq!(out.status, 200, "{}", out.body);
    assert_eq!(deployment.me(&mut browser).await?.0, 401);
    assert_eq!(deployment.me(&mut other).await?.0, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_user_is_identified_by_their_id() -> Result<()> {
    let deployment = Deployment::start().await?;
    let user = |id: u32, login: &str, email: &str| {
        json!({"github": {
            "user": {"id": id, "login": login},
            "emails": [{"email": email, "primary": true, "verified": true}],
        }})
    };
    let start = deployment.url(GITHUB);

    deployment
        .provider
        .control(&user(7, "ann_lee", "ann@example.com"))?;
    let mut browser = Browser::new();
    browser.visit(&start).await?;
    let (status, ann) = deployment.me(&mut browser).await?;
    assert_eq!(
        (status, &ann["username"]),
        (200, &json!("ann-lee")),
        "{ann}"
    );

    deployment
        .provider
        .control(&user(7, "ann", "ann@example.org"))?;
    let mut browser = Browser::new();
    browser.visit(&start).await?;
    assert_eq!(deployment.me(&mut browser).await?.1["id"], ann["id"]);

    // Another GitHub user has this e-mail address now.
    deployment
        .provider
        .control(&user(8, "eve", "ann@example.org"))?;
    let mut browser = Browser::new();
    let rejected = browser.visit(&start).await?;
    assert_eq!(rejected.response.status, 403, "{rejected:?}");
    assert!(!has_session(&browser, &deployment.server));
    assert_eq!(deployment.counts().await?, ("1".into(), "1".into()));
    Ok(())
}

/// Values of `email_verified`, and whether the e-mail address is accepted.
const VERIFIED: [(&str, Option<&str>, bool); 10] = [
    ("true", Some("true"), true),
    ("false", Some("false"), false),
    ("text-true", Some(r#""true""#), false),
    ("text-false", Some(r#""false""#), false),
    ("one", Some("1"), false),
    ("zero", Some("0"), false),
    ("null", Some("null"), false),
    ("absent", None, true),
    ("list", Some("[]"), false),
    ("object", Some("{}"), false),
];

#[tokio::test(flavor = "multi_thread")]
async fn only_a_verified_email_address_is_accepted_and_only_for_its_account() -> Result<()> {
    let deployment = Deployment::start().await?;
    for (name, verified, is_accepted) in VERIFIED {
        for link in ["none", "same", "other"] {
            let case = format!("email_verified {name}, {link} link");
            let email = format!("{name}-{link}@example.com");
            let subject = format!("{name}-{link}");
            match link {
                "none" => {}
                "same" => drop(deployment.sign_in_as(&subject, &email).await?),
                _ => drop(deployment.sign_in_as("another-user", &email).await?),
            }
            let before = deployment.counts().await?;
            let mut userinfo = json!({"sub": subject, "email": email});
            if let Some(verified) = verified {
                userinfo["email_verified"] = serde_json::from_str(verified)?;
            }
            // The fake provider leaves null claims out of the ID token, but not out of userinfo.
            deployment.provider.control(&json!({"oidc": {
                "claims": {"sub": subject, "email": email}, "userinfo": userinfo,
            }}))?;

            let mut browser = Browser::new();
            let page = deployment.sign_in(&mut browser).await?;

            let is_signed_in = has_session(&browser, &deployment.server);
            assert_eq!(
                is_signed_in,
                is_accepted && link != "other",
                "{case}: {page:?}"
            );
            if is_signed_in {
                let (status, me) = deployment.me(&mut browser).await?;
                assert_eq!((status, &me["email"]), (200, &json!(email)), "{case}");
            } else {
                assert_eq!(page.response.status, 403, "{case}: {page:?}");
            }
            let is_new = is_signed_in && link == "none";
            assert_eq!(deployment.counts().await? != before, is_new, "{case}");
            deployment
                .provider
                .control(&json!({"oidc": {"userinfo": null}}))?;
            // The next case links another user again.
            deployment
                .sql("UPDATE user_links SET linked_id = 'gone-' || user_id")
                .await?;
        }
    }
    Ok(())
}

/// An unused account with the login type of the provider is linked by its e-mail address; an
/// account with a password is not.
#[tokio::test(flavor = "multi_thread")]
async fn an_email_address_links_only_unused_accounts_of_the_provider() -> Result<()> {
    let deployment = Deployment::start().await?;
    let organizations = deployment
        .as_owner("GET", "/api/v2/users/me", &json!(null))
        .await?;
    let organizations = organizations.json().context("no body")?["organization_ids"].clone();
    for (name, kind) in [
        ("invited", "oidc"),
        ("of-password", "password"),
        ("of-github", "github"),
    ] {
        let mut user = json!({
            "email": format!("{name}@example.com"), "username": name, "login_type": kind,
            "organization_ids": organizations,
        });
        if kind == "password" {
            user["password"] = PASSWORD.into();
        }
        let created = deployment.as_owner("POST", "/api/v2/users", &user).await?;
        assert_eq!(created.status, 201, "{}", created.body);
    }

    let mut invited = deployment.sign_in_as("1", "INVITED@example.com").await?;
    assert_eq!(deployment.me(&mut invited).await?.1["username"], "invited");
    for name in ["of-password", "of-github", "invited"] {
        let claims = json!({"sub": "2", "email": format!("{name}@example.com")});
        deployment.set_claims(&claims)?;
        let mut browser = Browser::new();
        let rejected = deployment.sign_in(&mut browser).await?;
        assert_eq!(rejected.response.status, 403, "{name}: {rejected:?}");
        assert!(!has_session(&browser, &deployment.server), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_domain_of_an_email_address_is_compared() -> Result<()> {
    let deployment = Deployment::with(|setup| setup.set("OIDC_EMAIL_DOMAIN", "corp.com")).await?;
    for address in [
        "eve@evilcorp.com",
        "eve@corp.com.evil.io",
        "eve@sub.corp.com",
        "eve@corp.com@evil.io",
        "eve@evil.io@corp.com",
        "\"eve@evil.io\"@corp.com",
        "@corp.com",
        "eve",
        "eve lee@corp.com",
        "eve@corp.com ",
        "eve@corp.com\r\nBcc: x@evil.io",
        "eve@corp.com\n",
        "eve\u{0}@corp.com",
        "",
    ] {
        deployment.set_claims(&json!({"sub": "1", "email": address, "email_verified": true}))?;
        let mut browser = Browser::new();
        let rejected = deployment.sign_in(&mut browser).await?;
        let status = rejected.response.status;
        assert!(matches!(status, 400 | 403), "{address:?}: {rejected:?}");
        assert!(!has_session(&browser, &deployment.server), "{address:?}");
    }
    assert_eq!(deployment.counts().await?, ("0".into(), "0".into()));

    deployment.sign_in_as("1", "Ann@CORP.com").await?;
    assert_eq!(deployment.counts().await?, ("1".into(), "1".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_concurrent_callbacks_create_one_account() -> Result<()> {
    let deployment = Deployment::start().await?;
    let second = deployment.replica().await?;
    deployment.set_claims(&json!({"sub": "1", "email": "ann@example.com"}))?;
    let mut browser = Browser::new();
    let callback = deployment.start_sign_in(&mut browser).await?;

    let requests = vec![callback_request(&browser, &callback); 50];
    let responses = send_concurrently(&[&deployment.server, &second], requests).await?;

    for response in &responses {
        assert!(
            response.status < 500,
            "{} {}",
            response.status,
            response.body
        );
    }
    let succeeded = responses.iter().filter(|response| response.status == 307);
    assert!(succeeded.count() > 0, "no callback succeeded");
    assert_eq!(deployment.counts().await?, ("1".into(), "1".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_bound_to_its_browser_and_this_server() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.set_claims(&json!({"sub": "1", "email": "ann@example.com"}))?;
    let mut victim = Browser::new();
    deployment.start_sign_in(&mut victim).await?;
    let mut browser = Browser::new();
    let callback = deployment.start_sign_in(&mut browser).await?;
    let assert_rejected = async |browser: &Browser, callback: &Url, case: &str| -> Result<()> {
        let mut browser = browser.clone();
        let response = browser.get(callback.as_str()).await?.response;
        assert_eq!(response.status, 401, "{case}: {}", response.body);
        assert!(!has_session(&browser, &deployment.server), "{case}");
        Ok(())
    };

    assert_rejected(&Browser::new(), &callback, "no cookie").await?;
    assert_rejected(&victim, &callback, "another browser").await?;
    let with_state = |state: &str| {
        let mut changed = callback.clone();
        changed
            .query_pairs_mut()
            .clear()
            .append_pair("code", "x")
            .append_pair("state", state);
        changed
    };
    let state = browser
        .cookie(&callback, "oauth_state")
        .context("no state")?;
    let state = state.to_owned();
    for forged in [
        "x".to_owned(),
        "a".repeat(32),
        format!("convert-{}", "a".repeat(32)),
        state.to_lowercase(),
        state[..31].to_owned(),
        format!("{state}0"),
        format!("convert-{state}"),
    ] {
        let mut browser = browser.clone();
        browser.set_cookie("oauth_state", &forged);
        assert_rejected(&browser, &with_state(&forged), &forged).await?;
    }

    // A state of the GitHub sign-in is rejected by the other provider's callback.
    let mut other = Browser::new();
    other.get(&deployment.url(GITHUB)).await?;
    let foreign = other.cookie(&callback, "oauth_state").context("no state")?;
    let foreign = foreign.to_owned();
    assert_rejected(&other, &with_state(&foreign), "GitHub's").await?;

    // The valid state still works.
    browser.get(callback.as_str()).await?;
    assert!(has_session(&browser, &deployment.server));
    Ok(())
}

/// Another user's state would sign the victim in to the attacker's account, or link it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_merge_state_is_rejected() -> Result<()> {
    let deployment = Deployment::start().await?;
    for state in ["x", &"a".repeat(32), &format!("convert-{}", "a".repeat(32))] {
        let mut browser = Browser::new();
        let start = deployment.url(&format!("{OIDC}?oidc_merge_state={state}"));
        let rejected = browser.get(&start).await?;
        assert_eq!(rejected.response.status, 400, "{rejected:?}");
        assert_eq!(browser.cookie(&rejected.url, "oauth_state"), None);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_bound_to_its_flow_by_pkce_and_nonce() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.set_claims(&json!({"sub": "1", "email": "ann@example.com"}))?;
    for path in [OIDC, GITHUB] {
        let mut browser = Browser::new();
        let start = browser.get(&deployment.url(path)).await?;
        let location = Url::parse(&start.response.header("location"))?;
        let parameter = |name: &str| {
            let mut pairs = location.query_pairs();
            let found = pairs.find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned())
        };
        assert_eq!(parameter("code_challenge_method").as_deref(), Some("S256"));
        assert!(parameter("code_challenge").is_some_and(|it| it.len() == 43));
        assert_eq!(parameter("nonce").is_some(), path == OIDC);
    }

    // The provider has the challenge of another browser's later request.
    let mut browser = Browser::new();
    let callback = deployment.start_sign_in(&mut browser).await?;
    deployment.start_sign_in(&mut Browser::new()).await?;
    let rejected = browser.get(callback.as_str()).await?.response;
    assert_eq!(rejected.status, 400, "{}", rejected.body);

    // An ID token of another flow, or without a valid nonce.
    for nonce in [json!("another"), json!(null), json!(7)] {
        let claims = json!({"sub": "1", "email": "ann@example.com", "nonce": nonce});
        deployment.set_claims(&claims)?;
        let rejected = deployment.sign_in(&mut browser).await?.response;
        assert_eq!(rejected.status, 400, "{nonce}: {}", rejected.body);
    }
    assert!(!has_session(&browser, &deployment.server));
    assert_eq!(deployment.counts().await?, ("0".into(), "0".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_the_provider_rejects_is_rejected() -> Result<()> {
    let deployment = Deployment::start().await?;
    for (side, path, error) in [
        ("oidc", OIDC, "invalid_grant"),
        ("github", GITHUB, "bad_verification_code"),
    ] {
        let change = json!({side: {"token_error": error}});
        deployment.provider.control(&change)?;
        let mut browser = Browser::new();
        let rejected = browser.visit(&deployment.url(path)).await?.response;
        assert_eq!(rejected.status, 400, "{side}: {}", rejected.body);
        assert!(rejected.body.contains(error), "{}", rejected.body);
        assert!(!has_session(&browser, &deployment.server), "{side}");
    }
    assert_eq!(deployment.counts().await?, ("0".into(), "0".into()));
    Ok(())
}

#[rstest]
#[case::absent(json!({"id_token": "absent"}))]
#[case::garbage(json!({"id_token": "garbage"}))]
#[case::bad_signature(json!({"id_token": "bad_signature"}))]
#[case::foreign_key(json!({"id_token": "foreign_key"}))]
#[case::unsigned(json!({"id_token": "unsigned"}))]
#[case::wrong_issuer(json!({"claims": {"sub": "1", "email": "a@example.com", "iss": "https://evil.io"}}))]
#[case::wrong_audience(json!({"claims": {"sub": "1", "email": "a@example.com", "aud": "another"}}))]
#[case::expired(json!({"claims": {"sub": "1", "email": "a@example.com", "exp": 1_700_000_000}}))]
#[case::no_subject(json!({"claims": {"email": "a@example.com"}}))]
#[case::no_email(json!({"claims": {"sub": "1"}}))]
#[case::empty_email(json!({"claims": {"sub": "1", "email": ""}}))]
#[case::userinfo_of_another_subject(json!({"userinfo": {"sub": "2", "email": "b@example.com"}}))]
#[case::userinfo_without_subject(json!({"userinfo": {"email": "b@example.com"}}))]
#[tokio::test(flavor = "multi_thread")]
async fn invalid_tokens_and_claims_are_rejected(#[case] change: Value) -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.provider.control(&json!({"oidc": change}))?;

    let mut browser = Browser::new();
    let rejected = deployment.sign_in(&mut browser).await?.response;

    assert!((400..500).contains(&rejected.status), "{}", rejected.body);
    assert!(!has_session(&browser, &deployment.server));
    assert_eq!(deployment.counts().await?, ("0".into(), "0".into()));
    // The failure does not block later sign-ins.
    deployment.provider.control(&json!({"oidc": {
        "claims": null, "userinfo": null, "id_token": null,
    }}))?;
    deployment.sign_in(&mut browser).await?;
    assert!(has_session(&browser, &deployment.server));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_user_cannot_sign_in_and_stays_suspended() -> Result<()> {
    let deployment =
        Deployment::with(|setup| setup.set("OAUTH2_GITHUB_DEVICE_FLOW", "true")).await?;
    let mut browser = deployment.sign_in_as("1", "ann@example.com").await?;
    let id = deployment.me(&mut browser).await?.1["id"].clone();
    let id = id.as_str().context("no id")?;
    let suspend = |id: &str| format!("/api/v2/users/{id}/status/suspend");
    let suspended = deployment.as_owner("PUT", &suspend(id), &json!({})).await?;
    assert_eq!(suspended.status, 200, "{}", suspended.body);

    let mut again = Browser::new();
    let rejected = deployment.sign_in(&mut again).await?.response;
    assert!(matches!(rejected.status, 401 | 403), "{}", rejected.body);
    assert!(!has_session(&again, &deployment.server));
    assert_eq!(deployment.me(&mut browser).await?.0, 401);

    // Nor with the device flow.
    let device = async || -> Result<Browser> {
        let mut device = Browser::new();
        let start = device.get(&deployment.url(GITHUB)).await?;
        let state = device
            .cookie(&start.url, "oauth_state")
            .context("no state")?;
        let poll = deployment.url(&format!("{GITHUB}?code=device&state={state}"));
        device.get(&poll).await?;
        Ok(device)
    };
    let mut signed_in = device().await?;
    let (status, octocat) = deployment.me(&mut signed_in).await?;
    assert_eq!(status, 200, "{octocat}");
    let id = octocat["id"].as_str().context("no id")?;
    deployment.as_owner("PUT", &suspend(id), &json!({})).await?;
    assert!(!has_session(&device().await?, &deployment.server));

    let statuses = "SELECT DISTINCT status FROM users WHERE login_type IN ('oidc', 'github')";
    assert_eq!(deployment.sql(statuses).await?, "suspended");
    Ok(())
}

/// Redirect targets that browsers would resolve to another origin.
const FOREIGN_TARGETS: [&str; 12] = [
    "https://evil.io/x",
    "//evil.io/x",
    "///evil.io/x",
    "////evil.io/x",
    "/\\evil.io/x",
    "\\\\evil.io/x",
    "/\t/evil.io/x",
    "/%09/evil.io/x",
    "/./\\evil.io/x",
    "/.//evil.io/x",
    "https:evil.io/x",
    "javascript:alert(1)",
];

#[tokio::test(flavor = "multi_thread")]
async fn redirects_after_sign_in_stay_on_the_origin() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.set_claims(&json!({"sub": "1", "email": "ann@example.com"}))?;
    let base = Url::parse(deployment.server.base_url())?;
    let assert_stays = |location: &str, target: &str| -> Result<()> {
        let next = base.join(OIDC)?.join(location)?;
        assert_eq!(
            next.origin(),
            base.origin(),
            "{target:?} leads to {location:?}"
        );
        let path = location.strip_prefix('/').context("not a path")?;
        assert!(!path.starts_with(['/', '\\']), "{location:?}");
        Ok(())
    };
    for target in FOREIGN_TARGETS {
        let mut start = Url::parse(&deployment.url(OIDC))?;
        start.query_pairs_mut().append_pair("redirect", target);

        let mut browser = Browser::new();
        let started = browser.get(start.as_str()).await?;
        let at_provider = browser.get(&started.response.header("location")).await?;
        let callback = at_provider.response.header("location");
        let arrived = browser.get(&callback).await?.response;
        assert_eq!(arrived.status, 307, "{}", arrived.body);
        assert_stays(&arrived.header("location"), target)?;

        // Written into the cookie, as a page on a sibling domain could.
        if !target.contains(['\t', '\\']) {
            browser.set_cookie("oauth_redirect", target);
            let arrived = browser.get(&callback).await?.response;
            assert_stays(&arrived.header("location"), target)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_after_the_device_flow_stay_on_the_origin() -> Result<()> {
    let deployment =
        Deployment::with(|setup| setup.set("OAUTH2_GITHUB_DEVICE_FLOW", "true")).await?;
    for target in FOREIGN_TARGETS {
        let mut start = Url::parse(&deployment.url(GITHUB))?;
        start.query_pairs_mut().append_pair("redirect", target);
        let mut device = Browser::new();
        device.get(start.as_str()).await?;
        let state = device.cookie(&start, "oauth_state").context("no state")?;
        let poll = deployment.url(&format!("{GITHUB}?code=device&state={state}"));
        let response = device.get(&poll).await?.response;
        let body = response.json().with_context(|| response.body.clone())?;
        let location = body["redirect_url"].as_str().context("no target")?;
        let path = location.strip_prefix('/').context("not a path")?;
        assert!(
            !path.starts_with(['/', '\\', '\t']),
            "{target:?}: {location:?}"
        );
    }
    Ok(())
}

const EXPIRE_LINKS: &str = "UPDATE user_links SET oauth_expiry = now() - interval '1 minute'";

#[tokio::test(flavor = "multi_thread")]
async fn fifty_concurrent_requests_to_two_replicas_refresh_once() -> Result<()> {
    let deployment = Deployment::start().await?;
    let second = deployment.replica().await?;
    let browser = deployment.sign_in_as("1", "ann@example.com").await?;
    let base = Url::parse(deployment.server.base_url())?;
    let session = browser.cookie(&base, "coder_session_token");
    let session = session.context("no session")?.to_owned();
    // A delay, so that all requests find the token expired.
    deployment
        .provider
        .control(&json!({"oidc": {"delay": 500}}))?;
    for round in 1..=2 {
        deployment.sql(EXPIRE_LINKS).await?;

        let me = Request::new("GET", "/api/v2/users/me").token(&session);
        let servers = [&deployment.server, &second];
        let responses = send_concurrently(&servers, vec![me; 50]).await?;

        for response in &responses {
            assert_eq!(response.status, 200, "{}", response.body);
        }
        assert_eq!(deployment.provider.calls("oidc.refresh"), round);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_revoked_when_the_provider_refuses_a_refresh() -> Result<()> {
    let deployment = Deployment::start().await?;
    let mut browser = deployment.sign_in_as("1", "ann@example.com").await?;
    let mut other = deployment.sign_in_as("1", "ann@example.com").await?;

    // An unavailable provider does not revoke sessions.
    deployment.sql(EXPIRE_LINKS).await?;
    deployment.provider.control(&json!({"down": true}))?;
    assert_eq!(deployment.me(&mut browser).await?.0, 503);
    deployment.provider.control(&json!({"down": false}))?;
    assert_eq!(deployment.me(&mut browser).await?.0, 200);

    deployment.sql(EXPIRE_LINKS).await?;
    deployment
        .provider
        .control(&json!({"oidc": {"refreshes": 0}}))?;
    for browser in [&mut browser, &mut other] {
        assert_eq!(deployment.me(browser).await?.0, 401);
    }

    // Signing in again works.
    deployment
        .provider
        .control(&json!({"oidc": {"refreshes": 10}}))?;
    let mut again = deployment.sign_in_as("1", "ann@example.com").await?;
    assert_eq!(deployment.me(&mut again).await?.0, 200);

    // The tokens of suspended users are not refreshed.
    let calls = deployment.provider.calls("oidc.refresh");
    deployment.sql(EXPIRE_LINKS).await?;
    deployment
        .sql("UPDATE users SET status = 'suspended' WHERE username <> 'owner'")
        .await?;
    assert_eq!(deployment.me(&mut again).await?.0, 401);
    assert_eq!(deployment.provider.calls("oidc.refresh"), calls);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_provider_affects_only_its_own_sign_in() -> Result<()> {
    let provider = FakeProvider::start().await?;
    provider.control(&json!({"down": true}))?;
    let deployment = Deployment::on(provider, |setup| setup).await?;

    let mut browser = Browser::new();
    let started = browser.get(&deployment.url(OIDC)).await?.response;
    assert!((500..600).contains(&started.status), "{}", started.body);
    assert_ne!(started.status, 500, "{}", started.body);
    log_in(&deployment.server, "owner").await?;
    let methods = Request::new("GET", "/api/v2/users/authmethods");
    let methods = deployment.server.send(&methods).await?;
    assert_eq!(methods.json().context("no body")?["oidc"]["enabled"], true);

    deployment.provider.control(&json!({"down": false}))?;
    let mut browser = deployment.sign_in_as("1", "ann@example.com").await?;
    assert_eq!(deployment.me(&mut browser).await?.0, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_tokens_are_stored_encrypted() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment
        .provider
        .control(&json!({"github": {"refresh_token": true}}))?;
    deployment.sign_in_as("1", "ann@example.com").await?;
    Browser::new().visit(&deployment.url(GITHUB)).await?;

    let rows = "SELECT oauth_access_token, oauth_access_token_key_id,
                       oauth_refresh_token, oauth_refresh_token_key_id FROM user_links";
    let rows = deployment.sql(rows).await?;
    assert_eq!(rows.lines().count(), 2, "{rows}");
    for value in rows.lines().flat_map(|row| row.split('|')) {
        assert!(!value.is_empty(), "{rows}");
    }
    // The prefixes of the provider's tokens.
    for kind in ["oidc-", "github-", "refresh-"] {
        assert!(!rows.contains(kind), "{rows}");
    }
    let plain = "SELECT count(*) FROM user_links WHERE user_links::text ~ '(oidc|github|refresh)-[0-9a-f]{24}'";
    assert_eq!(deployment.sql(plain).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_level_logs_secrets() -> Result<()> {
    let deployment = Deployment::with(|setup| setup.set("LOG", "trace")).await?;
    let mut browser = deployment.sign_in_as("1", "ann@example.com").await?;
    deployment.sql(EXPIRE_LINKS).await?;
    assert_eq!(deployment.me(&mut browser).await?.0, 200);
    let mut other = Browser::new();
    other.visit(&deployment.url(GITHUB)).await?;
    deployment
        .provider
        .control(&json!({"oidc": {"token_error": "invalid_grant"}}))?;
    deployment.sign_in(&mut Browser::new()).await?;

    let log = deployment.server.log();
    assert!(log.contains("TRACE"), "the log level is not TRACE");
    let base = Url::parse(deployment.server.base_url())?;
    let session = browser.cookie(&base, "coder_session_token");
    let secret = session
        .context("no session")?
        .split_once('-')
        .context("no secret")?
        .1;
    for hidden in ["hidden-oidc-secret", "hidden-github-secret", secret] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    // Access tokens, refresh tokens, codes, verifiers and ID tokens.
    let shapes = [
        r"(oidc|github)-[0-9a-f]{32}",
        r"refresh-[0-9a-f]{24}",
        r"code-[0-9a-f]{16}",
        r"code_verifier=",
        r"eyJ[0-9A-Za-z_-]{20}",
    ];
    for shape in shapes {
        let found = regex::Regex::new(shape)?
            .find(&log)
            .map(|found| found.as_str());
        assert_eq!(found, None, "{shape} is in the log");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn group_and_role_claims_do_not_change_roles() -> Result<()> {
    let deployment = Deployment::start().await?;
    let mut browser = deployment.sign_in_as("1", "ann@example.com").await?;
    let ann = deployment.me(&mut browser).await?.1;
    let id = ann["id"].as_str().context("no id")?;
    let roles = format!("/api/v2/users/{id}/roles");
    let granted = json!({"roles": ["user-admin", "auditor"]});
    let granted = deployment.as_owner("PUT", &roles, &granted).await?;
    assert_eq!(granted.status, 200, "{}", granted.body);

    for claims in [
        json!({"sub": "1", "email": "ann@example.com"}),
        json!({"sub": "1", "email": "ann@example.com", "groups": [], "roles": []}),
        json!({"sub": "1", "email": "ann@example.com", "groups": ["x"], "roles": ["owner"]}),
    ] {
        deployment.set_claims(&claims)?;
        let mut browser = Browser::new();
        deployment.sign_in(&mut browser).await?;
        let me = deployment.me(&mut browser).await?.1;
        let names: Vec<_> = me["roles"].as_array().into_iter().flatten().collect();
        assert_eq!(names.len(), 2, "{claims}: {me}");
        assert_eq!(me["organization_ids"], ann["organization_ids"], "{claims}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_the_login_type_is_bound_to_the_browser_and_final() -> Result<()> {
    let deployment = Deployment::start().await?;
    let email = "owner@example.com";
    let other_session = log_in(&deployment.server, "owner").await?;
    let convert = json!({"to_type": "oidc", "password": PASSWORD});
    let mut browser = Browser::new();
    let login = json!({"email": email, "password": PASSWORD});
    browser
        .post(&deployment.url("/api/v2/users/login"), &login)
        .await?;
    let path = deployment.url("/api/v2/users/me/convert-login");
    let started = browser.post(&path, &convert).await?.response;
    assert_eq!(started.status, 201, "{}", started.body);
    let state = started.json().context("no body")?["state_string"].clone();
    let state = state.as_str().context("no state")?.to_owned();
    let start = deployment.url(&format!("{OIDC}?oidc_merge_state={state}"));

    // An attacker who has the state, but not the browser's cookies.
    deployment.set_claims(&json!({"sub": "1", "email": email, "email_verified": true}))?;
    let mut attacker = Browser::new();
    let rejected = attacker.visit(&start).await?.response;
    assert_eq!(rejected.status, 400, "{}", rejected.body);
    assert!(!has_session(&attacker, &deployment.server));

    browser.visit(&start).await?;

    assert_eq!(deployment.me(&mut browser).await?.0, 401);
    for session in [&other_session, &deployment.owner] {
        let me = Request::new("GET", "/api/v2/users/me").token(session);
        assert_eq!(deployment.server.send(&me).await?.status, 401);
    }
    assert!(log_in(&deployment.server, "owner").await.is_err());
    let mut signed_in = deployment.sign_in_as("1", email).await?;
    let me = deployment.me(&mut signed_in).await?.1;
    assert_eq!(
        (&me["username"], &me["login_type"]),
        (&json!("owner"), &json!("oidc"))
    );
    // The change happens once.
    let again = browser.visit(&start).await?.response;
    assert!((400..500).contains(&again.status), "{}", again.body);
    assert_eq!(deployment.counts().await?, ("1".into(), "1".into()));
    Ok(())
}

/// Each has its own text, domain and users.
#[tokio::test(flavor = "multi_thread")]
async fn several_openid_providers_are_independent() -> Result<()> {
    let second = FakeProvider::start().await?;
    let issuer = format!("{}/oidc", second.url());
    let deployment = Deployment::with(|setup| {
        setup
            .set("OIDC_SIGN_IN_TEXT", "One")
            .set("OIDC_2_ISSUER_URL", &issuer)
            .set("OIDC_2_CLIENT_ID", "usher-2")
            .set("OIDC_2_CLIENT_SECRET", "another-secret")
            .set("OIDC_2_SIGN_IN_TEXT", "Two")
            .set("OIDC_2_EMAIL_DOMAIN", "two.example")
    })
    .await?;
    let start = deployment.url("/api/v2/users/oidc/2/callback");

    let mut one = deployment.sign_in_as("1", "ann@example.com").await?;
    let claims = |email: &str| json!({"oidc": {"claims": {"sub": "1", "email": email}}});
    second.control(&claims("ann@two.example"))?;
    let mut two = Browser::new();
    two.visit(&start).await?;
    let (status, of_two) = deployment.me(&mut two).await?;
    assert_eq!(status, 200, "{of_two}");
    let of_one = deployment.me(&mut one).await?.1;
    assert_ne!(
        of_one["id"], of_two["id"],
        "the same subject of another issuer"
    );

    second.control(&claims("eve@example.com"))?;
    let mut eve = Browser::new();
    assert_eq!(eve.visit(&start).await?.response.status, 403);
    assert!(!has_session(&eve, &deployment.server));

    // A user that an administrator created is linked by the first provider only.
    let owner = deployment
        .as_owner("GET", "/api/v2/users/me", &json!(null))
        .await?;
    let invited = json!({
        "email": "ben@two.example", "username": "ben", "login_type": "oidc",
        "organization_ids": owner.json().context("no body")?["organization_ids"],
    });
    let created = deployment
        .as_owner("POST", "/api/v2/users", &invited)
        .await?;
    assert_eq!(created.status, 201, "{}", created.body);
    second.control(&json!({"oidc": {"claims": {"sub": "2", "email": "ben@two.example"}}}))?;
    let mut mallory = Browser::new();
    let rejected = mallory.visit(&start).await?;
    assert_eq!(rejected.response.status, 403, "{rejected:?}");
    assert!(!has_session(&mallory, &deployment.server));
    let mut ben = deployment.sign_in_as("2", "ben@two.example").await?;
    assert_eq!(deployment.me(&mut ben).await?.1["username"], "ben");

    // Tokens are refreshed at their own provider.
    deployment.sql(EXPIRE_LINKS).await?;
    assert_eq!(deployment.me(&mut two).await?.0, 200);
    assert_eq!(second.calls("oidc.refresh"), 1);
    assert_eq!(deployment.provider.calls("oidc.refresh"), 0);
    Ok(())
}

#[tokio::test]
async fn an_error_is_a_page_for_browsers_and_json_for_programs() -> Result<()> {
    let deployment = Deployment::start().await?;
    let cancelled = format!("{OIDC}?error=access_denied&error_description=%3Cb%3ENo");
    for (path, status) in [
        (cancelled.clone(), 400),
        (format!("{OIDC}?code=x&state=y"), 401),
        (format!("{OIDC}?code=x"), 400),
    ] {
        let page = Browser::new().get(&deployment.url(&path)).await?.response;
        assert_eq!(page.status, status, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.body.contains("href=\"/login\""), "{}", page.body);
        assert!(!page.body.contains("<b>"), "{}", page.body);

        let response = deployment.server.send(&Request::new("GET", &path)).await?;
        assert_eq!(response.status, status, "{path}");
        assert!(response.json().context("not JSON")?["message"].is_string());
    }
    let page = format!("{cancelled}&state=convert-x");
    let page = Browser::new().get(&deployment.url(&page)).await?.response;
    let back = "href=\"/settings/security\"";
    assert!(page.body.contains(back), "{}", page.body);
    Ok(())
}
