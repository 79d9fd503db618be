//! Who may do what: every operation that needs a credential, for every role and for keys
//! with limits, on alice, a plain member. A new operation fails here until it has its row.

use std::fmt::Write as _;

use usher_domain::{Scope, UserStatus};

use crate::{
    app::TestApp,
    operations::{Operation, operations},
    people::{Role, allow_list, credential},
    public::is_public,
    stores::answer_everything,
};

/// The columns: owner, user-admin, template-admin, auditor, member, organization-admin,
/// organization-user-admin; then an owner's key with every scope that can be asked for
/// but `coder:all`, an owner's key for workspaces only, and a suspended owner's key.
const MATRIX: &str = "\
200 200 200 200 200 200 200 200 200 401 GET /api/v2/appearance
200 403 403 200 403 200 403 403 403 401 GET /api/v2/audit
200 200 200 200 200 200 200 200 200 401 POST /api/v2/authcheck
200 200 200 200 200 200 200 200 200 401 GET /api/v2/deployment/ssh
200 200 200 200 200 200 200 200 200 401 GET /api/v2/experiments
200 200 200 200 200 200 200 200 200 401 GET /api/v2/experiments/available
204 204 204 204 204 204 204 403 403 401 POST /api/v2/notifications/custom
200 200 200 200 200 200 200 200 200 401 GET /api/v2/notifications/dispatch-methods
200 200 200 200 200 200 200 403 403 401 GET /api/v2/notifications/inbox
204 204 204 204 204 204 204 403 403 401 PUT /api/v2/notifications/inbox/mark-all-as-read
200 404 404 404 404 404 404 404 404 401 PUT /api/v2/notifications/inbox/{id}/read-status
200 200 200 200 200 200 200 200 200 401 GET /api/v2/notifications/settings
200 403 403 403 403 403 403 403 403 401 PUT /api/v2/notifications/settings
200 200 200 200 200 200 200 200 200 401 GET /api/v2/notifications/templates/custom
200 200 200 200 200 200 200 200 200 401 GET /api/v2/notifications/templates/system
200 404 404 404 404 404 404 404 404 401 PUT /api/v2/notifications/templates/{template}/method
204 403 403 403 403 403 403 403 403 401 POST /api/v2/notifications/test
200 200 200 200 200 200 200 200 200 401 GET /api/v2/organizations
201 403 403 403 403 403 403 201 403 401 POST /api/v2/organizations
200 403 403 403 403 200 403 200 404 401 DELETE /api/v2/organizations/{organization}
200 200 200 200 200 200 200 200 404 401 GET /api/v2/organizations/{organization}
200 403 403 403 403 200 403 200 404 401 PATCH /api/v2/organizations/{organization}
200 200 200 200 200 200 200 200 404 401 GET /api/v2/organizations/{organization}/members
200 200 200 200 200 200 200 404 404 401 GET /api/v2/organizations/{organization}/members/roles
204 204 404 404 404 204 204 404 404 401 DELETE /api/v2/organizations/{organization}/members/{user}
200 200 404 404 400 200 200 400 404 401 POST /api/v2/organizations/{organization}/members/{user}
200 403 403 403 404 200 403 404 404 401 PUT /api/v2/organizations/{organization}/members/{user}/roles
200 200 200 200 404 200 200 404 404 401 GET /api/v2/organizations/{organization}/paginated-members
200 200 200 200 200 200 200 200 200 401 GET /api/v2/regions
200 200 200 200 200 200 200 200 200 401 GET /api/v2/tasks
200 200 200 200 200 200 200 200 200 401 GET /api/v2/templates
200 200 200 200 200 200 200 200 200 401 GET /api/v2/users
201 201 403 403 403 403 403 403 404 401 POST /api/v2/users
200 200 200 200 200 200 200 200 200 401 POST /api/v2/users/logout
200 200 200 200 200 200 200 403 403 401 GET /api/v2/users/roles
200 200 403 403 400 403 403 400 400 401 DELETE /api/v2/users/{user}
200 200 200 200 400 200 200 400 400 401 GET /api/v2/users/{user}
200 200 403 403 400 403 403 400 400 401 GET /api/v2/users/{user}/appearance
200 200 403 403 400 403 403 400 400 401 PUT /api/v2/users/{user}/appearance
200 200 403 403 400 403 403 400 400 401 GET /api/v2/users/{user}/autofill-parameters
401 401 401 401 400 401 401 400 400 401 POST /api/v2/users/{user}/convert-login
200 200 403 403 400 403 403 400 400 401 GET /api/v2/users/{user}/gitsshkey
200 200 403 403 400 403 403 400 400 401 PUT /api/v2/users/{user}/gitsshkey
201 403 403 403 400 403 403 400 400 401 POST /api/v2/users/{user}/keys
200 200 200 200 400 200 200 400 400 401 GET /api/v2/users/{user}/keys/tokens
201 403 403 403 400 403 403 400 400 401 POST /api/v2/users/{user}/keys/tokens
200 200 200 200 400 200 200 400 400 401 GET /api/v2/users/{user}/keys/tokens/tokenconfig
200 404 404 404 400 404 404 400 400 401 GET /api/v2/users/{user}/keys/tokens/{keyname}
204 404 404 404 400 404 404 400 400 401 DELETE /api/v2/users/{user}/keys/{keyid}
200 404 404 404 400 404 404 400 400 401 GET /api/v2/users/{user}/keys/{keyid}
403 403 403 403 400 403 403 400 400 401 GET /api/v2/users/{user}/login-type
200 403 403 403 400 403 403 400 400 401 GET /api/v2/users/{user}/notifications/preferences
200 403 403 403 400 403 403 400 400 401 PUT /api/v2/users/{user}/notifications/preferences
200 200 200 200 400 200 200 400 400 401 GET /api/v2/users/{user}/organizations
200 200 200 200 400 200 200 400 400 401 GET /api/v2/users/{user}/organizations/{organization}
204 204 404 404 400 404 404 400 400 401 PUT /api/v2/users/{user}/password
200 200 403 403 400 403 403 400 400 401 GET /api/v2/users/{user}/preferences
200 200 403 403 400 403 403 400 400 401 PUT /api/v2/users/{user}/preferences
200 200 403 403 400 403 403 400 400 401 PUT /api/v2/users/{user}/profile
200 200 404 404 400 404 404 400 400 401 GET /api/v2/users/{user}/roles
200 400 403 403 400 403 403 400 400 401 PUT /api/v2/users/{user}/roles
200 200 403 403 400 403 403 400 400 401 PUT /api/v2/users/{user}/status/activate
200 200 403 403 400 403 403 400 400 401 PUT /api/v2/users/{user}/status/suspend
200 200 200 200 200 200 200 200 200 401 GET /api/v2/workspaces";

