//! `/users/{user}/keys/tokens`.

use chrono::TimeDelta;
use serde_json::{Value, json};
use usher_domain::{ApiKey, LoginType, TokenName, User, UserId};
use usher_store::{Conflict, KeyFilter, NewApiKey};

use crate::{
    app::TestApp,
    people::{
        ALICE, CALLER, OLIVIA, Role, alice, allow_list, credential, key_of, now, olivia, scopes,
    },
};

const MINE: &str = "/api/v2/users/me/keys/tokens";
const ALICES: &str = "/api/v2/users/alice/keys/tokens";
const DAY: i64 = 86_400_000_000_000;

fn token_of(owner: UserId) -> ApiKey {
    ApiKey {
        login_type: LoginType::Token,
        token_name: TokenName::new("ci".into()),
        ..key_of(owner)
    }
}

/// Expects the creation of a key that matches.
fn expect_key(app: &mut TestApp, is_as_asked: impl Fn(&NewApiKey) -> bool + Send + 'static) {
    app.api_keys
        .expect_create_key()
        .withf(move |key, by| is_as_asked(key) && by.status_code == 201)
        .times(1)
        .return_once(|_, _| Ok(()));
}

fn with_tokens(mut app: TestApp, filter: KeyFilter, owners: &[UserId]) -> TestApp {
    let found = owners
        .iter()
        .map(|owner| (token_of(*owner), format!("of-{owner}")))
        .collect();
    app.api_keys
        .expect_list_tokens()
        .withf(move |asked| *asked == filter)
        .times(1)
        .return_once(|_| Ok(found));
    app
}

#[tokio::test]
async fn a_token_has_defaults() {
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_key(&mut app, |key| {
        key.user_id == CALLER
            && key.login_type == LoginType::Token
            && !key.token_name.as_str().is_empty()
            && key.scopes == scopes(&["coder:all"])
            && key.allow_list == allow_list(&["*:*"])
            && key.lifetime_seconds == 604_800
            && key.expires_at == now() + TimeDelta::days(7)
            && key.ip.is_none()
    });

    let answer = app.post(MINE, json!({})).await;

    answer.assert_status(201);
    assert_eq!(answer.json["key"].as_str().map(str::len), Some(33));
}

#[tokio::test]
async fn requested_properties_are_passed_to_the_store() {
    let workspace = "workspace:01234567-89AB-CDEF-0123-456789ABCDEF";
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_key(&mut app, move |key| {
        key.token_name.as_str() == " my #token "
            && key.scopes == scopes(&["workspace:read", "api_key:*", "workspace:read"])
            && key.allow_list == allow_list(&[workspace])
            && key.lifetime_seconds == 2 * 86_400
    });
    let body = json!({
        "token_name": " my #token ", "lifetime": 2 * DAY, "scope": "nonsense",
        "scopes": ["workspace:read", "api_key:*", "workspace:read"], "allow_list": [workspace],
    });

    app.post(MINE, body).await.assert_status(201);
}

#[tokio::test]
async fn the_legacy_scope_field_is_accepted() {
    for (scope, expected) in [
        ("all", "coder:all"),
        ("application_connect", "coder:application_connect"),
        ("coder:application_connect", "coder:application_connect"),
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        expect_key(&mut app, move |key| key.scopes == scopes(&[expected]));
        app.post(MINE, json!({"scope": scope}))
            .await
            .assert_status(201);
    }
}

#[tokio::test]
async fn scopes_that_cannot_be_requested_are_reported() {
    for scope in [
        "audit_log:read",
        "user:read",
        "user:*",
        "user.*",
        "nonsense",
        "",
    ] {
        let mut app = TestApp::signed_in_as(Role::Owner);
        let answer = app
            .post(MINE, json!({"scopes": ["coder:all", scope]}))
            .await;
        answer.assert_status(400);
        assert!(answer.detail().contains(scope), "{answer:?}");
    }
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.post(MINE, json!({"scope": "user:read"}))
        .await
        .assert_status(400);
}

#[tokio::test]
async fn malformed_allow_list_entries_are_rejected() {
    for entry in [
        json!("nope:*"),
        json!("workspace:abc"),
        json!("workspace"),
        json!(":*"),
        json!(""),
        json!({"type": "workspace", "id": "*"}),
        json!(7),
        Value::Null,
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        let answer = app.post(MINE, json!({"allow_list": [entry]})).await;
        answer.assert_faults(&[]);
        assert!(answer.detail().contains("allow_list"), "{answer:?}");
    }
}

