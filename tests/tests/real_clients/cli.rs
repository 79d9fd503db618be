//! The command line, release 2.29. Each test is a command or a sequence of commands, with its
//! calls in their order.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use usher_tests::{
    deployment::{Deployment, PASSWORD},
    exchange::Request,
    server::{Server, Setup},
};

use crate::go::{Go, decode, text};

const API: &str = "/api/v2";

async fn start() -> Result<Deployment> {
    Deployment::start(Setup::default()).await
}

fn owner(deployment: &Deployment) -> Go<'_> {
    Go::command_line(&deployment.server).with_token(&deployment.owner)
}

async fn user<'a>(deployment: &'a Deployment, username: &str) -> Result<Go<'a>> {
    deployment.add(username).await?;
    let session = deployment.log_in(username).await?;
    Ok(Go::command_line(&deployment.server).with_token(&session))
}

/// Returns the only organization of `GET /users/me/organizations`.
async fn only_organization(cli: &Go<'_>) -> Result<String> {
    let path = "/api/v2/users/me/organizations";
    let organizations = cli.get("[]Organization", path).await?;
    let [only] = organizations.as_array().context("a list")?.as_slice() else {
        anyhow::bail!("not exactly one: {organizations}");
    };
    Ok(text(only, "id")?.to_owned())
}

#[tokio::test]
async fn login_whoami_and_logout_work_on_a_new_server() -> Result<()> {
    let server = Server::start().await?;
    let mut cli = Go::command_line(&server);
    // login
    cli.call(404, "GET", "/api/v2/users/first", None).await?;
    let first = json!({
        "email": "owner@example.com",
        "username": "owner",
        "name": "",
        "password": PASSWORD,
        "trial": false,
        "trial_info": {
            "first_name": "", "last_name": "", "phone_number": "", "job_title": "",
            "company_name": "", "country": "", "developers": "",
        },
    });
    let path = "/api/v2/users/first";
    let wanted = "CreateFirstUserResponse";
    cli.decoded(201, wanted, "POST", path, Some(&first)).await?;
    let login = json!({"email": "owner@example.com", "password": PASSWORD});
    let path = "/api/v2/users/login";
    let wanted = "LoginWithPasswordResponse";
    let session = cli.decoded(201, wanted, "POST", path, Some(&login)).await?;
    text(&session, "session_token")?.clone_into(&mut cli.token);
    let me = cli.get("User", "/api/v2/users/me").await?;
    assert_eq!(me["username"], "owner");
    // login to a server that has its first user
    cli.get("Response", "/api/v2/users/first").await?;

    // whoami -o json
    let me = cli.get("User", "/api/v2/users/me").await?;
    assert_eq!(me["organization_ids"].as_array().map(Vec::len), Some(1));
    assert_eq!(me["roles"][0]["display_name"], "Owner");
    cli.get("BuildInfo", "/api/v2/buildinfo").await?;

    // logout, twice: the second fails, which the command ignores
    cli.call(200, "POST", "/api/v2/users/logout", None).await?;
    cli.call(401, "POST", "/api/v2/users/logout", None).await?;
    cli.call(401, "GET", "/api/v2/users/me", None).await?;
    Ok(())
}

#[tokio::test]
async fn login_with_a_token_creates_a_session() -> Result<()> {
    let deployment = start().await?;
    let cli = owner(&deployment);
    // login --token T: another key is created, and T stays valid
    cli.get("Response", "/api/v2/users/first").await?;
    let path = "/api/v2/users/me/keys";
    let wanted = "GenerateAPIKeyResponse";
    let created = cli.decoded(201, wanted, "POST", path, None).await?;
    let key = text(&created, "key")?;
    assert_ne!(key, cli.token);
    let stored = Go::command_line(&deployment.server).with_token(key);
    stored.get("User", "/api/v2/users/me").await?;
    // logout revokes only the new key
    stored
        .call(200, "POST", "/api/v2/users/logout", None)
        .await?;
    stored.call(401, "GET", "/api/v2/users/me", None).await?;
    // login --token T --use-token-as-session
    cli.get("User", "/api/v2/users/me").await?;
    // login, with a mistyped token
    for token in ["nonsense", "abcdefghij-ABCDEFGHIJKLMNOPQRSTUV"] {
        let cli = Go::command_line(&deployment.server).with_token(token);
        cli.call(401, "GET", "/api/v2/users/me", None).await?;
    }
    Ok(())
}

async fn create(cli: &Go<'_>, username: &str) -> Result<Value> {
    let organization = only_organization(cli).await?;
    let body = json!({
        "email": format!("{username}@example.com"),
        "username": username,
        "name": "",
        "password": PASSWORD,
        "login_type": "password",
        "user_status": null,
        "organization_ids": [organization],
    });
    let path = "/api/v2/users";
    cli.decoded(201, "User", "POST", path, Some(&body)).await
}

