//! `GET /users/{user}/login-type`.

use serde_json::json;
use usher_domain::LoginType;

use crate::{
    app::TestApp,
    people::{CALLER, Role, alice, credential},
};

#[tokio::test]
async fn users_may_read_their_own_login_type() {
    for (login_type, word) in [
        (LoginType::Password, "password"),
        (LoginType::Github, "github"),
        (LoginType::Oidc, "oidc"),
        (LoginType::None, "none"),
    ] {
        let mut credential = credential(Role::Member);
        credential.user.login_type = login_type;
        let mut app = TestApp::with_credential(credential);
        for name in ["me".to_owned(), CALLER.to_string(), "Caller".to_owned()] {
            let answer = app.get(&format!("/api/v2/users/{name}/login-type")).await;
            answer.assert_status(200);
            assert_eq!(answer.json, json!({"login_type": word}));
        }
    }
}

#[tokio::test]
async fn the_login_type_of_others_is_hidden_even_from_owners() {
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());

        let answer = app.get("/api/v2/users/alice/login-type").await;

        answer.assert_status(if role.reads_everybody() { 403 } else { 400 });
        assert!(answer.header("www-authenticate").is_none());
    }
}
