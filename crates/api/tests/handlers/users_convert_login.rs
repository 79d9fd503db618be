//! `POST /users/{user}/convert-login`.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use secrecy::{ExposeSecret as _, SecretBox};
use serde_json::{Value, json};
use usher_domain::{
    LoginType, User, UserStatus,
    audit::{AuditAction, AuditResource},
};
use usher_store::{SigningFeature, SigningKey, StoreError};
use uuid::Uuid;

use crate::{
    app::{Answer, TestApp},
    people::{CALLER, Role, alice, credential, key_id, now},
    stores::{PASSWORD, hash, signing_key},
};

const MINE: &str = "/api/v2/users/me/convert-login";
const ALICES: &str = "/api/v2/users/alice/convert-login";
const COOKIE: &str = "coder_oauth_convert_jwt";
const DEPLOYMENT: Uuid = Uuid::from_u128(0xdeb);

fn to(login_type: &str, password: &str) -> Value {
    json!({"to_type": login_type, "password": password})
}

/// A caller whose password is [`PASSWORD`].
fn app(role: Role) -> TestApp {
    let mut app = TestApp::signed_in_as(role);
    app.settings.deployment_id = DEPLOYMENT;
    app.users
        .expect_find_password_hash()
        .returning(|_| Ok(Some(hash())));
    app
}

/// A caller for whom every store call of a conversion succeeds.
fn converting_app() -> TestApp {
    let mut app = app(Role::Member);
    app.signing_keys
        .expect_signing_key()
        .withf(|_, fresh, at| *at == now() && fresh.expose_secret().iter().any(|byte| *byte != 0))
        .returning(|feature, _, _| Ok(key_for(feature)));
    app.audit.expect_record_failure().returning(|_, _| Ok(()));
    app
}

/// The cookie and the state in it are signed with different keys.
fn key_for(feature: SigningFeature) -> SigningKey {
    match feature {
        SigningFeature::OidcConvert => signing_key(),
        SigningFeature::SignInState => SigningKey {
            sequence: 8,
            secret: SecretBox::new(Box::new([9; 64])),
        },
    }
}

/// The value and attributes of the only cookie.
fn cookie(answer: &Answer) -> Vec<&str> {
    let [cookie] = answer.cookies()[..] else {
        panic!("one cookie: {answer:?}");
    };
    let value = cookie
        .strip_prefix(COOKIE)
        .and_then(|rest| rest.strip_prefix('='))
        .expect("the cookie of conversions");
    value.split("; ").collect()
}

#[tokio::test]
async fn a_caller_with_the_correct_password_may_convert() {
    for to_type in ["oidc", "github"] {
        let answer = converting_app().post(MINE, to(to_type, PASSWORD)).await;
        answer.assert_status(201);
        let state = answer.json["state_string"].as_str().expect("a text");
        let random = state.strip_prefix("convert-").expect("the prefix");
        assert_eq!(random.len(), 32);
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(
            answer.json,
            json!({
                "state_string": state,
                "expires_at": "2026-01-02T03:09:05.678901Z",
                "to_type": to_type,
                "user_id": CALLER.0,
            })
        );
    }
}

#[tokio::test]
async fn the_cookie_is_http_only_and_expires_after_five_minutes() {
    let answer = converting_app().post(MINE, to("oidc", PASSWORD)).await;
    let mut attributes = cookie(&answer)[1..].to_vec();
    attributes.sort_unstable();
    assert_eq!(
        attributes,
        [
            "Expires=Fri, 02 Jan 2026 03:09:05 GMT",
            "HttpOnly",
            "Path=/",
            "SameSite=Lax"
        ]
    );

    let mut app = converting_app();
    app.settings.secure_auth_cookie = true;
    let answer = app.post(MINE, to("oidc", PASSWORD)).await;
    assert!(cookie(&answer).contains(&"Secure"), "{answer:?}");
}

#[tokio::test]
async fn the_cookie_contains_a_signed_token_with_the_request() {
    let answer = converting_app().post(MINE, to("oidc", PASSWORD)).await;
    let token = cookie(&answer)[0];

    let header = decode_header(token).expect("a header");
    assert_eq!(header.alg, Algorithm::HS512);
    assert_eq!(header.kid.as_deref(), Some("3"));

    let mut validation = Validation::new(Algorithm::HS512);
    validation.validate_exp = false;
    validation.set_audience(&[CALLER.to_string()]);
    let key = signing_key();
    let key = DecodingKey::from_secret(key.secret.expose_secret());
    let claims = decode::<Value>(token, &key, &validation)
        .expect("a token of that key")
        .claims;
    let state = &answer.json["state_string"];
    let jti = claims["jti"].as_str().expect("a text");
    assert!(!jti.is_empty());
    assert_eq!(
        claims,
        json!({
            "iss": DEPLOYMENT.to_string(),
            "sub": state,
            "aud": CALLER.to_string(),
            "exp": now().timestamp() + 300,
            "nbf": now().timestamp() - 1,
            "iat": now().timestamp(),
            "jti": jti,
            "user_id": CALLER.0,
            "state": state,
            "from_login_type": "password",
            "to_login_type": "oidc",
            "password": hash().fingerprint(),
        })
    );
}

