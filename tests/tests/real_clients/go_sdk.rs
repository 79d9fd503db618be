//! The Go SDK (`codersdk`), release 2.29: the methods that the command line does not use, with
//! the status that each requires and strict decoding.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use usher_tests::{
    deployment::{Deployment, PASSWORD},
    server::Setup,
};
use uuid::Uuid;

use crate::go::{Go, text};

const OTHER_PASSWORD: &str = "SomeSecurePassword!2";

async fn start() -> Result<Deployment> {
    let setup = Setup::default()
        .set("EMAIL_SMARTHOST", "127.0.0.1:9")
        .set("EMAIL_FROM", "usher@example.com")
        .set("NOTIFICATIONS_FETCH_INTERVAL", "1s");
    Deployment::start(setup).await
}

fn owner(deployment: &Deployment) -> Go<'_> {
    Go::new(&deployment.server).with_token(&deployment.owner)
}

#[tokio::test]
async fn deployment_info_can_be_decoded() -> Result<()> {
    let deployment = start().await?;
    let anonymous = Go::new(&deployment.server);
    for (wanted, path) in [
        ("BuildInfo", "/api/v2/buildinfo"),
        ("UpdateCheck", "/api/v2/updatecheck"),
        ("Entitlements", "/api/v2/entitlements"),
        ("AuthMethods", "/api/v2/users/authmethods"),
        ("ExternalAPIKeyScopes", "/api/v2/auth/scopes"),
        ("Response", "/api/v2"),
        ("Response", "/api/v2/"),
    ] {
        anonymous.get(wanted, path).await?;
    }
    let sdk = owner(&deployment);
    for (wanted, path) in [
        ("Appearance", "/api/v2/appearance"),
        ("[]string", "/api/v2/experiments"),
        ("AvailableExperiments", "/api/v2/experiments/available"),
        ("Regions", "/api/v2/regions"),
        ("SSHConfig", "/api/v2/deployment/ssh"),
        ("[]Organization", "/api/v2/organizations"),
    ] {
        sdk.get(wanted, path).await?;
        anonymous.call(401, "GET", path, None).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_user_is_created_changed_and_deleted() -> Result<()> {
    let deployment = start().await?;
    let sdk = owner(&deployment);
    let id = deployment.add("alice").await?;
    let user = format!("/api/v2/users/{id}");
    for (wanted, path) in [
        ("User", user.clone()),
        ("UserRoles", format!("{user}/roles")),
        ("UserLoginType", "/api/v2/users/me/login-type".to_owned()),
        ("GitSSHKey", format!("{user}/gitsshkey")),
        ("UserAppearanceSettings", format!("{user}/appearance")),
        ("UserPreferenceSettings", format!("{user}/preferences")),
        (
            "[]UserParameter",
            format!("{user}/autofill-parameters?template_id={}", Uuid::nil()),
        ),
        ("[]Organization", format!("{user}/organizations")),
        ("Organization", format!("{user}/organizations/coder")),
        (
            "[]APIKeyWithOwner|null",
            format!("{user}/keys/tokens?include_all=false"),
        ),
        (
            "[]NotificationPreference|null",
            format!("{user}/notifications/preferences"),
        ),
    ] {
        sdk.get(wanted, &path).await?;
    }
    for (wanted, path, body) in [
        (
            "User",
            "profile",
            json!({"username": "alicia", "name": "Alicia A."}),
        ),
        ("User", "roles", json!({"roles": ["auditor"]})),
        (
            "UserAppearanceSettings",
            "appearance",
            json!({"theme_preference": "dark", "terminal_font": "fira-code"}),
        ),
        (
            "UserPreferenceSettings",
            "preferences",
            json!({"task_notification_alert_dismissed": true}),
        ),
    ] {
        let path = format!("{user}/{path}");
        sdk.decoded(200, wanted, "PUT", &path, Some(&body)).await?;
    }
    let named = sdk.get("User", &user).await?;
    assert_eq!(named["name"], "Alicia A.");

    // The first user, a username and an e-mail address can be created once.
    let first = json!({"email": "x@example.com", "username": "x", "password": PASSWORD});
    let path = "/api/v2/users/first";
    sdk.call(409, "POST", path, Some(&first)).await?;
    let twin = json!({
        "email": "other@example.com",
        "username": "ALICIA",
        "password": PASSWORD,
        "organization_ids": [deployment.organization],
    });
    sdk.call(409, "POST", "/api/v2/users", Some(&twin)).await?;
    let owned = sdk.call(403, "DELETE", "/api/v2/users/me", None).await?;
    ensure!(!text(&owned, "message")?.is_empty());
    sdk.decoded(200, "Response", "DELETE", &user, None).await?;
    Ok(())
}

#[tokio::test]
async fn users_can_be_searched_and_paged() -> Result<()> {
    let deployment = start().await?;
    let sdk = owner(&deployment);
    let first = deployment.add("alice").await?;
    deployment.add("bob").await?;
    for (query, count) in [
        ("q=", 3),
        ("q=alice", 1),
        ("q=status%3Adormant", 2),
        ("q=role%3Aowner", 1),
        ("q=bob+status%3Adormant+login_type%3Apassword", 1),
    ] {
        let path = format!("/api/v2/users?{query}");
        let page = sdk.get("GetUsersResponse", &path).await?;
        assert_eq!(page["count"], count, "{query}");
    }
    let path = format!("/api/v2/users?after_id={first}&limit=1&q=");
    let page = sdk.get("GetUsersResponse", &path).await?;
    assert_eq!(page["users"][0]["username"], "bob");
    let path = "/api/v2/users?limit=1&offset=1&q=";
    let page = sdk.get("GetUsersResponse", path).await?;
    assert_eq!(page["users"][0]["username"], "bob");

    let members = "/api/v2/organizations/coder/members";
    let path = format!("{members}/?q=user_id%3A{first}");
    let found = sdk.get("[]OrganizationMemberWithUserData", &path).await?;
    assert_eq!(found[0]["username"], "alice");
    let path = "/api/v2/organizations/coder/paginated-members?limit=2&offset=0";
    let page = sdk.get("PaginatedMembersResponse", path).await?;
    assert_eq!(page["count"], 3);
    Ok(())
}

#[tokio::test]
async fn passwords_are_validated_changed_and_reset() -> Result<()> {
    let deployment = start().await?;
    deployment.add("alice").await?;
    let session = deployment.log_in("alice").await?;
    let anonymous = Go::new(&deployment.server);
    let alice = Go::new(&deployment.server).with_token(&session);
    let path = "/api/v2/users/validate-password";
    let wanted = "ValidateUserPasswordResponse";
    for (password, is_valid) in [(PASSWORD, true), ("short", false)] {
        let body = json!({"password": password});
        let judged = alice
            .decoded(200, wanted, "POST", path, Some(&body))
            .await?;
        assert_eq!(judged["valid"], is_valid);
    }
    let path = "/api/v2/users/me/convert-login";
    let wanted = "OAuthConversionResponse";
    let body = json!({"to_type": "github", "password": PASSWORD});
    alice
        .decoded(201, wanted, "POST", path, Some(&body))
        .await?;
    for (to_type, password, status) in [("github", "wrong", 401), ("nonsense", PASSWORD, 400)] {
        let body = json!({"to_type": to_type, "password": password});
        alice.call(status, "POST", path, Some(&body)).await?;
    }

    let path = "/api/v2/users/me/password";
    let body = json!({"old_password": PASSWORD, "password": OTHER_PASSWORD});
    alice.call(204, "PUT", path, Some(&body)).await?;
    alice.call(401, "GET", "/api/v2/users/me", None).await?;

    let path = "/api/v2/users/otp/request";
    for email in ["alice@example.com", "unknown@example.com"] {
        let body = json!({"email": email});
        anonymous.call(204, "POST", path, Some(&body)).await?;
    }
    let sql = "SELECT payload -> 'labels' ->> 'one_time_passcode' FROM notification_messages
               WHERE payload -> 'labels' ? 'one_time_passcode'";
    let passcode = deployment.server.database().query(sql).await?;
    let path = "/api/v2/users/otp/change-password";
    let body = json!({
        "email": "alice@example.com",
        "password": PASSWORD,
        "one_time_passcode": passcode,
    });
    anonymous.call(204, "POST", path, Some(&body)).await?;
    anonymous.call(400, "POST", path, Some(&body)).await?;
    deployment.log_in("alice").await?;
    Ok(())
}

#[tokio::test]
async fn notifications_are_configured_sent_and_read() -> Result<()> {
    let deployment = start().await?;
    let sdk = owner(&deployment);
    let base = "/api/v2/notifications";
    for (path, count) in [("system", 27), ("custom", 1)] {
        let path = format!("{base}/templates/{path}");
        let templates = sdk.get("[]NotificationTemplate", &path).await?;
        assert_eq!(templates.as_array().map(Vec::len), Some(count));
    }
    let path = format!("{base}/dispatch-methods");
    sdk.get("NotificationMethodsResponse", &path).await?;
    let created = "4e19c0ac-94e1-4532-9515-d1801aa283b2";
    let path = format!("{base}/templates/{created}/method");
    for status in [200, 304] {
        let body = json!({"method": "webhook"});
        sdk.call(status, "PUT", &path, Some(&body)).await?;
    }
    let path = "/api/v2/users/me/notifications/preferences";
    let wanted = "[]NotificationPreference|null";
    assert_eq!(sdk.get(wanted, path).await?, Value::Null);
    let body = json!({"template_disabled_map": {created: true}});
    let now = sdk.decoded(200, wanted, "PUT", path, Some(&body)).await?;
    assert_eq!(now[0]["disabled"], true);

    // A message to oneself arrives, and is marked as read and unread.
    let body = json!({"content": {"title": "Tea", "message": "It is ready."}});
    let path = format!("{base}/custom");
    sdk.call(204, "POST", &path, Some(&body)).await?;
    let inbox = format!("{base}/inbox");
    let message = arrived(&sdk, &inbox).await?;
    assert_eq!(message["title"], "Tea");
    let path = format!("{inbox}/{}/read-status", text(&message, "id")?);
    let wanted = "UpdateInboxNotificationReadStatusResponse";
    for (is_read, unread) in [(true, 0), (false, 1)] {
        let body = json!({"is_read": is_read});
        let now = sdk.decoded(200, wanted, "PUT", &path, Some(&body)).await?;
        assert_eq!(now["unread_count"], unread);
        assert_eq!(now["notification"]["read_at"].is_null(), !is_read);
    }
    let path = format!("{inbox}/mark-all-as-read");
    sdk.call(204, "PUT", &path, None).await?;
    let listed = sdk.get("ListInboxNotificationsResponse", &inbox).await?;
    assert_eq!(listed["unread_count"], 0);
    Ok(())
}

/// Waits for the first message of the inbox and returns it.
async fn arrived(sdk: &Go<'_>, inbox: &str) -> Result<Value> {
    for _ in 0..3000 {
        let listed = sdk.get("ListInboxNotificationsResponse", inbox).await?;
        if let Some(message) = listed["notifications"].get(0) {
            return Ok(message.clone());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    anyhow::bail!("no message arrived")
}

#[tokio::test]
async fn organizations_and_permissions_can_be_decoded() -> Result<()> {
    let deployment = start().await?;
    let sdk = owner(&deployment);
    let body = json!({"name": "lab", "display_name": "Lab"});
    let path = "/api/v2/organizations";
    let created = sdk
        .decoded(201, "Organization", "POST", path, Some(&body))
        .await?;
    let lab = format!("{path}/{}", text(&created, "id")?);
    let body = json!({"description": "Far away."});
    let changed = sdk
        .decoded(200, "Organization", "PATCH", &lab, Some(&body))
        .await?;
    assert_eq!(changed["description"], "Far away.");
    sdk.decoded(200, "Response", "DELETE", &lab, None).await?;
    sdk.call(404, "GET", &lab, None).await?;

    let checks = json!({"checks": {
        "read-users": {"object": {"resource_type": "user"}, "action": "read"},
        "mine": {"object": {"resource_type": "api_key", "owner_id": "me"}, "action": "create"},
    }});
    let path = "/api/v2/authcheck";
    let responses = sdk
        .decoded(200, "{}bool", "POST", path, Some(&checks))
        .await?;
    assert_eq!(responses, json!({"mine": true, "read-users": true}));
    Ok(())
}

#[tokio::test]
async fn the_audit_log_can_be_searched() -> Result<()> {
    let deployment = start().await?;
    let sdk = owner(&deployment);
    deployment.add("alice").await?;
    deployment.set_roles("alice", &["auditor"]).await?;
    let path = "/api/v2/organizations/default/members/alice/roles";
    let body = json!({"roles": ["organization-auditor"]});
    sdk.call(200, "PUT", path, Some(&body)).await?;
    sdk.call(200, "PUT", "/api/v2/users/me/gitsshkey", None)
        .await?;
    let log = sdk
        .get("AuditLogResponse", "/api/v2/audit?limit=25&q=")
        .await?;
    ensure!(log["count"].as_i64() >= Some(5), "{log}");
    let path = "/api/v2/audit?q=resource_type%3Aorganization_member";
    let log = sdk.get("AuditLogResponse", path).await?;
    assert_eq!(log["audit_logs"][0]["organization"]["name"], "coder");
    let path = "/api/v2/audit?q=username%3Anobody";
    let none = sdk.get("AuditLogResponse", path).await?;
    assert_eq!(none, json!({"audit_logs": [], "count": 0}));
    Ok(())
}

#[tokio::test]
async fn keys_are_created_listed_and_deleted() -> Result<()> {
    let deployment = start().await?;
    let sdk = owner(&deployment);
    let created = sdk.call(201, "POST", "/api/v2/users/me/keys", None).await?;
    let (id, _) = text(&created, "key")?
        .split_once('-')
        .context("no secret")?;
    let path = format!("/api/v2/users/me/keys/{id}");
    let key = sdk.get("APIKey", &path).await?;
    assert_eq!(key["allow_list"], json!(["*:*"]));
    assert_eq!(
        (&key["scope"], &key["scopes"]),
        (&json!("all"), &json!(["coder:all"]))
    );
    sdk.call(204, "DELETE", &path, None).await?;
    let path = "/api/v2/users/me/keys/tokens";
    // Requests of older releases.
    let older = json!({"lifetime": 0, "scope": "all", "token_name": "older"});
    sdk.call(201, "POST", path, Some(&older)).await?;
    let drawn = json!({"token_name": "drawn", "allow_list": [{"type": "*", "id": "*"}]});
    sdk.call(400, "POST", path, Some(&drawn)).await?;
    sdk.get("APIKey", &format!("{path}/older")).await?;
    Ok(())
}
