//! Keys with restricted scopes.

use usher_domain::Scope;

use crate::{
    app::TestApp,
    operations::operations,
    people::{Role, alice, credential, organization},
};

#[tokio::test]
async fn a_key_that_cannot_read_users_finds_no_user_on_any_route() {
    let operations = operations();
    for scope in Scope::requestable() {
        if scope == Scope::ALL {
            continue;
        }
        let mut credential = credential(Role::Owner);
        credential.key.scopes = vec![scope];
        let mut app = TestApp::with_credential(credential);
        app.knows(alice());
        for operation in operations.iter().filter(|one| one.is_of_a_user()) {
            for (user, status) in [("me", 404), ("caller", 400), ("alice", 400)] {
                let answer = app
                    .send(
                        operation.method.clone(),
                        &operation.path(user),
                        operation.body_text(),
                    )
                    .await;
                answer.assert_status(status);
            }
        }
    }
}

#[tokio::test]
async fn the_all_scope_with_others_allows_everything() {
    let mut app = TestApp::with_scopes(Role::Member, &["workspace:read", "coder:all"]);
    app.get("/api/v2/users/me").await.assert_status(200);
}

#[tokio::test]
async fn without_scopes_nothing_is_allowed() {
    let mut app = TestApp::with_scopes(Role::Owner, &[]);
    app.organizations
        .expect_find_organization()
        .returning(|_| Ok(Some(organization())));
    app.get("/api/v2/users/me").await.assert_status(404);
    app.get("/api/v2/users/roles").await.assert_status(403);
    app.get("/api/v2/organizations/default")
        .await
        .assert_status(404);
}

#[tokio::test]
async fn a_scope_never_grants_more_than_the_roles() {
    let mut app = TestApp::with_scopes(Role::Member, &["organization:*", "coder:all"]);
    app.organizations
        .expect_find_organization()
        .returning(|_| Ok(Some(organization())));
    app.delete("/api/v2/organizations/default")
        .await
        .assert_status(403);
}
