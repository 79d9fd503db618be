//! Completing the conversion to another login type.

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::{ExposeSecret as _, SecretBox};
use serde_json::{Value, json};
use usher_domain::{LoginType, User, UserId, sign_in::SignInRejection};
use usher_store::{
    Conflict, Conversion, Credential, SignInOutcome, SigningFeature, SigningKey, StoreError,
};
use uuid::Uuid;

use crate::{
    app::{Answer, TestApp},
    people::{ALICE, CALLER, Role, TOKEN, alice, credential, key_id, now},
    providers::{
        GITHUB, OIDC, SECOND, app_with_providers, client_that_says, cookie, identity, offered,
        sign_states,
    },
    stores::{PASSWORD, hash, signing_key},
};

const DEPLOYMENT: Uuid = Uuid::from_u128(0xdeb);
const JWT: &str = "coder_oauth_convert_jwt";

fn caller() -> User {
    credential(Role::Member).user
}

/// The signing keys of conversions: number 3 may verify.
fn know_keys(app: &mut TestApp) {
    app.signing_keys
        .expect_signing_key()
        .withf(|feature, _, _| *feature == SigningFeature::OidcConvert)
        .returning(|_, _, _| Ok(signing_key()));
    app.signing_keys
        .expect_find_signing_key()
        .withf(|feature, _, at| *feature == SigningFeature::OidcConvert && *at == now())
        .returning(|_, sequence, _| Ok((sequence == 3).then(signing_key)));
    sign_states(app);
}

/// GitHub and an OpenID provider that both identify the caller.
fn app_of(found: Option<User>) -> TestApp {
    let of = |login_type| {
        offered(client_that_says(login_type, move |_| {
            Ok(identity(login_type))
        }))
    };
    let mut app = app_with_providers(
        Some(of(LoginType::Github)),
        vec![of(LoginType::Oidc), of(LoginType::Oidc)],
    );
    app.settings.deployment_id = DEPLOYMENT;
    know_keys(&mut app);
    app.external_logins
        .expect_find_user()
        .returning(move |_| Ok(found.clone()));
    app
}

fn app() -> TestApp {
    app_of(Some(caller()))
}

/// The state and cookie that the conversion request returns.
async fn ask(to_type: &str) -> (String, String) {
    let mut app = TestApp::signed_in_as(Role::Member);
    app.settings.deployment_id = DEPLOYMENT;
    know_keys(&mut app);
    app.users
        .expect_find_password_hash()
        .returning(|_| Ok(Some(hash())));
    app.audit.expect_record_failure().returning(|_, _| Ok(()));
    let body = json!({"to_type": to_type, "password": PASSWORD});
    let answer = app.post("/api/v2/users/me/convert-login", body).await;
    answer.assert_status(201);
    let state = answer.json["state_string"].as_str().expect("a text");
    (state.to_owned(), cookie(&answer, JWT).expect("a cookie"))
}

async fn come_back(app: &mut TestApp, path: &str, state: &str, cookies: &str) -> Answer {
    let cookies = format!("oauth_state={state}{cookies}");
    let url = format!("{path}?code=c&state={state}");
    app.get_with(&url, &[("Cookie", &cookies)]).await
}

fn with_outcome(mut app: TestApp, outcome: SignInOutcome) -> TestApp {
    app.external_logins
        .expect_convert()
        .returning(move |_, _| Ok(outcome.clone()));
    app
}

fn changed() -> SignInOutcome {
    SignInOutcome::SignedIn {
        user: Box::new(caller()),
        is_new: false,
    }
}

/// Expects no change and one audit entry without a user.
async fn assert_refused(mut app: TestApp, path: &str, state: &str, cookies: &str, status: u16) {
    app.audit
        .expect_record_failure()
        .withf(move |_, by| by.initiator.user_id == UserId(Uuid::nil()) && by.status_code == status)
        .times(1)
        .returning(|_, _| Ok(()));
    let answer = come_back(&mut app, path, state, cookies).await;
    answer.assert_status(status);
    assert_ne!(answer.message(), "");
    assert!(answer.cookies().is_empty(), "{answer:?}");
}

#[tokio::test]
async fn the_state_of_the_conversion_request_is_used() {
    let (state, _) = ask("oidc").await;
    for path in [GITHUB, OIDC, SECOND] {
        let answer = app().get(&format!("{path}?oidc_merge_state={state}")).await;
        answer.assert_status(307);
        assert_eq!(cookie(&answer, "oauth_state"), Some(state.clone()));
        let location = answer.header("location").expect("a location");
        assert!(location.contains(&state), "{location}");
    }
}

