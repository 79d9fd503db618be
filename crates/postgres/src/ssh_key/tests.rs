use chrono::TimeDelta;
use secrecy::ExposeSecret;
use serde_json::json;
use usher_domain::UserId;
use usher_store::SshKeyStore;
use uuid::Uuid;

use crate::{
    encryption::SecretLocation,
    testing::{TestStore, command_line, key_pair, now},
};

#[tokio::test]
async fn replacing_a_key_pair_is_audited_without_the_private_key() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let later = now() + TimeDelta::minutes(1);
    let by = store.sign_in(ada.id).await.at(later);

    let new = store.set_ssh_key(ada.id, key_pair("second"), &by).await;

    let new = new.unwrap().unwrap();
    assert_eq!(new.user_id, ada.id);
    assert_eq!(new.public_key, "ssh-ed25519 second\n");
    assert_eq!((new.created_at, new.updated_at), (now(), later));
    assert_eq!(store.find_ssh_key(ada.id).await.unwrap(), Some(new));
    let private = store.value("SELECT private_key FROM gitsshkeys").await;
    let key_id = store
        .value("SELECT private_key_key_id FROM gitsshkeys")
        .await;
    let keys = store.keyring().await.unwrap();
    let decrypted = keys.decrypt(
        &private,
        Some(&key_id),
        SecretLocation::SshPrivateKey(ada.id),
    );
    assert_eq!(decrypted.unwrap().expose_secret(), "private second");
    assert!(!private.contains("private"), "{private}");
    let row = store.last_audit().await;
    assert_eq!(row["resource_type"], "git_ssh_key");
    assert_eq!(row["resource_id"], ada.id.to_string());
    assert_eq!(row["resource_target"], "ssh-ed25519 second\n");
    assert_eq!(
        row["diff"],
        json!({
            "public_key": {
                "old": "ssh-ed25519 first\n", "new": "ssh-ed25519 second\n", "secret": false,
            },
            "private_key": {"old": "", "new": "", "secret": true},
        })
    );
}

#[tokio::test]
async fn replacing_a_missing_key_pair_returns_none() {
    let store = TestStore::new().await;
    let missing = UserId(Uuid::nil());

    let set = store
        .set_ssh_key(missing, key_pair("x"), &command_line())
        .await;

    assert_eq!(set.unwrap(), None);
    assert_eq!(store.find_ssh_key(missing).await.unwrap(), None);
}
