//! `POST /users/login`.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use usher_domain::{
    ApiToken, LoginType, PasswordHash, Scope, User, UserStatus,
    audit::{AuditAction, AuditResource},
    password_hash::{HashCost, Scratch},
};
use usher_store::{Conflict, PasswordAccount};
use uuid::Uuid;

use crate::{
    app::{Answer, CHEAP, CLIENT, TestApp},
    people::{ALICE, STRONG, TOKEN, alice, now},
};

const PATH: &str = "/api/v2/users/login";
/// Longer than a response takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn hash(cost: HashCost) -> PasswordHash {
    PasswordHash::argon2id(&STRONG.into(), [3; 16], cost, &mut Scratch::default())
}

fn account(user: User) -> PasswordAccount {
    PasswordAccount {
        user,
        password: hash(CHEAP),
        passcode: None,
    }
}

/// The store has this account with alice's e-mail address.
fn app(account: PasswordAccount) -> TestApp {
    let mut app = TestApp::anonymous();
    app.sessions
        .expect_find_password_account()
        .times(1)
        .return_once(|email| {
            let is_hers = email.as_str().eq_ignore_ascii_case("alice@example.com");
            Ok(is_hers.then_some(account))
        });
    app
}

/// Expects the audit entry of a rejected sign-in by a known user.
fn expect_failure(app: &mut TestApp, status: u16) {
    app.audit
        .expect_record_failure()
        .withf(move |entry, by| {
            entry.action == AuditAction::Login
                && entry.resource == AuditResource::ApiKey
                && entry.resource_id == Uuid::nil()
                && entry.target.is_empty()
                && by.initiator.user_id == ALICE
                && by.initiator.key_id.is_none()
                && by.status_code == status
        })
        .times(1)
        .return_once(|_, _| Ok(()));
}

fn with(password: &str) -> Value {
    json!({"email": "alice@example.com", "password": password})
}

async fn unknown() -> Answer {
    let mut app = app(account(alice()));
    let body = json!({"email": "missing@example.com", "password": STRONG});
    app.post(PATH, body).await
}

#[tokio::test]
async fn the_correct_password_returns_a_session_in_the_body_and_a_cookie() {
    let mut app = app(account(alice()));
    app.sessions
        .expect_log_in()
        .withf(|key, checked, rehashed, by| {
            key.user_id == ALICE
                && key.login_type == LoginType::Password
                && key.scopes == [Scope::ALL]
                && key.lifetime_seconds == 86_400
                && key.expires_at == now() + TimeDelta::days(1)
                && key.ip == Some(CLIENT.into())
                && *checked == hash(CHEAP)
                && rehashed.is_none()
                && by.initiator.user_id == ALICE
                && by.initiator.key_id.is_none()
                && by.status_code == 201
        })
        .times(1)
        .return_once(|_, _, _, _| Ok(()));

    let answer = app.post(PATH, with(STRONG)).await;

    answer.assert_status(201);
    let token = answer.json["session_token"].as_str().expect("a token");
    assert!(ApiToken::parse(token).is_ok());
    assert_eq!(answer.json.as_object().map(serde_json::Map::len), Some(1));
    let cookie = format!("coder_session_token={token}; HttpOnly; SameSite=Lax; Path=/");
    assert_eq!(answer.cookies(), [cookie]);
}

#[tokio::test]
async fn the_cookie_attributes_are_configurable() {
    let mut app = app(account(alice()));
    app.settings.secure_auth_cookie = true;
    app.settings.same_site_auth_cookie = usher_api::SameSite::None;
    app.sessions
        .expect_log_in()
        .return_once(|_, _, _, _| Ok(()));

    let answer = app.post(PATH, with(STRONG)).await;

    let cookie = answer.cookies()[0];
    assert!(cookie.contains("; Secure"), "{cookie}");
    assert!(cookie.contains("; SameSite=None"), "{cookie}");
    for absent in ["Max-Age", "Expires", "Domain"] {
        assert!(!cookie.contains(absent), "{cookie}");
    }
}

#[tokio::test]
async fn the_email_address_is_case_insensitive() {
    let mut app = app(account(alice()));
    app.sessions
        .expect_log_in()
        .return_once(|_, _, _, _| Ok(()));
    let body = json!({"email": "ALICE@Example.com", "password": STRONG});
    app.post(PATH, body).await.assert_status(201);
}

#[tokio::test]
async fn all_failed_sign_ins_get_the_same_response() {
    let none = PasswordAccount {
        password: PasswordHash::none(),
        ..account(User {
            login_type: LoginType::Github,
            ..alice()
        })
    };
    let damaged = PasswordAccount {
        password: PasswordHash::from_stored("$argon2id$damaged".into()),
        ..account(alice())
    };
    let suspended = account(User {
        status: UserStatus::Suspended,
        ..alice()
    });
    let expected = unknown().await;
    expected.assert_status(401);
    assert!(expected.cookies().is_empty());
    assert!(expected.header("www-authenticate").is_none());
    for (case, account, password) in [
        ("wrong", account(alice()), "wrong"),
        ("long", account(alice()), &"x".repeat(500_000)),
        ("none", none.clone(), STRONG),
        ("damaged", damaged, STRONG),
        ("suspended", suspended, "wrong"),
        ("a well-known word", none.clone(), "hello"),
        ("another unknown account", none, "other-password"),
    ] {
        let mut app = app(account);
        expect_failure(&mut app, 401);
        let answer = app.post(PATH, with(password)).await;
        answer.assert_status(401);
        assert_eq!(answer.text, expected.text, "{case}");
        assert!(answer.cookies().is_empty(), "{case}");
    }
}

