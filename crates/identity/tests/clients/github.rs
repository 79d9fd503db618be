//! GitHub, for browsers and for devices.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use usher_domain::LoginType;
use usher_identity::{Flow, GitHub, IdentifyError, IdentityProvider, ProviderError, SetupError};

use crate::support::{
    CLIENT_ID, CODE, SignIn, VERIFIER, flow, github, github_settings, redirect_url, secret,
};

async fn of_acme_and_umbrella() -> SignIn<GitHub> {
    SignIn::github_with(|settings| {
        settings.allowed_orgs = vec!["acme".to_owned(), "umbrella".to_owned()];
    })
    .await
}

async fn of_teams() -> SignIn<GitHub> {
    SignIn::github_with(|settings| {
        settings.allowed_orgs = vec!["acme".to_owned(), "umbrella".to_owned()];
        settings.allowed_teams = vec!["acme/core".to_owned(), "umbrella/lab".to_owned()];
    })
    .await
}

async fn for_devices() -> SignIn<GitHub> {
    SignIn::github_with(|settings| {
        settings.allow_everyone = true;
        settings.device_flow = true;
    })
    .await
}

#[tokio::test]
async fn the_authorization_url_has_a_challenge() {
    let sign_in = SignIn::open().await;
    let url = sign_in.client.authorization_url(&flow()).await.unwrap();
    assert_eq!(
        url.as_str().split('?').next().unwrap(),
        format!("{}/login/oauth/authorize", sign_in.provider.url())
    );
    let parameters: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let wanted = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", redirect_url().as_str()),
        ("scope", "read:user read:org user:email"),
        ("state", "StateOfThirtyTwoLettersAndDigits"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("access_type", "offline"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(parameters, HashMap::from(wanted));
}

#[tokio::test]
async fn an_identity_has_all_fields_of_the_account() {
    let sign_in = SignIn::open().await;
    let person = sign_in
        .changed(json!({"github": {
            "user": {"id": 4711, "login": "gus_tav", "name": "  Gus  Tav ", "avatar_url": "https://example.com/gus.png"},
            "emails": [
                {"email": "old@example.com", "primary": false, "verified": true},
                {"email": "Gus@Example.com", "primary": true, "verified": true},
            ],
        }}))
        .await
        .unwrap();
    assert_eq!(person.login_type, LoginType::Github);
    assert_eq!(person.link_id, "4711");
    assert_eq!(person.email.as_str(), "Gus@Example.com");
    assert_eq!(person.username, "gus_tav");
    assert_eq!(person.name.as_str(), "Gus  Tav");
    assert_eq!(person.avatar_url, "https://example.com/gus.png");
    assert_eq!(person.github_com_user_id, None, "that is not github.com");
    assert!(secret(&person.tokens.access_token).starts_with("github-"));
    assert!(person.tokens.refresh_token.is_none());
    assert_eq!(person.tokens.expires_at, None);
    assert_eq!(person.claims.id_token, Value::Null);
    // Every user may sign in, so organizations are not requested.
    assert_eq!(sign_in.provider.calls("github.orgs"), 0);
}

#[tokio::test]
async fn a_name_is_trimmed_and_truncated() {
    let sign_in = SignIn::open().await;
    let name = format!("  {} ", "g".repeat(129));
    let person = sign_in
        .changed(json!({"github": {"user": {"id": 1, "login": "g", "name": name}}}))
        .await
        .unwrap();
    assert_eq!(person.name.as_str(), "g".repeat(128));
}

#[tokio::test]
async fn only_the_id_of_the_account_is_required() {
    let sign_in = SignIn::open().await;
    let person = sign_in
        .changed(json!({"github": {"user": {"id": 9, "login": "g", "name": null}}}))
        .await
        .unwrap();
    assert_eq!(person.name.as_str(), "");
    assert_eq!(person.avatar_url, "");
}

#[tokio::test]
async fn the_base_url_may_have_a_path() {
    let sign_in = SignIn::github_with(|settings| {
        settings.allow_everyone = true;
        let base = settings.enterprise_base_url.as_mut().unwrap();
        base.set_path("/github");
    })
    .await;
    let url = sign_in.client.authorization_url(&flow()).await.unwrap();
    assert_eq!(url.path(), "/github/login/oauth/authorize");
    sign_in.identify().await.unwrap();
}

#[rstest]
#[case::unverified(json!([{"email": "a@example.com", "primary": true, "verified": false}]))]
#[case::not_primary(json!([
    {"email": "a@example.com", "primary": true, "verified": false},
    {"email": "b@example.com", "primary": false, "verified": true},
]))]
#[case::none(json!([]))]
#[case::empty(json!([{"email": "", "primary": true, "verified": true}]))]
#[case::odd(json!([{"email": "a@b@example.com", "primary": true, "verified": true}]))]
#[tokio::test]
async fn a_verified_primary_email_address_is_required(#[case] emails: Value) {
    let sign_in = SignIn::open().await;
    let result = sign_in.changed(json!({"github": {"emails": emails}})).await;
    let is_alone = matches!(result, Err(IdentifyError::Unusable { detail: None, .. }));
    assert!(is_alone, "{result:?}");
}

