//! Rate limits. The clock is fixed at five seconds past the minute.

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;
use usher_api::limits::Limits;
use usher_domain::{ApiToken, UserId};
use usher_store::{Credential, StoreError};
use uuid::Uuid;

use crate::{
    app::{Answer, TestApp},
    operations::operations,
    people::{ALICE, CALLER, Role, TOKEN, alice, credential, key_id, now},
    public::is_public,
    stores::answer_everything,
};

const GENERAL: u32 = 4;
const LOGIN: u32 = 2;
const METHODS: &str = "/api/v2/users/authmethods";
const ME: &str = "/api/v2/users/me";
const BYPASS: &str = "X-Coder-Bypass-Ratelimit";

const LOGIN_PATHS: [(Method, &str); 8] = [
    (Method::POST, "/api/v2/users/login"),
    (Method::POST, "/api/v2/users/otp/request"),
    (Method::POST, "/api/v2/users/otp/change-password"),
    (Method::POST, "/api/v2/users/validate-password"),
    (Method::GET, "/api/v2/users/oauth2/github/callback"),
    (Method::GET, "/api/v2/users/oauth2/github/device"),
    (Method::GET, "/api/v2/users/oidc/callback"),
    (Method::GET, "/api/v2/users/oidc/2/callback"),
];

fn limited(mut app: TestApp) -> TestApp {
    app.settings.rate_limits = Limits {
        general: Some(GENERAL),
        login: Some(LOGIN),
    };
    app
}

fn signed_in_as(role: Role) -> TestApp {
    limited(TestApp::signed_in_as(role))
}

fn anonymous() -> TestApp {
    limited(TestApp::anonymous())
}

/// The seconds until the window ends.
const LEFT: i64 = 55;

#[track_caller]
fn assert_too_many(answer: &Answer, limit: u32) {
    answer.assert_status(429);
    assert_ne!(answer.message(), "");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("retry-after"), Some(&*LEFT.to_string()));
    assert_counts(answer, limit, 0);
}

#[track_caller]
fn assert_counts(answer: &Answer, limit: u32, remaining: u32) {
    let end = now().timestamp() + LEFT;
    let found =
        ["limit", "remaining", "reset"].map(|name| answer.header(&format!("x-ratelimit-{name}")));
    let expected = [limit.to_string(), remaining.to_string(), end.to_string()];
    assert_eq!(
        found,
        expected.each_ref().map(|text| Some(&**text)),
        "{answer:?}"
    );
}

#[track_caller]
fn assert_uncounted(answer: &Answer) {
    for name in ["limit", "remaining", "reset"] {
        let name = format!("x-ratelimit-{name}");
        assert_eq!(answer.header(&name), None, "{answer:?}");
    }
}

#[tokio::test]
async fn the_last_request_within_the_limit_is_accepted_and_the_next_rejected() {
    let mut app = anonymous();
    for remaining in (0..GENERAL).rev() {
        let answer = app.get(METHODS).await;
        answer.assert_status(200);
        assert_counts(&answer, GENERAL, remaining);
        assert_eq!(answer.header("retry-after"), None);
    }
    for _ in 0..3 {
        assert_too_many(&app.get(METHODS).await, GENERAL);
    }
}

#[tokio::test]
async fn paths_are_counted_separately_and_queries_are_not() {
    let mut app = anonymous();
    for n in 0..GENERAL {
        app.get(&format!("{METHODS}?n={n}"))
            .await
            .assert_status(200);
    }
    assert_too_many(&app.get(METHODS).await, GENERAL);
    app.get("/api/v2/buildinfo").await.assert_status(200);
}

#[tokio::test]
async fn methods_of_a_path_are_counted_together() {
    let mut app = anonymous();
    app.users.expect_has_users().returning(|| Ok(true));
    for _ in 0..GENERAL {
        app.post("/api/v2/users/first", json!({})).await;
    }
    assert_too_many(&app.get("/api/v2/users/first").await, GENERAL);
}