#[tokio::test]
async fn the_old_session_is_replaced_by_one_of_the_new_login_type() {
    let (state, jwt) = ask("oidc").await;
    for path in [OIDC, SECOND] {
        let mut app = app();
        let session = credential(Role::Member);
        app.sessions
            .expect_find_credential()
            .returning(move |_| Ok(Some(session.clone())));
        app.external_logins
            .expect_convert()
            .withf(|asked: &Conversion, by| {
                asked.user_id == CALLER
                    && asked.identity.login_type == LoginType::Oidc
                    && asked.ended == Some(key_id())
                    && asked.key.is_none()
                    && asked.replaces == hash().fingerprint()
                    && by.initiator.user_id == CALLER
                    && by.status_code == 307
            })
            .times(1)
            .returning(|_, _| Ok(changed()));
        let cookies = format!("; {JWT}={jwt}; coder_session_token={TOKEN}");
        let answer = come_back(&mut app, path, &state, &cookies).await;
        answer.assert_status(307);
        assert_eq!(answer.header("location"), Some("/"));
        let mut set = answer.cookies();
        set.sort_unstable();
        assert_eq!(
            set,
            [
                "coder_oauth_convert_jwt=; Path=/; Max-Age=0",
                "coder_session_token=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0",
            ]
        );
    }
}

#[tokio::test]
async fn a_browser_without_a_session_gets_one() {
    let (state, jwt) = ask("github").await;
    let spoiled: [fn(&mut Credential); 3] = [
        |it| it.hashed_secret = vec![7; 32],
        |it| it.key.expires_at = now() - TimeDelta::seconds(1),
        // Another user, whose session is not affected.
        |it| it.user.id = ALICE,
    ];
    let sessions = spoiled.into_iter().map(|spoil| {
        let mut credential = credential(Role::Member);
        spoil(&mut credential);
        Some(credential)
    });
    for session in sessions.chain([None]) {
        let mut app = app();
        app.sessions
            .expect_find_credential()
            .returning(move |_| Ok(session.clone()));
        app.external_logins
            .expect_convert()
            .withf(|asked, _| {
                let key = asked.key.as_ref().expect("a session");
                asked.ended.is_none()
                    && key.user_id == CALLER
                    && key.login_type == LoginType::Github
            })
            .times(1)
            .returning(|_, _| Ok(changed()));
        let cookies = format!("; {JWT}={jwt}; coder_session_token={TOKEN}");
        let answer = come_back(&mut app, GITHUB, &state, &cookies).await;
        answer.assert_status(307);
        let session = cookie(&answer, "coder_session_token").expect("a session");
        assert_eq!(session.len(), TOKEN.len());
    }
}

#[tokio::test]
async fn an_unlinked_account_changes_nothing_and_creates_no_user() {
    let (state, jwt) = ask("oidc").await;
    let cookies = format!("; {JWT}={jwt}");
    assert_refused(app_of(None), OIDC, &state, &cookies, 400).await;
}

#[tokio::test]
async fn without_a_valid_cookie_nothing_is_changed() {
    let (state, jwt) = ask("oidc").await;
    let mut spoiled = jwt.clone();
    let last = spoiled.pop().expect("a letter");
    spoiled.push(if last == 'A' { 'B' } else { 'A' });
    for cookie in [
        String::new(),
        format!("; {JWT}="),
        format!("; {JWT}=abc"),
        format!("; {JWT}=eyJhbGciOiJIUzUxMiIsImtpZCI6IjMifQ.e30.c2lnbmF0dXJl"),
        format!("; {JWT}=eyJhbGciOiJIUzUxMiJ9.e30.c2lnbmF0dXJl"),
        format!("; {JWT}={spoiled}"),
        format!(
            "; {JWT}={}",
            signed(&claims(&state), &forger(), "3", Algorithm::HS512)
        ),
        format!(
            "; {JWT}={}",
            signed(&claims(&state), &signing_key(), "4", Algorithm::HS512)
        ),
        format!(
            "; {JWT}={}",
            signed(&claims(&state), &signing_key(), "x", Algorithm::HS512)
        ),
        format!(
            "; {JWT}={}",
            signed(&claims(&state), &signing_key(), "3", Algorithm::HS256)
        ),
    ] {
        assert_refused(app(), OIDC, &state, &cookie, 400).await;
    }
}

