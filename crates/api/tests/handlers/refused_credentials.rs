//! Invalid and revoked credentials, on every private route.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::TimeDelta;
use http::Method;
use usher_domain::{LoginType, Scope, TokenName, UserStatus};
use usher_store::{Credential, LinkState};

use crate::{
    app::{Answer, TestApp},
    matrix::Target,
    operations::{Operation, operations},
    people::{CALLER, Role, TOKEN, allow_list, credential, now},
    permissions::expected,
    providers::cannot_renew,
    public::{is_public, refuses_plainly},
    stores::answer_everything,
};

/// A session whose provider access has expired may still sign out.
const PAST_ACCESS: &str = "past its provider's access";

fn private() -> Vec<Operation> {
    let mut operations = operations();
    operations.retain(|operation| !is_public(&operation.name()));
    operations
}

/// All kinds of keys of an owner.
fn kinds() -> Vec<(&'static str, Credential)> {
    let session = credential(Role::Owner);
    let mut token = session.clone();
    token.key.login_type = LoginType::Token;
    token.key.token_name = TokenName::new("ci".into());
    let mut scoped = token.clone();
    scoped.key.scopes = Scope::requestable();
    scoped.key.scopes.retain(|scope| *scope != Scope::ALL);
    let mut listed = token.clone();
    listed.key.allow_list = allow_list(&[&format!("user:{CALLER}"), "api_key:*"]);
    let mut provided = session.clone();
    provided.key.login_type = LoginType::Oidc;
    provided.user.login_type = LoginType::Oidc;
    provided.link = LinkState::Linked(None);
    vec![
        ("session", session),
        ("token", token),
        ("scoped token", scoped),
        ("listed token", listed),
        ("session of a provider", provided),
    ]
}

/// Stored credentials of [`TOKEN`] that are invalid.
fn spoiled(good: &Credential) -> Vec<(&'static str, Option<Credential>)> {
    let change = |change: fn(&mut Credential)| {
        let mut credential = good.clone();
        change(&mut credential);
        Some(credential)
    };
    vec![
        // Signed out, key deleted, user deleted, or password changed.
        ("gone", None),
        (
            "suspended",
            change(|it| it.user.status = UserStatus::Suspended),
        ),
        (
            "expired",
            change(|it| it.key.expires_at = now() - TimeDelta::microseconds(1)),
        ),
        (
            "expired long ago",
            change(|it| it.key.expires_at = now() - TimeDelta::days(400)),
        ),
        (
            "of another secret",
            change(|it| it.hashed_secret = vec![7; 32]),
        ),
        ("of no secret", change(|it| it.hashed_secret = vec![])),
        ("unlinked", change(|it| it.link = LinkState::Missing)),
        (
            PAST_ACCESS,
            change(|it| it.link = LinkState::Linked(Some(now() - TimeDelta::seconds(1)))),
        ),
    ]
}

/// The store returns this for every key. Other calls are unexpected.
fn app(found: Option<Credential>) -> TestApp {
    let mut app = TestApp::anonymous();
    app.sessions
        .expect_find_credential()
        .returning(move |_| Ok(found.clone()));
    cannot_renew(&mut app);
    app
}

async fn ask(app: &mut TestApp, operation: &Operation) -> Answer {
    let mut request = app.request(operation.method.clone(), &operation.path("me"));
    if app.credential.is_none() {
        request = request.header("Coder-Session-Token", TOKEN);
    }
    let request = request.body(operation.body_text().into());
    app.answer(request.expect("a good request")).await
}

#[track_caller]
fn assert_refused(answer: &Answer, operation: &Operation, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {answer:?}");
    let is_challenged = answer.header("www-authenticate").is_some();
    assert_eq!(
        is_challenged,
        !refuses_plainly(&operation.name()),
        "{what}: {answer:?}"
    );
    assert!(answer.cookies().is_empty(), "{what}: {answer:?}");
    assert!(!answer.text.contains(TOKEN), "{what}: {answer:?}");
}

#[tokio::test]
async fn an_invalid_credential_is_rejected_on_every_private_route() {
    let operations = private();
    for (kind, good) in kinds() {
        for (state, found) in spoiled(&good) {
            let mut app = app(found);
            for operation in &operations {
                if state == PAST_ACCESS && operation.name() == "POST /api/v2/users/logout" {
                    continue;
                }
                let answer = ask(&mut app, operation).await;
                assert_refused(&answer, operation, &format!("a {kind} that is {state}"));
            }
        }
    }
}

