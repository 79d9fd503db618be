//! Behavior while the store is unavailable or fails: never a false denial.

use http::Method;
use usher_store::StoreError;

use crate::{
    app::{Answer, TestApp},
    operations::{Operation, operations},
    people::{Role, TOKEN, alice, membership, organization},
    stores::fail_everything,
};

const CAUSE: &str = "connection to 10.0.0.7:5432 as postgres refused";

fn away() -> StoreError {
    StoreError::Unavailable(CAUSE.into())
}

fn broken() -> StoreError {
    StoreError::Internal(CAUSE.into())
}

/// An owner, for whom every store call but authentication fails.
fn app(error: fn() -> StoreError) -> TestApp {
    let mut app = TestApp::signed_in_as(Role::Owner);
    fail_everything(&mut app, error);
    app.may_be_at_fault = true;
    app
}

/// An owner, for whom lookups succeed and every other store call fails.
fn app_with_targets(error: fn() -> StoreError) -> TestApp {
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.knows(alice());
    app.organizations
        .expect_find_organization()
        .returning(|_| Ok(Some(organization())));
    app.organizations
        .expect_find_membership()
        .returning(|_, user| Ok(Some(membership(user, &[]))));
    fail_everything(&mut app, error);
    app.may_be_at_fault = true;
    app
}

async fn ask(app: &mut TestApp, operation: &Operation) -> Answer {
    let path = operation.path("alice");
    app.send(operation.method.clone(), &path, operation.body_text())
        .await
}

/// Whether the operation changes nothing.
fn changes_nothing(operation: &Operation) -> bool {
    [
        "/api/v2/authcheck",
        "/api/v2/users/validate-password",
        "/api/v2/users/{user}/quiet-hours",
    ]
    .contains(&&*operation.template)
}

/// Operations that are rejected without a store call, and their status.
const REFUSALS: [(&str, u16); 6] = [
    ("/api/v2/users/{user}/login-type", 403),
    ("/api/v2/users/{user}/quiet-hours", 403),
    ("/api/v2/users/oauth2/github/callback", 400),
    ("/api/v2/users/oauth2/github/device", 400),
    ("/api/v2/users/oidc/callback", 400),
    ("/api/v2/users/oidc/{provider}/callback", 400),
];

#[track_caller]
fn assert_away(answer: &Answer) {
    answer.assert_status(503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(answer.header("www-authenticate").is_none(), "{answer:?}");
    assert!(answer.cookies().is_empty(), "{answer:?}");
    assert_ne!(answer.message(), "");
    assert!(!answer.text.contains("10.0.0.7"), "{answer:?}");
}

#[tokio::test]
async fn if_credentials_cannot_be_read_operations_that_need_one_are_unavailable() {
    let mut app = TestApp::anonymous();
    app.sessions
        .expect_find_credential()
        .returning(|_| Err(away()));
    fail_everything(&mut app, away);
    for operation in operations() {
        let headers = [("Coder-Session-Token", TOKEN)];
        let answer = app
            .bare(operation.method.clone(), &operation.path("me"), &headers)
            .await;
        // Public operations do not read it.
        if answer.status.is_server_error() {
            assert_away(&answer);
        } else {
            assert_ne!(answer.status, 401, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn an_unavailable_store_is_never_a_denial() {
    let mut apps = [app(away), app_with_targets(away)];
    for operation in operations() {
        for app in &mut apps {
            let answer = ask(app, &operation).await;
            let is_refusal_of_its_own =
                REFUSALS.contains(&(&operation.template, answer.status.as_u16()));
            if !answer.status.is_success() && !is_refusal_of_its_own {
                assert_away(&answer);
            }
        }
    }
}

#[tokio::test]
async fn no_change_is_acknowledged_while_the_store_is_unavailable() {
    let mut app = app_with_targets(away);
    for operation in operations() {
        if operation.method == Method::GET || changes_nothing(&operation) {
            continue;
        }
        let answer = ask(&mut app, &operation).await;
        assert_away(&answer);
    }
}

#[tokio::test]
async fn an_internal_error_is_reported_without_its_cause() {
    let mut apps = [app(broken), app_with_targets(broken)];
    for operation in operations() {
        for app in &mut apps {
            let answer = ask(app, &operation).await;
            if answer.status.is_server_error() {
                answer.assert_status(500);
                assert_ne!(answer.message(), "");
                assert_eq!(answer.json.as_object().map(serde_json::Map::len), Some(1));
            }
            assert!(!answer.text.contains("10.0.0.7"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn no_audit_entry_is_written_while_the_store_is_unavailable() {
    // A second timeout would delay the response.
    let mut app = TestApp::signed_in_as(Role::Owner);
    app.knows(alice());
    app.users
        .expect_set_user_status()
        .return_once(|_, _, _| Err(away()));
    let answer = app
        .call(Method::PUT, "/api/v2/users/alice/status/suspend")
        .await;
    assert_away(&answer);
}

#[tokio::test]
async fn failing_to_write_an_audit_entry_does_not_change_the_response() {
    let mut app = TestApp::signed_in_as(Role::Auditor);
    app.knows(alice());
    app.audit
        .expect_record_failure()
        .return_once(|_, _| Err(broken()));
    app.delete("/api/v2/users/alice").await.assert_status(403);
}
