use serde_json::json;
use usher_domain::UserStatus;
use usher_store::{
    ApiKeyStore, Conflict, Conversion, NewApiKey, PasswordChange, StoreError, UserStore,
};

use super::*;
use crate::testing::{hash, passcode, run_concurrently};

/// The password of test users.
const PASSWORD: &str = "first";

fn conversion(user: UserId, name: &str) -> Conversion {
    Conversion {
        user_id: user,
        replaces: hash(PASSWORD).fingerprint(),
        identity: identity(name),
        ended: None,
        key: None,
    }
}

async fn convert(store: &PgStore, conversion: Conversion) -> SignInOutcome {
    store.convert(conversion, &callback()).await.unwrap()
}

#[tokio::test]
async fn a_user_converts_from_the_password_to_a_provider() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let (came_with, other) = (session(ada.id), session(ada.id));
    let token = NewApiKey {
        login_type: LoginType::Token,
        ..session(ada.id)
    };
    for key in [&came_with, &other, &token] {
        store
            .create_key(key.clone(), &command_line())
            .await
            .unwrap();
    }
    let until = now() + TimeDelta::minutes(20);
    let code = passcode("code", until);
    store
        .set_passcode(ada.id, code, &command_line())
        .await
        .unwrap();
    let before = store.audit().await.len();
    let by = callback().at(now() + TimeDelta::minutes(1));

    let outcome = store
        .convert(
            Conversion {
                ended: Some(came_with.id),
                ..conversion(ada.id, "ada")
            },
            &by,
        )
        .await;

    let SignInOutcome::SignedIn { user, is_new } = outcome.unwrap() else {
        panic!("refused");
    };
    assert!(!is_new);
    assert_eq!(user.login_type, LoginType::Oidc);
    assert_eq!(user.username.as_str(), "ada");
    assert_eq!(user.name.as_str(), "ada of ID");
    assert_eq!(user.updated_at, by.initiator.at);
    let password = store.find_password_hash(ada.id).await.unwrap().unwrap();
    assert_eq!(password.as_str(), "");
    let passcodes = "SELECT count(*) FROM users WHERE hashed_one_time_passcode IS NOT NULL";
    assert_eq!(store.value(passcodes).await, "0");
    assert_eq!(store.keys_of(ada.id).await, [token.id.as_str()]);
    assert_eq!(
        link_of(&store, ada.id).await.link_id,
        "https://id.example||ada"
    );
    let rows = store.audit().await.split_off(before);
    assert_eq!(actions(&rows), ["write"]);
    assert_eq!(rows[0]["user_id"], ada.id.to_string());
    assert_eq!(
        rows[0]["diff"],
        json!({
            "login_type": {"old": "password", "new": "oidc", "secret": false},
            "name": {"old": "", "new": "ada of ID", "secret": false},
            "hashed_password": {"secret": true},
        })
    );
    assert_eq!(
        signed_in(&store, request(identity("ada"))).await.0.id,
        ada.id
    );
}

#[tokio::test]
async fn a_conversion_without_a_session_creates_one_and_activates_a_dormant_user() {
    let store = TestStore::new().await;
    let status = UserStatus::Dormant;
    let ada = store
        .add(NewUser {
            status,
            ..user("ada")
        })
        .await;
    let before = store.audit().await.len();
    let key = request(identity("ada")).key;

    let converted = convert(
        &store,
        Conversion {
            key: Some(key.clone()),
            ..conversion(ada.id, "ada")
        },
    )
    .await;

    assert!(matches!(converted, SignInOutcome::SignedIn { .. }));
    assert_eq!(store.keys_of(ada.id).await, [key.id.as_str()]);
    let rows = store.audit().await.split_off(before);
    assert_eq!(actions(&rows), ["write", "write", "login"]);
    let status = "SELECT status FROM users WHERE username = 'ada'";
    assert_eq!(store.value(status).await, "active");
}

#[tokio::test]
async fn a_rejected_conversion_changes_nothing() {
    let store = TestStore::new().await;
    let (taken, _) = signed_in(&store, request(identity("taken"))).await;
    let pat = store.add_user("pat").await;
    let sue = store.add_user("sue").await;
    let old = store.add_user("old").await;
    let gone = store.add_user("gone").await;
    store
        .delete_user(gone.id, false, &command_line())
        .await
        .unwrap();
    store
        .sql(
            "UPDATE users SET status = 'suspended' WHERE username = 'sue';
             INSERT INTO user_links (user_id, login_type, linked_id)
             SELECT id, 'oidc', 'https://id.example||before' FROM users WHERE username = 'old'",
        )
        .await;
    let mut at_another_address = conversion(pat.id, "pat");
    at_another_address.identity.email = taken.email.clone();
    let cases = [
        (
            conversion(taken.id, "taken"),
            SignInOutcome::Rejected(SignInRejection::OtherLoginType(LoginType::Oidc)),
        ),
        (
            conversion(pat.id, "taken"),
            SignInOutcome::Rejected(SignInRejection::OtherAccount),
        ),
        (
            conversion(old.id, "old"),
            SignInOutcome::Rejected(SignInRejection::OtherAccount),
        ),
        (
            conversion(sue.id, "sue"),
            SignInOutcome::Rejected(SignInRejection::Suspended),
        ),
        (
            at_another_address,
            SignInOutcome::Rejected(SignInRejection::EmailTaken),
        ),
    ];
    let before = everything(&store).await;

    for (conversion, expected) in cases {
        assert_eq!(convert(&store, conversion).await, expected);
        assert_eq!(everything(&store).await, before, "{expected:?}");
    }
    for missing in [gone.id, UserId(Uuid::new_v4())] {
        let error = store.convert(conversion(missing, "new"), &callback()).await;
        assert!(
            matches!(error, Err(StoreError::Conflict(Conflict::UserDeleted))),
            "{error:?}"
        );
    }
    assert_eq!(everything(&store).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_conversions_convert_a_user_once() {
    let store = TestStore::with(patient).await;
    let ada = store.add_user("ada").await;
    let tasks = (0..10).map(|_| {
        let (store, key) = (store.share(), request(identity("ada")).key);
        async move {
            let conversion = Conversion {
                key: Some(key),
                ..conversion(ada.id, "ada")
            };
            convert(&store, conversion).await
        }
    });

    let outcomes = run_concurrently(tasks.collect::<Vec<_>>()).await;

    let refused = SignInOutcome::Rejected(SignInRejection::OtherLoginType(LoginType::Oidc));
    assert_eq!(outcomes.iter().filter(|it| **it == refused).count(), 9);
    assert_eq!(store.keys_of(ada.id).await.len(), 1);
}

#[tokio::test]
async fn a_conversion_that_an_older_password_allowed_is_rejected() {
    let store = TestStore::new().await;
    let ada = store.add_user("ada").await;
    let asked = conversion(ada.id, "ada");
    let change = PasswordChange {
        replaces: None,
        hash: hash("newer"),
        unless_owner: false,
    };
    store
        .set_user_password(ada.id, change, &command_line())
        .await
        .unwrap();
    let before = everything(&store).await;

    let outdated = convert(&store, asked.clone()).await;

    assert_eq!(
        outdated,
        SignInOutcome::Rejected(SignInRejection::PasswordChanged)
    );
    assert_eq!(everything(&store).await, before);
    let asked = Conversion {
        replaces: hash("newer").fingerprint(),
        ..asked
    };
    let converted = convert(&store, asked).await;
    assert!(matches!(converted, SignInOutcome::SignedIn { .. }));
}
