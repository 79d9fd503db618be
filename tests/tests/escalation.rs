//! Privilege escalation: users other than owners call every route on an owner and on
//! themselves, with valid bodies and with fields that they may not set, and gain nothing.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use usher_tests::{
    deployment::Deployment,
    routes::{self, Route},
    server::Setup,
};

/// What must not change: the owner, their keys, and everyone's roles.
const PRIVILEGES: &str = "
    SELECT 'owner', username, email, hashed_password, status, login_type, deleted
        FROM users WHERE username = 'owner';
    SELECT 'key', id, expires_at, scopes, allow_list FROM api_keys
        WHERE user_id = (SELECT id FROM users WHERE username = 'owner') ORDER BY id;
    SELECT 'roles', id, rbac_roles, login_type, deleted FROM users
        WHERE username NOT IN ('new-one') ORDER BY id;
    SELECT 'promoted', username, rbac_roles FROM users
        WHERE username = 'new-one' AND rbac_roles <> '{}'";

/// Organization roles, which users without the permission to assign them must not get.
const ORGANIZATION_ROLES: &str = "
    SELECT user_id, roles FROM organization_members WHERE roles <> '{}' ORDER BY user_id";

/// Returns a valid body, and one with further fields that would escalate privileges.
fn bodies(route: &Route, user: &str) -> Vec<Option<Value>> {
    let Some(valid) = route.body(user) else {
        return vec![None];
    };
    let mut escalating = valid.clone();
    for (field, value) in [
        ("roles", json!(["owner"])),
        ("site_roles", json!(["owner"])),
        ("rbac_roles", json!(["owner"])),
        ("is_owner", json!(true)),
        ("is_system", json!(true)),
        ("id", json!("11111111-2222-4333-8444-555555555555")),
        ("user_id", json!("11111111-2222-4333-8444-555555555555")),
        ("email", json!("attacker@example.com")),
        ("login_type", json!("password")),
        ("hashed_password", json!("x")),
        ("scopes", json!(["coder:all"])),
        ("allow_list", json!(["*:*"])),
        ("lifetime", json!(604_800_000_000_000_i64)),
        ("token_name", json!("escalating")),
    ] {
        escalating[field] = value;
    }
    vec![Some(valid), Some(escalating)]
}

async fn assert_no_escalation(
    deployment: &Deployment,
    username: &str,
    credential: &str,
) -> Result<()> {
    let database = deployment.server.database();
    let mut routes = routes::private(&deployment.server).await?;
    // Sign-out revokes the credential, so it comes last.
    routes.sort_by_key(|route| route.template.ends_with("/logout"));
    let before = database.query(PRIVILEGES).await?;
    for route in &routes {
        for user in ["owner", "me", username] {
            for body in bodies(route, user) {
                let path = route.path(user);
                let call = deployment.call(credential, &route.method, &path, body.as_ref());
                let response = call.await?;
                ensure!(response.status < 500, "{} {response:?}", route.name());
            }
        }
        if route.method == "GET" {
            continue;
        }
        let after = database.query(PRIVILEGES).await?;
        ensure!(
            before == after,
            "{username}, {}:\n{before}\n{after}",
            route.name()
        );
    }
    Ok(())
}

#[tokio::test]
async fn no_site_role_can_change_an_owner_or_become_one() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    for role in ["user-admin", "template-admin", "auditor"] {
        deployment.add(role).await?;
        deployment.set_roles(role, &[role]).await?;
    }
    deployment.add("member").await?;
    let database = deployment.server.database();
    for username in ["user-admin", "template-admin", "auditor", "member"] {
        let session = deployment.log_in(username).await?;
        assert_no_escalation(&deployment, username, &session).await?;
        assert_eq!(database.query(ORGANIZATION_ROLES).await?, "", "{username}");
    }
    Ok(())
}

#[tokio::test]
async fn no_organization_role_can_change_an_owner_or_become_one() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    for role in ["organization-admin", "organization-user-admin"] {
        let name = role.trim_start_matches("organization-");
        let name = format!("org-{name}");
        deployment.add(&name).await?;
        let path = format!("/api/v2/organizations/default/members/{name}/roles");
        let body = json!({"roles": [role]});
        let assigned = deployment.call(&deployment.owner, "PUT", &path, Some(&body));
        assert_eq!(assigned.await?.status, 200);
        let session = deployment.log_in(&name).await?;
        assert_no_escalation(&deployment, &name, &session).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_limited_token_of_an_owner_cannot_exceed_its_limits() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let database = deployment.server.database();
    let keys = "SELECT count(*) FROM api_keys";
    for request in [
        json!({"token_name": "scoped", "scopes": ["api_key:*", "organization:read"]}),
        json!({"token_name": "listed", "allow_list": ["api_key:*", "organization:*"]}),
    ] {
        let token = deployment.token(&deployment.owner, "me", &request).await?;
        let before = (
            database.query(PRIVILEGES).await?,
            database.query(keys).await?,
        );
        let routes = routes::private(&deployment.server).await?;
        let routes = routes
            .iter()
            .filter(|route| !route.template.ends_with("/logout"));
        for route in routes {
            for user in ["owner", "me"] {
                for body in bodies(route, user) {
                    let path = route.path(user);
                    let call = deployment.call(&token, &route.method, &path, body.as_ref());
                    let response = call.await?;
                    ensure!(response.status < 500, "{} {response:?}", route.name());
                }
            }
            if route.method == "GET" {
                continue;
            }
            let after = (
                database.query(PRIVILEGES).await?,
                database.query(keys).await?,
            );
            ensure!(
                before == after,
                "{request}, {}:\n{before:?}\n{after:?}",
                route.name()
            );
        }
    }
    Ok(())
}