#[tokio::test]
async fn rejected_requests_count_and_limited_ones_reach_no_store() {
    let mut app = signed_in_as(Role::Member);
    app.expect_no_other_user();
    for _ in 0..GENERAL {
        app.get("/api/v2/users/missing").await.assert_status(400);
    }
    assert_too_many(&app.get("/api/v2/users/missing").await, GENERAL);
}

#[tokio::test]
async fn health_checks_are_not_limited() {
    let mut app = anonymous();
    app.site.expect_ping().returning(|| Ok(()));
    for path in ["/healthz", "/latency-check"] {
        for _ in 0..=GENERAL {
            let answer = app.get(path).await;
            answer.assert_status(200);
            assert_uncounted(&answer);
        }
    }
}

/// Another key with its credential.
const OTHER: &str = "zzzzzzzzzz-ABCDEFGHIJKLMNOPQRSTUV";

fn other_key(owner: UserId) -> Credential {
    let token = ApiToken::parse(OTHER).expect("a token");
    let mut credential = credential(Role::Member);
    credential.hashed_secret = token.secret.digest().to_vec();
    credential.key.id = token.id;
    credential.key.user_id = owner;
    credential.user.id = owner;
    credential
}

/// The store has the caller's [`TOKEN`], and [`OTHER`] with the given credential.
fn app_with_two_keys(owner: UserId) -> TestApp {
    let mut app = anonymous();
    app.sessions.expect_find_credential().returning(move |key| {
        Ok(Some(if *key == key_id() {
            credential(Role::Member)
        } else {
            other_key(owner)
        }))
    });
    app
}

async fn get_me(app: &mut TestApp, token: &str) -> Answer {
    app.get_with(ME, &[("Coder-Session-Token", token)]).await
}

#[tokio::test]
async fn users_behind_one_address_have_separate_limits() {
    let mut app = app_with_two_keys(ALICE);
    for _ in 0..GENERAL {
        get_me(&mut app, TOKEN).await.assert_status(200);
    }
    assert_too_many(&get_me(&mut app, TOKEN).await, GENERAL);
    get_me(&mut app, OTHER).await.assert_status(200);
}

#[tokio::test]
async fn all_keys_of_a_user_are_counted_together() {
    let mut app = app_with_two_keys(CALLER);
    for _ in 0..GENERAL {
        get_me(&mut app, TOKEN).await.assert_status(200);
    }
    assert_too_many(&get_me(&mut app, OTHER).await, GENERAL);
}

fn forwarded(path: &str, address: &str) -> Request<Body> {
    Request::get(path)
        .header("X-Forwarded-For", address)
        .header("Coder-Session-Token", TOKEN)
        .body(Body::empty())
        .expect("a good request")
}

/// Whether forwarded addresses are trusted.
fn behind_a_proxy(mut app: TestApp, is_trusted: bool) -> TestApp {
    if is_trusted {
        app.settings.trusted_proxies = vec!["192.0.2.0/24".parse().expect("a network")];
    }
    app.settings.forwarding_headers = vec!["x-forwarded-for".parse().expect("a name")];
    app
}

#[tokio::test]
async fn without_a_credential_the_address_from_trusted_proxies_is_counted() {
    for is_trusted in [true, false] {
        let mut app = behind_a_proxy(anonymous(), is_trusted);
        for _ in 0..GENERAL {
            let answer = app.answer(forwarded(METHODS, "198.51.100.1")).await;
            answer.assert_status(200);
        }
        let again = app.answer(forwarded(METHODS, "198.51.100.1")).await;
        assert_too_many(&again, GENERAL);
        let other = app.answer(forwarded(METHODS, "198.51.100.2")).await;
        other.assert_status(if is_trusted { 200 } else { 429 });
    }
}

#[tokio::test]
async fn a_user_is_counted_across_addresses() {
    let mut app = behind_a_proxy(signed_in_as(Role::Member), true);
    for n in 0..GENERAL {
        let answer = app.answer(forwarded(ME, &format!("198.51.100.{n}"))).await;
        answer.assert_status(200);
    }
    let answer = app.answer(forwarded(ME, "198.51.100.99")).await;
    assert_too_many(&answer, GENERAL);
}

