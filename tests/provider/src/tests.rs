use axum::{
    body::Body,
    http::{Method, Request, header},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use super::*;

/// A provider that is called without a socket.
struct TestProvider(Arc<Shared>);

/// A response.
struct TestResponse {
    status: u16,
    content_type: String,
    location: String,
    body: String,
}

impl TestResponse {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }
}

impl TestProvider {
    fn new() -> Self {
        Self(Arc::new(Shared {
            base: "http://provider".to_owned(),
            state: Mutex::default(),
        }))
    }

    fn control(&self, change: Value) -> Value {
        self.0.state().control(&change).unwrap()
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TestResponse {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = handle(Extract(Arc::clone(&self.0)), request).await;
        let header = |name| {
            let value = response.headers().get(name);
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        let (content_type, location) = (header(header::CONTENT_TYPE), header(header::LOCATION));
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        TestResponse {
            status,
            content_type,
            location,
            body,
        }
    }

    async fn get(&self, target: &str) -> TestResponse {
        self.send(Method::GET, target, &[("authorization", "Bearer x")], "")
            .await
    }

    /// Sends a form to a token endpoint, with a client ID and secret.
    async fn token(&self, target: &str, form: &str) -> TestResponse {
        let form = format!("client_id=me&client_secret=mine&{form}");
        self.send(
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
    let provider = TestProvider::new();
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
    let rejected = provider.token("/oidc/token", &form("wrong")).await;
    assert_eq!(
        (rejected.status, &rejected.json()["error"]),
        (400, &json!("invalid_grant"))
    );
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let other_uri = form(verifier).replace("/back", "/other");
    let rejected = provider.token("/oidc/token", &other_uri).await;
    assert_eq!(rejected.json()["error"], "redirect_uri_mismatch");

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
async fn a_refresh_token_works_once_and_unknown_ones_are_accepted() {
    let provider = TestProvider::new();
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
async fn a_client_must_send_its_id_and_secret() {
    let provider = TestProvider::new();
    let status = async |headers: &[(&str, &str)], form: &str| {
        provider
            .send(Method::POST, "/oidc/token", headers, form)
            .await
            .status
    };

    assert_eq!(status(&[], "code=x").await, 401);
    assert_eq!(status(&[], "code=x&client_id=me").await, 401);
    let basic = format!("Basic {}", STANDARD.encode("me%3A:mine"));
    assert_eq!(status(&[("authorization", &basic)], "code=x").await, 200);
}

#[tokio::test]
async fn github_responds_with_a_form_unless_json_is_accepted() {
    let provider = TestProvider::new();
    let form = "client_id=me&client_secret=mine&code=x";
    for path in [
        "/login/oauth/access_token",
        "/github/login/oauth/access_token",
    ] {
        let response = provider.send(Method::POST, path, &[], form).await;
        assert!(
            response
                .content_type
                .starts_with("application/x-www-form-urlencoded")
        );
        assert!(
            response.body.contains("access_token=github-"),
            "{}",
            response.body
        );
        let response = provider.token(path, "code=x").await.json();
        assert_eq!(response["token_type"], "bearer");
        assert_eq!(response.get("expires_in"), None);
    }

    provider.control(json!({"github": {"token_error": "bad_verification_code"}}));
    let rejected = provider.token("/login/oauth/access_token", "code=x").await;
    assert_eq!(rejected.status, 200);
    assert_eq!(rejected.json()["error"], "bad_verification_code");
}

#[tokio::test]
async fn a_device_needs_no_secret_and_gets_the_configured_error() {
    let provider = TestProvider::new();
    let code = provider
        .send(Method::POST, "/login/device/code", &[], "client_id=me")
        .await;
    assert_eq!(code.json()["user_code"], "WDJB-MJHT");
    assert_eq!(
        provider
            .send(Method::POST, "/login/device/code", &[], "")
            .await
            .status,
        404
    );

    let poll = "client_id=me&device_code=x";
    provider.control(json!({"github": {"poll_error": "authorization_pending"}}));
    let waiting = provider
        .send(Method::POST, "/login/oauth/access_token", &[], poll)
        .await;
    assert!(waiting.body.contains("error=authorization_pending"));
    provider.control(json!({"github": {"poll_error": null}}));
    let done = provider
        .send(Method::POST, "/login/oauth/access_token", &[], poll)
        .await;
    assert!(done.body.contains("access_token="), "{}", done.body);
    assert_eq!(provider.control(json!({}))["calls"]["github.poll"], 2);
}

#[tokio::test]
async fn github_returns_the_configured_user() {
    let provider = TestProvider::new();
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
    assert_eq!(provider.get(&format!("{team}/another")).await.status, 404);
    assert_eq!(
        provider
            .send(Method::GET, "/api/v3/user", &[], "")
            .await
            .status,
        401
    );

    provider.control(json!({"github": {"user_status": 500}}));
    assert_eq!(provider.get("/api/v3/user").await.status, 500);
}

#[tokio::test]
async fn userinfo_returns_the_subject_by_default() {
    let provider = TestProvider::new();
    assert_eq!(
        provider.get("/oidc/userinfo").await.json(),
        json!({"sub": "1"})
    );
    assert_eq!(provider.get("/bare/userinfo").await.status, 404);
    assert_eq!(
        provider
            .send(Method::GET, "/oidc/userinfo", &[], "")
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
    let response = provider.get("/oidc/userinfo").await;
    assert_eq!(
        (response.status, response.json()),
        (203, json!({"sub": "2"}))
    );
    provider.control(json!({"oidc": {"userinfo_raw": "not JSON"}}));
    assert_eq!(provider.get("/oidc/userinfo").await.body, "not JSON");
}

#[tokio::test]
async fn standard_claims_are_added_unless_set() {
    let provider = TestProvider::new();
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
async fn a_change_is_applied_completely_or_not_at_all() {
    let provider = TestProvider::new();
    let control = async |change: &str| {
        let headers = [("content-type", "application/json")];
        provider
            .send(Method::POST, "/control", &headers, change)
            .await
    };

    for invalid in [
        "not JSON",
        "[]",
        r#"{"oidc": {"padding": 1, "paddin": 1}}"#,
        r#"{"oidc": {"padding": "one"}}"#,
        r#"{"github": {"claims": {}}}"#,
        r#"{"oidc": {"padding": 1}, "unknown": 1}"#,
    ] {
        assert_eq!(control(invalid).await.status, 400, "{invalid}");
    }
    let state = provider.send(Method::GET, "/control", &[], "").await.json();
    assert_eq!(state["oidc"]["padding"], 0);

    assert_eq!(
        control(r#"{"oidc": {"padding": 2}}"#).await.json()["oidc"]["padding"],
        2
    );
    assert_eq!(
        control(r#"{"oidc": {"padding": null}}"#).await.json()["oidc"]["padding"],
        0
    );
    control(r#"{"oidc": {"padding": 3, "refreshes": 5}}"#).await;
    let state = control(r#"{"reset": true, "oidc": {"refreshes": 7}}"#)
        .await
        .json();
    assert_eq!(
        (&state["oidc"]["padding"], &state["oidc"]["refreshes"]),
        (&json!(0), &json!(7))
    );
}

#[tokio::test]
async fn an_authorization_request_can_be_posted_to_control() {
    let provider = TestProvider::new();
    let response = provider.control(json!({
        "authorize": "http://provider/login/oauth/authorize?state=abc&redirect_uri=http://us/back",
    }));
    let code = response["code"].as_str().unwrap();
    assert_eq!(response["state"], "abc");
    assert_eq!(response["callback"], format!("/back?code={code}&state=abc"));
    assert_eq!(
        response["location"],
        format!("http://us/back?code={code}&state=abc")
    );
}

#[tokio::test]
async fn the_provider_can_be_down() {
    let provider = FakeProvider::start().await.unwrap();
    assert!(provider.url().starts_with("http://127.0.0.1:"));
    provider.control(&json!({"down": true})).unwrap();
    let test = TestProvider(Arc::clone(&provider.shared));
    assert_eq!(test.get("/oidc/jwks").await.status, 503);
    assert_eq!(test.get("/control").await.status, 200);
    provider.control(&json!({"down": false})).unwrap();
    assert_eq!(test.get("/oidc/jwks").await.status, 200);
    assert_eq!(provider.calls("oidc.keys"), 1);
    assert!(provider.control(&json!({"up": true})).is_err());
}