// The pending audit write occupies one thread; the response must not need it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejecting_a_known_account_takes_no_longer_than_an_unknown_one() {
    let (has_answered, answered) = mpsc::channel();
    let answered = Mutex::new(answered);
    let mut app = app(account(alice()));
    app.audit.expect_record_failure().returning(move |_, _| {
        let answered = answered.lock().unwrap();
        // Without a response by then, it waits for the audit entry.
        let _ = answered.recv_timeout(PATIENCE);
        Ok(())
    });

    let answer = app.post(PATH, with("wrong")).await;
    let _ = has_answered.send(());

    answer.assert_status(401);
    assert!(
        answer.took < PATIENCE,
        "the answer waited for the audit row"
    );
}

#[tokio::test]
async fn suspension_is_reported_only_with_the_correct_password() {
    let mut app = app(account(User {
        status: UserStatus::Suspended,
        ..alice()
    }));
    expect_failure(&mut app, 401);

    let answer = app.post(PATH, with(STRONG)).await;

    answer.assert_status(401);
    assert!(answer.message().contains("\"suspended\""), "{answer:?}");
    assert!(answer.cookies().is_empty());
}

#[tokio::test]
async fn a_dormant_user_may_sign_in() {
    let mut app = app(account(User {
        status: UserStatus::Dormant,
        ..alice()
    }));
    app.sessions
        .expect_log_in()
        .times(1)
        .return_once(|_, _, _, _| Ok(()));
    app.post(PATH, with(STRONG)).await.assert_status(201);
}

#[tokio::test]
async fn disabled_password_sign_in_is_reported_only_with_the_correct_password() {
    for (password, status) in [(STRONG, 403), ("wrong", 401)] {
        let mut app = app(account(alice()));
        app.settings.password_auth = false;
        expect_failure(&mut app, status);
        app.post(PATH, with(password)).await.assert_status(status);
    }
}

#[tokio::test]
async fn another_login_type_is_reported_only_with_the_correct_password() {
    let mut app = app(account(User {
        login_type: LoginType::Oidc,
        ..alice()
    }));
    expect_failure(&mut app, 403);

    let answer = app.post(PATH, with(STRONG)).await;

    answer.assert_status(403);
    assert!(answer.message().contains("oidc"), "{answer:?}");
    assert!(answer.message().contains("password"), "{answer:?}");
}

#[tokio::test]
async fn an_outdated_hash_is_replaced() {
    let older = hash(HashCost {
        memory_kib: 16,
        ..CHEAP
    });
    let mut app = app(PasswordAccount {
        password: older.clone(),
        ..account(alice())
    });
    app.sessions
        .expect_log_in()
        .withf(move |_, checked, rehashed, _| {
            *checked == older
                && rehashed
                    .as_ref()
                    .is_some_and(|hash| hash.as_str().contains("$m=8,t=1,p=1$"))
        })
        .times(1)
        .return_once(|_, _, _, _| Ok(()));

    app.post(PATH, with(STRONG)).await.assert_status(201);
}

#[tokio::test]
async fn a_concurrently_changed_password_creates_no_session() {
    let mut app = app(account(alice()));
    app.sessions
        .expect_log_in()
        .return_once(|_, _, _, _| Err(Conflict::StaleCredential.into()));

    let answer = app.post(PATH, with(STRONG)).await;

    answer.assert_status(401);
    assert!(answer.cookies().is_empty());
}

#[tokio::test]
async fn validation_errors_are_reported_in_field_order() {
    let mut app = TestApp::anonymous();
    for (body, fields) in [
        (json!({}), &["email", "password"][..]),
        (json!({"email": "alice", "password": "x"}), &["email"]),
        (
            json!({"email": " alice@example.com", "password": "x"}),
            &["email"],
        ),
        (
            json!({"email": "alice@example.com\u{0}", "password": "x"}),
            &["email"],
        ),
        (
            json!({"email": "alice@example.com", "password": ""}),
            &["password"],
        ),
        (json!({"email": "alice@example.com", "password": 1}), &[]),
    ] {
        app.post(PATH, body).await.assert_faults(fields);
    }
}

#[tokio::test]
async fn an_existing_session_is_never_reused() {
    let mut app = app(account(alice()));
    app.sessions
        .expect_log_in()
        .withf(|key, _, _, _| key.id.as_str() != "abcdefghij")
        .return_once(|_, _, _, _| Ok(()));
    let request = http::Request::post(PATH)
        .header("Cookie", format!("coder_session_token={TOKEN}"))
        .header("Coder-Session-Token", TOKEN)
        .body(with(STRONG).to_string().into())
        .expect("a good request");

    let answer = app.answer(request).await;

    answer.assert_status(201);
    assert_ne!(answer.json["session_token"], TOKEN);
}
