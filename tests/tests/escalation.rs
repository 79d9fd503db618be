//! Nobody climbs: whoever is no owner tries every route on an owner and on themselves, with
//! good bodies and with fields that are not theirs to set, and nobody has more in the end.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use usher_tests::{
    deployment::Deployment,
    routes::{Route, guarded},
    server::Setup,
};

/// What must stay as it is: what is an owner's, and who is what.
const POWER: &str = "
    SELECT 'owner', username, email, hashed_password, status, login_type, deleted
        FROM users WHERE username = 'owner';
    SELECT 'key', id, expires_at, scopes, allow_list FROM api_keys
        WHERE user_id = (SELECT id FROM users WHERE username = 'owner') ORDER BY id;
    SELECT 'roles', id, rbac_roles, login_type, deleted FROM users
        WHERE username NOT IN ('new-one') ORDER BY id;
    SELECT 'grown', username, rbac_roles FROM users
        WHERE username = 'new-one' AND rbac_roles <> '{}'";

/// Roles within the organization that those may not have who do not give roles.
const ROLES_HERE: &str = "
    SELECT user_id, roles FROM organization_members WHERE roles <> '{}' ORDER BY user_id";

/// The body as it should be, then with all that one might wish for besides.
fn bodies(route: &Route, user: &str) -> Vec<Option<Value>> {
    let Some(good) = route.body(user) else {
        return vec![None];
    };
    let mut greedy = good.clone();
    for (field, value) in [
        ("roles", json!(["owner"])),
        ("site_roles", json!(["owner"])),
        ("rbac_roles", json!(["owner"])),
        ("is_owner", json!(true)),
        ("is_system", json!(true)),
        ("id", json!("11111111-2222-4333-8444-555555555555")),
        ("user_id", json!("11111111-2222-4333-8444-555555555555")),
        ("email", json!("climber@example.com")),
        ("login_type", json!("password")),
        ("hashed_password", json!("x")),
        ("scopes", json!(["coder:all"])),
        ("allow_list", json!(["*:*"])),
        ("lifetime", json!(604_800_000_000_000_i64)),
        ("token_name", json!("greedy")),
    ] {
        greedy[field] = value;
    }
    vec![Some(good), Some(greedy)]
}

async fn climb(deployment: &Deployment, who: &str, credential: &str) -> Result<()> {
    let database = deployment.server.database();
    let mut routes = guarded(&deployment.server).await?;
    // What ends the credential comes last.
    routes.sort_by_key(|route| route.template.ends_with("/logout"));
    let before = database.query(POWER).await?;
    for route in &routes {
        for user in ["owner", "me", who] {
            for body in bodies(route, user) {
                let path = route.path(user);
                let call = deployment.call(credential, &route.method, &path, body.as_ref());
                let answer = call.await?;
                ensure!(answer.status < 500, "{} {answer:?}", route.name());
            }
        }
        if route.method == "GET" {
            continue;
        }
        let after = database.query(POWER).await?;
        ensure!(
            before == after,
            "{who}, {}:\n{before}\n{after}",
            route.name()
        );
    }
    Ok(())
}

#[tokio::test]
async fn no_role_but_the_owners_reaches_an_owner_or_becomes_one() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    for role in ["user-admin", "template-admin", "auditor"] {
        deployment.add(role).await?;
        deployment.set_roles(role, &[role]).await?;
    }
    deployment.add("member").await?;
    let database = deployment.server.database();
    for who in ["user-admin", "template-admin", "auditor", "member"] {
        let session = deployment.log_in(who).await?;
        climb(&deployment, who, &session).await?;
        assert_eq!(database.query(ROLES_HERE).await?, "", "{who}");
    }
    Ok(())
}

#[tokio::test]
async fn who_manages_an_organization_reaches_no_owner_and_becomes_none() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    for role in ["organization-admin", "organization-user-admin"] {
        let name = role.trim_start_matches("organization-");
        let name = format!("org-{name}");
        deployment.add(&name).await?;
        let path = format!("/api/v2/organizations/default/members/{name}/roles");
        let body = json!({"roles": [role]});
        let given = deployment.call(&deployment.owner, "PUT", &path, Some(&body));
        assert_eq!(given.await?.status, 200);
        let session = deployment.log_in(&name).await?;
        climb(&deployment, &name, &session).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_limited_token_of_an_owner_reaches_no_further_than_its_limits() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let database = deployment.server.database();
    let keys = "SELECT count(*) FROM api_keys";
    for wishes in [
        json!({"token_name": "scoped", "scopes": ["api_key:*", "organization:read"]}),
        json!({"token_name": "listed", "allow_list": ["api_key:*", "organization:*"]}),
    ] {
        let token = deployment.token(&deployment.owner, "me", &wishes).await?;
        let before = (database.query(POWER).await?, database.query(keys).await?);
        let routes = guarded(&deployment.server).await?;
        let routes = routes
            .iter()
            .filter(|route| !route.template.ends_with("/logout"));
        for route in routes {
            for user in ["owner", "me"] {
                for body in bodies(route, user) {
                    let path = route.path(user);
                    let call = deployment.call(&token, &route.method, &path, body.as_ref());
                    let answer = call.await?;
                    ensure!(answer.status < 500, "{} {answer:?}", route.name());
                }
            }
            if route.method == "GET" {
                continue;
            }
            let after = (database.query(POWER).await?, database.query(keys).await?);
            // Using a token moves its end, nothing else.
            ensure!(
                before == after,
                "{wishes}, {}:\n{before:?}\n{after:?}",
                route.name()
            );
        }
    }
    Ok(())
}