#[tokio::test]
async fn without_a_valid_credential_the_address_is_counted_on_every_route() {
    // Each invalid credential causes a store call.
    let mut app = anonymous();
    app.sessions
        .expect_find_credential()
        .returning(|_| Ok(None));
    let headers = [("Coder-Session-Token", TOKEN)];
    let mut uncounted = Vec::new();
    for operation in operations() {
        if is_public(&operation.name()) {
            continue;
        }
        let (method, path) = (operation.method.clone(), operation.path("missing"));
        for _ in 0..GENERAL {
            // Methods of one path are counted together.
            app.bare(method.clone(), &path, &headers).await;
        }
        let answer = app.bare(method, &path, &headers).await;
        if answer.status != 429 {
            uncounted.push(operation.name());
        }
    }
    // Under users and organizations the credential is checked before the route.
    let nowhere = "/api/v2/users/me/nothing";
    for _ in 0..GENERAL {
        app.get_with(nowhere, &headers).await.assert_status(401);
    }
    if app.get_with(nowhere, &headers).await.status != 429 {
        uncounted.push(format!("GET {nowhere}"));
    }
    assert!(uncounted.is_empty(), "{uncounted:#?}");
}

#[tokio::test]
async fn invalid_credentials_do_not_limit_valid_ones_from_the_same_address() {
    let mut app = anonymous();
    app.sessions
        .expect_find_credential()
        .returning(|key| Ok(Some(credential(Role::Member)).filter(|_| *key == key_id())));
    for _ in 0..=GENERAL {
        get_me(&mut app, OTHER).await;
    }
    get_me(&mut app, TOKEN).await.assert_status(200);
}

#[tokio::test]
async fn if_credentials_cannot_be_read_callers_are_not_counted_as_unauthenticated() {
    // Otherwise all users behind one address would be limited while the store is
    // unavailable.
    let mut app = anonymous();
    app.sessions
        .expect_find_credential()
        .returning(|_| Err(StoreError::Unavailable("away".into())));
    for _ in 0..=GENERAL {
        get_me(&mut app, TOKEN).await.assert_status(503);
    }
}

#[tokio::test]
async fn spellings_of_the_callers_own_path_are_counted_together() {
    let id = CALLER.to_string();
    let spellings = [
        ME.to_owned(),
        "/api/v2/users/caller".to_owned(),
        "/api/v2/users/CALLER".to_owned(),
        "/api/v2/users/c%61ller".to_owned(),
        "/api/v2/users/%6De".to_owned(),
        format!("/api/v2/users/{id}"),
        format!("/api/v2/users/{}", id.to_uppercase()),
        format!("/api/v2/users/{}", id.replace('-', "")),
        "//api///v2/users/me/".to_owned(),
    ];
    for spelling in spellings {
        let mut app = signed_in_as(Role::Member);
        for _ in 0..GENERAL {
            app.get(ME).await.assert_status(200);
        }
        let answer = app.get(&spelling).await;
        assert_eq!(answer.status, 429, "{answer:?}");
    }
}

#[tokio::test]
async fn spellings_of_a_name_or_id_are_counted_together() {
    let id = ALICE.to_string();
    let names = ["alice", "ALICE", "%61lice", "alice/"].map(str::to_owned);
    let ids = [id.clone(), id.to_uppercase(), id.replace('-', "")];
    for spellings in [&names[..], &ids[..]] {
        for spelling in spellings {
            let mut app = signed_in_as(Role::Owner);
            app.knows(alice());
            let first = format!("/api/v2/users/{}", spellings[0]);
            for _ in 0..GENERAL {
                app.get(&first).await.assert_status(200);
            }
            let answer = app.get(&format!("/api/v2/users/{spelling}")).await;
            answer.assert_status(429);
        }
    }
}

#[tokio::test]
async fn sign_in_routes_have_a_separate_limit_for_each_path() {
    let mut app = anonymous();
    answer_everything(&mut app);
    for (method, path) in LOGIN_PATHS {
        for remaining in (0..LOGIN).rev() {
            let answer = app.send(method.clone(), path, "{").await;
            answer.assert_status(400);
            assert_counts(&answer, LOGIN, remaining);
        }
        assert_too_many(&app.send(method.clone(), path, "{").await, LOGIN);
        let slashes = format!("{}/", path.replace('/', "//"));
        assert_too_many(&app.send(method, &slashes, "{").await, LOGIN);
    }
    app.get(METHODS).await.assert_status(200);
}