#[tokio::test]
async fn the_request_is_audited_with_the_planned_change() {
    let mut app = app(Role::Member);
    app.signing_keys
        .expect_signing_key()
        .returning(|feature, _, _| Ok(key_for(feature)));
    app.audit
        .expect_record_failure()
        .withf(|entry, by| {
            entry.action == AuditAction::Create
                && entry.resource == AuditResource::ConvertLogin
                && entry.resource_id == CALLER.0
                && entry.target == "oidc"
                && entry.diff.to_json()
                    == json!({
                        "created_at": {
                            "old": "0001-01-01T00:00:00Z",
                            "new": "2026-01-02T03:04:05.678901Z",
                            "secret": false,
                        },
                        "expires_at": {
                            "old": "0001-01-01T00:00:00Z",
                            "new": "2026-01-02T03:09:05.678901Z",
                            "secret": false,
                        },
                        "from_login_type": {"old": "", "new": "password", "secret": false},
                        "to_login_type": {"old": "", "new": "oidc", "secret": false},
                        "user_id": {"old": "", "new": CALLER.0, "secret": false},
                    })
                && by.status_code == 201
                && by.initiator.user_id == CALLER
                && by.initiator.key_id == Some(key_id())
        })
        .times(1)
        .return_once(|_, _| Ok(()));
    app.post(MINE, to("oidc", PASSWORD))
        .await
        .assert_status(201);
}

#[tokio::test]
async fn if_auditing_fails_no_state_is_issued() {
    let mut app = app(Role::Member);
    app.signing_keys
        .expect_signing_key()
        .returning(|feature, _, _| Ok(key_for(feature)));
    app.audit
        .expect_record_failure()
        .return_once(|_, _| Err(StoreError::Unavailable("away".into())));
    let answer = app.post(MINE, to("oidc", PASSWORD)).await;
    answer.assert_status(503);
    assert!(answer.cookies().is_empty(), "{answer:?}");
}

#[tokio::test]
async fn the_body_is_validated_before_the_password() {
    let mut app = TestApp::signed_in_as(Role::Member);
    for (body, faults) in [
        (json!({}), &["to_type", "password"][..]),
        (Value::Null, &["to_type", "password"]),
        (to("", ""), &["to_type", "password"]),
        (to("oidc", ""), &["password"]),
        (json!({"to_type": "oidc", "password": null}), &["password"]),
        (to("", PASSWORD), &["to_type"]),
        (to("saml", ""), &["password"]),
        (to("none", "wrong"), &[]),
        (to("password", "wrong"), &[]),
        (to("token", "wrong"), &[]),
        (to("saml", "wrong"), &[]),
        (to("OIDC", "wrong"), &[]),
        (to(" oidc", "wrong"), &[]),
    ] {
        let answer = app.post(MINE, body).await;
        answer.assert_faults(faults);
        assert!(answer.cookies().is_empty());
    }
    app.send(http::Method::POST, MINE, "{")
        .await
        .assert_faults(&[]);
}

#[tokio::test]
async fn a_wrong_password_is_rejected() {
    for password in ["wrong", "SomeSecurePassword", &*"x".repeat(10_000)] {
        let answer = app(Role::Member).post(MINE, to("oidc", password)).await;
        answer.assert_status(401);
        assert!(answer.cookies().is_empty());
        assert!(answer.header("www-authenticate").is_none(), "{answer:?}");
    }
}

#[tokio::test]
async fn users_that_cannot_sign_in_by_password_cannot_convert() {
    let mut turned_off = app(Role::Member);
    turned_off.settings.password_auth = false;
    turned_off
        .post(MINE, to("oidc", PASSWORD))
        .await
        .assert_status(403);
    turned_off
        .post(MINE, to("oidc", "wrong"))
        .await
        .assert_status(401);

    let mut credential = credential(Role::Member);
    credential.user.login_type = LoginType::Oidc;
    let mut moved = TestApp::with_credential(credential);
    moved
        .users
        .expect_find_password_hash()
        .returning(|_| Ok(None));
    moved
        .post(MINE, to("github", PASSWORD))
        .await
        .assert_status(401);
}

#[tokio::test]
async fn callers_cannot_convert_others_or_test_their_passwords() {
    for role in Role::ALL {
        let mut app = app(role);
        app.knows(alice());
        let right = app.post(ALICES, to("oidc", PASSWORD)).await;
        right.assert_status(if role == Role::Member { 400 } else { 401 });
        assert!(right.cookies().is_empty(), "{right:?}");
        let wrong = app.post(ALICES, to("oidc", "wrong")).await;
        assert_eq!((right.status, right.text), (wrong.status, wrong.text));
    }
}

#[tokio::test]
async fn the_status_of_other_users_is_not_disclosed() {
    for (status, login_type) in [
        (UserStatus::Suspended, LoginType::Password),
        (UserStatus::Active, LoginType::Github),
    ] {
        let mut app = app(Role::Owner);
        app.knows(User {
            status,
            login_type,
            ..alice()
        });
        let answer = app.post(ALICES, to("oidc", PASSWORD)).await;
        answer.assert_status(401);
        assert_eq!(answer.message(), "Incorrect email or password.");
    }
}

#[tokio::test]
async fn no_password_is_correct_for_a_user_without_one() {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.users
        .expect_find_password_hash()
        .returning(|_| Ok(None));
    for password in ["x", "", " "] {
        let answer = app.post(MINE, to("oidc", password)).await;
        assert!([400, 401].contains(&answer.status.as_u16()), "{answer:?}");
    }
}
