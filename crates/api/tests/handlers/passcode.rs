//! `/users/otp/…`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use usher_domain::{
    LoginType, PasswordHash, UserStatus,
    audit::{AuditAction, AuditResource},
    password_hash::Scratch,
};
use usher_store::{PasswordAccount, StoreError};
use uuid::Uuid;

use crate::{
    app::{CHEAP, TestApp},
    people::{ALICE, STRONG, alice, now},
};

const REQUEST: &str = "/api/v2/users/otp/request";
const CHANGE: &str = "/api/v2/users/otp/change-password";
const CURRENT: &str = "SomeSecurePassword!";
const PASSCODE: &str = "5b0c7e1e-6f0b-4b0e-9d4f-0d6d2f5b7a11";

/// A stored passcode with few iterations.
fn stored() -> PasswordHash {
    PasswordHash::argon2id(&PASSCODE.into(), [9; 16], CHEAP, &mut Scratch::default())
}

fn account(passcode: Option<(PasswordHash, DateTime<Utc>)>) -> PasswordAccount {
    PasswordAccount {
        user: alice(),
        password: PasswordHash::argon2id(&CURRENT.into(), [3; 16], CHEAP, &mut Scratch::default()),
        passcode,
    }
}

fn app(account: Option<PasswordAccount>) -> TestApp {
    let mut app = TestApp::anonymous();
    app.sessions
        .expect_find_password_account()
        .returning(move |_| Ok(account.clone()));
    app
}

/// A user with a passcode that is valid for another minute.
fn app_with_passcode() -> TestApp {
    app(Some(account(Some((
        stored(),
        now() + TimeDelta::minutes(1),
    )))))
}

/// Expects the audit entry of a rejected change by a known user.
fn expect_failure(app: &mut TestApp) {
    app.audit
        .expect_record_failure()
        .withf(|entry, by| {
            entry.action == AuditAction::Write
                && entry.resource == AuditResource::User
                && entry.resource_id == ALICE.0
                && by.initiator.user_id == ALICE
                && by.status_code == 400
        })
        .times(1)
        .return_once(|_, _| Ok(()));
}

fn to(password: &str, passcode: &str) -> Value {
    json!({"email": "alice@example.com", "password": password, "one_time_passcode": passcode})
}

#[tokio::test]
async fn a_passcode_is_valid_for_twenty_minutes_and_not_returned() {
    let mut app = app(Some(account(None)));
    app.users
        .expect_set_passcode()
        .withf(|user, passcode, by| {
            *user == ALICE
                && passcode.hash.as_str().starts_with("$pbkdf2-sha256$65535$")
                && passcode.expires_at == now() + TimeDelta::minutes(20)
                && by.initiator.user_id == ALICE
                && by.status_code == 204
        })
        .times(1)
        .return_once(|_, _, _| Ok(Some(true)));

    let answer = app
        .post(REQUEST, json!({"email": "alice@example.com"}))
        .await;

    answer.assert_status(204);
    assert_eq!(answer.text, "");
}

#[tokio::test]
async fn the_passcode_is_a_random_uuid_and_stored_hashed() {
    let mut app = app(Some(account(None)));
    app.users
        .expect_set_passcode()
        .withf(|_, passcode, _| {
            let text = passcode.text.expose_secret();
            let id = Uuid::parse_str(text).expect("a UUID");
            id.get_version_num() == 4
                && id.to_string() == text
                && passcode
                    .hash
                    .verify(&passcode.text, &mut Scratch::default())
        })
        .times(1)
        .return_once(|_, _, _| Ok(Some(true)));
    app.post(REQUEST, json!({"email": "alice@example.com"}))
        .await
        .assert_status(204);
}

#[tokio::test]
async fn an_undeliverable_passcode_is_not_reported() {
    for outcome in [Some(false), None] {
        let mut app = app(Some(account(None)));
        app.users
            .expect_set_passcode()
            .return_once(move |_, _, _| Ok(outcome));
        let answer = app
            .post(REQUEST, json!({"email": "alice@example.com"}))
            .await;
        answer.assert_status(204);
        assert_eq!(answer.text, "");
    }
}

#[tokio::test]
async fn any_existing_user_may_request_a_passcode() {
    for (status, login_type) in [
        (UserStatus::Suspended, LoginType::Password),
        (UserStatus::Dormant, LoginType::Password),
        (UserStatus::Active, LoginType::Oidc),
    ] {
        let mut account = account(None);
        account.user.status = status;
        account.user.login_type = login_type;
        let mut app = app(Some(account));
        app.users
            .expect_set_passcode()
            .times(1)
            .return_once(|_, _, _| Ok(Some(true)));
        app.post(REQUEST, json!({"email": "alice@example.com"}))
            .await
            .assert_status(204);
    }
}

/// The minimum duration of responses to valid requests.
const FLOOR: Duration = Duration::from_millis(100);

#[tokio::test]
async fn responses_take_a_minimum_time_that_hides_the_work() {
    let mut known = app(Some(account(None)));
    known
        .users
        .expect_set_passcode()
        .returning(|_, _, _| Ok(Some(true)));
    let mut at_fault = app(Some(account(None)));
    at_fault
        .users
        .expect_set_passcode()
        .returning(|_, _, _| Err(StoreError::Unavailable("away".into())));
    for mut app in [known, at_fault, app(None)] {
        let answer = app
            .post(REQUEST, json!({"email": "alice@example.com"}))
            .await;
        answer.assert_status(204);
        assert!(answer.took >= FLOOR, "{answer:?}");
    }
}

