use serde_json::json;
use usher_domain::{UserStatus, time::never};
use usher_store::{SshKeyStore, UserLookup, UserStore};

use super::*;

#[tokio::test]
async fn a_sign_up_creates_a_complete_user() {
    let store = TestStore::new().await;
    store.add_owner("owner").await;
    let before = store.audit().await.len();
    let mut ada = identity("ada");
    ada.email = Email::from_stored("Ada@Example.com".to_owned());
    let sign_in = request(ada);
    let key = sign_in.key.id.clone();

    let (user, is_new) = signed_in(&store, sign_in.clone()).await;

    assert!(is_new);
    assert_eq!(user.id, sign_in.new_user.id);
    assert_eq!(user.username.as_str(), "ada");
    assert_eq!(user.email.as_str(), "Ada@Example.com");
    assert_eq!(user.name.as_str(), "ada of ID");
    assert_eq!(user.avatar_url, "https://id.example/ada.png");
    assert_eq!(user.status, UserStatus::Active);
    assert_eq!(user.login_type, LoginType::Oidc);
    assert_eq!(user.roles, [""; 0]);
    assert_eq!(user.organization_ids, [store.default_organization().await]);
    assert_eq!((user.created_at, user.updated_at), (now(), now()));
    assert_eq!(user.last_seen_at, never());
    let found = UserStore::find_user(&*store, UserLookup::Id(user.id)).await;
    assert_eq!(found.unwrap(), Some(user.clone()));
    let password = store.find_password_hash(user.id).await.unwrap().unwrap();
    assert_eq!(password.as_str(), "");
    let ssh_key = store.find_ssh_key(user.id).await.unwrap().unwrap();
    assert_eq!(ssh_key.public_key, "ssh-ed25519 ada\n");
    assert_eq!(store.keys_of(user.id).await, [key.as_str()]);

    let link = link_of(&store, user.id).await;
    assert_eq!(link.link_id, "https://id.example||ada");
    let expected = ("access ada".to_owned(), Some("refresh ada".to_owned()));
    assert_eq!(shown(&link.tokens), expected);
    assert_eq!(link.tokens.expires_at, Some(now() + TimeDelta::hours(1)));
    let claims = store.value("SELECT claims FROM user_links").await;
    let claims: Value = serde_json::from_str(&claims).unwrap();
    assert_eq!(
        claims,
        json!({
            "id_token": {"sub": "ada"},
            "secondary": {"picture": true},
            "merged": {"sub": "ada", "picture": true},
        })
    );

    let rows = store.audit().await.split_off(before);
    assert_eq!(
        rows,
        [json!({
            "time": "2026-03-04T05:06:07.123456+00:00",
            "user_id": user.id.to_string(),
            "organization_id": Uuid::nil(),
            "ip": "192.0.2.7",
            "user_agent": "tests/1.0",
            "resource_type": "api_key",
            "resource_id": user.id.to_string(),
            "resource_target": "",
            "resource_icon": "",
            "action": "register",
            "diff": {},
            "status_code": 307,
            "additional_fields": {},
            "request_id": callback().request_id.to_string(),
        })]
    );
}

#[tokio::test]
async fn the_first_user_signs_up_as_owner_even_if_sign_up_is_disabled() {
    let store = TestStore::new().await;
    let closed = |name| ExternalSignIn {
        policy: SignInPolicy {
            allow_sign_up: false,
            ..POLICY
        },
        ..request(identity(name))
    };

    let (first, is_new) = signed_in(&store, closed("ada")).await;
    let before = everything(&store).await;
    let second = outcome_of(&store, closed("bob")).await;

    assert!(is_new);
    assert_eq!(first.roles, ["owner"]);
    assert_eq!(first.organization_ids, [store.default_organization().await]);
    assert_eq!(
        second,
        SignInOutcome::Rejected(SignInRejection::SignUpDisabled)
    );
    assert_eq!(everything(&store).await, before);
    // Existing users still sign in.
    assert_eq!(signed_in(&store, closed("ada")).await.0.id, first.id);
}

