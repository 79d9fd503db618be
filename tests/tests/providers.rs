//! Signing in elsewhere, with a browser, a provider, and those who would like to come in as
//! somebody else.

use anyhow::{Context as _, Result};
use rstest::rstest;
use serde_json::{Value, json};
use url::Url;
use usher_fake_provider::FakeProvider;
use usher_tests::cookie_browser::{Browser, Page};
use usher_tests::exchange::{Answer, Request};
use usher_tests::server::{Server, Setup};

const PASSWORD: &str = "SomeSecurePassword!1";
const OIDC: &str = "/api/v2/users/oidc/callback";
const GITHUB: &str = "/api/v2/users/oauth2/github/callback";

/// A provider, and a server with an owner that people sign in to through it.
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
        let server = change(setup(&provider)).start().await?;
        let owner = make_owner(&server).await?;
        Ok(Self {
            provider,
            server,
            owner,
        })
    }

    /// One more server on the same database, reached by the same address.
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

    /// Says who the OpenID provider's person is.
    fn person(&self, claims: &Value) -> Result<()> {
        self.provider
            .control(&json!({"oidc": {"claims": claims}}))?;
        Ok(())
    }

    /// Goes to the OpenID provider and comes back.
    async fn sign_in(&self, browser: &mut Browser) -> Result<Page> {
        browser.visit(&self.url(OIDC)).await
    }

    /// Signs the person in with a browser of their own.
    async fn come_in(&self, subject: &str, email: &str) -> Result<Browser> {
        self.person(&json!({"sub": subject, "email": email}))?;
        let mut browser = Browser::new();
        let page = self.sign_in(&mut browser).await?;
        assert!(has_session(&browser, &self.server), "{page:?}");
        Ok(browser)
    }

    /// Begins to sign in and goes to the provider, but not back: the address of the way back.
    async fn begin(&self, browser: &mut Browser) -> Result<Url> {
        let start = browser.get(&self.url(OIDC)).await?;
        assert_eq!(start.answer.status, 307, "{start:?}");
        let visited = browser.get(&start.answer.header("location")).await?;
        Ok(Url::parse(&visited.answer.header("location"))?)
    }

    async fn me(&self, browser: &mut Browser) -> Result<(u16, Value)> {
        let answer = browser.get(&self.url("/api/v2/users/me")).await?.answer;
        let body = answer.json().unwrap_or_default();
        Ok((answer.status, body))
    }

    async fn as_owner(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let request = Request::new(method, path).token(&self.owner).json(body);
        self.server.send(&request).await
    }

    async fn sql(&self, sql: &str) -> Result<String> {
        self.server.database().query(sql).await
    }

    /// How many users and links of providers there are.
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

/// Makes the first user, whose session is returned.
async fn make_owner(server: &Server) -> Result<String> {
    let first = json!({"email": "owner@example.com", "username": "owner", "password": PASSWORD});
    let first = Request::new("POST", "/api/v2/users/first").json(&first);
    let made = server.send(&first).await?;
    assert_eq!(made.status, 201, "{}", made.body);
    log_in(server, "owner@example.com").await
}

async fn log_in(server: &Server, email: &str) -> Result<String> {
    let login = json!({"email": email, "password": PASSWORD});
    let login = Request::new("POST", "/api/v2/users/login").json(&login);
    let answer = server.send(&login).await?;
    let body = answer.json().with_context(|| answer.body.clone())?;
    let token = body["session_token"].as_str();
    Ok(token.with_context(|| answer.body.clone())?.to_owned())
}

fn has_session(browser: &Browser, server: &Server) -> bool {
    let url = Url::parse(server.base_url()).expect("the server has an address");
    browser.cookie(&url, "coder_session_token").is_some()
}