#[tokio::test]
async fn the_users_commands_create_list_show_change_and_delete_users() -> Result<()> {
    let deployment = start().await?;
    let cli = owner(&deployment);
    let alice = create(&cli, "alice").await?;
    let id = text(&alice, "id")?;
    let (by_name, by_id) = ("/api/v2/users/alice", format!("/api/v2/users/{id}"));

    // list, and list --github-user-id
    let listed = cli.get("GetUsersResponse", "/api/v2/users?q=").await?;
    assert_eq!(listed["count"], 2);
    let path = "/api/v2/users?q=github_com_user_id:17";
    assert_eq!(cli.get("GetUsersResponse", path).await?["count"], 0);

    // show
    let shown = cli.get("User", by_name).await?;
    for organization in shown["organization_ids"].as_array().context("a list")? {
        let organization = organization.as_str().context("a text")?;
        let path = format!("{API}/organizations/{organization}");
        assert_eq!(cli.get("Organization", &path).await?["name"], "coder");
    }

    // suspend and activate, each of which stops after the first call if nothing changes
    for (command, status) in [("suspend", "suspended"), ("activate", "active")] {
        assert_ne!(cli.get("User", by_name).await?["status"], status);
        let path = format!("{by_id}/status/{command}");
        let changed = cli.decoded(200, "User", "PUT", &path, None).await?;
        assert_eq!(changed["status"], status);
        assert_eq!(cli.get("User", by_name).await?["status"], status);
    }

    // edit-roles --roles auditor,template-admin
    let roles = format!("{by_name}/roles");
    cli.get("User", by_name).await?;
    cli.get("UserRoles", &roles).await?;
    let offered = cli.get("[]AssignableRole", "/api/v2/users/roles").await?;
    let wanted = ["auditor", "template-admin"];
    for name in wanted {
        let is_offered = |role: &Value| role["name"] == name;
        let offered = offered.as_array().context("a list")?;
        ensure!(offered.iter().any(is_offered), "{name}");
    }
    let body = json!({"roles": wanted});
    cli.decoded(200, "User", "PUT", &roles, Some(&body)).await?;
    let now = cli.get("UserRoles", &roles).await?;
    assert_eq!(now["roles"].as_array().map(Vec::len), Some(2));

    // delete
    cli.get("User", by_name).await?;
    cli.call(200, "DELETE", &by_id, None).await?;
    let gone = cli.call(400, "GET", by_name, None).await?;
    ensure!(text(&gone, "message")?.contains("must be an existing uuid or username"));
    Ok(())
}

#[tokio::test]
async fn the_tokens_commands_create_list_show_and_remove_tokens() -> Result<()> {
    let deployment = start().await?;
    let cli = owner(&deployment);
    let member = user(&deployment, "alice").await?;
    let tokens = "/api/v2/users/me/keys/tokens";
    let created = "GenerateAPIKeyResponse";

    // list without tokens
    let path = format!("{tokens}?include_all=false");
    assert_eq!(cli.get("[]APIKeyWithOwner|null", &path).await?, Value::Null);

    // create: without --lifetime, the maximum from the server is sent back
    for (cli, greatest) in [
        (&cli, 604_800_000_000_000_i64),
        (&member, 3_155_760_000_000_000_000),
    ] {
        let config = cli
            .get("TokenConfig", &format!("{tokens}/tokenconfig"))
            .await?;
        assert_eq!(config["max_token_lifetime"], greatest);
        let body = json!({"lifetime": config["max_token_lifetime"], "token_name": "longest"});
        cli.decoded(201, created, "POST", tokens, Some(&body))
            .await?;
    }
    // create --scope --allow, and create -u
    let body = json!({
        "lifetime": 3_600_000_000_000_i64,
        "token_name": "narrow",
        "scopes": ["api_key:read", "organization:read"],
        "allow_list": ["user:*"],
    });
    cli.decoded(201, created, "POST", tokens, Some(&body))
        .await?;
    let of_alice = "/api/v2/users/alice/keys/tokens";
    cli.get("TokenConfig", &format!("{of_alice}/tokenconfig"))
        .await?;
    let body = json!({"lifetime": 3_600_000_000_000_i64, "token_name": "from-owner"});
    cli.decoded(201, created, "POST", of_alice, Some(&body))
        .await?;

    // list, and list -a
    let listed = cli.get("[]APIKeyWithOwner|null", &path).await?;
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    let path = format!("{tokens}?include_all=true");
    let all = cli.get("[]APIKeyWithOwner|null", &path).await?;
    assert_eq!(all.as_array().map(Vec::len), Some(4));

    // view and rm, by name, by id and by the whole token
    for how in ["name", "id", "token"] {
        let body = json!({"lifetime": 3_600_000_000_000_i64, "token_name": "to-go"});
        let created = cli
            .decoded(201, created, "POST", tokens, Some(&body))
            .await?;
        let token = text(&created, "key")?;
        let (id, _) = token.split_once('-').context("two halves")?;
        let given = match how {
            "name" => "to-go",
            "id" => id,
            _ => token,
        };
        let by_name = format!("{tokens}/{given}");
        let key = if how == "name" {
            cli.get("APIKey", &by_name).await?
        } else {
            cli.call(404, "GET", &by_name, None).await?;
            let half = given.split('-').next().unwrap_or_default();
            let path = format!("/api/v2/users/me/keys/{half}");
            cli.get("APIKey", &path).await?
        };
        assert_eq!(key["id"], id);
        let path = format!("/api/v2/users/me/keys/{}", text(&key, "id")?);
        cli.call(204, "DELETE", &path, None).await?;
        cli.call(404, "GET", &path, None).await?;
    }
    Ok(())
}

