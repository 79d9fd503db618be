//! `GET /users/{user}`, and how paths identify users.

use http::Method;
use usher_domain::{User, UserId};
use usher_store::UserLookup;
use uuid::Uuid;

use crate::{
    app::TestApp,
    people::{ALICE, CALLER, Role, TOKEN, alice, credential, key_id},
};

/// The message that clients check for.
const UNKNOWN: &str = "must be an existing uuid or username";

#[tokio::test]
async fn the_caller_is_found_without_another_store_call() {
    let mut app = TestApp::anonymous();
    app.sessions
        .expect_find_credential()
        .withf(|key| *key == key_id())
        .times(1)
        .return_once(|_| Ok(Some(credential(Role::Member))));

    let answer = app
        .get_with("/api/v2/users/me", &[("Coder-Session-Token", TOKEN)])
        .await;

    answer.assert_status(200);
    assert_eq!(answer.json["username"], "caller");
    assert_eq!(answer.json["email"], "caller@example.com");
}

#[tokio::test]
async fn users_may_read_themselves_by_id_username_and_me() {
    let id = CALLER.0;
    for role in Role::ALL {
        let mut app = TestApp::signed_in_as(role);
        for name in [
            "me".to_owned(),
            "caller".to_owned(),
            "CALLER".to_owned(),
            "%63aller".to_owned(),
            id.to_string(),
            id.simple().to_string(),
            id.to_string().to_uppercase(),
            id.braced()
                .to_string()
                .replace('{', "%7B")
                .replace('}', "%7D"),
            id.urn().to_string(),
        ] {
            let answer = app.get(&format!("/api/v2/users/{name}")).await;
            answer.assert_status(200);
            assert_eq!(answer.json["id"], id.to_string(), "{name}");
        }
    }
}

#[tokio::test]
async fn permitted_callers_may_read_all_fields_of_others() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        for name in ["alice".to_owned(), ALICE.to_string()] {
            let answer = app.get(&format!("/api/v2/users/{name}")).await;
            answer.assert_status(200);
            assert_eq!(answer.json["email"], "alice@example.com", "{role:?}");
        }
    }
}

#[tokio::test]
async fn an_unreadable_user_is_reported_as_missing() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.knows(alice());
    app.expect_no_other_user();
    for (existing, missing) in [
        ("alice".to_owned(), "elice".to_owned()),
        (ALICE.to_string(), Uuid::from_u128(0xa2).to_string()),
    ] {
        let hidden = app.get(&format!("/api/v2/users/{existing}")).await;
        let unknown = app.get(&format!("/api/v2/users/{missing}")).await;

        hidden.assert_status(400);
        assert!(hidden.message().contains(UNKNOWN), "{hidden:?}");
        assert!(hidden.detail().contains(&existing), "{hidden:?}");
        assert_eq!(hidden.text.replace(&existing, &missing), unknown.text);
    }
}

#[tokio::test]
async fn names_are_matched_literally() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.knows(alice());
    app.expect_no_other_user();
    for name in [
        "me%20",
        "Me",
        "alice%25",
        "%20alice",
        "alice@example.com",
        "alice%2F",
        "%00",
        "a%00b",
        "me%00",
        "%ff",
        "%ED%A0%80",
        "%E2%82",
        "...",
        "%2E%2E",
    ] {
        let answer = app.get(&format!("/api/v2/users/{name}")).await;
        answer.assert_status(400);
        assert!(answer.message().contains(UNKNOWN), "{answer:?}");
    }
}

#[tokio::test]
async fn thirty_two_hex_digits_may_be_an_id_or_a_username() {
    let digits = "0123456789abcdef0123456789abcdef";
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.users
        .expect_find_user()
        .withf(move |lookup| {
            let id = UserId(Uuid::parse_str(digits).expect("a UUID"));
            *lookup == UserLookup::IdOrUsername(id, digits.to_owned())
        })
        .times(1)
        .return_once(|_| Ok(Some(alice())));

    app.get(&format!("/api/v2/users/{digits}"))
        .await
        .assert_status(200);
}

#[tokio::test]
async fn a_username_cannot_impersonate_an_id() {
    // The hyphenated form is always an ID, so no username is looked up.
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.users
        .expect_find_user()
        .withf(|lookup| *lookup == UserLookup::Id(ALICE))
        .return_once(|_| Ok(None));

    app.get(&format!("/api/v2/users/{ALICE}"))
        .await
        .assert_status(400);
}

#[tokio::test]
async fn a_key_that_cannot_read_its_own_user_gets_404_for_me_and_400_for_names() {
    let mut app = TestApp::with_scopes(Role::Owner, &["user:read_personal"]);
    app.knows(alice());
    for (name, status) in [("me", 404), ("caller", 400), ("alice", 400)] {
        app.get(&format!("/api/v2/users/{name}"))
            .await
            .assert_status(status);
    }
}

#[tokio::test]
async fn a_key_with_an_allow_list_reads_the_users_in_it() {
    let mut app = TestApp::with_allow_list(Role::Owner, &[&format!("user:{ALICE}")]);
    app.knows(alice());
    app.get("/api/v2/users/alice").await.assert_status(200);
    app.get("/api/v2/users/me").await.assert_status(404);
}

#[tokio::test]
async fn fixed_path_segments_with_another_method_are_usernames() {
    for (method, word) in [
        (Method::DELETE, "first"),
        (Method::GET, "login"),
        (Method::GET, "logout"),
        (Method::DELETE, "roles"),
        (Method::GET, "validate-password"),
        (Method::DELETE, "authmethods"),
    ] {
        let mut app = TestApp::signed_in_as(Role::Owner);
        app.users
            .expect_find_user()
            .withf(move |lookup| *lookup == UserLookup::Username(word.to_owned()))
            .times(1)
            .return_once(|_| Ok(None));

        let answer = app.call(method, &format!("/api/v2/users/{word}")).await;

        answer.assert_status(400);
        assert!(answer.message().contains(UNKNOWN), "{answer:?}");
    }
}

#[tokio::test]
async fn a_user_named_like_a_fixed_path_segment_is_reachable() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.knows(User {
        ..crate::people::user(ALICE, "first")
    });
    app.get("/api/v2/users/FIRST").await.assert_status(200);
    app.get("/api/v2/users/first/login-type")
        .await
        .assert_status(403);
}

#[tokio::test]
async fn markup_in_a_name_is_returned_escaped() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.expect_no_other_user();
    let answer = app.get("/api/v2/users/%3Cscript%3E").await;
    assert!(answer.detail().contains("<script>"), "{answer:?}");
    assert!(!answer.text.contains('<'), "{answer:?}");
}