#[tokio::test]
async fn an_unknown_email_address_gets_the_same_response() {
    let body = json!({"email": "missing@example.com"});
    let answer = app(None).post(REQUEST, body).await;
    answer.assert_status(204);
    assert_eq!(answer.text, "");
}

#[tokio::test]
async fn an_error_that_only_affects_known_email_addresses_is_not_reported() {
    let mut app = app(Some(account(None)));
    app.users
        .expect_set_passcode()
        .return_once(|_, _, _| Err(StoreError::Internal("a fault".into())));
    app.may_be_at_fault = true;

    let answer = app
        .post(REQUEST, json!({"email": "alice@example.com"}))
        .await;

    answer.assert_status(204);
}

#[tokio::test]
async fn disabled_password_sign_in_is_reported_before_the_body_is_read() {
    for path in [REQUEST, CHANGE] {
        let mut app = TestApp::anonymous();
        app.settings.password_auth = false;
        app.send(http::Method::POST, path, "{")
            .await
            .assert_status(403);
    }
}

#[tokio::test]
async fn validation_errors_are_reported_in_field_order() {
    let mut app = TestApp::anonymous();
    for body in [
        json!({}),
        json!({"email": "alice"}),
        json!({"email": "a@b.cd\u{0}"}),
    ] {
        app.post(REQUEST, body).await.assert_faults(&["email"]);
    }
    app.post(CHANGE, json!({}))
        .await
        .assert_faults(&["email", "password", "one_time_passcode"]);
    app.post(CHANGE, to(STRONG, ""))
        .await
        .assert_faults(&["one_time_passcode"]);
    app.post(CHANGE, to("weak", "wrong"))
        .await
        .assert_faults(&["password"]);
}

#[tokio::test]
async fn the_correct_passcode_sets_the_password_and_no_cookie() {
    let mut app = app_with_passcode();
    app.users
        .expect_consume_passcode()
        .withf(|user, passcode, password, by| {
            *user == ALICE
                && *passcode == stored()
                && password.verify(&STRONG.into(), &mut Scratch::default())
                && by.initiator.user_id == ALICE
                && by.status_code == 204
        })
        .times(1)
        .return_once(|_, _, _, _| Ok(Some(())));

    let answer = app.post(CHANGE, to(STRONG, PASSCODE)).await;

    answer.assert_status(204);
    assert!(answer.cookies().is_empty());
}

#[tokio::test]
async fn all_invalid_passcodes_get_the_same_response() {
    let unknown = app(None).post(CHANGE, to(STRONG, PASSCODE)).await;
    unknown.assert_faults(&[]);
    let without = app(Some(account(None)))
        .post(CHANGE, to(STRONG, PASSCODE))
        .await;
    assert_eq!(without.text, unknown.text);

    let over = account(Some((stored(), now() - TimeDelta::microseconds(1))));
    let good = account(Some((stored(), now() + TimeDelta::minutes(1))));
    for (account, passcode) in [
        (over, PASSCODE),
        (good.clone(), "wrong"),
        (good.clone(), &PASSCODE.to_uppercase()),
        (good, &format!("{PASSCODE} ")),
    ] {
        let mut app = app(Some(account));
        expect_failure(&mut app);
        let answer = app.post(CHANGE, to(STRONG, passcode)).await;
        answer.assert_status(400);
        assert_eq!(answer.text, unknown.text);
    }
}

/// The minimum duration of rejecting a wrong passcode.
async fn least_time(account: Option<PasswordAccount>) -> Duration {
    let mut app = app(account);
    app.audit.expect_record_failure().returning(|_, _| Ok(()));
    let mut least = Duration::MAX;
    for _ in 0..2 {
        let answer = app.post(CHANGE, to(STRONG, "wrong")).await;
        answer.assert_status(400);
        least = least.min(answer.took);
    }
    least
}

#[tokio::test]
async fn the_response_takes_as_long_without_a_stored_passcode() {
    let pending = PasswordHash::pbkdf2(&PASSCODE.into(), [9; 16]);
    let with = account(Some((pending, now() + TimeDelta::minutes(1))));
    for without in [None, Some(account(None))] {
        // Load on the machine does not affect every run.
        let mut is_alike = false;
        for _ in 0..20 {
            let known = least_time(Some(with.clone())).await;
            is_alike = is_alike || least_time(without.clone()).await > known / 3;
            if is_alike {
                break;
            }
        }
        assert!(is_alike);
    }
}

#[tokio::test]
async fn a_wrong_passcode_is_reported_before_an_unchanged_password() {
    let unknown = app(None).post(CHANGE, to(CURRENT, PASSCODE)).await;
    let mut app = app_with_passcode();
    expect_failure(&mut app);
    let answer = app.post(CHANGE, to(CURRENT, "wrong")).await;
    assert_eq!(answer.text, unknown.text);
}

#[tokio::test]
async fn an_unchanged_password_does_not_consume_the_passcode() {
    let mut app = app_with_passcode();
    expect_failure(&mut app);
    let answer = app.post(CHANGE, to(CURRENT, PASSCODE)).await;
    answer.assert_status(400);
    assert!(
        answer
            .message()
            .contains("New password cannot match old password.")
    );
}

#[tokio::test]
async fn a_concurrently_used_passcode_is_invalid() {
    let unknown = app(None).post(CHANGE, to(STRONG, PASSCODE)).await;
    let mut app = app_with_passcode();
    app.users
        .expect_consume_passcode()
        .return_once(|_, _, _, _| Ok(None));
    expect_failure(&mut app);
    let answer = app.post(CHANGE, to(STRONG, PASSCODE)).await;
    assert_eq!(answer.text, unknown.text);
}