#[tokio::test]
async fn an_invalid_credential_is_rejected_from_every_source() {
    const CSRF: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let cookies = format!("coder_session_token={TOKEN}; csrf_token={CSRF}");
    let bearer = format!("Bearer {TOKEN}");
    let queries = ["coder_session_token", "access_token"].map(|name| format!("{name}={TOKEN}"));
    let carriers: [(&str, &[(&str, &str)]); 5] = [
        ("", &[("Coder-Session-Token", TOKEN)]),
        ("", &[("Authorization", &bearer)]),
        ("", &[("Cookie", &cookies), ("X-CSRF-TOKEN", CSRF)]),
        (&queries[0], &[]),
        (&queries[1], &[]),
    ];
    let mut suspended = credential(Role::Owner);
    suspended.user.status = UserStatus::Suspended;
    for found in [None, Some(suspended)] {
        let mut app = app(found);
        for operation in private() {
            for (query, headers) in carriers {
                let path = operation.path("me");
                let separator = if path.contains('?') { '&' } else { '?' };
                let path = format!("{path}{separator}{query}");
                let answer = app.bare(operation.method.clone(), &path, headers).await;
                assert_refused(&answer, &operation, query);
            }
        }
    }
}

#[tokio::test]
async fn a_user_suspended_during_activation_is_rejected_on_every_private_route() {
    let mut dormant = credential(Role::Owner);
    dormant.user.status = UserStatus::Dormant;
    for status in [UserStatus::Suspended, UserStatus::Dormant] {
        let mut app = app(Some(dormant.clone()));
        let mut woken = dormant.user.clone();
        woken.status = status;
        app.sessions
            .expect_activate_user()
            .returning(move |_, _| Ok(Some(woken.clone())));
        for operation in private() {
            let answer = ask(&mut app, &operation).await;
            assert_refused(&answer, &operation, status.as_str());
        }
    }
}

#[tokio::test]
async fn a_user_deleted_during_activation_is_rejected_on_every_private_route() {
    let mut dormant = credential(Role::Owner);
    dormant.user.status = UserStatus::Dormant;
    let mut app = app(Some(dormant));
    app.sessions
        .expect_activate_user()
        .returning(|_, _| Ok(None));
    for operation in private() {
        let answer = ask(&mut app, &operation).await;
        assert_refused(&answer, &operation, "deleted");
    }
}

/// Returns one credential before the change, and another after it.
fn app_with_change(before: Credential, after: Option<Credential>) -> (TestApp, Arc<AtomicBool>) {
    let has_changed = Arc::new(AtomicBool::new(false));
    let changed = Arc::clone(&has_changed);
    let mut app = TestApp::anonymous();
    app.sessions.expect_find_credential().returning(move |_| {
        Ok(if changed.load(Ordering::SeqCst) {
            after.clone()
        } else {
            Some(before.clone())
        })
    });
    answer_everything(&mut app);
    (app, has_changed)
}

#[tokio::test]
async fn a_revoked_credential_is_rejected_on_the_next_request() {
    for (kind, good) in kinds() {
        for (state, found) in spoiled(&good).into_iter().take(3) {
            let (mut app, has_changed) = app_with_change(good.clone(), found);
            for operation in private() {
                has_changed.store(false, Ordering::SeqCst);
                let before = ask(&mut app, &operation).await;
                assert!(
                    before.status != 401 || operation.template.ends_with("/convert-login"),
                    "{kind}: {before:?}"
                );
                has_changed.store(true, Ordering::SeqCst);
                let after = ask(&mut app, &operation).await;
                assert_refused(&after, &operation, &format!("a {kind} that is {state}"));
            }
        }
    }
}

#[tokio::test]
async fn a_removed_role_has_no_effect_on_the_next_request() {
    let (owner, member) = (credential(Role::Owner), credential(Role::Member));
    let (mut app, has_changed) = app_with_change(owner.clone(), Some(member.clone()));
    for operation in private() {
        for (is_changed, holder) in [(false, &owner), (true, &member)] {
            has_changed.store(is_changed, Ordering::SeqCst);
            let request = app
                .request(operation.method.clone(), &operation.path("alice"))
                .header("Coder-Session-Token", TOKEN)
                .body(operation.body_text().into());
            let answer = app.answer(request.expect("a good request")).await;
            let expected = expected(&operation, &Target::Colleague.case(holder));
            assert_eq!(answer.status.as_u16(), expected, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn private_routes_are_private_for_all_methods() {
    let mut app = TestApp::anonymous();
    for operation in private() {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::HEAD,
        ] {
            let name = format!("{method} {}", operation.template);
            if is_public(&name) {
                continue;
            }
            let answer = app.call(method, &operation.path("me")).await;
            assert!(
                [401, 404, 405].contains(&answer.status.as_u16()),
                "{answer:?}"
            );
        }
    }
}