#[tokio::test]
async fn publickey_shows_and_resets_the_key() -> Result<()> {
    let deployment = start().await?;
    let cli = owner(&deployment);
    let path = "/api/v2/users/me/gitsshkey";
    let before = cli.get("GitSSHKey", path).await?;
    ensure!(text(&before, "public_key")?.starts_with("ssh-ed25519 "));
    // --reset
    let changed = cli.decoded(200, "GitSSHKey", "PUT", path, None).await?;
    assert_ne!(changed["public_key"], before["public_key"]);
    assert_eq!(cli.get("GitSSHKey", path).await?, changed);
    Ok(())
}

#[tokio::test]
async fn the_organizations_commands_manage_organizations_members_and_roles() -> Result<()> {
    let deployment = start().await?;
    let cli = owner(&deployment);
    let alice = user(&deployment, "alice").await?;
    // show
    let id = only_organization(&cli).await?;
    for name in ["coder", "default", &id] {
        let path = format!("{API}/organizations/{name}");
        assert_eq!(cli.get("Organization", &path).await?["id"], *id);
    }
    // members list: with a trailing slash
    let organization = format!("{API}/organizations/{id}");
    let path = format!("{organization}/members/");
    let members = cli.get("[]OrganizationMemberWithUserData", &path).await?;
    assert_eq!(members.as_array().map(Vec::len), Some(2));
    // roles show
    let path = format!("{organization}/members/roles");
    cli.get("[]AssignableRole", &path).await?;
    // members edit-roles, with and without roles
    let member = format!("{organization}/members/alice");
    for roles in [json!(["organization-auditor"]), json!([])] {
        let (path, body) = (format!("{member}/roles"), json!({"roles": roles}));
        let wanted = "OrganizationMember";
        let changed = cli.decoded(200, wanted, "PUT", &path, Some(&body)).await?;
        for role in changed["roles"].as_array().context("a list")? {
            assert_eq!(role["display_name"], "Organization Auditor");
        }
    }
    // members remove, after which the user has no organization to create users in, and add
    only_organization(&cli).await?;
    cli.call(204, "DELETE", &member, None).await?;
    let me = alice.get("User", "/api/v2/users/me").await?;
    assert_eq!(me["organization_ids"], json!([]));
    ensure!(only_organization(&alice).await.is_err());
    cli.decoded(200, "OrganizationMember", "POST", &member, None)
        .await?;
    only_organization(&alice).await?;

    // create
    let lab = "/api/v2/organizations/lab";
    cli.call(404, "GET", lab, None).await?;
    let body = json!({"name": "lab"});
    let path = "/api/v2/organizations";
    cli.decoded(201, "Organization", "POST", path, Some(&body))
        .await?;
    cli.get("Organization", lab).await?;
    ensure!(only_organization(&cli).await.is_err(), "--org is asked for");
    Ok(())
}

#[tokio::test]
async fn the_notifications_commands_pause_resume_and_send() -> Result<()> {
    let deployment = start().await?;
    let cli = owner(&deployment);
    let settings = "/api/v2/notifications/settings";
    for (is_paused, status) in [(true, 200), (true, 304), (false, 200), (false, 304)] {
        let body = json!({"notifier_paused": is_paused});
        cli.call(status, "PUT", settings, Some(&body)).await?;
        let now = cli.get("NotificationsSettings", settings).await?;
        assert_eq!(now["notifier_paused"], is_paused);
    }
    let path = "/api/v2/notifications/test";
    cli.call(204, "POST", path, None).await?;
    let path = "/api/v2/notifications/custom";
    let body = json!({"content": {"title": "Tea", "message": "It is ready."}});
    cli.call(204, "POST", path, Some(&body)).await?;
    Ok(())
}