#[tokio::test]
async fn sign_ins_are_counted_by_address_even_with_a_session() {
    let (method, path) = &LOGIN_PATHS[0];
    let mut app = app_with_two_keys(ALICE);
    for token in [TOKEN, OTHER] {
        let headers = [("Coder-Session-Token", token)];
        app.bare(method.clone(), path, &headers)
            .await
            .assert_status(400);
    }
    for headers in [
        &[("Coder-Session-Token", TOKEN)][..],
        &[("Coder-Session-Token", TOKEN), (BYPASS, "true")],
        &[],
    ] {
        let answer = app.bare(method.clone(), path, headers).await;
        assert_too_many(&answer, LOGIN);
    }
}

#[tokio::test]
async fn a_disabled_limit_is_not_counted_and_has_no_headers() {
    let mut app = TestApp::anonymous();
    app.settings.rate_limits = Limits {
        general: None,
        login: Some(LOGIN),
    };
    for _ in 0..=LOGIN {
        assert_uncounted(&app.get(METHODS).await);
    }
    let (method, path) = &LOGIN_PATHS[0];
    for _ in 0..LOGIN {
        app.call(method.clone(), path).await.assert_status(400);
    }
    assert_too_many(&app.call(method.clone(), path).await, LOGIN);

    let mut app = TestApp::anonymous();
    app.settings.rate_limits = Limits {
        general: Some(GENERAL),
        login: None,
    };
    for _ in 0..=GENERAL {
        let answer = app.call(method.clone(), path).await;
        answer.assert_status(400);
        assert_uncounted(&answer);
    }
}

#[test]
fn default_limits_are_those_of_the_reference_server() {
    assert_eq!(
        usher_api::Settings::default().rate_limits,
        Limits {
            general: Some(512),
            login: Some(60),
        }
    );
}

#[tokio::test]
async fn converting_the_login_type_has_the_sign_in_limit() {
    let mut app = signed_in_as(Role::Member);
    app.users
        .expect_find_password_hash()
        .returning(|_| Ok(None));
    let path = "/api/v2/users/me/convert-login";
    let body = json!({"to_type": "oidc", "password": "wrong"});
    for remaining in (0..LOGIN).rev() {
        let answer = app.post(path, body.clone()).await;
        answer.assert_status(401);
        assert_counts(&answer, LOGIN, remaining);
    }
    assert_too_many(&app.post(path, body).await, LOGIN);
    app.get(ME).await.assert_status(200);
}

fn password_of(user: &str) -> String {
    format!("/api/v2/users/{user}/password")
}

/// A password change that is rejected because of its body, or earlier.
async fn change_password(app: &mut TestApp, user: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = app.request(Method::PUT, &password_of(user));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from("{}"));
    app.answer(request.expect("a good request")).await
}

/// A caller whose password changes are rejected because of their bodies.
fn app_for_passwords(role: Role) -> TestApp {
    let mut app = signed_in_as(role);
    app.settings.rate_limits.general = Some(1_000);
    app.knows(alice());
    app.users
        .expect_find_password_hash()
        .returning(|_| Ok(None));
    app.audit.expect_record_failure().returning(|_, _| Ok(()));
    app
}

#[tokio::test]
async fn password_changes_are_counted_by_target_user() {
    let spellings = |id: UserId, name: &str| {
        vec![
            name.to_owned(),
            name.to_uppercase(),
            format!("%{:02X}{}", name.as_bytes()[0], &name[1..]),
            id.to_string(),
            id.to_string().to_uppercase(),
            id.to_string().replace('-', ""),
        ]
    };
    let mut mine = spellings(CALLER, "caller");
    mine.push("me".into());
    for (role, spellings) in [
        (Role::Member, mine),
        (Role::Owner, spellings(ALICE, "alice")),
    ] {
        let mut app = app_for_passwords(role);
        for spelling in spellings.iter().cycle().take(LOGIN as usize) {
            let answer = change_password(&mut app, spelling, &[]).await;
            answer.assert_status(400);
        }
        for spelling in &spellings {
            let answer = change_password(&mut app, spelling, &[]).await;
            answer.assert_status(429);
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        }
        // Changes for another user are counted separately.
        if role == Role::Owner {
            change_password(&mut app, "me", &[])
                .await
                .assert_status(400);
        }
    }
}

