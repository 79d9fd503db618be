//! `/users/{user}/gitsshkey`.

use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;
use usher_domain::{UserId, ssh_key::SshPublicKey};

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, Role, alice, now},
};

const ALICES: &str = "/api/v2/users/alice/gitsshkey";
const MINE: &str = "/api/v2/users/me/gitsshkey";

fn key(of: UserId) -> SshPublicKey {
    SshPublicKey {
        user_id: of,
        created_at: now(),
        updated_at: now(),
        public_key: "ssh-ed25519 AAAA\n".into(),
    }
}

#[tokio::test]
async fn users_may_read_their_own_key() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.ssh_keys
            .expect_find_ssh_key()
            .withf(|id| *id == CALLER)
            .return_once(|id| Ok(Some(key(id))));

        let answer = app.get(MINE).await;

        answer.assert_status(200);
        assert_eq!(
            answer.json,
            json!({
                "user_id": CALLER.0, "created_at": "2026-01-02T03:04:05.678901Z",
                "updated_at": "2026-01-02T03:04:05.678901Z", "public_key": "ssh-ed25519 AAAA\n",
            })
        );
    }
}

#[tokio::test]
async fn only_owners_and_user_admins_may_access_keys_of_others() {
    for role in Role::ALL {
        let may = matches!(role, Role::Owner | Role::UserAdmin);
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        if may {
            app.ssh_keys
                .expect_find_ssh_key()
                .return_once(|id| Ok(Some(key(id))));
            app.ssh_keys
                .expect_set_ssh_key()
                .withf(|id, _, _| *id == ALICE)
                .return_once(|id, _, _| Ok(Some(key(id))));
        }
        let expected = match role {
            Role::Owner | Role::UserAdmin => 200,
            Role::Member => 400,
            _ => 403,
        };

        app.get(ALICES).await.assert_status(expected);
        app.call(Method::PUT, ALICES).await.assert_status(expected);
    }
}

#[tokio::test]
async fn a_new_key_pair_is_stored_and_only_the_public_key_returned() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.ssh_keys
        .expect_set_ssh_key()
        .withf(|id, pair, by| {
            *id == CALLER
                && pair.public_key.starts_with("ssh-ed25519 ")
                && pair.private_key.expose_secret().contains("PRIVATE KEY")
                && by.status_code == 200
        })
        .times(1)
        .return_once(|id, _, _| Ok(Some(key(id))));

    let answer = app.call(Method::PUT, MINE).await;

    answer.assert_status(200);
    assert!(!answer.text.contains("PRIVATE"), "{answer:?}");
}

#[tokio::test]
async fn an_account_without_a_key_is_reported() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.ssh_keys.expect_find_ssh_key().return_once(|_| Ok(None));
    app.ssh_keys
        .expect_set_ssh_key()
        .return_once(|_, _, _| Ok(None));
    app.get(MINE).await.assert_status(404);
    app.call(Method::PUT, MINE).await.assert_status(404);
}