#[tokio::test]
async fn lists_have_a_maximum_length() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for entry in ["user:*", "*:*"] {
        let answer = app
            .post(MINE, json!({"allow_list": vec![entry; 129]}))
            .await;
        answer.assert_status(400);
        assert!(answer.detail().contains("129"), "{answer:?}");
        assert!(answer.detail().contains("128"), "{answer:?}");
    }
    let scopes = json!({"scopes": vec!["coder:all"; 50_000]});
    app.post(MINE, scopes).await.assert_faults(&["scopes"]);
}

#[tokio::test]
async fn a_list_of_128_entries_is_accepted() {
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_key(&mut app, |key| key.allow_list == allow_list(&["user:*"]));
    let body = json!({"allow_list": vec!["user:*"; 128]});
    app.post(MINE, body).await.assert_status(201);
}

#[tokio::test]
async fn a_lifetime_is_an_integer_in_nanoseconds() {
    for lifetime in [
        "\"168h\"",
        "1.5",
        "1e400",
        "-1e400",
        "9223372036854775808",
        "[]",
        "true",
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        let body = format!("{{\"lifetime\":{lifetime}}}");
        let answer = app.send(http::Method::POST, MINE, body).await;
        answer.assert_faults(&[]);
        assert_ne!(answer.detail(), "");
    }
}

#[tokio::test]
async fn a_lifetime_is_positive_and_at_most_the_maximum() {
    for (role, lifetime, status) in [
        (Role::Member, -1, 400),
        (Role::Member, i64::MIN, 400),
        (Role::Member, i64::MAX, 400),
        (Role::Member, 3_155_760_000_000_000_000, 201),
        (Role::Member, 3_155_760_000_000_000_001, 400),
        (Role::Owner, 7 * DAY, 201),
        (Role::Owner, 7 * DAY + 1, 400),
    ] {
        let mut app = TestApp::signed_in_as(role);
        if status == 201 {
            expect_key(&mut app, move |key| {
                key.lifetime_seconds == lifetime / 1_000_000_000
            });
        }
        let answer = app.post(MINE, json!({"lifetime": lifetime})).await;
        answer.assert_status(status);
    }
}

#[tokio::test]
async fn the_maximum_lifetime_depends_on_the_target_and_is_reported() {
    let mut owner_for_alice = TestApp::signed_in_as(Role::Owner);
    owner_for_alice.knows(alice());
    expect_key(&mut owner_for_alice, |key| key.user_id == ALICE);
    let body = json!({"lifetime": 100 * DAY});
    owner_for_alice
        .post(ALICES, body.clone())
        .await
        .assert_status(201);

    let mut owner = TestApp::signed_in_as(Role::Owner);
    let answer = owner.post(MINE, body).await;
    answer.assert_status(400);
    assert_eq!(answer.detail(), "lifetime must be less than 168h0m0s");
}

#[tokio::test]
async fn the_default_lifetime_may_exceed_the_maximum() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.settings.max_token_lifetime = TimeDelta::days(1);
    app.settings.default_token_lifetime = TimeDelta::hours(240);
    expect_key(&mut app, |key| key.lifetime_seconds == 864_000);
    app.post(MINE, json!({"lifetime": 0}))
        .await
        .assert_status(201);
}

#[tokio::test]
async fn a_lifetime_below_a_second_is_accepted() {
    let mut app = TestApp::signed_in_as(Role::Member);
    expect_key(&mut app, |key| {
        key.expires_at == now() + TimeDelta::milliseconds(500)
    });
    app.post(MINE, json!({"lifetime": 500_000_000}))
        .await
        .assert_status(201);
}

#[tokio::test]
async fn a_taken_name_is_a_conflict_that_names_the_field() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.api_keys
        .expect_create_key()
        .times(1)
        .return_once(|_, _| Err(Conflict::TokenName.into()));

    let answer = app.post(MINE, json!({"token_name": "ci"})).await;

    answer.assert_status(409);
    assert_eq!(answer.fields(), ["name"]);
}

#[tokio::test]
async fn taken_random_names_are_replaced_a_limited_number_of_times() {
    let mut lucky = TestApp::signed_in_as(Role::Member);
    lucky
        .api_keys
        .expect_create_key()
        .times(1)
        .return_once(|_, _| Err(Conflict::TokenName.into()));
    expect_key(&mut lucky, |_| true);
    lucky.post(MINE, json!({})).await.assert_status(201);

    let mut unlucky = TestApp::signed_in_as(Role::Member);
    unlucky
        .api_keys
        .expect_create_key()
        .times(2..20)
        .returning(|_, _| Err(Conflict::TokenName.into()));
    unlucky.post(MINE, json!({})).await.assert_status(409);
}

