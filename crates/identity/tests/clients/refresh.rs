//! Fresh tokens.

use chrono::Utc;
use secrecy::SecretString;
use serde_json::json;
use usher_identity::{IdentityProvider, RefreshError};

use crate::support::{SignIn, require_no_secret, secret};

async fn first_token(sign_in: &SignIn<impl IdentityProvider>) -> SecretString {
    let person = sign_in.identify().await.unwrap();
    person.tokens.refresh_token.expect("a refresh token")
}

#[tokio::test]
async fn a_refresh_returns_new_tokens_and_revokes_the_old_one() {
    let sign_in = SignIn::oidc().await;
    let first = first_token(&sign_in).await;

    let fresh = sign_in.client.refresh(&first).await.unwrap();
    let second = fresh.refresh_token.unwrap();
    assert_ne!(secret(&second), secret(&first));
    assert!(secret(&fresh.access_token).starts_with("oidc-"));
    assert!(fresh.expires_at.unwrap() > Utc::now());

    sign_in.client.refresh(&second).await.unwrap();
    let spent = sign_in.client.refresh(&first).await;
    assert!(matches!(spent, Err(RefreshError::Refused(_))), "{spent:?}");
}

#[tokio::test]
async fn without_rotation_the_old_refresh_token_is_returned() {
    let sign_in = SignIn::oidc().await;
    let first = first_token(&sign_in).await;
    sign_in
        .provider
        .control(&json!({"oidc": {"refresh_token": false}}))
        .unwrap();

    let fresh = sign_in.client.refresh(&first).await.unwrap();
    assert_eq!(secret(&fresh.refresh_token.unwrap()), secret(&first));
}

#[tokio::test]
async fn a_rejected_refresh_token_differs_from_a_failure() {
    let sign_in = SignIn::oidc().await;
    let first = first_token(&sign_in).await;
    sign_in.provider.control(&json!({"down": true})).unwrap();
    let failed = sign_in.client.refresh(&first).await.unwrap_err();
    assert!(matches!(failed, RefreshError::Unavailable(_)), "{failed:?}");
    require_no_secret(&format!("{failed} {failed:?}"));

    sign_in
        .provider
        .control(&json!({"down": false, "oidc": {"refreshes": 0}}))
        .unwrap();
    let refused = sign_in.client.refresh(&first).await.unwrap_err();
    assert!(matches!(refused, RefreshError::Refused(_)), "{refused:?}");
    require_no_secret(&format!("{refused} {refused:?}"));
}

#[tokio::test]
async fn tokens_may_be_expired_or_never_expire() {
    let sign_in = SignIn::oidc().await;
    let over = sign_in
        .changed(json!({"oidc": {"expires_in": -60}}))
        .await
        .unwrap();
    assert!(over.tokens.expires_at.unwrap() < Utc::now());

    let first = over.tokens.refresh_token.unwrap();
    sign_in
        .provider
        .control(&json!({"oidc": {"expires_in": 0}}))
        .unwrap();
    let endless = sign_in.client.refresh(&first).await.unwrap();
    assert_eq!(endless.expires_at, None);
}

#[tokio::test]
async fn a_new_sign_in_refreshes_nothing() {
    let sign_in = SignIn::oidc().await;
    sign_in.identify().await.unwrap();
    sign_in.identify().await.unwrap();
    assert_eq!(sign_in.provider.calls("oidc.refresh"), 0);
}

#[tokio::test]
async fn github_tokens_are_refreshed() {
    let sign_in = SignIn::open().await;
    sign_in
        .provider
        .control(&json!({"github": {"refresh_token": true, "expires_in": 28800}}))
        .unwrap();
    let first = first_token(&sign_in).await;
    let fresh = sign_in.client.refresh(&first).await.unwrap();
    assert!(fresh.expires_at.unwrap() > Utc::now());

    // GitHub refuses with 200.
    let spent = sign_in.client.refresh(&first).await;
    assert!(matches!(spent, Err(RefreshError::Refused(_))), "{spent:?}");
}