#[tokio::test]
async fn the_cookie_expires() {
    let (state, _) = ask("oidc").await;
    let at = |nbf, exp| {
        let mut claims = claims(&state);
        claims["nbf"] = json!(now().timestamp() + nbf);
        claims["exp"] = json!(now().timestamp() + exp);
        format!(
            "; {JWT}={}",
            signed(&claims, &signing_key(), "3", Algorithm::HS512)
        )
    };
    for cookie in [at(-10, -1), at(1, 10)] {
        assert_refused(app(), OIDC, &state, &cookie, 400).await;
    }
    let mut app = with_outcome(app(), changed());
    let answer = come_back(&mut app, OIDC, &state, &at(0, 0)).await;
    answer.assert_status(307);
}

#[tokio::test]
async fn a_conversion_that_was_not_requested_is_forbidden() {
    let (state, _) = ask("oidc").await;
    let alice_id = ALICE.to_string();
    for (field, value) in [
        ("iss", json!(Uuid::from_u128(1).to_string())),
        ("state", json!("convert-other")),
        ("sub", json!("convert-other")),
        ("user_id", json!(alice_id)),
        ("aud", json!(alice_id)),
        ("from_login_type", json!("github")),
        ("to_login_type", json!("github")),
    ] {
        let mut claims = claims(&state);
        claims[field] = value;
        let cookie = signed(&claims, &signing_key(), "3", Algorithm::HS512);
        assert_refused(app(), OIDC, &state, &format!("; {JWT}={cookie}"), 403).await;
    }
}

#[tokio::test]
async fn only_the_requested_login_type_is_accepted() {
    let (state, jwt) = ask("oidc").await;
    assert_refused(app(), GITHUB, &state, &format!("; {JWT}={jwt}"), 403).await;
}

#[tokio::test]
async fn the_state_must_belong_to_the_requesting_user() {
    let (state, jwt) = ask("oidc").await;
    let app = app_of(Some(alice()));
    assert_refused(app, OIDC, &state, &format!("; {JWT}={jwt}"), 403).await;
}

#[tokio::test]
async fn a_conversion_request_can_be_used_only_once() {
    let (state, jwt) = ask("oidc").await;
    let moved = User {
        login_type: LoginType::Oidc,
        ..caller()
    };
    let app = app_of(Some(moved));
    assert_refused(app, OIDC, &state, &format!("; {JWT}={jwt}"), 403).await;
}

#[tokio::test]
async fn conflicts_in_the_store_prevent_the_conversion() {
    let (state, jwt) = ask("oidc").await;
    for (rejection, status) in [
        (SignInRejection::OtherLoginType(LoginType::Github), 403),
        (SignInRejection::OtherAccount, 403),
        (SignInRejection::PasswordChanged, 403),
        (SignInRejection::Suspended, 403),
        (SignInRejection::EmailTaken, 409),
    ] {
        let app = with_outcome(app(), SignInOutcome::Rejected(rejection));
        assert_refused(app, OIDC, &state, &format!("; {JWT}={jwt}"), status).await;
    }
    let mut deleted = app();
    deleted
        .external_logins
        .expect_convert()
        .returning(|_, _| Err(StoreError::Conflict(Conflict::UserDeleted)));
    assert_refused(deleted, OIDC, &state, &format!("; {JWT}={jwt}"), 400).await;
}

#[tokio::test]
async fn no_audit_entry_is_written_while_the_store_is_unavailable() {
    let (state, jwt) = ask("oidc").await;
    let mut app = app();
    app.external_logins
        .expect_convert()
        .returning(|_, _| Err(StoreError::Unavailable("away".into())));
    let answer = come_back(&mut app, OIDC, &state, &format!("; {JWT}={jwt}")).await;
    answer.assert_status(503);
    assert!(answer.cookies().is_empty(), "{answer:?}");
}

/// A foreign key with the same number.
fn forger() -> SigningKey {
    SigningKey {
        sequence: 3,
        secret: SecretBox::new(Box::new([6; 64])),
    }
}

fn claims(state: &str) -> Value {
    json!({
        "iss": DEPLOYMENT.to_string(),
        "sub": state,
        "aud": CALLER.to_string(),
        "exp": now().timestamp() + 300,
        "nbf": now().timestamp() - 1,
        "iat": now().timestamp(),
        "jti": "x",
        "user_id": CALLER.0,
        "state": state,
        "from_login_type": "password",
        "to_login_type": "oidc",
        "password": hash().fingerprint(),
    })
}

fn signed(claims: &Value, key: &SigningKey, kid: &str, algorithm: Algorithm) -> String {
    let header = Header {
        kid: Some(kid.into()),
        ..Header::new(algorithm)
    };
    let secret = EncodingKey::from_secret(key.secret.expose_secret());
    encode(&header, claims, &secret).expect("a token")
}
