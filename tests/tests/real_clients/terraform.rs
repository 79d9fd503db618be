//! The Terraform provider `coderd` 0.0.12: its resources and data sources, call by call.
//! It is written in Go and uses the SDK, so every response is decoded strictly.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use usher_tests::{
    deployment::{Deployment, PASSWORD},
    server::Setup,
};

use crate::go::{Go, text};

const OTHER_PASSWORD: &str = "SomeSecurePassword!2";

/// Configures the provider with an owner's token, as `terraform` does for each run.
async fn configure(deployment: &Deployment) -> Result<(Go<'_>, String)> {
    let provider = Go::new(&deployment.server).with_token(&deployment.owner);
    let me = provider.get("User", "/api/v2/users/me").await?;
    let organization = me["organization_ids"][0].as_str();
    let organization = organization.context("no organization: it would crash")?;
    let entitlements = provider.get("Entitlements", "/api/v2/entitlements").await?;
    ensure!(entitlements["features"].is_object());
    Ok((provider, organization.to_owned()))
}

/// Whether the provider treats the resource as missing.
async fn is_gone(provider: &Go<'_>, path: &str) -> Result<bool> {
    let response = provider.send("GET", path, None).await?;
    Ok(response.status == 404
        || (response.status == 400
            && response
                .body
                .contains("must be an existing uuid or username")))
}

/// Reads the user by ID, and by name to detect a deletion.
async fn read(provider: &Go<'_>, id: &str) -> Result<Option<Value>> {
    let by_id = format!("/api/v2/users/{id}");
    if is_gone(provider, &by_id).await? {
        return Ok(None);
    }
    let user = provider.get("User", &by_id).await?;
    let by_name = format!("/api/v2/users/{}", text(&user, "username")?);
    Ok((!is_gone(provider, &by_name).await?).then_some(user))
}

#[tokio::test]
async fn a_user_is_planned_applied_changed_imported_and_destroyed() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let (provider, organization) = configure(&deployment).await?;
    // create
    let new = json!({
        "email": "alice@example.com",
        "username": "alice",
        "name": "",
        "password": PASSWORD,
        "login_type": "password",
        "user_status": null,
        "organization_ids": [organization],
    });
    let path = "/api/v2/users";
    let created = provider
        .decoded(201, "User", "POST", path, Some(&new))
        .await?;
    let id = text(&created, "id")?;
    let user = format!("/api/v2/users/{id}");
    let put = async |what: &str, body: Option<&Value>| {
        let path = format!("{user}/{what}");
        provider.decoded(200, "User", "PUT", &path, body).await
    };
    let profile = json!({"username": "alice", "name": "alice"});
    assert_eq!(put("profile", Some(&profile)).await?["name"], "alice");
    let roles = json!({"roles": ["auditor", "template-admin"]});
    put("roles", Some(&roles)).await?;
    assert_eq!(put("status/suspend", None).await?["status"], "suspended");

    // read: no difference from the plan
    let state = read(&provider, id).await?.context("it is gone")?;
    let mut names: Vec<_> = state["roles"]
        .as_array()
        .context("a list")?
        .iter()
        .map(|role| role["name"].as_str().unwrap_or_default())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["auditor", "template-admin"]);
    assert_eq!(state["status"], "suspended");
    assert_eq!(state["organization_ids"].as_array().map(Vec::len), Some(1));

    // update: all fields are sent, changed or not
    for (password, status) in [
        (PASSWORD, 400),
        (OTHER_PASSWORD, 204),
        (OTHER_PASSWORD, 400),
    ] {
        provider.get("User", &user).await?;
        assert_eq!(put("profile", Some(&profile)).await?["name"], "alice");
        put("roles", Some(&json!({"roles": ["auditor"]}))).await?;
        let body = json!({"old_password": "", "password": password});
        let path = format!("{user}/password");
        let response = provider.send("PUT", &path, Some(&body)).await?;
        ensure!(response.status == status, "{response:?}");
        // The only 400 that the provider ignores.
        ensure!(
            status == 204
                || response
                    .body
                    .contains("New password cannot match old password."),
            "{response:?}"
        );
        assert_eq!(put("status/suspend", None).await?["status"], "suspended");
    }
    assert_eq!(put("status/activate", None).await?["status"], "active");

    // import by name, and the data source by ID and by name
    for name in ["alice", "Alice", id] {
        let found = provider
            .get("User", &format!("/api/v2/users/{name}"))
            .await?;
        assert_eq!(found["id"], *id);
    }

    // delete: an owner can still read them by ID, but not by name
    provider.call(200, "DELETE", &user, None).await?;
    provider.get("User", &user).await?;
    assert_eq!(read(&provider, id).await?, None);
    Ok(())
}

#[tokio::test]
async fn an_organization_is_applied_changed_and_destroyed() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let (provider, _) = configure(&deployment).await?;
    let new = json!({
        "name": "lab",
        "display_name": "Lab",
        "description": "Far away.",
        "icon": "/icon/lab.svg",
    });
    let path = "/api/v2/organizations";
    let created = provider
        .decoded(201, "Organization", "POST", path, Some(&new))
        .await?;
    let lab = format!("{path}/{}", text(&created, "id")?);
    let read = provider.get("Organization", &lab).await?;
    for field in ["name", "display_name", "description", "icon"] {
        assert_eq!(read[field], new[field], "{field}");
    }
    let change = json!({
        "name": "lab",
        "display_name": "The lab",
        "description": "",
        "icon": "",
    });
    let changed = provider.decoded(200, "Organization", "PATCH", &lab, Some(&change));
    assert_eq!(changed.await?, {
        let now = provider.get("Organization", &lab).await?;
        for field in ["name", "display_name", "description", "icon"] {
            assert_eq!(now[field], change[field], "{field}");
        }
        now
    });
    // The data source, by ID, by name and the default one, with its members.
    for name in [text(&created, "id")?, "lab", "default"] {
        let found = provider
            .get("Organization", &format!("{path}/{name}"))
            .await?;
        let members = format!("{path}/{}/members/", text(&found, "id")?);
        provider
            .get("[]OrganizationMemberWithUserData", &members)
            .await?;
    }
    provider.call(200, "DELETE", &lab, None).await?;
    assert!(is_gone(&provider, &lab).await?);
    Ok(())
}

#[tokio::test]
async fn later_releases_find_users_by_email_address() -> Result<()> {
    let deployment = Deployment::start(Setup::default()).await?;
    let (provider, organization) = configure(&deployment).await?;
    for number in 0..5 {
        let new = json!({
            "email": format!("user{number}@example.com"),
            "username": format!("user{number}"),
            "password": PASSWORD,
            "login_type": "password",
            "user_status": null,
            "service_account": false,
            "organization_ids": [organization],
        });
        let path = "/api/v2/users";
        provider
            .decoded(201, "User", "POST", path, Some(&new))
            .await?;
    }
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let path = format!("/api/v2/users?q=example.com&limit=2{after}");
        let page = provider.get("GetUsersResponse", &path).await?;
        let users = page["users"].as_array().context("a list")?;
        let Some(last) = users.last() else { break };
        after = format!("&after_id={}", text(last, "id")?);
        seen.extend(users.iter().map(|user| user["email"].to_string()));
    }
    assert_eq!(seen.len(), 6);
    seen.dedup();
    assert_eq!(seen.len(), 6);
    Ok(())
}