#[tokio::test]
async fn the_first_free_username_is_taken() {
    let store = TestStore::new().await;
    store.add_user("Kyle").await;
    let other = store.add_user("other").await;
    let identifier = other.id.0.simple().to_string();
    let called = |names: &[&str]| {
        let names = names
            .iter()
            .map(|name| Username::from_stored((*name).to_owned()));
        let mut sign_in = request(identity("kyle-at-id"));
        sign_in.new_user.usernames = names.collect();
        sign_in
    };
    let before = everything(&store).await;

    let none = outcome_of(&store, called(&["kyle", "OTHER", &identifier])).await;
    assert_eq!(
        none,
        SignInOutcome::Rejected(SignInRejection::UsernamesTaken)
    );
    assert_eq!(everything(&store).await, before);
    let names = ["kyle", &identifier, "kyle-brave7", "kyle-calm1"];
    let (user, _) = signed_in(&store, called(&names)).await;
    assert_eq!(user.username.as_str(), "kyle-brave7");
}

#[tokio::test]
async fn a_deleted_user_signs_up_as_a_new_user() {
    let store = TestStore::new().await;
    store.add_owner("owner").await;
    let (first, _) = signed_in(&store, request(identity("ada"))).await;
    store
        .delete_user(first.id, false, &command_line())
        .await
        .unwrap()
        .unwrap();

    let (second, is_new) = signed_in(&store, request(identity("ada"))).await;

    assert!(is_new);
    assert_ne!(second.id, first.id);
    assert_eq!(second.username.as_str(), "ada");
    assert_eq!(store.keys_of(first.id).await, [""; 0]);
    assert_eq!(
        store.value("SELECT user_id FROM user_links").await,
        second.id.to_string()
    );
    let list = store.list_memberships(second.id).await.unwrap();
    assert_eq!(list.len(), 1);
}

#[tokio::test]
async fn the_number_at_github_com_is_stored() {
    let store = TestStore::new().await;
    store.add_owner("owner").await;
    let number = "SELECT github_com_user_id FROM users WHERE username = 'ada'";
    let mut ada = identity("ada");
    ada.login_type = LoginType::Github;
    ada.link_id = "12".to_owned();
    ada.claims = LinkClaims::default();

    signed_in(&store, request(ada.clone())).await;
    assert_eq!(store.value(number).await, "NULL");
    ada.github_com_user_id = Some(12);
    signed_in(&store, request(ada.clone())).await;
    assert_eq!(store.value(number).await, "12");
    // At another server that number belongs to another user.
    let elsewhere = ExternalIdentity {
        github_com_user_id: None,
        ..ada.clone()
    };
    let outcome = outcome_of(&store, request(elsewhere.clone())).await;
    assert_eq!(
        outcome,
        SignInOutcome::Rejected(SignInRejection::OtherAccount)
    );
    store
        .sql("UPDATE users SET github_com_user_id = 99 WHERE username = 'ada'")
        .await;
    let outcome = outcome_of(&store, request(ada)).await;
    assert_eq!(
        outcome,
        SignInOutcome::Rejected(SignInRejection::OtherAccount)
    );
    // Another number at github.com does not matter to the account at that server.
    signed_in(&store, request(elsewhere)).await;
    assert_eq!(store.value(number).await, "99");

    let mut bob = identity("bob");
    bob.login_type = LoginType::Github;
    bob.link_id = "13".to_owned();
    bob.github_com_user_id = Some(13);
    let (bob, _) = signed_in(&store, request(bob)).await;
    let number = "SELECT github_com_user_id FROM users WHERE username = 'bob'";
    assert_eq!(store.value(number).await, "13");
    assert_eq!(bob.login_type, LoginType::Github);
    let claims = "SELECT DISTINCT claims FROM user_links WHERE linked_id = '12'";
    assert_eq!(store.value(claims).await, "{}");
}

#[tokio::test]
async fn a_sign_up_sends_no_notification() {
    let store = TestStore::new().await;
    store.add_owner("owner").await;
    let messages = "SELECT count(*) FROM notification_messages";
    let before = store.value(messages).await;

    signed_in(&store, request(identity("ada"))).await;

    assert_eq!(store.value(messages).await, before);
}
