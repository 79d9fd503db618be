use chrono::TimeDelta;
use secrecy::ExposeSecret;

use super::*;
use crate::testing::TestStore;

const CONVERT: SigningFeature = SigningFeature::OidcConvert;

fn fresh(byte: u8) -> SecretBox<[u8; 64]> {
    SecretBox::new(Box::new([byte; 64]))
}

fn now() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn the_first_key_becomes_the_signing_key() {
    let store = TestStore::new().await;

    let first = store.signing_key(CONVERT, fresh(1), now()).await.unwrap();
    let later = now() + TimeDelta::days(29);
    let again = store.signing_key(CONVERT, fresh(2), later).await.unwrap();

    assert_eq!((first.sequence, again.sequence), (1, 1));
    assert_eq!(again.secret.expose_secret(), &[1; 64]);
}

#[tokio::test]
async fn a_rotated_key_still_verifies_for_a_while() {
    let store = TestStore::new().await;
    store.signing_key(CONVERT, fresh(1), now()).await.unwrap();
    let rotated = now() + SIGNING_KEY_LIFETIME;

    let next = store.signing_key(CONVERT, fresh(2), rotated).await.unwrap();

    assert_eq!(next.sequence, 2);
    let find = async |at| store.find_signing_key(CONVERT, 1, at).await.unwrap();
    let verifies = find(rotated + TimeDelta::minutes(5)).await.unwrap();
    assert_eq!(verifies.secret.expose_secret(), &[1; 64]);
    assert!(find(rotated + SIGNING_KEY_AFTERLIFE).await.is_none());
    assert!(
        store
            .find_signing_key(CONVERT, 9, rotated)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn concurrent_replicas_agree_on_one_key() {
    let store = TestStore::new().await;
    let tasks: Vec<_> = (1..=8)
        .map(|n| {
            let store = store.share();
            tokio::spawn(async move { store.signing_key(CONVERT, fresh(n), now()).await.unwrap() })
        })
        .collect();

    let mut secrets = Vec::new();
    for task in tasks {
        secrets.push(*task.await.unwrap().secret.expose_secret());
    }

    secrets.dedup();
    assert_eq!(secrets.len(), 1);
}

#[tokio::test]
async fn verifying_keys_of_one_feature_are_listed_newest_first() {
    let store = TestStore::new().await;
    let states = SigningFeature::SignInState;
    let rotated = now() + SIGNING_KEY_LIFETIME;
    let list = async |at| {
        let keys = store.list_verifying_keys(states, at).await.unwrap();
        let numbers = keys
            .iter()
            .map(|key| (key.sequence, key.secret.expose_secret()[0]));
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(list(now()).await, []);

    store.signing_key(CONVERT, fresh(9), now()).await.unwrap();
    store.signing_key(states, fresh(1), now()).await.unwrap();
    store.signing_key(states, fresh(2), rotated).await.unwrap();

    assert_eq!(list(rotated).await, [(2, 2), (1, 1)]);
    assert_eq!(list(rotated + SIGNING_KEY_AFTERLIFE).await, [(2, 2)]);
}
