//! Log output: requests can be found, and secrets are not logged.

use std::{
    cell::RefCell,
    io,
    sync::{
        Once,
        mpsc::{Receiver, channel},
    },
};

use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tracing_subscriber::{
    Layer as _, filter::dynamic_filter_fn, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};
use usher_store::StoreError;

use crate::{
    app::TestApp,
    people::{ALICE, Role, STRONG, TOKEN, alice_as_asked},
    stores::answer_everything,
};

thread_local! {
    /// This thread's captured log, if capturing is enabled. Each test has its own thread,
    /// but all share one subscriber and its levels.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct ToThisThread;

impl io::Write for ToThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.iter_mut().for_each(|log| log.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts capturing this thread's log.
fn keep_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let is_kept = dynamic_filter_fn(|_, _| LOG.with_borrow(Option::is_some));
        let to_this_thread = fmt::layer()
            .with_ansi(false)
            .with_writer(|| ToThisThread)
            .with_filter(is_kept);
        tracing_subscriber::registry().with(to_this_thread).init();
    });
    LOG.set(Some(Vec::new()));
}

fn take_log() -> String {
    String::from_utf8(LOG.take().expect("it is kept")).expect("UTF-8")
}

/// Records the generated passcodes. They are not delivered, which is logged as a warning.
fn keep_passcodes(app: &mut TestApp) -> Receiver<String> {
    let (sender, passcodes) = channel();
    app.users
        .expect_set_passcode()
        .returning(move |_, passcode, _| {
            let text = passcode.text.expose_secret().to_owned();
            sender.send(text).expect("it is awaited");
            Ok(Some(false))
        });
    passcodes
}

#[tokio::test]
async fn an_undeliverable_passcode_is_logged_as_a_warning() {
    keep_log();
    let mut app = TestApp::anonymous();
    let passcodes = keep_passcodes(&mut app);
    answer_everything(&mut app);
    app.post(
        "/api/v2/users/otp/request",
        json!({"email": "alice@example.com"}),
    )
    .await
    .assert_status(204);
    let text = take_log();
    let warning = text
        .lines()
        .find(|line| line.contains("WARN"))
        .unwrap_or_else(|| panic!("no warning in:\n{text}"));
    assert!(warning.contains("mail or a webhook"), "{warning}");
    assert!(warning.contains(&ALICE.to_string()), "{warning}");
    let passcode = passcodes.recv().expect("it was made");
    assert!(!text.contains(&passcode), "{text}");
}

#[tokio::test]
async fn no_secret_is_logged() {
    keep_log();
    let mut app = TestApp::signed_in_as(Role::Owner);
    let passcode = keep_passcodes(&mut app);
    answer_everything(&mut app);
    let mut handed_out = Vec::new();
    let mut signed = Vec::new();
    let wrong = "Wrong-Password-1";
    let login = "/api/v2/users/login";
    for (method, path, body) in [
        (
            Method::POST,
            login,
            json!({"email": "alice@example.com", "password": "SomeSecurePassword!"}),
        ),
        (
            Method::POST,
            login,
            json!({"email": "alice@example.com", "password": wrong}),
        ),
        (Method::POST, "/api/v2/users", alice_as_asked()),
        (Method::POST, "/api/v2/users/me/keys", json!({})),
        (Method::POST, "/api/v2/users/me/keys/tokens", json!({})),
        (
            Method::PUT,
            "/api/v2/users/alice/password",
            json!({"password": STRONG}),
        ),
        (
            Method::PUT,
            "/api/v2/users/me/password",
            json!({"old_password": wrong, "password": STRONG}),
        ),
        (
            Method::POST,
            "/api/v2/users/otp/request",
            json!({"email": "alice@example.com"}),
        ),
        (
            Method::POST,
            "/api/v2/users/otp/change-password",
            json!({"email": "alice@example.com", "password": STRONG, "one_time_passcode": wrong}),
        ),
        (Method::PUT, "/api/v2/users/me/gitsshkey", json!({})),
        (
            Method::POST,
            "/api/v2/users/me/convert-login",
            json!({"to_type": "oidc", "password": "SomeSecurePassword!"}),
        ),
        (
            Method::POST,
            "/api/v2/users/me/convert-login",
            json!({"to_type": "oidc", "password": wrong}),
        ),
        (
            Method::POST,
            "/api/v2/users/me/convert-login",
            json!({"to_type": "saml", "password": wrong}),
        ),
        (
            Method::POST,
            "/api/v2/users/validate-password",
            json!({"password": wrong}),
        ),
        (Method::POST, login, json!({"email": 1, "password": wrong})),
        (
            Method::POST,
            login,
            json!({"email": "x", "password": [wrong]}),
        ),
    ] {
        let answer = app.send(method, path, body.to_string()).await;
        signed.extend(answer.cookies().first().and_then(|cookie| {
            let (name, rest) = cookie.split_once('=')?;
            let (token, _) = rest.split_once(';')?;
            (name == "coder_oauth_convert_jwt").then(|| token.to_owned())
        }));
        for name in ["key", "session_token"] {
            handed_out.extend(answer.json[name].as_str().map(str::to_owned));
        }
    }
    let query = format!("/api/v2/users/me?coder_session_token={TOKEN}");
    app.bare(Method::GET, &query, &[]).await.assert_status(200);
    assert_eq!(handed_out.len(), 3, "a session, a key and a token");
    assert_eq!(signed.len(), 1, "the question of a conversion");
    let passcode = passcode.recv().expect("it was made");

    let text = take_log();
    assert!(text.contains("request.id"), "{text}");
    let secrets = handed_out.iter().filter_map(|token| token.split_once('-'));
    let secrets = secrets.map(|(_, secret)| secret).chain([
        "ABCDEFGHIJKLMNOPQRSTUV",
        wrong,
        STRONG,
        "SomeSecurePassword!",
        "$argon2id$",
        "$pbkdf2",
        "PRIVATE KEY",
        &*passcode,
        &*signed[0],
    ]);
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in:\n{text}");
    }
}

#[tokio::test]
async fn the_cause_of_an_internal_error_is_logged() {
    keep_log();
    let mut app = TestApp::anonymous();
    app.site
        .expect_ping()
        .return_once(|| Err(StoreError::Internal("a broken index".into())));
    app.may_be_at_fault = true;

    let answer = app.get("/healthz").await;

    answer.assert_status(500);
    let text = take_log();
    assert!(text.contains("a broken index"), "{text}");
    assert!(
        text.contains(answer.header("x-coder-request-id").expect("an id")),
        "{text}"
    );
}