#[rstest]
#[case::user(json!({"user_status": 401}))]
#[case::emails(json!({"emails_status": 403}))]
#[case::no_number(json!({"user": {"login": "g"}}))]
#[case::zero(json!({"user": {"id": 0, "login": "g"}}))]
#[case::odd_number(json!({"user": {"id": "1", "login": "g"}}))]
#[case::odd_addresses(json!({"emails": {"message": "no"}}))]
#[tokio::test]
async fn api_errors_are_provider_errors(#[case] change: Value) {
    let sign_in = SignIn::open().await;
    let result = sign_in.changed(json!({"github": change})).await;
    let is_unavailable = matches!(
        result,
        Err(IdentifyError::Provider(ProviderError::Unavailable(_)))
    );
    assert!(is_unavailable, "{result:?}");
}

#[tokio::test]
async fn email_addresses_are_checked_before_the_id() {
    let sign_in = SignIn::open().await;
    let result = sign_in
        .changed(json!({"github": {"user": {"login": "g"}, "emails": []}}))
        .await;
    assert!(
        matches!(result, Err(IdentifyError::Unusable { .. })),
        "{result:?}"
    );
}

#[rstest]
#[case::none(json!([]), false)]
#[case::another(json!([{"login": "evilcorp", "state": "active"}]), false)]
#[case::longer(json!([{"login": "acme-evil", "state": "active"}]), false)]
#[case::invited(json!([{"login": "acme", "state": "pending"}]), false)]
#[case::member(json!([{"login": "acme", "state": "active"}]), true)]
#[case::other_case(json!([{"login": "Acme", "state": "active"}]), true)]
#[case::second(json!([{"login": "x", "state": "active"}, {"login": "umbrella", "state": "active"}]), true)]
#[tokio::test]
async fn an_active_membership_is_required(#[case] orgs: Value, #[case] passes: bool) {
    let sign_in = of_acme_and_umbrella().await;
    let result = sign_in.changed(json!({"github": {"orgs": orgs}})).await;
    assert_eq!(result.is_ok(), passes, "{result:?}");
    let is_stranger = matches!(result, Err(IdentifyError::NotAMember(_)));
    assert_eq!(is_stranger, !passes, "{result:?}");
}

#[tokio::test]
async fn organizations_are_checked_first() {
    let sign_in = of_acme_and_umbrella().await;
    let result = sign_in
        .changed(json!({"github": {"orgs": [], "user_status": 500, "emails": []}}))
        .await;
    assert!(
        matches!(result, Err(IdentifyError::NotAMember(_))),
        "{result:?}"
    );

    let result = sign_in
        .changed(json!({"github": {"orgs_status": 401}}))
        .await;
    let is_unavailable = matches!(
        result,
        Err(IdentifyError::Provider(ProviderError::Unavailable(_)))
    );
    assert!(is_unavailable, "{result:?}");
}

#[tokio::test]
async fn all_pages_of_organizations_are_read() {
    let sign_in = of_acme_and_umbrella().await;
    let mut orgs: Vec<Value> = (0..99)
        .map(|i| json!({"login": format!("org-{i}"), "state": "active"}))
        .collect();
    orgs.push(json!({"login": "acme", "state": "active"}));
    // A hundred are a full page; the fake provider answers each page with the same.
    sign_in
        .changed(json!({"github": {"orgs": orgs}}))
        .await
        .unwrap();
    assert_eq!(sign_in.provider.calls("github.orgs"), 10);
}

#[rstest]
#[case::no_team(json!(["acme"]), json!({}), false)]
#[case::team_of_another_org(json!(["acme"]), json!({"umbrella/lab": "active"}), false)]
#[case::another_team(json!(["acme"]), json!({"acme/design": "active"}), false)]
#[case::not_in_the_org(json!([]), json!({"acme/core": "active"}), false)]
#[case::invited(json!(["acme"]), json!({"acme/core": "pending"}), false)]
#[case::first(json!(["acme"]), json!({"acme/core": "active"}), true)]
#[case::other_case(json!(["ACME"]), json!({"acme/core": "active"}), true)]
#[case::second(json!(["acme", "umbrella"]), json!({"umbrella/lab": "active"}), true)]
#[tokio::test]
async fn an_active_team_membership_is_required(
    #[case] orgs: Value,
    #[case] teams: Value,
    #[case] passes: bool,
) {
    let sign_in = of_teams().await;
    let orgs: Vec<Value> = orgs
        .as_array()
        .unwrap()
        .iter()
        .map(|login| json!({"login": login, "state": "active"}))
        .collect();
    let result = sign_in
        .changed(json!({"github": {"orgs": orgs, "teams": teams}}))
        .await;
    assert_eq!(result.is_ok(), passes, "{result:?}");
    let is_stranger = matches!(result, Err(IdentifyError::NotAMember(_)));
    assert_eq!(is_stranger, !passes, "{result:?}");
}

