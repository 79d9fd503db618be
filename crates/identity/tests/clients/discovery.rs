//! What a provider publishes: fetched late, by one, kept, and fetched again when needed.

use futures_util::future::join_all;
use serde_json::json;
use usher_identity::{IdentifyError, IdentityProvider, ProviderError};

use crate::support::{CODE, SignIn, fake, flow, github, github_settings, oidc, oidc_settings};

#[tokio::test]
async fn a_provider_recovers_from_an_outage() {
    let provider = fake().await;
    provider.control(&json!({"down": true})).unwrap();
    // Making the client does not ask it.
    let client = oidc(oidc_settings(&provider));
    assert_eq!(provider.calls("oidc.discovery"), 0);

    let error = client.authorization_url(&flow()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("503"), "{error}");
    assert!(client.check().await.is_err());
    let result = client.identify(&CODE.into(), &flow()).await;
    let is_unavailable = matches!(
        result,
        Err(IdentifyError::Provider(ProviderError::Unavailable(_)))
    );
    assert!(is_unavailable, "{result:?}");

    provider.control(&json!({"down": false})).unwrap();
    let url = client.authorization_url(&flow()).await.unwrap();
    provider
        .control(&json!({"authorize": url.as_str()}))
        .unwrap();
    client.identify(&CODE.into(), &flow()).await.unwrap();
    client.check().await.unwrap();
}

#[tokio::test]
async fn a_refused_connection_is_an_error_without_secrets() {
    let provider = fake().await;
    let settings = oidc_settings(&provider);
    let of_github = github_settings(&provider);
    drop(provider);
    let error = oidc(settings).check().await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
    let everyone = usher_identity::GithubSettings {
        allow_everyone: true,
        ..of_github
    };
    assert!(github(everyone).check().await.is_err());
}

#[tokio::test]
async fn concurrent_calls_fetch_metadata_once() {
    let provider = fake().await;
    let client = oidc(oidc_settings(&provider));
    let flow = flow();
    let urls = join_all((0..50).map(|_| client.authorization_url(&flow))).await;
    assert!(urls.iter().all(Result::is_ok));
    assert_eq!(provider.calls("oidc.discovery"), 1);

    let url = urls[0].as_ref().unwrap();
    provider
        .control(&json!({"authorize": url.as_str()}))
        .unwrap();
    let code = CODE.into();
    let people = join_all((0..50).map(|_| client.identify(&code, &flow))).await;
    assert!(people.iter().all(Result::is_ok));
    assert_eq!(provider.calls("oidc.discovery"), 1);
    assert_eq!(provider.calls("oidc.keys"), 1);
}

#[tokio::test]
async fn keys_are_refreshed_for_a_token_signed_with_a_new_key() {
    let sign_in = SignIn::oidc().await;
    sign_in.identify().await.unwrap();
    assert_eq!(sign_in.provider.calls("oidc.keys"), 1);

    sign_in
        .changed(json!({"oidc": {"key_id": "the-next-key"}}))
        .await
        .unwrap();
    assert_eq!(sign_in.provider.calls("oidc.keys"), 2);
    assert_eq!(sign_in.provider.calls("oidc.discovery"), 1);
}

#[tokio::test]
async fn forged_tokens_do_not_cause_requests() {
    let sign_in = SignIn::oidc().await;
    sign_in.identify().await.unwrap();
    sign_in
        .provider
        .control(&json!({"oidc": {"id_token": "bad_signature"}}))
        .unwrap();
    let (code, flow) = (CODE.into(), flow());
    let all = join_all((0..20).map(|_| sign_in.client.identify(&code, &flow))).await;
    assert!(all.iter().all(Result::is_err));
    assert!(sign_in.provider.calls("oidc.keys") <= 2);
}

#[tokio::test]
async fn an_issuer_that_differs_from_the_setting_is_an_error() {
    let provider = fake().await;
    let mut settings = oidc_settings(&provider);
    settings.issuer_url.push('/');
    let error = oidc(settings.clone())
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("its issuer is"), "{error}");
    assert!(error.contains(&settings.issuer_url), "{error}");

    settings.skip_issuer_checks = true;
    oidc(settings).check().await.unwrap();
}

#[tokio::test]
async fn the_error_for_missing_metadata_names_the_issuer() {
    let provider = fake().await;
    let mut settings = oidc_settings(&provider);
    settings.issuer_url = format!("{}/nowhere", provider.url());
    let error = oidc(settings).check().await.unwrap_err().to_string();
    assert!(
        error.contains("/nowhere") && error.contains("404"),
        "{error}"
    );
}