#[tokio::test]
async fn only_users_themselves_and_owners_may_create_tokens() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        if role == Role::Owner {
            expect_key(&mut app, |key| key.user_id == ALICE);
        }
        let answer = app.post(ALICES, json!({})).await;
        answer.assert_status(if role == Role::Owner { 201 } else { 403 });
    }
}

#[tokio::test]
async fn tokens_for_system_accounts_are_rejected_after_json_and_before_other_errors() {
    let system = User {
        is_system: true,
        ..alice()
    };
    for (body, status) in [
        (json!({"allow_list": ["x"]}), 400),
        (json!({"scopes": ["nonsense"], "lifetime": -1}), 403),
    ] {
        let mut app = TestApp::signed_in_as(Role::Owner);
        app.knows(system.clone());
        app.post(ALICES, body).await.assert_status(status);
    }
}

#[tokio::test]
async fn validation_errors_are_reported_in_order_and_before_missing_permission() {
    let mut app = TestApp::signed_in_as(Role::UserAdmin);
    app.knows(alice());
    let all = json!({"scopes": ["x"], "allow_list": vec!["user:*"; 129], "lifetime": -1});
    assert!(app.post(ALICES, all).await.detail().contains("scope"));
    let two = json!({"allow_list": vec!["user:*"; 129], "lifetime": -1});
    assert!(app.post(ALICES, two).await.detail().contains("allow_list"));
    let one = app.post(ALICES, json!({"lifetime": -1})).await;
    one.assert_status(400);
}

#[tokio::test]
async fn a_deleted_user_cannot_have_tokens() {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.knows(User {
        is_deleted: true,
        ..alice()
    });
    app.post(&format!("/api/v2/users/{ALICE}/keys/tokens"), json!({}))
        .await
        .assert_status(400);
}

#[tokio::test]
async fn a_key_with_an_allow_list_creates_only_tokens_within_it() {
    let entries = ["api_key:*", "user:*"];
    for body in [
        json!({}),
        json!({"allow_list": ["*:*"]}),
        json!({"allow_list": ["user:*", "workspace:*"]}),
    ] {
        let mut app = TestApp::with_allow_list(Role::Owner, &entries);
        app.post(MINE, body).await.assert_status(403);
    }
    let mut app = TestApp::with_allow_list(Role::Owner, &entries);
    expect_key(&mut app, |key| key.allow_list == allow_list(&["api_key:*"]));
    let narrower = json!({"allow_list": ["api_key:*"], "scopes": ["api_key:read"]});
    app.post(MINE, narrower).await.assert_status(201);
}

#[tokio::test]
async fn a_token_creates_only_tokens_within_its_lifetime() {
    let mut short = credential(Role::Member);
    short.key.login_type = LoginType::Token;
    short.key.lifetime_seconds = 7_200;
    for (lifetime, status, seconds) in [
        (DAY, 400, 0),
        (3_600_000_000_000, 201, 3_600),
        (0, 201, 7_200),
    ] {
        let mut app = TestApp::with_credential(short.clone());
        if status == 201 {
            expect_key(&mut app, move |key| key.lifetime_seconds == seconds);
        }
        app.post(MINE, json!({"lifetime": lifetime}))
            .await
            .assert_status(status);
    }
}

#[tokio::test]
async fn a_session_created_by_a_short_token_cannot_create_longer_tokens() {
    // `POST keys` with a two-hour token returns a two-hour session. If it counted as a
    // user's own session, it could create tokens of any lifetime.
    let mut laundered = credential(Role::Member);
    laundered.key.lifetime_seconds = 7_200;
    let mut app = TestApp::with_credential(laundered);
    app.api_keys.expect_create_key().returning(|_, _| Ok(()));

    app.post(MINE, json!({"lifetime": 30 * DAY}))
        .await
        .assert_status(400);
}

#[tokio::test]
async fn an_empty_list_of_tokens_is_null() {
    let mut app = with_tokens(
        TestApp::signed_in_as(Role::Member),
        KeyFilter::Of(CALLER),
        &[],
    );
    let answer = app.get(MINE).await;
    answer.assert_status(200);
    assert_eq!(answer.text, "null\n");
}

