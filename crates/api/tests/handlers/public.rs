//! Public operations, and that all others need a credential.

use crate::{
    app::TestApp,
    operations::operations,
    permissions::{Permission, permission},
    stores::answer_everything,
};

pub(crate) fn is_public(name: &str) -> bool {
    matches!(permission(name), Some(Permission::Public))
}

/// Whether an invalid credential is rejected without details.
pub(crate) fn refuses_plainly(name: &str) -> bool {
    name == "GET /api/v2/appearance"
}

#[tokio::test]
async fn all_operations_except_public_ones_need_a_credential() {
    let mut app = TestApp::anonymous();
    for operation in operations().iter().filter(|one| !is_public(&one.name())) {
        for user in ["me", "alice", "%00"] {
            let path = operation.path(user);
            for body in [operation.body_text(), "{".to_owned()] {
                let answer = app.send(operation.method.clone(), &path, body).await;
                answer.assert_status(401);
                let is_challenged = answer.header("www-authenticate").is_some();
                assert_eq!(
                    is_challenged,
                    !refuses_plainly(&operation.name()),
                    "{answer:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn public_operations_do_not_authenticate() {
    let mut app = TestApp::anonymous();
    answer_everything(&mut app);
    for operation in operations().iter().filter(|one| is_public(&one.name())) {
        let answer = app
            .send(
                operation.method.clone(),
                &operation.path("alice"),
                operation.body_text(),
            )
            .await;
        assert!(answer.header("www-authenticate").is_none(), "{answer:?}");
    }
}