#[tokio::test]
async fn password_changes_report_the_stricter_limit() {
    let mut app = app_for_passwords(Role::Member);
    for remaining in (0..LOGIN).rev() {
        let answer = change_password(&mut app, "me", &[]).await;
        answer.assert_status(400);
        assert_counts(&answer, LOGIN, remaining);
    }
    assert_too_many(&change_password(&mut app, "me", &[]).await, LOGIN);
}

#[tokio::test]
async fn a_hidden_user_is_reported_as_missing_before_the_limit_applies() {
    let mut app = app_for_passwords(Role::Member);
    for _ in 0..=LOGIN {
        change_password(&mut app, "alice", &[])
            .await
            .assert_status(400);
    }
}

#[tokio::test]
async fn owners_may_bypass_the_password_change_limit() {
    for value in ["true", "1", "t", "T", "TRUE", "True"] {
        let mut app = app_for_passwords(Role::Owner);
        for _ in 0..=LOGIN {
            change_password(&mut app, "alice", &[(BYPASS, value)])
                .await
                .assert_status(400);
        }
        // Requests that bypass the limit are not counted.
        change_password(&mut app, "alice", &[])
            .await
            .assert_status(400);
    }
}

#[tokio::test]
async fn only_owners_may_bypass_the_limit() {
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Owner) {
        let mut app = app_for_passwords(role);
        for _ in 0..=LOGIN {
            change_password(&mut app, "me", &[(BYPASS, "true")])
                .await
                .assert_status(428);
        }
    }
}

#[tokio::test]
async fn a_false_bypass_header_is_ignored() {
    for value in ["false", "0", "", "yes", "tRUE", " "] {
        let mut app = app_for_passwords(Role::Owner);
        for _ in 0..LOGIN {
            change_password(&mut app, "alice", &[(BYPASS, value)])
                .await
                .assert_status(400);
        }
        change_password(&mut app, "alice", &[(BYPASS, value)])
            .await
            .assert_status(429);
    }
}

#[tokio::test]
async fn the_general_limit_cannot_be_bypassed() {
    let mut app = signed_in_as(Role::Owner);
    let headers = [("Coder-Session-Token", TOKEN), (BYPASS, "true")];
    for _ in 0..GENERAL {
        app.get_with(ME, &headers).await.assert_status(200);
    }
    assert_too_many(&app.get_with(ME, &headers).await, GENERAL);
}

#[tokio::test]
async fn without_a_password_change_limit_the_bypass_header_is_ignored() {
    let mut app = app_for_passwords(Role::Member);
    app.settings.rate_limits = Limits::NONE;
    for _ in 0..=LOGIN {
        change_password(&mut app, "me", &[(BYPASS, "true")])
            .await
            .assert_status(400);
    }
}

#[tokio::test]
async fn every_private_route_counts_its_callers() {
    let mut app = signed_in_as(Role::Owner);
    app.settings.rate_limits.general = Some(1);
    answer_everything(&mut app);
    let mut paths = Vec::new();
    for (n, operation) in operations().into_iter().enumerate() {
        if is_public(&operation.name()) || paths.contains(&operation.template) {
            continue;
        }
        paths.push(operation.template.clone());
        let path = operation.path_of("alice", &Uuid::from_u128(n as u128).to_string());
        for status in [None, Some(429)] {
            let answer = app
                .send(operation.method.clone(), &path, operation.body_text())
                .await;
            assert!(answer.header("x-ratelimit-limit").is_some(), "{answer:?}");
            if let Some(status) = status {
                answer.assert_status(status);
            } else {
                assert_ne!(answer.status, 429, "{answer:?}");
            }
        }
    }
}
