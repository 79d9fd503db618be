//! The TypeScript client of release 2.29 and its copy in the Backstage plugin: axios in Node,
//! with its headers.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use usher_tests::{
    deployment::PASSWORD,
    exchange::{Request, Response},
    server::Server,
};

use crate::go::{decode, text};

const OTHER_PASSWORD: &str = "SomeSecurePassword!2";

/// axios, as both clients configure it.
struct Axios<'a> {
    server: &'a Server,
    token: Option<String>,
}

impl Axios<'_> {
    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response> {
        let mut request = Request {
            method: method.to_owned(),
            path: format!("/api/v2{path}"),
            headers: Vec::new(),
            body: None,
        }
        .header("Accept", "application/json, text/plain, */*");
        request = match body {
            Some(body) => request.json(body),
            // Even without a body.
            None if ["POST", "PUT"].contains(&method) => {
                request.header("Content-Type", "application/x-www-form-urlencoded")
            }
            None => request,
        };
        if let Some(token) = &self.token {
            request = request.token(token);
        }
        let request = request
            .header("User-Agent", "axios/1.13.1")
            .header("Accept-Encoding", "gzip, compress, deflate, br");
        self.server.send(&request).await
    }

    /// Sends a request and fails as axios does, except for 304.
    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let response = self.send(method, path, body).await?;
        let is_good = (200..300).contains(&response.status) || response.status == 304;
        ensure!(is_good, "{method} {path}: {response:?}");
        Ok(response.json().unwrap_or_default())
    }

    async fn get(&self, wanted: &str, path: &str) -> Result<Value> {
        let value = self.call("GET", path, None).await?;
        decode(&value, wanted).with_context(|| path.to_owned())?;
        Ok(value)
    }
}

/// `hasFirstUser`, `createFirstUser`, `login`.
async fn set_up(server: &Server) -> Result<Axios<'_>> {
    let mut api = Axios {
        server,
        token: None,
    };
    assert_eq!(api.send("GET", "/users/first", None).await?.status, 404);
    let first = json!({
        "email": "owner@example.com",
        "username": "owner",
        "password": PASSWORD,
        "trial": false,
    });
    api.call("POST", "/users/first", Some(&first)).await?;
    assert_eq!(api.send("GET", "/users/first", None).await?.status, 200);
    let login = json!({"email": "owner@example.com", "password": PASSWORD});
    let session = api.call("POST", "/users/login", Some(&login)).await?;
    api.token = Some(text(&session, "session_token")?.to_owned());
    Ok(api)
}

