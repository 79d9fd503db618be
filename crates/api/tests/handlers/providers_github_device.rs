//! Signing in through GitHub's device flow.

use serde_json::json;
use usher_domain::{LoginType, sign_in::SignInRejection};
use usher_identity::{DeviceAuthorization, IdentifyError, MockIdentityProvider, ProviderError};
use usher_store::SignInOutcome;

use crate::{
    app::TestApp,
    people::alice,
    providers::{
        GITHUB, app_with_providers, begin, come_back, cookie, device_client, identity, offered,
        provider, sign_in,
    },
};

const DEVICE: &str = "/api/v2/users/oauth2/github/device";

fn app(client: MockIdentityProvider) -> TestApp {
    app_with_providers(Some(offered(client)), Vec::new())
}

fn app_saying(answer: Result<(), IdentifyError>) -> TestApp {
    let mut client = device_client();
    client
        .expect_identify()
        .returning(move |_, _| answer.clone().map(|()| identity(LoginType::Github)));
    app(client)
}

#[tokio::test]
async fn a_device_gets_a_user_code_and_a_device_code() {
    let mut client = device_client();
    client.expect_authorize_device().returning(|| {
        Ok(DeviceAuthorization {
            device_code: "3584d830".into(),
            user_code: "WDJB-MJHT".into(),
            verification_uri: "https://github.com/login/device".into(),
            expires_in: 900,
            interval: 5,
        })
    });
    let answer = app(client).get(DEVICE).await;
    answer.assert_status(200);
    assert_eq!(
        answer.json,
        json!({
            "device_code": "3584d830",
            "user_code": "WDJB-MJHT",
            "verification_uri": "https://github.com/login/device",
            "expires_in": 900,
            "interval": 5,
        })
    );
}

#[tokio::test]
async fn without_the_device_flow_there_are_no_codes() {
    let github = Some(provider(LoginType::Github));
    let answer = app_with_providers(github, Vec::new()).get(DEVICE).await;
    answer.assert_faults(&[]);
    assert_ne!(answer.message(), "");
}

#[tokio::test]
async fn errors_from_github_are_reported() {
    for (error, detail) in [
        (
            ProviderError::Refused {
                code: "device_flow_disabled".into(),
                description: Some("It must be enabled".into()),
            },
            "It must be enabled",
        ),
        (
            ProviderError::Refused {
                code: "device_flow_disabled".into(),
                description: None,
            },
            "device_flow_disabled",
        ),
        (ProviderError::Unavailable("no answer".into()), "no answer"),
    ] {
        let mut client = device_client();
        client
            .expect_authorize_device()
            .returning(move || Err(error.clone()));
        let answer = app(client).get(DEVICE).await;
        answer.assert_status(502);
        assert_eq!(answer.detail(), detail);
    }
}

#[tokio::test]
async fn without_a_code_the_browser_is_redirected_to_the_device_page() {
    let mut app = app(device_client());
    let answer = app.get(&format!("{GITHUB}?redirect=%2Fhome")).await;
    answer.assert_status(307);
    let state = cookie(&answer, "oauth_state").expect("a state");
    let expected = format!("/login/device?state={state}");
    assert_eq!(answer.header("location"), Some(&*expected));
    assert_eq!(cookie(&answer, "oauth_redirect").as_deref(), Some("/home"));
}

#[tokio::test]
async fn polling_is_pending_until_the_user_code_is_entered() {
    let answer = sign_in(&mut app_saying(Err(IdentifyError::Pending)), GITHUB).await;
    answer.assert_status(400);
    assert_eq!(answer.detail(), "authorization_pending");
    assert!(answer.cookies().is_empty(), "{answer:?}");
}

#[tokio::test]
async fn a_device_gets_only_the_error_code() {
    for code in ["slow_down", "expired_token", "access_denied"] {
        let refused = ProviderError::Refused {
            code: code.into(),
            description: Some("as it says".into()),
        };
        let mut app = app_saying(Err(IdentifyError::Provider(refused)));
        let answer = sign_in(&mut app, GITHUB).await;
        answer.assert_status(400);
        assert_eq!(answer.detail(), code);
    }
}

#[tokio::test]
async fn an_authorized_device_gets_a_session_and_a_redirect_url() {
    let mut app = app_saying(Ok(()));
    app.external_logins
        .expect_sign_in()
        .withf(|asked, by| by.status_code == 200 && asked.key.login_type == LoginType::Github)
        .returning(|_, _| {
            Ok(SignInOutcome::SignedIn {
                user: Box::new(alice()),
                is_new: false,
            })
        });
    let state = begin(&mut app, GITHUB).await;
    for (cookies, expected) in [
        ("", "/"),
        ("; oauth_redirect=/home?x=1", "/home?x=1"),
        ("; oauth_redirect=https://evil.example/a", "/a"),
        ("; oauth_redirect=///evil.example/a", "/evil.example/a"),
        ("; oauth_redirect=/\\evil.example", "/"),
    ] {
        let answer = come_back(&mut app, GITHUB, &state, cookies).await;
        answer.assert_status(200);
        assert_eq!(answer.json, json!({"redirect_url": expected}));
        assert!(
            cookie(&answer, "coder_session_token").is_some(),
            "{answer:?}"
        );
        assert_eq!(answer.header("location"), None);
    }
}

#[tokio::test]
async fn a_device_gets_json_instead_of_pages() {
    for (outcome, status) in [
        (
            SignInOutcome::Rejected(SignInRejection::SignUpDisabled),
            403,
        ),
        (
            SignInOutcome::Rejected(SignInRejection::OtherLoginType(LoginType::Password)),
            403,
        ),
        (SignInOutcome::Rejected(SignInRejection::OtherAccount), 403),
        (SignInOutcome::Rejected(SignInRejection::Suspended), 403),
        (SignInOutcome::Rejected(SignInRejection::EmailTaken), 409),
    ] {
        let mut app = app_saying(Ok(()));
        app.external_logins
            .expect_sign_in()
            .returning(move |_, _| Ok(outcome.clone()));
        app.audit
            .expect_record_failure()
            .times(1)
            .returning(|_, _| Ok(()));
        let answer = sign_in(&mut app, GITHUB).await;
        answer.assert_status(status);
        assert_ne!(answer.message(), "");
        assert_ne!(answer.detail(), "");
        assert!(answer.cookies().is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_missing_membership_is_reported_to_a_device() {
    let mut app = app_saying(Err(IdentifyError::NotAMember("not in acme".into())));
    app.audit
        .expect_record_failure()
        .times(1)
        .returning(|_, _| Ok(()));
    let answer = sign_in(&mut app, GITHUB).await;
    answer.assert_status(401);
    assert_eq!(answer.message(), "Unauthorized");
    assert_eq!(answer.detail(), "not in acme");
    assert_eq!(answer.header("location"), None);
}
