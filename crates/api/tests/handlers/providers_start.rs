//! Provider callbacks without a code: starting a sign-in, and errors from the provider.

use http::StatusCode;
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use usher_domain::LoginType;
use usher_identity::{MockIdentityProvider, ProviderError};
use usher_store::StoreError;

use crate::{
    app::{Answer, TestApp},
    providers::{
        GITHUB, OIDC, SECOND, app_with_providers, begin, client, client_that_says, cookie,
        identity, offered, provider,
    },
};

const ALL: [&str; 3] = [GITHUB, OIDC, SECOND];

fn app() -> TestApp {
    let (github, oidc) = (LoginType::Github, LoginType::Oidc);
    app_with_providers(Some(provider(github)), vec![provider(oidc), provider(oidc)])
}

fn location(answer: &Answer) -> &str {
    answer.header("location").expect("a location")
}

#[tokio::test]
async fn without_a_code_the_browser_is_redirected_to_the_provider_with_a_state() {
    for path in ALL {
        let answer = app().get(path).await;
        answer.assert_status(307);
        let state = cookie(&answer, "oauth_state").expect("a state");
        assert_eq!(state.len(), 32);
        assert!(state.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let sent = format!("https://id.example/authorize?state={state}&nonce=");
        assert!(location(&answer).starts_with(&sent), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
}

#[tokio::test]
async fn the_cookies_are_state_and_target_and_last_for_the_browser_session() {
    let mut app = app();
    app.settings.secure_auth_cookie = true;
    let answer = app.get(OIDC).await;
    let cookies = answer.cookies();
    assert!(cookies[0].starts_with("oauth_state="), "{cookies:?}");
    assert!(cookies[1].starts_with("oauth_redirect=;"), "{cookies:?}");
    assert_eq!(cookies.len(), 2);
    for cookie in cookies {
        for attribute in ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"));
    }
}

#[tokio::test]
async fn the_target_is_reduced_to_a_local_path() {
    let mut app = app();
    for (target, kept) in [
        ("%2Fdashboard", "/dashboard"),
        ("https%3A%2F%2Fevil.example%2Fx%3Fy%3D1", "/x?y=1"),
        ("%2F%2Fevil.example%2Fa", "/a"),
        ("https%3A%2F%2Fevil.example", "/"),
        ("%2Fa%3Fb%3D1%23c", "/a?b=1"),
        ("%25zz", "/"),
        ("%2F%2F%2Fevil.example%2Fx", "/evil.example/x"),
        ("%2F%5Cevil.example", "/"),
        ("%2F%252fevil.example", "/"),
        ("javascript%3Aalert(1)", "/"),
        ("%2Fa%0D%0ASet-Cookie%3A%20x%3Dy", "/"),
        ("", ""),
    ] {
        let answer = app.get(&format!("{OIDC}?redirect={target}")).await;
        answer.assert_status(307);
        let cookie = cookie(&answer, "oauth_redirect");
        assert_eq!(cookie.as_deref(), Some(kept), "{target}");
    }
}

#[tokio::test]
async fn empty_parameters_count_as_missing() {
    for query in [
        "code=",
        "code=&state=abc",
        "error=",
        "oidc_merge_state=",
        "error_description=no",
        "error_uri=u",
        "state=abc",
    ] {
        app()
            .get(&format!("{OIDC}?{query}"))
            .await
            .assert_status(307);
    }
}

#[tokio::test]
async fn clients_cannot_choose_the_state() {
    let mut app = app();
    let own = begin(&mut app, OIDC).await;
    for state in [
        "convert-abc",
        "abc",
        &format!("convert-{}", "a".repeat(32)),
        &own,
    ] {
        for path in ALL {
            let answer = app.get(&format!("{path}?oidc_merge_state={state}")).await;
            answer.assert_faults(&[]);
            assert!(answer.cookies().is_empty(), "{answer:?}");
            assert_eq!(answer.header("location"), None);
        }
    }
}

#[tokio::test]
async fn an_error_from_the_provider_is_reported_first() {
    let mut app = app();
    for (query, detail) in [
        ("error=access_denied", ""),
        ("error=access_denied&error_description=no", "no"),
        (
            "error=access_denied&error_uri=https%3A%2F%2Fh.example%2Fu",
            "error_uri: https://h.example/u",
        ),
        (
            "error=access_denied&error_description=because&error_uri=u",
            "because, error_uri: u",
        ),
        ("error=access_denied&code=c&state=s", ""),
        ("error=access_denied&code=c", ""),
    ] {
        for path in ALL {
            let url = format!("{path}?{query}");
            let answer = app.get_with(&url, &[("Cookie", "oauth_state=s")]).await;
            answer.assert_status(400);
            assert!(answer.message().contains("access_denied"), "{answer:?}");
            assert_eq!(answer.detail(), detail);
            assert!(answer.cookies().is_empty(), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn markup_in_provider_errors_is_escaped() {
    let answer = app().get(&format!("{OIDC}?error=%3Cscript%3E")).await;
    assert!(!answer.text.contains('<'), "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
}

/// Without the cookie, with another one, with a forged state, and with one of another
/// provider. No provider is called.
#[tokio::test]
async fn a_code_needs_the_state_issued_to_this_browser_for_this_provider() {
    let mut app = app();
    let of_oidc = begin(&mut app, OIDC).await;
    let of_github = begin(&mut app, GITHUB).await;
    let forged = "a".repeat(32);
    for (query, cookies, status) in [
        ("code=c".to_owned(), String::new(), 400),
        ("code=c".to_owned(), format!("oauth_state={of_oidc}"), 400),
        (
            "code=c&state=".to_owned(),
            format!("oauth_state={of_oidc}"),
            400,
        ),
        (format!("code=c&state={of_oidc}"), String::new(), 401),
        (
            format!("code=c&state={of_oidc}"),
            "oauth_state=".to_owned(),
            401,
        ),
        (
            format!("code=c&state={of_oidc}"),
            "oauth_state=t".to_owned(),
            401,
        ),
        (
            format!("code=c&state={of_oidc}"),
            format!("oauth_state={}", of_oidc.to_lowercase()),
            401,
        ),
        ("code=c&state=s".to_owned(), "oauth_state=s".to_owned(), 401),
        (
            format!("code=c&state={forged}"),
            format!("oauth_state={forged}"),
            401,
        ),
        (
            format!("code=c&state={of_github}"),
            format!("oauth_state={of_github}"),
            401,
        ),
    ] {
        let url = format!("{OIDC}?{query}");
        let answer = app.get_with(&url, &[("Cookie", &cookies)]).await;
        answer.assert_status(status);
        assert_ne!(answer.message(), "");
        assert!(answer.cookies().is_empty(), "{answer:?}");
        assert!(answer.header("www-authenticate").is_none(), "{answer:?}");
    }
}

#[tokio::test]
async fn the_callback_uses_the_nonce_of_the_start() {
    let client = client_that_says(LoginType::Oidc, |flow| {
        assert_eq!(flow.nonce.len(), 43);
        // The provider client returns its arguments for comparison.
        Err(usher_identity::IdentifyError::AddressRefused(
            flow.nonce.clone(),
        ))
    });
    let mut app = app_with_providers(None, vec![offered(client)]);
    app.audit.expect_record_failure().returning(|_, _| Ok(()));
    let away = app.get(OIDC).await;
    let state = cookie(&away, "oauth_state").expect("a state");
    let back = crate::providers::come_back(&mut app, OIDC, &state, "").await;
    let nonce = format!("nonce={}", back.message());
    assert!(location(&away).ends_with(&nonce), "{away:?} {back:?}");
}

#[tokio::test]
async fn an_unavailable_provider_is_reported_and_does_not_affect_others() {
    let mut down = MockIdentityProvider::new();
    down.expect_uses_device_flow().return_const(false);
    down.expect_authorization_url()
        .returning(|_| Err(ProviderError::Unavailable("no answer".into())));
    let mut app = app_with_providers(None, vec![offered(down), offered(client(LoginType::Oidc))]);
    let answer = app.get(OIDC).await;
    answer.assert_status(502);
    assert_eq!(answer.detail(), "no answer");
    assert!(answer.cookies().is_empty(), "{answer:?}");
    app.get(SECOND).await.assert_status(307);
    app.get("/api/v2/users/authmethods")
        .await
        .assert_status(200);
}

#[tokio::test]
async fn only_provider_numbers_are_valid_paths() {
    let mut app = app();
    for number in [
        "0",
        "1",
        "3",
        "02",
        "-2",
        "+2",
        "two",
        "2x",
        "99999999999999999999",
    ] {
        let answer = app
            .get(&format!("/api/v2/users/oidc/{number}/callback"))
            .await;
        answer.assert_faults(&[]);
        assert!(answer.cookies().is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_user_may_have_the_name_of_a_provider_path() {
    let mut app = TestApp::anonymous();
    for path in [
        "oidc",
        "oidc/keys/tokens",
        "oidc/roles",
        "oauth2/keys/tokens/x",
    ] {
        app.get(&format!("/api/v2/users/{path}"))
            .await
            .assert_status(401);
    }
}

/// Only a state issued by this server reaches a provider client, and these contain none.
#[test]
fn no_input_from_a_browser_is_an_internal_error() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let app = std::cell::RefCell::new(app());
    let value = "[a-zA-Z0-9%/\\\\.:;=&+ -]{0,40}|convert-[a-zA-Z0-9]{32}|[a-zA-Z0-9]{32}|\\PC{0,8}";
    let name = prop_oneof![
        Just("code"),
        Just("state"),
        Just("error"),
        Just("error_uri"),
        Just("redirect"),
        Just("oidc_merge_state"),
    ];
    let query = vec((name, value), 0..5);
    let cookie = ("oauth_state|oauth_redirect|coder_oauth_convert_jwt", value);
    let strategy = (select(&ALL[..]), query, vec(cookie, 0..3));
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&strategy, |(path, query, cookies)| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(query)
                .finish();
            let cookies = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join("; ");
            let url = format!("{path}?{query}");
            let headers = [("Cookie", &*cookies)];
            let answer = runtime.block_on(app.borrow_mut().get_with(&url, &headers));
            prop_assert!(
                [307, 400, 401].contains(&answer.status.as_u16()),
                "{answer:?}"
            );
            if answer.status == 307 {
                prop_assert!(location(&answer).starts_with("https://id.example/authorize?"));
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn an_unavailable_store_is_not_reported_as_an_invalid_state() {
    let client = client_that_says(LoginType::Oidc, |_| Ok(identity(LoginType::Oidc)));
    let mut app = TestApp::anonymous();
    app.providers.oidc = vec![offered(client)];
    app.signing_keys
        .expect_signing_key()
        .returning(|_, _, _| Err(StoreError::Unavailable("away".into())));
    app.signing_keys
        .expect_list_verifying_keys()
        .returning(|_, _| Err(StoreError::Unavailable("away".into())));
    app.get(OIDC).await.assert_status(503);
    let state = "a".repeat(32);
    let answer = crate::providers::come_back(&mut app, OIDC, &state, "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}