/// The columns of those who may everything and of those who may least.
pub(crate) const OWNER: usize = 0;
pub(crate) const MEMBER: usize = 4;

/// The statuses of the operation, column by column.
pub(crate) fn row_of(operation: &Operation) -> Vec<u16> {
    let name = operation.name();
    let row = MATRIX
        .lines()
        .find_map(|row| row.strip_suffix(&name)?.strip_suffix(' '))
        .unwrap_or_else(|| panic!("{name} has no row"));
    row.split(' ')
        .map(|status| status.parse().expect("a status"))
        .collect()
}

fn apps() -> Vec<TestApp> {
    let mut scoped = credential(Role::Owner);
    scoped.key.scopes = Scope::requestable();
    scoped.key.scopes.retain(|scope| *scope != Scope::ALL);
    let mut listed = credential(Role::Owner);
    listed.key.allow_list = allow_list(&["workspace:*"]);
    let mut suspended = credential(Role::Owner);
    suspended.user.status = UserStatus::Suspended;
    Role::ALL
        .into_iter()
        .map(credential)
        .chain([scoped, listed, suspended])
        .map(TestApp::with_credential)
        .map(|mut app| {
            answer_everything(&mut app);
            app
        })
        .collect()
}

async fn row(apps: &mut [TestApp], operation: &Operation) -> String {
    let mut row = String::new();
    for app in apps {
        let path = operation.path("alice");
        let answer = app
            .send(operation.method.clone(), &path, operation.body_text())
            .await;
        write!(row, "{} ", answer.status.as_u16()).expect("a text takes it");
    }
    row + &operation.name()
}

#[tokio::test]
async fn every_operation_is_allowed_to_those_of_its_row_and_to_nobody_else() {
    let mut private = operations();
    private.retain(|operation| !is_public(&operation.name()));
    private.sort_by_key(|one| (one.template.clone(), one.method.to_string()));
    let (mut apps, mut rows) = (apps(), Vec::new());
    for operation in private {
        rows.push(row(&mut apps, &operation).await);
    }
    for row in &rows {
        assert!(
            MATRIX.lines().any(|known| known == row),
            "not in the matrix:\n{row}"
        );
    }
    assert_eq!(
        rows.len(),
        MATRIX.lines().count(),
        "operations that are gone"
    );
}