#[tokio::test]
async fn a_wrong_verifier_is_an_error_despite_status_200() {
    let sign_in = SignIn::open().await;
    let other = Flow {
        code_verifier: "another-verifier-that-is-of-forty-three-letters".into(),
        ..flow()
    };
    let error = sign_in
        .client
        .identify(&CODE.into(), &other)
        .await
        .unwrap_err();
    let IdentifyError::Provider(ProviderError::Refused { code, description }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(code, "invalid_grant");
    assert!(description.is_some());
}

#[tokio::test]
async fn a_failed_token_endpoint_is_a_provider_error() {
    let sign_in = SignIn::open().await;
    let error = sign_in
        .changed(json!({"github": {"token_status": 502}}))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("502"), "{error}");
}

#[tokio::test]
async fn a_device_gets_a_user_code() {
    let sign_in = for_devices().await;
    assert!(sign_in.client.uses_device_flow());
    let device = sign_in.client.authorize_device().await.unwrap();
    assert_eq!(
        device.device_code,
        "3584d83530557fdd1f46af8289938c8ef79f9dc5"
    );
    assert_eq!(device.user_code, "WDJB-MJHT");
    assert_eq!(device.verification_uri, "https://github.com/login/device");
    assert_eq!(device.expires_in, 900);
    assert_eq!(device.interval, 5);
}

#[rstest]
#[case(200)]
#[case(400)]
#[tokio::test]
async fn an_error_of_the_device_endpoint_is_returned(#[case] status: u16) {
    let sign_in = for_devices().await;
    let refusal = json!({
        "error": "device_flow_disabled",
        "error_description": "Device Flow must be explicitly enabled for this App",
    });
    sign_in
        .provider
        .control(&json!({"github": {"device": refusal, "device_status": status}}))
        .unwrap();
    let error = sign_in.client.authorize_device().await.unwrap_err();
    let ProviderError::Refused { code, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(code, "device_flow_disabled");
    assert_eq!(
        error.to_string(),
        "Device Flow must be explicitly enabled for this App"
    );
}

#[tokio::test]
async fn a_device_polls_until_the_user_confirms() {
    let sign_in = for_devices().await;
    let pending = sign_in
        .changed(json!({"github": {"poll_error": "authorization_pending"}}))
        .await;
    assert!(
        matches!(pending, Err(IdentifyError::Pending)),
        "{pending:?}"
    );
    for wanted in ["slow_down", "expired_token", "access_denied"] {
        let result = sign_in
            .changed(json!({"github": {"poll_error": wanted}}))
            .await;
        let Err(IdentifyError::Provider(ProviderError::Refused { code, .. })) = result else {
            panic!("{result:?}")
        };
        assert_eq!(code, wanted);
    }
    let person = sign_in
        .changed(json!({"github": {"poll_error": null}}))
        .await
        .unwrap();
    assert_eq!(person.link_id, "1");
    assert_eq!(sign_in.provider.calls("github.poll"), 5);
    assert_eq!(sign_in.provider.calls("github.token"), 0);
}

#[tokio::test]
async fn numeric_link_ids_are_github_s() {
    let sign_in = SignIn::open().await;
    assert!(sign_in.client.issued("4711"));
    assert!(!sign_in.client.issued(""));
    assert!(!sign_in.client.issued("https://id.example.com||4711"));
    assert!(sign_in.client.may_have_issued(""));
    assert!(
        !sign_in
            .client
            .may_have_issued("https://id.example.com||4711")
    );
}

#[tokio::test]
async fn github_can_be_checked() {
    let sign_in = SignIn::open().await;
    sign_in.client.check().await.unwrap();
    sign_in.provider.control(&json!({"down": true})).unwrap();
    assert!(sign_in.client.check().await.is_err());
}

#[tokio::test]
async fn an_invalid_setting_is_named() {
    let provider = crate::support::fake().await;
    let result = GitHub::new(
        github_settings(&provider),
        std::sync::Arc::new(usher_domain::time::SystemClock),
    );
    let Err(SetupError::Setting(fault)) = result else {
        panic!("the sign-in must fail")
    };
    assert_eq!(fault.field, "allowed_orgs");
    assert!(fault.problem.contains("allow_everyone"), "{fault}");

    let mut settings = github_settings(&provider);
    settings.allow_everyone = true;
    assert!(!github(settings).uses_device_flow());
}