/// A callback as a request of its own, with the cookies of the browser that began it.
fn replay(browser: &Browser, callback: &Url) -> Request {
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

/// The answers to requests that are sent at once.
async fn at_once(servers: &[&Server], requests: Vec<Request>) -> Result<Vec<Answer>> {
    let asked = requests.iter().enumerate().map(|(index, request)| {
        let server = servers[index % servers.len()];
        server.send(request)
    });
    futures_util::future::try_join_all(asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signs_up_comes_back_as_the_same_and_signs_out() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.person(&json!({
        "sub": "7", "email": "ann@example.com", "email_verified": true,
        "preferred_username": "ann", "name": "Ann Lee",
    }))?;

    let mut browser = Browser::new();
    let there = browser
        .visit(&deployment.url(&format!("{OIDC}?redirect=%2Fthere%3Fa%3D1%23x")))
        .await?;
    assert_eq!(there.url.as_str(), deployment.url("/there?a=1"));
    let (status, ann) = deployment.me(&mut browser).await?;
    assert_eq!(status, 200);
    assert_eq!(ann["username"], "ann");
    assert_eq!(ann["login_type"], "oidc");

    // They have moved and married meanwhile, and use another browser.
    deployment.person(&json!({
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
    let out = browser.post(&out, &json!({})).await?.answer;
    assert_eq!(out.status, 200, "{}", out.body);
    assert_eq!(deployment.me(&mut browser).await?.0, 401);
    assert_eq!(deployment.me(&mut other).await?.0, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_github_is_known_by_their_number() -> Result<()> {
    let deployment = Deployment::start().await?;
    let person = |id: u32, login: &str, email: &str| {
        json!({"github": {
            "user": {"id": id, "login": login},
            "emails": [{"email": email, "primary": true, "verified": true}],
        }})
    };
    let start = deployment.url(GITHUB);

    deployment
        .provider
        .control(&person(7, "ann_lee", "ann@example.com"))?;
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
        .control(&person(7, "ann", "ann@example.org"))?;
    let mut browser = Browser::new();
    browser.visit(&start).await?;
    assert_eq!(deployment.me(&mut browser).await?.1["id"], ann["id"]);

    // Somebody else has her address there now.
    deployment
        .provider
        .control(&person(8, "eve", "ann@example.org"))?;
    let mut browser = Browser::new();
    let refused = browser.visit(&start).await?;
    assert_eq!(refused.answer.status, 403, "{refused:?}");
    assert!(!has_session(&browser, &deployment.server));
    assert_eq!(deployment.counts().await?, ("1".into(), "1".into()));
    Ok(())
}

/// What the provider says of an address, and whether that is good enough.
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
async fn only_a_verified_address_is_taken_and_only_with_its_account() -> Result<()> {
    let deployment = Deployment::start().await?;
    for (name, verified, is_good) in VERIFIED {
        for link in ["none", "same", "other"] {
            let case = format!("email_verified {name}, {link} link");
            let email = format!("{name}-{link}@example.com");
            let subject = format!("{name}-{link}");
            match link {
                "none" => {}
                "same" => drop(deployment.come_in(&subject, &email).await?),
                _ => drop(deployment.come_in("somebody-else", &email).await?),
            }
            let before = deployment.counts().await?;
            let mut said = json!({"sub": subject, "email": email});
            if let Some(verified) = verified {
                said["email_verified"] = serde_json::from_str(verified)?;
            }
            // Of the ID token the provider leaves out what is null, so it says it there.
            deployment.provider.control(&json!({"oidc": {
                "claims": {"sub": subject, "email": email}, "userinfo": said,
            }}))?;

            let mut browser = Browser::new();
            let page = deployment.sign_in(&mut browser).await?;

            let is_let_in = has_session(&browser, &deployment.server);
            assert_eq!(is_let_in, is_good && link != "other", "{case}: {page:?}");
            if is_let_in {
                let (status, me) = deployment.me(&mut browser).await?;
                assert_eq!((status, &me["email"]), (200, &json!(email)), "{case}");
            } else {
                assert_eq!(page.answer.status, 403, "{case}: {page:?}");
            }
            let is_new = is_let_in && link == "none";
            assert_eq!(deployment.counts().await? != before, is_new, "{case}");
            deployment
                .provider
                .control(&json!({"oidc": {"userinfo": null}}))?;
            // The next one's somebody else is nobody yet.
            deployment
                .sql("UPDATE user_links SET linked_id = 'gone-' || user_id")
                .await?;
        }
    }
    Ok(())
}

/// An account that was made for the provider and never used is its person's, whoever that
/// turns out to be; one with a password is not.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_opens_only_what_was_made_for_the_provider() -> Result<()> {
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
        let made = deployment.as_owner("POST", "/api/v2/users", &user).await?;
        assert_eq!(made.status, 201, "{}", made.body);
    }

    let mut invited = deployment.come_in("1", "INVITED@example.com").await?;
    assert_eq!(deployment.me(&mut invited).await?.1["username"], "invited");
    for name in ["of-password", "of-github", "invited"] {
        let claims = json!({"sub": "2", "email": format!("{name}@example.com")});
        deployment.person(&claims)?;
        let mut browser = Browser::new();
        let refused = deployment.sign_in(&mut browser).await?;
        assert_eq!(refused.answer.status, 403, "{name}: {refused:?}");
        assert!(!has_session(&browser, &deployment.server), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_domain_of_an_address_is_the_whole_of_it() -> Result<()> {
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
        deployment.person(&json!({"sub": "1", "email": address, "email_verified": true}))?;
        let mut browser = Browser::new();
        let refused = deployment.sign_in(&mut browser).await?;
        let status = refused.answer.status;
        assert!(matches!(status, 400 | 403), "{address:?}: {refused:?}");
        assert!(!has_session(&browser, &deployment.server), "{address:?}");
    }
    assert_eq!(deployment.counts().await?, ("0".into(), "0".into()));

    deployment.come_in("1", "Ann@CORP.com").await?;
    assert_eq!(deployment.counts().await?, ("1".into(), "1".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_callbacks_of_one_stranger_there_is_one_account() -> Result<()> {
    let deployment = Deployment::start().await?;
    let second = deployment.replica().await?;
    deployment.person(&json!({"sub": "1", "email": "ann@example.com"}))?;
    let mut browser = Browser::new();
    let callback = deployment.begin(&mut browser).await?;

    let requests = vec![replay(&browser, &callback); 50];
    let answers = at_once(&[&deployment.server, &second], requests).await?;

    for answer in &answers {
        assert!(answer.status < 500, "{} {}", answer.status, answer.body);
    }
    let arrived = answers.iter().filter(|answer| answer.status == 307);
    assert!(arrived.count() > 0, "nobody came in");
    assert_eq!(deployment.counts().await?, ("1".into(), "1".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_belongs_to_its_browser_and_to_this_server() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.person(&json!({"sub": "1", "email": "ann@example.com"}))?;
    let mut victim = Browser::new();
    deployment.begin(&mut victim).await?;
    let mut browser = Browser::new();
    let callback = deployment.begin(&mut browser).await?;
    let refused = async |browser: &Browser, callback: &Url, case: &str| -> Result<()> {
        let mut browser = browser.clone();
        let answer = browser.get(callback.as_str()).await?.answer;
        assert_eq!(answer.status, 401, "{case}: {}", answer.body);
        assert!(!has_session(&browser, &deployment.server), "{case}");
        Ok(())
    };

    refused(&Browser::new(), &callback, "no cookie").await?;
    refused(&victim, &callback, "another browser").await?;
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
        refused(&browser, &with_state(&forged), &forged).await?;
    }

    // A state of GitHub's is none of the other provider's.
    let mut elsewhere = Browser::new();
    elsewhere.get(&deployment.url(GITHUB)).await?;
    let foreign = elsewhere
        .cookie(&callback, "oauth_state")
        .context("no state")?;
    let foreign = foreign.to_owned();
    refused(&elsewhere, &with_state(&foreign), "GitHub's").await?;

    // And the right one still works.
    browser.get(callback.as_str()).await?;
    assert!(has_session(&browser, &deployment.server));
    Ok(())
}

/// Somebody else's state as one's own would sign a victim in to the attacker's account, or
/// link it.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_state_of_somebody_else_is_not_taken() -> Result<()> {
    let deployment = Deployment::start().await?;
    for state in ["x", &"a".repeat(32), &format!("convert-{}", "a".repeat(32))] {
        let mut browser = Browser::new();
        let start = deployment.url(&format!("{OIDC}?oidc_merge_state={state}"));
        let refused = browser.get(&start).await?;
        assert_eq!(refused.answer.status, 400, "{refused:?}");
        assert_eq!(browser.cookie(&refused.url, "oauth_state"), None);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_works_only_in_the_flow_that_it_was_made_for() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.person(&json!({"sub": "1", "email": "ann@example.com"}))?;
    for path in [OIDC, GITHUB] {
        let mut browser = Browser::new();
        let start = browser.get(&deployment.url(path)).await?;
        let location = Url::parse(&start.answer.header("location"))?;
        let asked = |name: &str| {
            let mut pairs = location.query_pairs();
            let found = pairs.find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned())
        };
        assert_eq!(asked("code_challenge_method").as_deref(), Some("S256"));
        assert!(asked("code_challenge").is_some_and(|it| it.len() == 43));
        assert_eq!(asked("nonce").is_some(), path == OIDC);
    }

    // The provider has seen another browser's request since, and has its challenge.
    let mut browser = Browser::new();
    let callback = deployment.begin(&mut browser).await?;
    deployment.begin(&mut Browser::new()).await?;
    let refused = browser.get(callback.as_str()).await?.answer;
    assert_eq!(refused.status, 400, "{}", refused.body);

    // An ID token of another flow, or of none.
    for nonce in [json!("another"), json!(null), json!(7)] {
        let claims = json!({"sub": "1", "email": "ann@example.com", "nonce": nonce});
        deployment.person(&claims)?;
        let refused = deployment.sign_in(&mut browser).await?.answer;
        assert_eq!(refused.status, 400, "{nonce}: {}", refused.body);
    }
    assert!(!has_session(&browser, &deployment.server));
    assert_eq!(deployment.counts().await?, ("0".into(), "0".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_the_provider_refuses_is_refused() -> Result<()> {
    let deployment = Deployment::start().await?;
    for (side, path, error) in [
        ("oidc", OIDC, "invalid_grant"),
        ("github", GITHUB, "bad_verification_code"),
    ] {
        let change = json!({side: {"token_error": error}});
        deployment.provider.control(&change)?;
        let mut browser = Browser::new();
        let refused = browser.visit(&deployment.url(path)).await?.answer;
        assert_eq!(refused.status, 400, "{side}: {}", refused.body);
        assert!(refused.body.contains(error), "{}", refused.body);
        assert!(!has_session(&browser, &deployment.server), "{side}");
    }
    assert_eq!(deployment.counts().await?, ("0".into(), "0".into()));
    Ok(())
}

#[rstest]
#[case::absent(json!({"id_token": "absent"}))]
#[case::garbage(json!({"id_token": "garbage"}))]
#[case::spoilt(json!({"id_token": "bad_signature"}))]
#[case::foreign(json!({"id_token": "foreign_key"}))]
#[case::unsigned(json!({"id_token": "unsigned"}))]
#[case::issuer(json!({"claims": {"sub": "1", "email": "a@example.com", "iss": "https://evil.io"}}))]
#[case::audience(json!({"claims": {"sub": "1", "email": "a@example.com", "aud": "another"}}))]
#[case::over(json!({"claims": {"sub": "1", "email": "a@example.com", "exp": 1_700_000_000}}))]
#[case::nobody(json!({"claims": {"email": "a@example.com"}}))]
#[case::no_address(json!({"claims": {"sub": "1"}}))]
#[case::empty_address(json!({"claims": {"sub": "1", "email": ""}}))]
#[case::of_another(json!({"userinfo": {"sub": "2", "email": "b@example.com"}}))]
#[case::of_nobody(json!({"userinfo": {"email": "b@example.com"}}))]
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_told_well_is_not_let_in(#[case] change: Value) -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.provider.control(&json!({"oidc": change}))?;

    let mut browser = Browser::new();
    let refused = deployment.sign_in(&mut browser).await?.answer;

    assert!((400..500).contains(&refused.status), "{}", refused.body);
    assert!(!has_session(&browser, &deployment.server));
    assert_eq!(deployment.counts().await?, ("0".into(), "0".into()));
    // And nobody after them is locked out by what was left behind.
    deployment.provider.control(&json!({"oidc": {
        "claims": null, "userinfo": null, "id_token": null,
    }}))?;
    deployment.sign_in(&mut browser).await?;
    assert!(has_session(&browser, &deployment.server));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_gets_nothing_and_stays_suspended() -> Result<()> {
    let deployment =
        Deployment::with(|setup| setup.set("OAUTH2_GITHUB_DEVICE_FLOW", "true")).await?;
    let mut browser = deployment.come_in("1", "ann@example.com").await?;
    let id = deployment.me(&mut browser).await?.1["id"].clone();
    let id = id.as_str().context("no id")?;
    let suspend = |id: &str| format!("/api/v2/users/{id}/status/suspend");
    let suspended = deployment.as_owner("PUT", &suspend(id), &json!({})).await?;
    assert_eq!(suspended.status, 200, "{}", suspended.body);

    let mut again = Browser::new();
    let refused = deployment.sign_in(&mut again).await?.answer;
    assert!(matches!(refused.status, 401 | 403), "{}", refused.body);
    assert!(!has_session(&again, &deployment.server));
    assert_eq!(deployment.me(&mut browser).await?.0, 401);

    // By a device, too.
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

/// Where browsers would leave the site for, however it is written.
const ELSEWHERE: [&str; 12] = [
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
async fn nobody_is_sent_elsewhere_after_signing_in() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment.person(&json!({"sub": "1", "email": "ann@example.com"}))?;
    let here = Url::parse(deployment.server.base_url())?;
    let stays = |location: &str, target: &str| -> Result<()> {
        let next = here.join(OIDC)?.join(location)?;
        assert_eq!(
            next.origin(),
            here.origin(),
            "{target:?} leads to {location:?}"
        );
        let path = location.strip_prefix('/').context("it is not a path")?;
        assert!(!path.starts_with(['/', '\\']), "{location:?}");
        Ok(())
    };
    for target in ELSEWHERE {
        let mut start = Url::parse(&deployment.url(OIDC))?;
        start.query_pairs_mut().append_pair("redirect", target);

        // As it is stored, and as it is used.
        let mut browser = Browser::new();
        let begun = browser.get(start.as_str()).await?;
        let at = browser.get(&begun.answer.header("location")).await?;
        let callback = at.answer.header("location");
        let arrived = browser.get(&callback).await?.answer;
        assert_eq!(arrived.status, 307, "{}", arrived.body);
        stays(&arrived.header("location"), target)?;

        // Forged into the cookie, as a page of a neighbouring domain could.
        if !target.contains(['\t', '\\']) {
            browser.set_cookie("oauth_redirect", target);
            let arrived = browser.get(&callback).await?.answer;
            stays(&arrived.header("location"), target)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_not_sent_elsewhere_either() -> Result<()> {
    let deployment =
        Deployment::with(|setup| setup.set("OAUTH2_GITHUB_DEVICE_FLOW", "true")).await?;
    for target in ELSEWHERE {
        let mut start = Url::parse(&deployment.url(GITHUB))?;
        start.query_pairs_mut().append_pair("redirect", target);
        let mut device = Browser::new();
        device.get(start.as_str()).await?;
        let state = device.cookie(&start, "oauth_state").context("no state")?;
        let poll = deployment.url(&format!("{GITHUB}?code=device&state={state}"));
        let answer = device.get(&poll).await?.answer;
        let body = answer.json().with_context(|| answer.body.clone())?;
        let location = body["redirect_url"].as_str().context("no target")?;
        let path = location.strip_prefix('/').context("it is not a path")?;
        assert!(
            !path.starts_with(['/', '\\', '\t']),
            "{target:?}: {location:?}"
        );
    }
    Ok(())
}

const OVERDUE: &str = "UPDATE user_links SET oauth_expiry = now() - interval '1 minute'";

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_over_two_replicas_renew_once() -> Result<()> {
    let deployment = Deployment::start().await?;
    let second = deployment.replica().await?;
    let browser = deployment.come_in("1", "ann@example.com").await?;
    let here = Url::parse(deployment.server.base_url())?;
    let session = browser.cookie(&here, "coder_session_token");
    let session = session.context("no session")?.to_owned();
    // Slow, so that all of them find it ended.
    deployment
        .provider
        .control(&json!({"oidc": {"delay": 500}}))?;
    for round in 1..=2 {
        deployment.sql(OVERDUE).await?;

        let me = Request::new("GET", "/api/v2/users/me").token(&session);
        let servers = [&deployment.server, &second];
        let answers = at_once(&servers, vec![me; 50]).await?;

        for answer in &answers {
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        assert_eq!(deployment.provider.calls("oidc.refresh"), round);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_what_the_provider_does_not_renew() -> Result<()> {
    let deployment = Deployment::start().await?;
    let mut browser = deployment.come_in("1", "ann@example.com").await?;
    let mut other = deployment.come_in("1", "ann@example.com").await?;

    // Down is no refusal.
    deployment.sql(OVERDUE).await?;
    deployment.provider.control(&json!({"down": true}))?;
    assert_eq!(deployment.me(&mut browser).await?.0, 503);
    deployment.provider.control(&json!({"down": false}))?;
    assert_eq!(deployment.me(&mut browser).await?.0, 200);

    deployment.sql(OVERDUE).await?;
    deployment
        .provider
        .control(&json!({"oidc": {"refreshes": 0}}))?;
    for browser in [&mut browser, &mut other] {
        assert_eq!(deployment.me(browser).await?.0, 401);
    }

    // Who signs in again is let in again.
    deployment
        .provider
        .control(&json!({"oidc": {"refreshes": 10}}))?;
    let mut again = deployment.come_in("1", "ann@example.com").await?;
    assert_eq!(deployment.me(&mut again).await?.0, 200);

    // Of somebody who is suspended the provider is not even asked.
    let calls = deployment.provider.calls("oidc.refresh");
    deployment.sql(OVERDUE).await?;
    deployment
        .sql("UPDATE users SET status = 'suspended' WHERE username <> 'owner'")
        .await?;
    assert_eq!(deployment.me(&mut again).await?.0, 401);
    assert_eq!(deployment.provider.calls("oidc.refresh"), calls);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_stops_nobody_else_and_may_come_later() -> Result<()> {
    let provider = FakeProvider::start().await?;
    provider.control(&json!({"down": true}))?;
    let server = setup(&provider).start().await?;
    let owner = make_owner(&server).await?;
    let deployment = Deployment {
        provider,
        server,
        owner,
    };

    let mut browser = Browser::new();
    let begun = browser.get(&deployment.url(OIDC)).await?.answer;
    assert!((500..600).contains(&begun.status), "{}", begun.body);
    assert_ne!(begun.status, 500, "{}", begun.body);
    log_in(&deployment.server, "owner@example.com").await?;
    let methods = Request::new("GET", "/api/v2/users/authmethods");
    let methods = deployment.server.send(&methods).await?;
    assert_eq!(methods.json().context("no body")?["oidc"]["enabled"], true);

    deployment.provider.control(&json!({"down": false}))?;
    let mut browser = deployment.come_in("1", "ann@example.com").await?;
    assert_eq!(deployment.me(&mut browser).await?.0, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_encrypted_where_they_are_kept() -> Result<()> {
    let deployment = Deployment::start().await?;
    deployment
        .provider
        .control(&json!({"github": {"refresh_token": true}}))?;
    deployment.come_in("1", "ann@example.com").await?;
    Browser::new().visit(&deployment.url(GITHUB)).await?;

    let rows = "SELECT oauth_access_token, oauth_access_token_key_id,
                       oauth_refresh_token, oauth_refresh_token_key_id FROM user_links";
    let rows = deployment.sql(rows).await?;
    assert_eq!(rows.lines().count(), 2, "{rows}");
    for value in rows.lines().flat_map(|row| row.split('|')) {
        assert!(!value.is_empty(), "{rows}");
    }
    // How the provider's tokens look, also within a longer text.
    for kind in ["oidc-", "github-", "refresh-"] {
        assert!(!rows.contains(kind), "{rows}");
    }
    let everywhere = "SELECT count(*) FROM user_links WHERE user_links::text ~ '(oidc|github|refresh)-[0-9a-f]{24}'";
    assert_eq!(deployment.sql(everywhere).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_however_much_it_says() -> Result<()> {
    let deployment = Deployment::with(|setup| setup.set("LOG", "trace")).await?;
    let mut browser = deployment.come_in("1", "ann@example.com").await?;
    deployment.sql(OVERDUE).await?;
    assert_eq!(deployment.me(&mut browser).await?.0, 200);
    let mut elsewhere = Browser::new();
    elsewhere.visit(&deployment.url(GITHUB)).await?;
    deployment
        .provider
        .control(&json!({"oidc": {"token_error": "invalid_grant"}}))?;
    deployment.sign_in(&mut Browser::new()).await?;

    let log = deployment.server.log();
    assert!(log.contains("TRACE"), "it does not say much");
    let here = Url::parse(deployment.server.base_url())?;
    let session = browser.cookie(&here, "coder_session_token");
    let secret = session
        .context("no session")?
        .split_once('-')
        .context("no secret")?
        .1;
    for hidden in ["hidden-oidc-secret", "hidden-github-secret", secret] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    // Access and refresh tokens, codes, and verifiers and ID tokens by how they are sent.
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
async fn a_missing_claim_of_groups_or_roles_changes_nothing() -> Result<()> {
    let deployment = Deployment::start().await?;
    let mut browser = deployment.come_in("1", "ann@example.com").await?;
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
        deployment.person(&claims)?;
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
async fn whoever_changes_the_way_to_sign_in_does_so_for_themselves_and_for_good() -> Result<()> {
    let deployment = Deployment::start().await?;
    let email = "owner@example.com";
    let other_session = log_in(&deployment.server, email).await?;
    let convert = json!({"to_type": "oidc", "password": PASSWORD});
    let mut browser = Browser::new();
    let login = json!({"email": email, "password": PASSWORD});
    browser
        .post(&deployment.url("/api/v2/users/login"), &login)
        .await?;
    let path = deployment.url("/api/v2/users/me/convert-login");
    let begun = browser.post(&path, &convert).await?.answer;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let state = begun.json().context("no body")?["state_string"].clone();
    let state = state.as_str().context("no state")?.to_owned();
    let start = deployment.url(&format!("{OIDC}?oidc_merge_state={state}"));

    // Somebody who got hold of the state, but not of the browser.
    deployment.person(&json!({"sub": "1", "email": email, "email_verified": true}))?;
    let mut thief = Browser::new();
    let refused = thief.visit(&start).await?.answer;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(!has_session(&thief, &deployment.server));

    browser.visit(&start).await?;

    assert_eq!(deployment.me(&mut browser).await?.0, 401);
    for session in [&other_session, &deployment.owner] {
        let me = Request::new("GET", "/api/v2/users/me").token(session);
        assert_eq!(deployment.server.send(&me).await?.status, 401);
    }
    assert!(log_in(&deployment.server, email).await.is_err());
    let mut signed_in = deployment.come_in("1", email).await?;
    let me = deployment.me(&mut signed_in).await?.1;
    assert_eq!(
        (&me["username"], &me["login_type"]),
        (&json!("owner"), &json!("oidc"))
    );
    // The change is made once.
    let again = browser.visit(&start).await?.answer;
    assert!((400..500).contains(&again.status), "{}", again.body);
    assert_eq!(deployment.counts().await?, ("1".into(), "1".into()));
    Ok(())
}

/// Each has its own name, button, rule and people.
#[tokio::test(flavor = "multi_thread")]
async fn several_providers_stand_side_by_side() -> Result<()> {
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

    let mut one = deployment.come_in("1", "ann@example.com").await?;
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
    assert_eq!(eve.visit(&start).await?.answer.status, 403);
    assert!(!has_session(&eve, &deployment.server));

    // Whom an administrator made comes from the first one, whatever the second one says.
    let owner = deployment
        .as_owner("GET", "/api/v2/users/me", &json!(null))
        .await?;
    let invited = json!({
        "email": "ben@two.example", "username": "ben", "login_type": "oidc",
        "organization_ids": owner.json().context("no body")?["organization_ids"],
    });
    let made = deployment
        .as_owner("POST", "/api/v2/users", &invited)
        .await?;
    assert_eq!(made.status, 201, "{}", made.body);
    second.control(&json!({"oidc": {"claims": {"sub": "2", "email": "ben@two.example"}}}))?;
    let mut mallory = Browser::new();
    let refused = mallory.visit(&start).await?;
    assert_eq!(refused.answer.status, 403, "{refused:?}");
    assert!(!has_session(&mallory, &deployment.server));
    let mut ben = deployment.come_in("2", "ben@two.example").await?;
    assert_eq!(deployment.me(&mut ben).await?.1["username"], "ben");

    // Each renews at its own.
    deployment.sql(OVERDUE).await?;
    assert_eq!(deployment.me(&mut two).await?.0, 200);
    assert_eq!(second.calls("oidc.refresh"), 1);
    assert_eq!(deployment.provider.calls("oidc.refresh"), 0);
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_a_page_for_people_and_json_for_programs() -> Result<()> {
    let deployment = Deployment::start().await?;
    let cancelled = format!("{OIDC}?error=access_denied&error_description=%3Cb%3ENo");
    for (path, status) in [
        (cancelled.clone(), 400),
        (format!("{OIDC}?code=x&state=y"), 401),
        (format!("{OIDC}?code=x"), 400),
    ] {
        let page = Browser::new().get(&deployment.url(&path)).await?.answer;
        assert_eq!(page.status, status, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.body.contains("href=\"/login\""), "{}", page.body);
        assert!(!page.body.contains("<b>"), "{}", page.body);

        let told = deployment.server.send(&Request::new("GET", &path)).await?;
        assert_eq!(told.status, status, "{path}");
        assert!(told.json().context("no JSON")?["message"].is_string());
    }
    let page = format!("{cancelled}&state=convert-x");
    let page = Browser::new().get(&deployment.url(&page)).await?.answer;
    let back = "href=\"/settings/security\"";
    assert!(page.body.contains(back), "{}", page.body);
    Ok(())
}
