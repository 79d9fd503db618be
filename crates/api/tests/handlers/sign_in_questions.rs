//! `GET /users/authmethods`, `POST /users/validate-password`, and the paths of providers.

use serde_json::json;
use usher_api::Provider;
use usher_domain::LoginType;

use crate::{
    app::TestApp,
    people::Role,
    providers::{app_with_providers, provider},
};

#[tokio::test]
async fn login_types_are_listed() {
    let answer = TestApp::anonymous().get("/api/v2/users/authmethods").await;
    answer.assert_status(200);
    assert_eq!(
        answer.json,
        json!({
            "password": {"enabled": true},
            "github": {"enabled": false, "default_provider_configured": false},
            "oidc": {"enabled": false, "signInText": "", "iconUrl": ""},
        })
    );
}

#[tokio::test]
async fn settings_are_reflected_in_the_login_types() {
    let mut app = TestApp::anonymous();
    app.settings.password_auth = false;
    app.settings.terms_of_service_url = "https://example.com/terms".into();
    let answer = app.get("/api/v2/users/authmethods").await;
    assert_eq!(answer.json["password"]["enabled"], false);
    assert_eq!(
        answer.json["terms_of_service_url"],
        "https://example.com/terms"
    );
}

#[tokio::test]
async fn providers_are_reflected_in_the_login_types() {
    let mut app = app_with_providers(
        Some(provider(LoginType::Github)),
        vec![Provider {
            sign_in_text: "Sign in with Example".into(),
            icon_url: "/icon.svg".into(),
            ..provider(LoginType::Oidc)
        }],
    );
    let answer = app.get("/api/v2/users/authmethods").await;
    assert_eq!(
        answer.json,
        json!({
            "password": {"enabled": true},
            "github": {"enabled": true, "default_provider_configured": false},
            "oidc": {
                "enabled": true,
                "signInText": "Sign in with Example",
                "iconUrl": "/icon.svg",
            },
        })
    );
}

#[tokio::test]
async fn further_openid_providers_are_listed_after_the_first() {
    let named = |text: &str| Provider {
        sign_in_text: text.into(),
        ..provider(LoginType::Oidc)
    };
    let mut app = app_with_providers(None, vec![named("One"), named("Two"), named("Three")]);
    let answer = app.get("/api/v2/users/authmethods").await;
    assert_eq!(answer.json["oidc"]["signInText"], "One");
    assert_eq!(
        answer.json["further_oidc"],
        json!([
            {"path": "/api/v2/users/oidc/2/callback", "signInText": "Two", "iconUrl": ""},
            {"path": "/api/v2/users/oidc/3/callback", "signInText": "Three", "iconUrl": ""},
        ])
    );
}

#[tokio::test]
async fn a_password_is_validated_and_not_returned() {
    let mut app = TestApp::anonymous();
    for (password, is_valid) in [
        ("MySecurePassword!", true),
        ("notstrong", false),
        (&"Xk2!".repeat(17), false),
    ] {
        let answer = app
            .post(
                "/api/v2/users/validate-password",
                json!({"password": password}),
            )
            .await;
        answer.assert_status(200);
        assert_eq!(answer.json["valid"], is_valid, "{password}");
        assert_eq!(answer.json["details"] == "", is_valid, "{password}");
        assert!(!answer.text.contains(password), "{answer:?}");
    }
}

#[tokio::test]
async fn a_missing_password_is_a_validation_error() {
    let mut app = TestApp::anonymous();
    for body in [
        json!({}),
        json!({"password": ""}),
        json!({"password": "a\u{0}b"}),
    ] {
        let answer = app.post("/api/v2/users/validate-password", body).await;
        answer.assert_faults(&["password"]);
    }
}

#[tokio::test]
async fn paths_of_unconfigured_providers_say_so() {
    for mut app in [TestApp::anonymous(), TestApp::signed_in_as(Role::Owner)] {
        for path in [
            "oauth2/github/callback",
            "oauth2/github/device",
            "oidc/callback",
            "oidc/2/callback",
            "oidc/1/callback",
            "oidc/x/callback",
        ] {
            for query in [
                "",
                "?code=x&state=y",
                "?oidc_merge_state=convert-x",
                "?redirect=//x",
            ] {
                let answer = app.get(&format!("/api/v2/users/{path}{query}")).await;
                answer.assert_faults(&[]);
                assert_ne!(answer.message(), "");
                assert!(answer.cookies().is_empty(), "{answer:?}");
                assert_eq!(answer.header("location"), None);
            }
        }
    }
}
