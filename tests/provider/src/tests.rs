use axum::{
    body::Body,
    http::{Method, Request, header},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use super::*;

/// A provider that is asked without a socket.
struct Asking(Arc<Shared>);

/// What was answered.
struct Answered {
    status: u16,
    kind: String,
    location: String,
    body: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }
}

impl Asking {
    fn new() -> Self {
        Self(Arc::new(Shared {
            base: "http://provider".to_owned(),
            state: Mutex::default(),
        }))
    }

    fn control(&self, change: Value) -> Value {
        self.0.state().control(&change).unwrap()
    }

    async fn ask(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answered {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = answer(Extract(Arc::clone(&self.0)), request).await;
        let header = |name| {
            let value = response.headers().get(name);
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        let (kind, location) = (header(header::CONTENT_TYPE), header(header::LOCATION));
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answered {
            status,
            kind,
            location,
            body,
        }
    }

    async fn get(&self, target: &str) -> Answered {
        self.ask(Method::GET, target, &[("authorization", "Bearer x")], "")
            .await
    }

    /// Asks a token endpoint as a client does that is known by its name and secret.
    async fn token(&self, target: &str, form: &str) -> Answered {
        let form = format!("client_id=me&client_secret=mine&{form}");
        self.ask(
            Method::POST,
            target,
            &[("accept", "application/json")],
            &form,
        )
        .await
    }
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_browser_is_sent_back_with_a_code_that_needs_the_verifier() {
    let provider = Asking::new();
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let visited = provider
        .get(&format!(
            "/oidc/authorize?redirect_uri=http%3A%2F%2Fus%2Fback&state=s%201&nonce=n1\
             &code_challenge={challenge}&code_challenge_method=S256"
        ))
        .await;

    assert_eq!(visited.status, 302);
    let (back, query) = visited.location.split_once('?').unwrap();
    assert_eq!(back, "http://us/back");
    let code = query
        .strip_prefix("code=")
        .unwrap()
        .strip_suffix("&state=s+1")
        .unwrap();

    let form =
        |verifier| format!("code={code}&redirect_uri=http://us/back&code_verifier={verifier}");
    let refused = provider.token("/oidc/token", &form("wrong")).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (400, &json!("invalid_grant"))
    );
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let elsewhere = form(verifier).replace("/back", "/elsewhere");
    let refused = provider.token("/oidc/token", &elsewhere).await;
    assert_eq!(refused.json()["error"], "redirect_uri_mismatch");

    let granted = provider.token("/oidc/token", &form(verifier)).await;
    assert_eq!(granted.status, 200, "{}", granted.body);
    let granted = granted.json();
    assert_eq!(granted["expires_in"], 3600);
    let claims = claims(granted["id_token"].as_str().unwrap());
    assert_eq!(claims["iss"], "http://provider/oidc");
    assert_eq!(claims["aud"], "me");
    assert_eq!(claims["nonce"], "n1");
    assert_eq!(claims["email"], "user@example.com");
    assert_eq!(provider.control(json!({}))["calls"]["oidc.token"], 3);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_one_that_nobody_handed_out_too() {
    let provider = Asking::new();
    let first = provider.token("/bare/token", "code=any").await.json();
    let first = first["refresh_token"].as_str().unwrap().to_owned();
    let refresh = |token: &str| format!("grant_type=refresh_token&refresh_token={token}");

    let second = provider.token("/bare/token", &refresh(&first)).await;
    assert_eq!(second.status, 200);
    assert_ne!(second.json()["refresh_token"], first);
    assert_eq!(
        provider.token("/bare/token", &refresh(&first)).await.status,
        400
    );
    assert_eq!(
        provider
            .token("/bare/token", &refresh("by-sql"))
            .await
            .status,
        200
    );
    assert_eq!(
        provider.token("/bare/token", &refresh("")).await.status,
        400
    );

    provider.control(json!({"oidc": {"refreshes": 0}}));
    assert_eq!(
        provider
            .token("/bare/token", &refresh("by-sql"))
            .await
            .status,
        400
    );
    assert_eq!(provider.control(json!({}))["calls"]["oidc.refresh"], 5);
}

#[tokio::test]
async fn a_client_must_name_itself_and_its_secret() {
    let provider = Asking::new();
    let ask = async |headers: &[(&str, &str)], form: &str| {
        provider
            .ask(Method::POST, "/oidc/token", headers, form)
            .await
            .status
    };

    assert_eq!(ask(&[], "code=x").await, 401);
    assert_eq!(ask(&[], "code=x&client_id=me").await, 401);
    let basic = format!("Basic {}", STANDARD.encode("me%3A:mine"));
    assert_eq!(ask(&[("authorization", &basic)], "code=x").await, 200);
}

#[tokio::test]
async fn github_answers_forms_unless_it_is_asked_for_json() {
    let provider = Asking::new();
    let form = "client_id=me&client_secret=mine&code=x";
    for path in [
        "/login/oauth/access_token",
        "/github/login/oauth/access_token",
    ] {
        let answer = provider.ask(Method::POST, path, &[], form).await;
        assert!(answer.kind.starts_with("application/x-www-form-urlencoded"));
        assert!(
            answer.body.contains("access_token=github-"),
            "{}",
            answer.body
        );
        let answer = provider.token(path, "code=x").await.json();
        assert_eq!(answer["token_type"], "bearer");
        assert_eq!(answer.get("expires_in"), None);
    }

    provider.control(json!({"github": {"token_error": "bad_verification_code"}}));
    let refused = provider.token("/login/oauth/access_token", "code=x").await;
    assert_eq!(refused.status, 200);
    assert_eq!(refused.json()["error"], "bad_verification_code");
}

#[tokio::test]
async fn a_device_needs_no_secret_and_waits_until_it_is_told() {
    let provider = Asking::new();
    let code = provider
        .ask(Method::POST, "/login/device/code", &[], "client_id=me")
        .await;
    assert_eq!(code.json()["user_code"], "WDJB-MJHT");
    assert_eq!(
        provider
            .ask(Method::POST, "/login/device/code", &[], "")
            .await
            .status,
        404
    );

    let poll = "client_id=me&device_code=x";
    provider.control(json!({"github": {"poll_error": "authorization_pending"}}));
    let waiting = provider
        .ask(Method::POST, "/login/oauth/access_token", &[], poll)
        .await;
    assert!(waiting.body.contains("error=authorization_pending"));
    provider.control(json!({"github": {"poll_error": null}}));
    let done = provider
        .ask(Method::POST, "/login/oauth/access_token", &[], poll)
        .await;
    assert!(done.body.contains("access_token="), "{}", done.body);
    assert_eq!(provider.control(json!({}))["calls"]["github.poll"], 2);
}

#[tokio::test]
async fn github_tells_who_somebody_is() {
    let provider = Asking::new();
    provider.control(json!({"github": {
        "orgs": [{"login": "acme", "state": "pending"}],
        "teams": {"acme/core": "active"},
    }}));

    assert_eq!(
        provider.get("/api/v3/user").await.json()["login"],
        "octocat"
    );
    assert_eq!(
        provider.get("/github/api/v3/user/emails").await.json()[0]["verified"],
        true
    );
    let orgs = provider
        .get("/api/v3/user/memberships/orgs?state=active")
        .await
        .json();
    assert_eq!(orgs[0]["organization"]["login"], "acme");
    assert_eq!(orgs[0]["state"], "pending");
    let team = "/api/v3/orgs/acme/teams/core/memberships";
    assert_eq!(
        provider.get(&format!("{team}/octocat")).await.json()["state"],
        "active"
    );
    assert_eq!(provider.get(&format!("{team}/somebody")).await.status, 404);
    assert_eq!(
        provider
            .ask(Method::GET, "/api/v3/user", &[], "")
            .await
            .status,
        401
    );

    provider.control(json!({"github": {"user_status": 500}}));
    assert_eq!(provider.get("/api/v3/user").await.status, 500);
}

#[tokio::test]
async fn userinfo_has_the_subject_unless_it_is_told_otherwise() {
    let provider = Asking::new();
    assert_eq!(
        provider.get("/oidc/userinfo").await.json(),
        json!({"sub": "1"})
    );
    assert_eq!(provider.get("/bare/userinfo").await.status, 404);
    assert_eq!(
        provider
            .ask(Method::GET, "/oidc/userinfo", &[], "")
            .await
            .status,
        401
    );
    let metadata = async |path| provider.get(path).await.json()["userinfo_endpoint"].clone();
    let full = metadata("/oidc/.well-known/openid-configuration").await;
    assert_eq!(full, "http://provider/oidc/userinfo");
    assert!(
        metadata("/bare/.well-known/openid-configuration")
            .await
            .is_null()
    );

    provider.control(json!({"oidc": {"userinfo": {"sub": "2"}, "userinfo_status": 203}}));
    let answer = provider.get("/oidc/userinfo").await;
    assert_eq!((answer.status, answer.json()), (203, json!({"sub": "2"})));
    provider.control(json!({"oidc": {"userinfo_raw": "no JSON"}}));
    assert_eq!(provider.get("/oidc/userinfo").await.body, "no JSON");
}

#[tokio::test]
async fn claims_are_completed_unless_they_are_given() {
    let provider = Asking::new();
    provider.control(json!({"oidc": {
        "claims": {"sub": 17, "exp": null, "iss": "https://elsewhere", "aud": ["me", "you"]},
        "padding": 9,
        "access_token": "jwt",
        "access_claims": {"sub": "in-access"},
    }}));

    let granted = provider.token("/oidc/token", "code=x").await.json();

    let id_token = claims(granted["id_token"].as_str().unwrap());
    assert_eq!(id_token["sub"], 17);
    assert_eq!(id_token["iss"], "https://elsewhere");
    assert_eq!(id_token["padding"], "xxxxxxxxx");
    assert_eq!(id_token.get("exp"), None);
    assert!(id_token["iat"].is_u64());
    let access_token = claims(granted["access_token"].as_str().unwrap());
    assert_eq!(access_token["sub"], "in-access");
    assert_eq!(access_token["aud"], "me");
}

#[tokio::test]
async fn what_it_is_told_is_done_whole_or_not_at_all() {
    let provider = Asking::new();
    let tell = async |change: &str| {
        let headers = [("content-type", "application/json")];
        provider
            .ask(Method::POST, "/control", &headers, change)
            .await
    };

    for mistake in [
        "no JSON",
        "[]",
        r#"{"oidc": {"padding": 1, "paddin": 1}}"#,
        r#"{"oidc": {"padding": "one"}}"#,
        r#"{"github": {"claims": {}}}"#,
        r#"{"oidc": {"padding": 1}, "unknown": 1}"#,
    ] {
        assert_eq!(tell(mistake).await.status, 400, "{mistake}");
    }
    let state = provider.ask(Method::GET, "/control", &[], "").await.json();
    assert_eq!(state["oidc"]["padding"], 0);

    assert_eq!(
        tell(r#"{"oidc": {"padding": 2}}"#).await.json()["oidc"]["padding"],
        2
    );
    assert_eq!(
        tell(r#"{"oidc": {"padding": null}}"#).await.json()["oidc"]["padding"],
        0
    );
    tell(r#"{"oidc": {"padding": 3, "refreshes": 5}}"#).await;
    let state = tell(r#"{"reset": true, "oidc": {"refreshes": 7}}"#)
        .await
        .json();
    assert_eq!(
        (&state["oidc"]["padding"], &state["oidc"]["refreshes"]),
        (&json!(0), &json!(7))
    );
}

#[tokio::test]
async fn a_client_that_is_no_browser_is_told_the_way_back() {
    let provider = Asking::new();
    let told = provider.control(json!({
        "authorize": "http://provider/login/oauth/authorize?state=abc&redirect_uri=http://us/back",
    }));
    let code = told["code"].as_str().unwrap();
    assert_eq!(told["state"], "abc");
    assert_eq!(told["callback"], format!("/back?code={code}&state=abc"));
    assert_eq!(
        told["location"],
        format!("http://us/back?code={code}&state=abc")
    );
}

#[tokio::test]
async fn it_can_be_down_and_is_told_to_come_back() {
    let provider = FakeProvider::start().await.unwrap();
    assert!(provider.url().starts_with("http://127.0.0.1:"));
    provider.control(&json!({"down": true})).unwrap();
    let asking = Asking(Arc::clone(&provider.shared));
    assert_eq!(asking.get("/oidc/jwks").await.status, 503);
    assert_eq!(asking.get("/control").await.status, 200);
    provider.control(&json!({"down": false})).unwrap();
    assert_eq!(asking.get("/oidc/jwks").await.status, 200);
    assert_eq!(provider.calls("oidc.keys"), 1);
    assert!(provider.control(&json!({"up": true})).is_err());
}