#[tokio::test]
async fn tokens_are_listed_with_their_users_username() {
    let mut app = with_tokens(
        TestApp::signed_in_as(Role::Member),
        KeyFilter::Of(CALLER),
        &[CALLER],
    );
    let answer = app.get(MINE).await;
    assert_eq!(answer.json[0]["token_name"], "ci");
    assert_eq!(answer.json[0]["username"], format!("of-{CALLER}"));
    assert_eq!(
        answer.json[0].as_object().map(serde_json::Map::len),
        Some(13)
    );
}

#[tokio::test]
async fn owners_may_list_all_tokens_and_others_their_own() {
    for spelling in ["1", "t", "T", "true", "TRUE", "True"] {
        let path = format!("{MINE}?include_all={spelling}");
        let both = [CALLER, OLIVIA];
        let mut owner = with_tokens(TestApp::signed_in_as(Role::Owner), KeyFilter::All, &both);
        assert_eq!(
            owner.get(&path).await.json.as_array().map(Vec::len),
            Some(2)
        );

        let member = TestApp::signed_in_as(Role::Member);
        let mut member = with_tokens(member, KeyFilter::Of(CALLER), &[CALLER]);
        assert_eq!(
            member.get(&path).await.json.as_array().map(Vec::len),
            Some(1)
        );
    }
    for other in ["banana", "", "0", "%00", "true&include_all=false"] {
        let first = other == "true&include_all=false";
        let filter = if first {
            KeyFilter::All
        } else {
            KeyFilter::Of(CALLER)
        };
        let mut app = with_tokens(TestApp::signed_in_as(Role::Owner), filter, &[]);
        app.get(&format!("{MINE}?include_all={other}"))
            .await
            .assert_status(200);
    }
}

#[tokio::test]
async fn only_owners_may_list_tokens_of_others() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let mut app = with_tokens(TestApp::signed_in_as(role), KeyFilter::Of(ALICE), &[ALICE]);
        app.knows(alice());
        let answer = app.get(ALICES).await;
        answer.assert_status(200);
        assert_eq!(answer.json.is_null(), role != Role::Owner, "{role:?}");
    }
}

#[tokio::test]
async fn an_allow_list_must_contain_all_keys_to_list_tokens() {
    let without = TestApp::with_allow_list(Role::Owner, &["user:*"]);
    let mut without = with_tokens(without, KeyFilter::Of(CALLER), &[CALLER]);
    assert_eq!(without.get(MINE).await.text, "null\n");
}

#[tokio::test]
async fn the_limits_are_those_of_the_target_user() {
    for role in Role::ALL.into_iter().filter(|role| role.reads_everybody()) {
        let mut app = TestApp::signed_in_as(role);
        app.knows(alice());
        app.knows(olivia());
        for (name, expected) in [
            ("alice", 3_155_760_000_000_000_000_i64),
            ("olivia", 7 * DAY),
        ] {
            let path = format!("/api/v2/users/{name}/keys/tokens/tokenconfig");
            let answer = app.get(&path).await;
            assert_eq!(answer.json, json!({"max_token_lifetime": expected}));
        }
    }
}

#[tokio::test]
async fn a_token_is_found_by_its_exact_name() {
    for (path, name) in [
        ("ci", "ci"),
        ("a%20b%2Fc", "a b/c"),
        ("CI", "CI"),
        ("%C3%B6", "ö"),
    ] {
        let mut app = TestApp::signed_in_as(Role::Member);
        app.api_keys
            .expect_find_key_by_name()
            .withf(move |user, asked| *user == CALLER && asked.as_str() == name)
            .times(1)
            .return_once(|user, _| Ok(Some(token_of(user))));

        let answer = app.get(&format!("{MINE}/{path}")).await;

        answer.assert_status(200);
        assert_eq!(answer.json.get("username"), None);
    }
}

#[tokio::test]
async fn unknown_names_and_tokens_of_others_are_not_found() {
    let mut app = TestApp::signed_in_as(Role::Auditor);
    app.knows(alice());
    app.api_keys
        .expect_find_key_by_name()
        .returning(|user, name| Ok(Some(token_of(user)).filter(|_| name.as_str() == "ci")));
    for path in [
        format!("{ALICES}/ci"),
        format!("{ALICES}/other"),
        format!("{MINE}/other"),
        format!("{MINE}/%00"),
    ] {
        app.get(&path).await.assert_status(404);
    }
}
