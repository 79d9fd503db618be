//! What a provider publishes: fetched late, by one, kept, and fetched again when needed.

use futures_util::future::join_all;
use serde_json::json;
use usher_identity::{IdentifyError, IdentityProvider, ProviderError};

use crate::support::{CODE, SignIn, fake, flow, github, github_settings, oidc, oidc_settings};

#[tokio::test]
async fn a_provider_that_is_down_comes_back() {
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
async fn nothing_listens_at_all() {
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
async fn many_at_once_ask_once() {
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
async fn a_new_key_is_found_by_a_token_that_it_signed() {
    let sign_in = SignIn::oidc().await;
    sign_in.identify().await.unwrap();
    assert_eq!(sign_in.provider.calls("oidc.keys"), 1);

    sign_in
        .told(json!({"oidc": {"key_id": "the-next-key"}}))
        .await
        .unwrap();
    assert_eq!(sign_in.provider.calls("oidc.keys"), 2);
    assert_eq!(sign_in.provider.calls("oidc.discovery"), 1);
}

#[tokio::test]
async fn forged_tokens_do_not_make_this_service_call_the_provider() {
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
async fn an_issuer_that_calls_itself_otherwise_is_refused() {
    let provider = fake().await;
    let mut settings = oidc_settings(&provider);
    settings.issuer_url.push('/');
    let error = oidc(settings.clone())
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("calls itself"), "{error}");
    assert!(error.contains(&settings.issuer_url), "{error}");

    settings.skip_issuer_checks = true;
    oidc(settings).check().await.unwrap();
}

#[tokio::test]
async fn an_issuer_without_metadata_is_named() {
    let provider = fake().await;
    let mut settings = oidc_settings(&provider);
    settings.issuer_url = format!("{}/nowhere", provider.url());
    let error = oidc(settings).check().await.unwrap_err().to_string();
    assert!(
        error.contains("/nowhere") && error.contains("404"),
        "{error}"
    );
}