#[tokio::test]
async fn features_and_groups_respond_as_without_a_license() -> Result<()> {
    let deployment = start().await?;
    let cli = owner(&deployment);
    let features = cli.get("Entitlements", "/api/v2/entitlements").await?;
    assert_eq!(
        features["features"].as_object().map(serde_json::Map::len),
        Some(23)
    );
    // groups list prints the server's message, since groups need a license
    let id = only_organization(&cli).await?;
    let path = format!("{API}/groups?organization={id}");
    let rejected = cli.send("GET", &path, None).await?;
    ensure!([403, 404].contains(&rejected.status), "{rejected:?}");
    Ok(())
}

#[tokio::test]
async fn a_password_that_reset_password_writes_to_the_database_is_valid() -> Result<()> {
    let deployment = start().await?;
    deployment.add("alice").await?;
    // `A Former Password 1`, hashed as the command does.
    let hash = "$pbkdf2-sha256$65535$AAECAwQFBgcICQoLDA0ODw$1H4yLn3fmIREsymlPRHqnj0KBcT/Jb//ivdw1GG3dQj+l8kNbHop6VF1OAUfBebkV21S2iozebhUTbqs8Dd+WQ";
    let sql = format!(
        "UPDATE users SET hashed_password = convert_to('{hash}', 'UTF8')
         WHERE id = (SELECT id FROM users WHERE lower(username) = 'alice' AND NOT deleted)"
    );
    deployment.server.database().query(&sql).await?;
    let cli = Go::command_line(&deployment.server);
    let path = "/api/v2/users/login";
    let login = json!({"email": "alice@example.com", "password": "A Former Password 1"});
    cli.call(201, "POST", path, Some(&login)).await?;
    let former = json!({"email": "alice@example.com", "password": PASSWORD});
    cli.call(401, "POST", path, Some(&former)).await?;
    Ok(())
}

#[tokio::test]
async fn forbidden_commands_fail_with_a_message() -> Result<()> {
    let deployment = start().await?;
    let member = user(&deployment, "alice").await?;
    deployment.add("bob").await?;
    let token = json!({"lifetime": 3_600_000_000_000_i64, "token_name": "x"});
    let organization = only_organization(&member).await?;
    let new = json!({
        "email": "new@example.com",
        "username": "new-one",
        "name": "",
        "password": PASSWORD,
        "login_type": "password",
        "user_status": null,
        "organization_ids": [organization],
    });
    for (method, path, body) in [
        ("GET", "/api/v2/users/bob", None),
        ("POST", "/api/v2/users/bob/keys/tokens", Some(&token)),
        ("POST", "/api/v2/users", Some(&new)),
        ("PUT", "/api/v2/users/me/status/activate", None),
        ("POST", "/api/v2/notifications/test", None),
        ("GET", "/api/v2/organizations/lab", None),
        (
            "PUT",
            "/api/v2/organizations/default/members/bob/roles",
            Some(&json!({"roles": []})),
        ),
    ] {
        let response = member.send(method, path, body).await?;
        ensure!(
            (400..500).contains(&response.status),
            "{method} {path}: {response:?}"
        );
        ensure!(response.status != 401, "{method} {path}: {response:?}");
    }
    deployment.set_roles("alice", &["template-admin"]).await?;
    let path = "/api/v2/users/bob/status/suspend";
    let rejected = member.call(403, "PUT", path, None).await?;
    decode(&rejected, "Response")
}

#[tokio::test]
async fn a_credential_is_read_from_every_source_and_an_empty_header_is_ignored() -> Result<()> {
    let deployment = start().await?;
    let token = &deployment.owner;
    let me = "/api/v2/users/me";
    let bearer = format!("Bearer {token}");
    let cookie = format!("coder_session_token={token}");
    for request in [
        Request::new("GET", me).header("Cookie", &cookie),
        Request::new("GET", &format!("{me}?coder_session_token={token}")),
        Request::new("GET", me).token(token),
        Request::new("GET", me).header("Authorization", &bearer),
        Request::new("GET", &format!("{me}?access_token={token}")),
        Request::new("GET", me)
            .token("")
            .header("Authorization", &bearer),
        Request::new("GET", "//api/v2//users//me/").token(token),
        Request::new("GET", me)
            .token(token)
            .header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .header("Coder-Desktop-Telemetry", "e30=")
            .header("X-Coder-Bypass-Ratelimit", "true"),
    ] {
        let response = deployment.server.send(&request).await?;
        ensure!(response.status == 200, "{request:?}: {response:?}");
    }
    let login = json!({"email": "owner@example.com", "password": PASSWORD});
    let login = Request::new("POST", "/api/v2/users/login").json(&login);
    let response = deployment.server.send(&login.token("")).await?;
    ensure!(response.status == 201, "{response:?}");
    Ok(())
}
