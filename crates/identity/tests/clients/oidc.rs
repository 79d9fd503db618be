//! OpenID Connect, from the redirect to the person.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{TimeDelta, Utc};
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use usher_domain::LoginType;
use usher_identity::{
    ClaimsSource, EmailVerification, Flow, IdentifyError, IdentityProvider, ProviderError,
};

use crate::support::{
    CLIENT_ID, CODE, SignIn, VERIFIER, detail, fake, flow, oidc, oidc_settings, redirect_url,
    secret,
};

fn is_unavailable<T>(result: &Result<T, IdentifyError>) -> bool {
    matches!(
        result,
        Err(IdentifyError::Provider(ProviderError::Unavailable(_)))
    )
}

#[tokio::test]
async fn the_authorization_url_has_a_challenge_and_a_nonce() {
    let provider = fake().await;
    let mut settings = oidc_settings(&provider);
    settings.scopes.push("groups".to_owned());
    let url = oidc(settings).authorization_url(&flow()).await.unwrap();

    assert_eq!(
        url.as_str().split('?').next().unwrap(),
        format!("{}/oidc/authorize", provider.url())
    );
    let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let by_name: HashMap<&str, &str> = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let wanted = HashMap::from(
        [
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", redirect_url().as_str()),
            ("scope", "openid profile email groups"),
            ("state", "StateOfThirtyTwoLettersAndDigits"),
            ("nonce", "nonce-of-this-flow"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("access_type", "offline"),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    let wanted: HashMap<&str, &str> = wanted.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(by_name, wanted);
    assert_eq!(parameters.len(), wanted.len(), "one is there twice");
}

#[tokio::test]
async fn additional_parameters_are_sent_and_may_override_the_access_type() {
    let provider = fake().await;
    let access_type = async |parameters: &[(&str, &str)]| {
        let mut settings = oidc_settings(&provider);
        settings.auth_url_params = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let url = oidc(settings).authorization_url(&flow()).await.unwrap();
        url.query_pairs()
            .filter(|(name, _)| name == "access_type" || name == "prompt")
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(access_type(&[]).await, ["access_type=offline"]);
    assert_eq!(
        access_type(&[("prompt", "login")]).await,
        ["access_type=offline", "prompt=login"]
    );
    assert_eq!(
        access_type(&[("access_type", "online")]).await,
        ["access_type=online"]
    );
}

#[tokio::test]
async fn a_too_short_verifier_is_an_error() {
    let provider = fake().await;
    let short = Flow {
        code_verifier: "short".into(),
        ..flow()
    };
    let result = oidc(oidc_settings(&provider))
        .authorization_url(&short)
        .await;
    assert!(result.is_err());
}

#[tokio::test]
async fn an_identity_has_all_claims() {
    let sign_in = SignIn::oidc().await;
    let before = Utc::now();
    let person = sign_in
        .changed(json!({"oidc": {
            "claims": {
                "sub": "7", "email": "Ann.Lee@Example.com", "email_verified": true,
                "preferred_username": "annlee", "name": "  Ann  Lee ", "picture": "/ann.png",
                "groups": ["a"],
            },
            "userinfo": {"sub": "7", "locale": "en"},
        }}))
        .await
        .unwrap();

    let issuer = format!("{}/oidc", sign_in.provider.url());
    assert_eq!(person.login_type, LoginType::Oidc);
    assert_eq!(person.link_id, format!("{issuer}||7"));
    assert_eq!(person.email.as_str(), "Ann.Lee@Example.com");
    assert_eq!(person.username, "annlee");
    assert_eq!(person.name.as_str(), "Ann  Lee");
    assert_eq!(person.avatar_url, "/ann.png");
    assert_eq!(person.github_com_user_id, None);
    assert!(secret(&person.tokens.access_token).starts_with("oidc-"));
    assert!(secret(person.tokens.refresh_token.as_ref().unwrap()).starts_with("refresh-"));
    let lifetime = person.tokens.expires_at.unwrap() - before;
    assert!(lifetime >= TimeDelta::seconds(3599) && lifetime < TimeDelta::seconds(3700));
    assert_eq!(person.claims.id_token["iss"], json!(issuer));
    assert_eq!(person.claims.id_token["groups"], json!(["a"]));
    assert_eq!(person.claims.secondary, json!({"sub": "7", "locale": "en"}));
    assert_eq!(person.claims.merged["locale"], "en");
    assert_eq!(person.claims.merged["name"], "  Ann  Lee ");
}

#[tokio::test]
async fn only_a_subject_and_an_email_address_are_required() {
    let sign_in = SignIn::oidc().await;
    let person = sign_in
        .with_claims(json!({"sub": "c-1", "email": "kyle@kwc.io"}))
        .await
        .unwrap();
    assert_eq!(person.username, "");
    assert_eq!(person.name.as_str(), "");
    assert_eq!(person.avatar_url, "");
}

#[tokio::test]
async fn without_an_email_claim_the_username_may_be_the_address() {
    let sign_in = SignIn::oidc().await;
    let person = sign_in
        .with_claims(json!({"sub": "c-3", "preferred_username": "karl@example.com"}))
        .await
        .unwrap();
    assert_eq!(person.email.as_str(), "karl@example.com");
    assert_eq!(person.username, "karl@example.com");
}

#[tokio::test]
async fn a_wrong_verifier_is_rejected() {
    let sign_in = SignIn::oidc().await;
    let other = Flow {
        code_verifier: "another-verifier-that-is-of-forty-three-letters".into(),
        ..flow()
    };
    let error = sign_in
        .client
        .identify(&CODE.into(), &other)
        .await
        .unwrap_err();
    let IdentifyError::Provider(ProviderError::Refused { code, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(code, "invalid_grant");
}

#[tokio::test]
async fn a_token_of_another_flow_is_rejected() {
    let sign_in = SignIn::oidc().await;
    let other = Flow {
        nonce: "nonce-of-another-flow".to_owned(),
        ..flow()
    };
    let result = sign_in.client.identify(&CODE.into(), &other).await;
    assert!(detail(result).contains("another sign-in"));
}

#[rstest]
#[case::missing(json!(null))]
#[case::empty(json!(""))]
#[case::number(json!(5))]
#[case::list(json!(["nonce-of-this-flow"]))]
#[tokio::test]
async fn a_token_without_the_nonce_is_rejected(#[case] nonce: Value) {
    let sign_in = SignIn::oidc().await;
    let result = sign_in
        .with_claims(json!({"sub": "1", "email": "a@example.com", "nonce": nonce}))
        .await;
    assert!(detail(result).contains("another sign-in"));
}

#[rstest]
#[case("bad_signature")]
#[case("foreign_key")]
#[case("unsigned")]
#[case("garbage")]
#[tokio::test]
async fn a_token_without_a_valid_signature_is_rejected(#[case] kind: &str) {
    let sign_in = SignIn::oidc().await;
    let result = sign_in.changed(json!({"oidc": {"id_token": kind}})).await;
    assert!(!detail(result).is_empty());
}

#[tokio::test]
async fn a_response_without_id_token_is_rejected() {
    let sign_in = SignIn::oidc().await;
    let result = sign_in
        .changed(json!({"oidc": {"id_token": "absent"}}))
        .await;
    let is_alone = matches!(result, Err(IdentifyError::Unusable { detail: None, .. }));
    assert!(is_alone, "{result:?}");
}

#[rstest]
#[case::issuer(json!({"iss": "https://accounts.google.com"}), "id token issued by a different provider")]
#[case::issuer_of_another_path(json!({"iss": "http://127.0.0.1/oidc"}), "different provider")]
#[case::no_issuer(json!({"iss": null}), "no valid issuer")]
#[case::issuers(json!({"iss": ["a"]}), "no valid issuer")]
#[case::audience(json!({"aud": "another-client"}), "another audience")]
#[case::audiences(json!({"aud": ["another-client", "third"]}), "another audience")]
#[case::no_audience(json!({"aud": null}), "aud")]
#[case::empty_audience(json!({"aud": []}), "another audience")]
#[case::expired(json!({"exp": 1_700_000_000}), "expired")]
#[case::no_expiry(json!({"exp": null}), "exp")]
#[case::expiry_in_words(json!({"exp": "tomorrow"}), "exp")]
#[case::expiry_below_zero(json!({"exp": -1}), "exp")]
#[case::not_yet(json!({"nbf": 4_000_000_000_u64}), "not valid yet")]
#[case::party(json!({"azp": "another-client"}), "another client")]
#[case::no_subject(json!({"sub": null}), "sub")]
#[case::empty_subject(json!({"sub": ""}), "sub")]
#[case::subject_of_a_number(json!({"sub": 17}), "sub")]
#[case::endless_subject(json!({"sub": "s".repeat(256)}), "sub")]
#[case::odd_subject(json!({"sub": "a\0b"}), "sub")]
#[case::both(json!({"sub": null, "aud": "another-client"}), "another audience")]
#[tokio::test]
async fn a_token_is_rejected_for(#[case] change: Value, #[case] reason: &str) {
    let sign_in = SignIn::oidc().await;
    let mut claims = json!({"sub": "t-1", "email": "tim@example.com"});
    claims
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    let detail = detail(sign_in.with_claims(claims).await);
    assert!(detail.contains(reason), "{detail}");
}

#[rstest]
#[case::audiences(json!({"aud": ["another-client", CLIENT_ID]}))]
#[case::no_time_of_issue(json!({"iat": null}))]
#[case::party(json!({"azp": CLIENT_ID}))]
#[case::longest_subject(json!({"sub": "s".repeat(255)}))]
#[case::begun(json!({"nbf": 1_700_000_000}))]
#[case::odd_types(json!({"name": 7, "picture": true, "locale": [], "updated_at": "soon"}))]
#[tokio::test]
async fn a_token_is_accepted_with(#[case] change: Value) {
    let sign_in = SignIn::oidc().await;
    let mut claims = json!({"sub": "t-1", "email": "tim@example.com"});
    claims
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    sign_in.with_claims(claims).await.unwrap();
}

#[tokio::test]
async fn clock_skew_of_a_minute_is_accepted() {
    let sign_in = SignIn::oidc().await;
    let now = Utc::now().timestamp();
    let person = json!({"sub": "1", "email": "a@example.com", "exp": now - 20, "nbf": now + 20});
    sign_in.with_claims(person).await.unwrap();
}

#[tokio::test]
async fn an_unchecked_issuer_is_part_of_the_link_id() {
    let sign_in = SignIn::oidc_with(|settings| settings.skip_issuer_checks = true).await;
    let person = sign_in
        .with_claims(json!({
            "sub": "b-2", "email": "ben@example.com", "iss": "https://accounts.google.com",
        }))
        .await
        .unwrap();
    assert_eq!(person.link_id, "https://accounts.google.com||b-2");
    let invalid = json!({"sub": "b-2", "email": "ben@example.com", "iss": null});
    assert!(detail(sign_in.with_claims(invalid).await).contains("no valid issuer"));
}

#[rstest]
#[case::itself("https://other.example", "different provider")]
#[case::by_the_subject("https://other.example||a", "no valid issuer")]
#[case::by_a_bar("https://other.example|", "no valid issuer")]
#[tokio::test]
async fn a_provider_cannot_issue_tokens_of_another(#[case] issuer: &str, #[case] reason: &str) {
    let sign_in = SignIn::oidc_with(|settings| {
        settings.skip_issuer_checks = true;
        settings.other_issuers = vec!["https://other.example".to_owned()];
    })
    .await;
    let claims = json!({"sub": "a", "email": "ann@example.com", "iss": issuer});
    let detail = detail(sign_in.with_claims(claims).await);
    assert!(detail.contains(reason), "{detail}");
}

#[rstest]
#[case(json!(true), EmailVerification::IfPresent, true)]
#[case(json!(false), EmailVerification::IfPresent, false)]
#[case(json!("false"), EmailVerification::IfPresent, false)]
#[case(json!(null), EmailVerification::IfPresent, true)]
#[case(json!("false"), EmailVerification::Lax, true)]
#[case(json!(false), EmailVerification::Lax, false)]
#[case(json!(false), EmailVerification::Ignored, true)]
#[case(json!(null), EmailVerification::Required, false)]
#[tokio::test]
async fn email_verification_follows_the_setting(
    #[case] verified: Value,
    #[case] email_verification: EmailVerification,
    #[case] passes: bool,
) {
    let change = |settings: &mut usher_identity::OidcSettings| {
        settings.email_verification = email_verification;
    };
    let sign_in = SignIn::oidc_with(change).await;
    // The fake provider leaves a claim of null out.
    let claims = json!({"sub": "1", "email": "a@example.com", "email_verified": verified});
    let result = sign_in.with_claims(claims).await;
    assert_eq!(result.is_ok(), passes, "{result:?}");
    let is_refused = matches!(result, Err(IdentifyError::AddressRefused(_)));
    assert_eq!(is_refused, !passes, "{result:?}");
}

#[tokio::test]
async fn claims_of_the_userinfo_endpoint_take_precedence() {
    let sign_in = SignIn::oidc().await;
    let person = sign_in
        .changed(json!({"oidc": {
            "claims": {"sub": "c", "email": "token@example.com", "email_verified": true, "name": "Token"},
            "userinfo": {"sub": "c", "email": "info@example.com", "name": "", "picture": "p"},
        }}))
        .await
        .unwrap();
    assert_eq!(person.email.as_str(), "info@example.com");
    assert_eq!(person.name.as_str(), "");
    assert_eq!(person.avatar_url, "p");

    let result = sign_in
        .changed(json!({"oidc": {"userinfo": {"sub": "c", "email_verified": false}}}))
        .await;
    assert!(matches!(result, Err(IdentifyError::AddressRefused(_))));
}

#[rstest]
#[case::another(json!({"sub": "other-subject", "email": "eve@example.com"}))]
#[case::none(json!({"email": "eve@example.com"}))]
#[case::odd(json!({"sub": 1, "email": "eve@example.com"}))]
#[tokio::test]
async fn userinfo_of_another_subject_is_rejected(#[case] userinfo: Value) {
    let sign_in = SignIn::oidc().await;
    let result = sign_in
        .changed(json!({"oidc": {"userinfo": userinfo}}))
        .await;
    assert!(detail(result).contains("subject"));
}

#[rstest]
#[case::status(json!({"userinfo_status": 500}))]
#[case::missing(json!({"userinfo_status": 404}))]
#[case::no_json(json!({"userinfo_raw": "<html>"}))]
#[case::no_object(json!({"userinfo_raw": "[]"}))]
#[tokio::test]
async fn a_failed_userinfo_endpoint_is_a_provider_error(#[case] change: Value) {
    let sign_in = SignIn::oidc().await;
    let result = sign_in.changed(json!({"oidc": change})).await;
    assert!(is_unavailable(&result), "{result:?}");
}

#[tokio::test]
async fn a_provider_may_have_no_userinfo_endpoint() {
    let sign_in = SignIn::oidc_with(|settings| {
        settings.issuer_url = settings.issuer_url.replace("/oidc", "/bare");
    })
    .await;
    let person = sign_in.identify().await.unwrap();
    assert_eq!(person.claims.secondary, Value::Null);
    assert_eq!(sign_in.provider.calls("oidc.userinfo"), 0);
}

#[tokio::test]
async fn userinfo_can_be_ignored() {
    let sign_in =
        SignIn::oidc_with(|settings| settings.claims_source = ClaimsSource::IdTokenOnly).await;
    let person = sign_in
        .changed(json!({"oidc": {"userinfo_status": 500}}))
        .await
        .unwrap();
    assert_eq!(person.email.as_str(), "user@example.com");
    assert_eq!(person.claims.secondary, Value::Null);
    assert_eq!(sign_in.provider.calls("oidc.userinfo"), 0);
}

#[tokio::test]
async fn claims_of_the_access_token_are_merged() {
    let sign_in =
        SignIn::oidc_with(|settings| settings.claims_source = ClaimsSource::AccessToken).await;
    let person = sign_in
        .changed(json!({"oidc": {
            "claims": {"sub": "j-1", "email": "jo@example.com"},
            "access_token": "jwt",
            "access_claims": {
                "sub": "j-1", "preferred_username": "jojo", "email": "not-this-one@example.com",
            },
        }}))
        .await
        .unwrap();
    assert_eq!(person.email.as_str(), "jo@example.com");
    assert_eq!(person.username, "jojo");
    assert_eq!(person.claims.secondary["preferred_username"], "jojo");
    assert_eq!(sign_in.provider.calls("oidc.userinfo"), 0);
}

#[rstest]
#[case::opaque(json!({"access_token": "opaque"}), "not a JWT")]
#[case::audience(json!({"access_claims": {"sub": "1", "aud": "another-api"}}), "another audience")]
#[case::issuer(json!({"access_claims": {"sub": "1", "iss": "https://x.example"}}), "different provider")]
#[case::expired(json!({"access_claims": {"sub": "1", "exp": 1_700_000_000}}), "expired")]
#[case::subject(json!({"access_claims": {"sub": "2"}}), "subject")]
#[case::no_subject(json!({"access_claims": {"name": "Jo"}}), "subject")]
#[tokio::test]
async fn an_access_token_is_rejected_for(#[case] change: Value, #[case] reason: &str) {
    let sign_in =
        SignIn::oidc_with(|settings| settings.claims_source = ClaimsSource::AccessToken).await;
    sign_in
        .provider
        .control(&json!({"oidc": {"access_token": "jwt"}}))
        .unwrap();
    let detail = detail(sign_in.changed(json!({"oidc": change})).await);
    assert!(detail.contains(reason), "{detail}");
}

#[tokio::test]
async fn the_names_of_claims_are_settings() {
    let sign_in = SignIn::oidc_with(|settings| {
        settings.username_field = "nick".to_owned();
        settings.email_field = "mail".to_owned();
        settings.name_field = "full_name".to_owned();
    })
    .await;
    let usual = json!({"sub": "n", "email": "i@example.com", "preferred_username": "i"});
    let result = sign_in.with_claims(usual).await;
    assert!(matches!(result, Err(IdentifyError::Unusable { .. })));

    let person = sign_in
        .with_claims(json!({
            "sub": "n", "email": "ignored@example.com", "mail": "nora@example.com",
            "nick": "nora", "full_name": "Nora N.", "name": "Ignored",
        }))
        .await
        .unwrap();
    assert_eq!(person.email.as_str(), "nora@example.com");
    assert_eq!(person.username, "nora");
    assert_eq!(person.name.as_str(), "Nora N.");

    let person = sign_in
        .with_claims(json!({"sub": "n", "nick": "nils@example.com"}))
        .await
        .unwrap();
    assert_eq!(person.email.as_str(), "nils@example.com");

    let result = sign_in
        .with_claims(json!({"sub": "n", "mail": "ned@example.com", "email_verified": false}))
        .await;
    assert!(matches!(result, Err(IdentifyError::AddressRefused(_))));
}

#[tokio::test]
async fn domains_and_groups_are_checked() {
    let sign_in = SignIn::oidc_with(|settings| {
        settings.email_domain = vec!["@Corp.com".to_owned()];
        settings.group_field = "groups".to_owned();
        settings.allowed_groups = vec!["staff".to_owned()];
    })
    .await;
    let result = |email: &str, groups: Value| {
        sign_in.with_claims(json!({"sub": "1", "email": email, "groups": groups}))
    };
    result("a@CORP.com", json!(["staff"])).await.unwrap();
    let elsewhere = result("a@evilcorp.com", json!(["staff"])).await;
    assert!(matches!(elsewhere, Err(IdentifyError::AddressRefused(_))));
    let stranger = result("a@corp.com", json!(["guests"])).await;
    assert!(matches!(stranger, Err(IdentifyError::NotInGroup(_))));
    let malformed = result("a@corp.com", json!("staff,guests")).await;
    assert!(matches!(malformed, Err(IdentifyError::UnusableGroups(_))));
}

#[tokio::test]
async fn large_tokens_are_read() {
    let sign_in = SignIn::oidc().await;
    let person = sign_in
        .changed(json!({"oidc": {"padding": 65536}}))
        .await
        .unwrap();
    let padding = person.claims.merged["padding"].as_str().unwrap();
    assert_eq!(padding.len(), 65536);
}

#[tokio::test]
async fn nul_is_removed_from_claims() {
    let sign_in = SignIn::oidc().await;
    let person = sign_in
        .with_claims(json!({
            "sub": "1", "email": "a@example.com", "preferred_username": "a\0b",
            "name": "a\0b", "picture": "p\0", "deep": {"k\0": ["\0"]},
        }))
        .await
        .unwrap();
    let everything = format!("{person:?} {}", person.claims.merged);
    assert!(
        !everything.contains("\\0") && !everything.contains("\\u0000"),
        "{everything}"
    );
}

#[tokio::test]
async fn a_rejected_code_differs_from_a_failure() {
    let sign_in = SignIn::oidc().await;
    let result = sign_in
        .changed(json!({"oidc": {"token_error": "invalid_grant"}}))
        .await;
    let Err(IdentifyError::Provider(ProviderError::Refused { code, description })) = result else {
        panic!("{result:?}")
    };
    assert_eq!(code, "invalid_grant");
    assert!(description.is_some());

    let result = sign_in
        .changed(json!({"oidc": {"token_error": null, "token_status": 503}}))
        .await;
    assert!(is_unavailable(&result), "{result:?}");
    assert!(result.unwrap_err().to_string().contains("503"));
}

#[tokio::test]
async fn link_ids_start_with_the_issuer() {
    let provider = fake().await;
    let client = oidc(oidc_settings(&provider));
    let issuer = format!("{}/oidc", provider.url());
    assert!(client.issued(&format!("{issuer}||7")));
    assert!(!client.issued(""));
    assert!(client.may_have_issued(""));
    assert!(!client.may_have_issued("https://accounts.google.com||7"));
    assert!(!client.issued(&format!("{issuer}/other||7")));
    assert!(!client.issued("https://accounts.google.com||7"));
    assert!(!client.issued("17"));

    let mut settings = oidc_settings(&provider);
    settings.skip_issuer_checks = true;
    settings.other_issuers = vec!["https://other.example".to_owned()];
    let lax = oidc(settings);
    assert!(lax.issued(&format!("{issuer}||7")));
    assert!(!lax.issued("https://accounts.google.com||7"));
    assert!(lax.may_have_issued("https://accounts.google.com||7"));
    assert!(!lax.may_have_issued("https://other.example||7"));
}

#[tokio::test]
async fn the_device_flow_is_not_supported() {
    let provider = fake().await;
    let client = oidc(oidc_settings(&provider));
    assert!(!client.uses_device_flow());
    assert!(client.authorize_device().await.is_err());
}