#[tokio::test]
async fn a_deployment_is_set_up_and_managed() -> Result<()> {
    let server = Server::start().await?;
    let api = set_up(&server).await?;
    let me = api.get("User", "/users/me").await?;
    let organization = me["organization_ids"][0].clone();
    let new = json!({
        "email": "alice@example.com",
        "username": "alice",
        "name": "Alice",
        "password": PASSWORD,
        "login_type": "password",
        "organization_ids": [organization],
        "user_status": null,
        "service_account": false,
    });
    let alice = api.call("POST", "/users", Some(&new)).await?;
    let alice = format!("/users/{}", text(&alice, "id")?);
    let found = api
        .get(
            "GetUsersResponse",
            "/users?q=status%3Adormant&limit=25&offset=0",
        )
        .await?;
    assert_eq!(found["count"], 1);

    let wanted = json!({"lifetime": 3_600_000_000_000_i64, "token_name": "ui", "scope": "all"});
    api.call("POST", "/users/me/keys/tokens", Some(&wanted))
        .await?;
    let tokens = api
        .get(
            "[]APIKeyWithOwner",
            "/users/me/keys/tokens?include_all=false",
        )
        .await?;
    let path = format!("/users/me/keys/{}", text(&tokens[0], "id")?);
    api.call("DELETE", &path, None).await?;
    api.get("TokenConfig", "/users/me/keys/tokens/tokenconfig")
        .await?;
    let key = api.call("POST", "/users/me/keys", None).await?;
    ensure!(text(&key, "key")?.len() == 33);

    let change = json!({"password": OTHER_PASSWORD, "old_password": ""});
    let path = format!("{alice}/password");
    api.call("PUT", &path, Some(&change)).await?;
    let path = format!("{alice}/gitsshkey");
    let before = api.get("GitSSHKey", &path).await?;
    let after = api.call("PUT", &path, None).await?;
    assert_ne!(before["public_key"], after["public_key"]);
    for (call, status) in [("suspend", "suspended"), ("activate", "active")] {
        let path = format!("{alice}/status/{call}");
        assert_eq!(api.call("PUT", &path, None).await?["status"], status);
    }
    let change = json!({"username": "alice", "name": "Alice A."});
    api.call("PUT", &format!("{alice}/profile"), Some(&change))
        .await?;
    let change = json!({"roles": ["auditor"]});
    api.call("PUT", &format!("{alice}/roles"), Some(&change))
        .await?;
    api.call("DELETE", &alice, None).await?;
    api.call("POST", "/users/logout", None).await?;
    assert_eq!(api.send("GET", "/users/me", None).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn the_requests_of_opening_a_page_succeed() -> Result<()> {
    let server = Server::start().await?;
    let api = set_up(&server).await?;
    for (wanted, path) in [
        ("User", "/users/me"),
        ("Response", "/users/first"),
        ("Entitlements", "/entitlements"),
        ("[]string", "/experiments"),
        ("AvailableExperiments", "/experiments/available"),
        ("Appearance", "/appearance"),
        ("BuildInfo", "/buildinfo"),
        ("UpdateCheck", "/updatecheck"),
        ("Regions", "/regions"),
        ("SSHConfig", "/deployment/ssh"),
        ("AuthMethods", "/users/authmethods"),
        ("UserLoginType", "/users/me/login-type"),
        ("UserAppearanceSettings", "/users/me/appearance"),
        ("UserPreferenceSettings", "/users/me/preferences"),
        ("[]NotificationTemplate", "/notifications/templates/system"),
        ("[]NotificationTemplate", "/notifications/templates/custom"),
        (
            "NotificationMethodsResponse",
            "/notifications/dispatch-methods",
        ),
        ("[]Organization", "/organizations"),
        ("[]Organization", "/users/me/organizations"),
        ("Organization", "/organizations/coder"),
        (
            "[]OrganizationMemberWithUserData",
            "/organizations/coder/members",
        ),
        (
            "PaginatedMembersResponse",
            "/organizations/coder/paginated-members?limit=25&offset=0",
        ),
        ("[]AssignableRole", "/organizations/coder/members/roles"),
        ("[]AssignableRole", "/users/roles"),
        ("AuditLogResponse", "/audit?q=&limit=25&offset=0"),
        // A question mark without parameters.
        ("ListInboxNotificationsResponse", "/notifications/inbox?"),
        (
            "[]UserParameter",
            "/users/me/autofill-parameters?template_id=11111111-2222-4333-8444-555555555555",
        ),
        ("any", "/workspaces?q=owner%3Ame&limit=25"),
        ("[]any", "/templates"),
        ("any", "/tasks"),
    ] {
        api.get(wanted, path).await?;
    }
    let checks = json!({"checks": {
        "viewAllUsers": {"object": {"resource_type": "user"}, "action": "read"},
    }});
    let responses = api.call("POST", "/authcheck", Some(&checks)).await?;
    assert_eq!(responses, json!({"viewAllUsers": true}));
    let quiet = api.send("GET", "/users/me/quiet-hours", None).await?;
    assert_eq!(quiet.status, 403);
    api.call("PUT", "/notifications/inbox/mark-all-as-read", None)
        .await?;
    Ok(())
}

/// Whether the Tasks page shows its alert: all task notifications are off for the user, and it
/// was not dismissed.
async fn shows_alert(api: &Axios<'_>, user: &str) -> Result<bool> {
    let path = format!("/users/{user}/notifications/preferences");
    let stored = api.get("[]NotificationPreference|null", &path).await?;
    let templates = api.get("[]NotificationTemplate", "/notifications/templates/system");
    let templates = templates.await?;
    let dismissed = api
        .get("UserPreferenceSettings", "/users/me/preferences")
        .await?;
    let is_off = |template: &Value| {
        let said = stored.as_array().into_iter().flatten();
        said.clone()
            .find(|one| one["id"] == template["id"])
            .map_or(template["enabled_by_default"] == false, |one| {
                one["disabled"] == true
            })
    };
    let mut of_tasks = templates
        .as_array()
        .context("a list")?
        .iter()
        .filter(|template| template["group"] == "Task Events");
    Ok(of_tasks.all(is_off) && dismissed["task_notification_alert_dismissed"] != true)
}

#[tokio::test]
async fn the_task_alert_is_dismissed_and_shown_again() -> Result<()> {
    const TASK_IDLE: &str = "d4a6271c-cced-4ed0-84ad-afd02a9c7799";
    let server = Server::start().await?;
    let api = set_up(&server).await?;
    let me = api.get("User", "/users/me").await?;
    let me = text(&me, "id")?;
    assert!(shows_alert(&api, me).await?, "a fresh user");
    let dismiss = async |dismissed: bool| {
        let body = json!({"task_notification_alert_dismissed": dismissed});
        api.call("PUT", "/users/me/preferences", Some(&body)).await
    };
    let disable = async |disabled: bool| {
        let body = json!({"template_disabled_map": {TASK_IDLE: disabled}});
        let path = format!("/users/{me}/notifications/preferences");
        api.call("PUT", &path, Some(&body)).await
    };
    dismiss(true).await?;
    assert!(!shows_alert(&api, me).await?, "dismissed");
    disable(false).await?;
    let preferences = api
        .get("UserPreferenceSettings", "/users/me/preferences")
        .await?;
    assert_eq!(preferences["task_notification_alert_dismissed"], true);
    dismiss(false).await?;
    assert!(!shows_alert(&api, me).await?, "one is on");
    disable(true).await?;
    assert!(shows_alert(&api, me).await?, "all are off again");
    Ok(())
}

#[tokio::test]
async fn the_token_works_beside_the_one_that_backstage_sends() -> Result<()> {
    let server = Server::start().await?;
    let api = set_up(&server).await?;
    let token = api.token.as_deref().context("a session")?;
    let foreign = Request::new("GET", "/api/v2/users/me").header(
        "Authorization",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJiYWNrc3RhZ2UifQ.x",
    );
    let response = server.send(&foreign.clone().token(token)).await?;
    ensure!(response.status == 200, "{response:?}");
    let me = response.json().context("no body")?;
    ensure!(!text(&me, "id")?.is_empty() && text(&me, "username")? == "owner");
    let response = server.send(&foreign).await?;
    ensure!(response.status == 401, "{response:?}");
    Ok(())
}
