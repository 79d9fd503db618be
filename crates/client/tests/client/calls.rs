//! The path, body and expected status of each call.

use serde_json::{Value, json};
use usher_client::{Client, Error, OrganizationRef, StatusCode, UserRef, types};
use uuid::Uuid;

use crate::stub::Stub;

const ID: &str = "5e0f0b1c-7a4f-4c36-9a57-2f1d4f0b9a11";
const TIME: &str = "2026-01-02T03:04:05.678Z";

fn user() -> Value {
    json!({
        "id": ID, "username": "alice", "email": "alice@example.com", "created_at": TIME,
        "updated_at": TIME, "last_seen_at": "0001-01-01T00:00:00Z", "status": "active",
        "login_type": "password", "organization_ids": null, "roles": [],
    })
}

fn organization() -> Value {
    json!({
        "id": ID, "name": "home", "display_name": "Home", "icon": "", "description": "",
        "created_at": TIME, "updated_at": TIME, "is_default": true,
    })
}

fn member() -> Value {
    json!({
        "user_id": ID, "organization_id": ID, "created_at": TIME, "updated_at": TIME,
        "roles": [{"name": "organization-admin", "display_name": "Organization Admin", "organization_id": ID}],
    })
}

fn member_with_user_data() -> Value {
    let mut member = member();
    let facts = json!({"username": "alice", "email": "alice@example.com", "global_roles": []});
    let (Value::Object(member_fields), Value::Object(facts)) = (&mut member, facts) else {
        unreachable!("both are objects")
    };
    member_fields.extend(facts);
    member
}

fn key() -> Value {
    json!({
        "id": "0123456789", "user_id": ID, "last_used": TIME, "expires_at": TIME,
        "created_at": TIME, "updated_at": TIME, "login_type": "token", "scope": "all",
        "scopes": ["coder:all"], "token_name": "ci", "lifetime_seconds": 60,
        "allow_list": ["*:*"],
    })
}

fn token_of_user() -> Value {
    let mut token = key();
    token["username"] = json!("alice");
    token
}

fn ssh_key() -> Value {
    json!({"user_id": ID, "created_at": TIME, "updated_at": TIME, "public_key": "ssh-ed25519 AAAA\n"})
}

fn role() -> Value {
    json!({
        "name": "owner", "display_name": "Owner", "site_permissions": [],
        "user_permissions": [], "organization_permissions": [],
        "organization_member_permissions": [], "assignable": true, "built_in": true,
    })
}

/// Sends a call three times: with the documented response, with another 2xx status, and with
/// an error.
async fn check(
    line: &str,
    status: u16,
    response: Value,
    call: impl AsyncFn(Client) -> Result<(), Error>,
) -> String {
    let stub = Stub::start().await;
    let client = stub.client().with_token("0123456789-secret");

    stub.respond_next(status, &response);
    call(client.clone())
        .await
        .unwrap_or_else(|error| panic!("{line}: {error:?}"));
    let asked = stub.asked();
    let [asked] = asked.as_slice() else {
        panic!("{line}: {asked:?}")
    };
    assert_eq!(asked.line, line);
    assert_eq!(asked.headers["coder-session-token"], "0123456789-secret");

    stub.respond_next(207, &response);
    let error = call(client.clone()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::MULTI_STATUS), "{line}");

    stub.respond_next(403, json!({"message": "Forbidden."}));
    let error = call(client).await.unwrap_err();
    assert!(
        matches!(&error, Error::Api { status, response }
            if *status == StatusCode::FORBIDDEN && response.message == "Forbidden."),
        "{line}: {error:?}"
    );
    asked.body.clone()
}

/// [`check`] for a call given as an expression over a client.
macro_rules! call {
    ($line:expr, $status:expr, $response:expr, |$client:ident| $call:expr) => {
        check($line, $status, $response, async |$client: Client| {
            $call.await.map(drop)
        })
        .await
    };
}

#[tokio::test]
async fn deployment_calls_match_the_api() {
    call!("GET /healthz", 200, json!("OK"), |c| c.check_health());
    call!("GET /latency-check", 200, json!("OK"), |c| c
        .check_latency());
    let build = json!({
        "external_url": "", "version": "v2.29.0", "dashboard_url": "", "telemetry": false,
        "workspace_proxy": false, "agent_api_version": "1.0", "provisioner_api_version": "1.12",
        "upgrade_message": "", "deployment_id": ID,
    });
    call!("GET /api/v2/buildinfo", 200, build, |c| c.get_build_info());
    let update = json!({"current": true, "version": "v2.29.0", "url": ""});
    call!("GET /api/v2/updatecheck", 200, update, |c| c
        .get_update_check());
    let entitlements = json!({
        "features": {"scim": {"entitlement": "not_entitled", "enabled": false}}, "warnings": [],
        "errors": [], "has_license": false, "trial": false, "require_telemetry": false,
        "refreshed_at": TIME,
    });
    call!("GET /api/v2/entitlements", 200, entitlements, |c| c
        .get_entitlements());
    let appearance = json!({
        "application_name": "", "logo_url": "", "docs_url": "",
        "service_banner": {"enabled": false}, "announcement_banners": [], "support_links": [],
    });
    call!("GET /api/v2/appearance", 200, appearance, |c| c
        .get_appearance());
    call!("GET /api/v2/experiments", 200, json!(["x"]), |c| c
        .list_experiments());
}

#[tokio::test]
async fn session_calls_match_the_api() {
    let session = json!({"session_token": "0123456789-other"});
    let body = call!("POST /api/v2/users/login", 201, session, |c| c
        .logged_in("a@example.com", "pass"));
    assert_eq!(body, r#"{"email":"a@example.com","password":"pass"}"#);
    let message = json!({"message": "Logged out!"});
    call!("POST /api/v2/users/logout", 200, message, |c| c.log_out());
    let methods = json!({
        "password": {"enabled": true},
        "github": {"enabled": false, "default_provider_configured": false},
        "oidc": {"enabled": false, "signInText": "", "iconUrl": ""},
    });
    call!("GET /api/v2/users/authmethods", 200, methods, |c| c
        .list_auth_methods());
    let device = json!({
        "device_code": "c", "user_code": "WDJB-MJHT", "verification_uri": "https://x.example",
        "expires_in": 900, "interval": 5,
    });
    call!("GET /api/v2/users/oauth2/github/device", 200, device, |c| c
        .authorize_github_device());
    let verdict = json!({"valid": true, "details": ""});
    let body = call!("POST /api/v2/users/validate-password", 200, verdict, |c| c
        .validate_password("pass"));
    assert_eq!(body, r#"{"password":"pass"}"#);
    let body = call!("POST /api/v2/users/otp/request", 204, json!(null), |c| c
        .request_one_time_passcode("a@example.com"));
    assert_eq!(body, r#"{"email":"a@example.com"}"#);
    let request = types::session::ChangePasswordWithOneTimePasscodeRequest {
        email: "a@example.com".into(),
        password: "new".into(),
        one_time_passcode: "once".into(),
    };
    let body = call!(
        "POST /api/v2/users/otp/change-password",
        204,
        json!(null),
        |c| c.change_password_with_one_time_passcode(&request)
    );
    assert_eq!(
        body,
        r#"{"email":"a@example.com","password":"new","one_time_passcode":"once"}"#
    );
}

#[tokio::test]
async fn user_calls_match_the_api() {
    let id = Uuid::parse_str(ID).unwrap();
    let message = || json!({"message": "Done."});

    call!("GET /api/v2/users/first", 200, message(), |c| c
        .has_first_user());
    let first = json!({"user_id": ID, "organization_id": ID});
    call!("POST /api/v2/users/first", 201, first, |c| c
        .create_first_user(
            &types::user::CreateFirstUserRequest::default()
        ));
    let new = types::user::CreateUserRequest {
        username: "alice".into(),
        ..Default::default()
    };
    let body = call!("POST /api/v2/users", 201, user(), |c| c.create_user(&new));
    assert!(body.contains(r#""username":"alice""#), "{body}");
    call!("GET /api/v2/users/me", 200, user(), |c| c
        .get_user(UserRef::Me));
    call!("GET /api/v2/users/alice", 200, user(), |c| c
        .get_user("alice"));
    call!(&format!("GET /api/v2/users/{ID}"), 200, user(), |c| c
        .get_user(id));
    call!("DELETE /api/v2/users/a%2Fb", 200, message(), |c| c
        .delete_user("a/b"));
    let profile = types::user::UpdateUserProfileRequest {
        username: "alice".into(),
        name: "Alice".into(),
    };
    let body = call!("PUT /api/v2/users/alice/profile", 200, user(), |c| c
        .set_user_profile("alice", &profile));
    assert_eq!(body, r#"{"username":"alice","name":"Alice"}"#);
    let password = types::user::UpdateUserPasswordRequest {
        old_password: "old".into(),
        password: "new".into(),
    };
    let body = call!("PUT /api/v2/users/me/password", 204, json!(null), |c| c
        .set_user_password(UserRef::Me, &password));
    assert_eq!(body, r#"{"old_password":"old","password":"new"}"#);
    call!("PUT /api/v2/users/alice/status/suspend", 200, user(), |c| c
        .suspend_user("alice"));
    call!(
        "PUT /api/v2/users/alice/status/activate",
        200,
        user(),
        |c| c.activate_user("alice")
    );
}

#[tokio::test]
async fn calls_for_resources_of_users_match_the_api() {
    let roles = json!({"roles": ["owner"], "organization_roles": {ID: ["organization-admin"]}});
    call!("GET /api/v2/users/me/roles", 200, roles, |c| c
        .get_user_roles(UserRef::Me));
    let body = call!("PUT /api/v2/users/alice/roles", 200, user(), |c| c
        .set_user_roles("alice", &["auditor", "user-admin"]));
    assert_eq!(body, r#"{"roles":["auditor","user-admin"]}"#);
    call!("GET /api/v2/users/roles", 200, json!([role()]), |c| c
        .list_site_roles());
    call!(
        "GET /api/v2/users/me/organizations",
        200,
        json!([organization()]),
        |c| c.list_user_organizations(UserRef::Me)
    );
    call!(
        "GET /api/v2/users/me/organizations/home",
        200,
        organization(),
        |c| c.get_user_organization(UserRef::Me, "home")
    );
    let login_type = json!({"login_type": "password"});
    call!("GET /api/v2/users/me/login-type", 200, login_type, |c| c
        .get_login_type(UserRef::Me));
    call!("GET /api/v2/users/me/gitsshkey", 200, ssh_key(), |c| c
        .get_git_ssh_key(UserRef::Me));
    call!("PUT /api/v2/users/me/gitsshkey", 200, ssh_key(), |c| c
        .regenerate_git_ssh_key(UserRef::Me));
}

#[tokio::test]
async fn key_calls_match_the_api() {
    let new_key = || json!({"key": "0123456789-other"});
    call!("POST /api/v2/users/me/keys", 201, new_key(), |c| c
        .create_session_key(UserRef::Me));
    call!("GET /api/v2/users/me/keys/0123456789", 200, key(), |c| c
        .get_key(UserRef::Me, "0123456789"));
    call!(
        "DELETE /api/v2/users/me/keys/0123456789",
        204,
        json!(null),
        |c| c.delete_key(UserRef::Me, "0123456789")
    );
    call!(
        "GET /api/v2/users/me/keys/tokens",
        200,
        json!([token_of_user()]),
        |c| c.list_tokens(UserRef::Me)
    );
    call!(
        "GET /api/v2/users/me/keys/tokens?include_all=true",
        200,
        json!(null),
        |c| c.list_all_tokens()
    );
    let request = types::api_key::CreateTokenRequest {
        token_name: "ci".into(),
        ..Default::default()
    };
    let body = call!("POST /api/v2/users/me/keys/tokens", 201, new_key(), |c| c
        .create_token(UserRef::Me, &request));
    assert_eq!(body, r#"{"lifetime":0,"token_name":"ci"}"#);
    call!("GET /api/v2/users/me/keys/tokens/a%20b", 200, key(), |c| c
        .get_token(UserRef::Me, "a b"));
    let config = json!({"max_token_lifetime": 3_155_760_000_000_000_000_i64});
    call!(
        "GET /api/v2/users/me/keys/tokens/tokenconfig",
        200,
        config,
        |c| c.get_token_config(UserRef::Me)
    );
}

#[tokio::test]
async fn organization_and_member_calls_match_the_api() {
    let organizations = json!([organization()]);
    call!("GET /api/v2/organizations", 200, organizations, |c| c
        .list_organizations());
    call!(
        "GET /api/v2/organizations/default",
        200,
        organization(),
        |c| c.get_organization(OrganizationRef::Default)
    );
    call!("POST /api/v2/organizations", 201, organization(), |c| c
        .create_organization(
            &types::organization::CreateOrganizationRequest::default()
        ));
    let change = types::organization::UpdateOrganizationRequest {
        description: Some("At home.".into()),
        ..Default::default()
    };
    let body = call!(
        "PATCH /api/v2/organizations/home",
        200,
        organization(),
        |c| c.update_organization("home", &change)
    );
    assert_eq!(
        body,
        r#"{"name":"","display_name":"","description":"At home."}"#
    );
    let message = json!({"message": "Done."});
    call!("DELETE /api/v2/organizations/home", 200, message, |c| c
        .delete_organization("home"));
    call!(
        "GET /api/v2/organizations/home/members/roles",
        200,
        json!([role()]),
        |c| c.list_organization_roles("home")
    );

    let members = || json!([member_with_user_data()]);
    call!(
        "GET /api/v2/organizations/home/members",
        200,
        members(),
        |c| c.list_members("home")
    );
    call!(
        "GET /api/v2/organizations/home/members?q=user_id%3Ax",
        200,
        members(),
        |c| c.search_members("home", "user_id:x")
    );
    let page = json!({"members": members(), "count": 1});
    call!(
        "GET /api/v2/organizations/home/paginated-members?limit=5&offset=10",
        200,
        page,
        |c| c.list_members_page("home", 5, 10)
    );
    call!(
        "GET /api/v2/organizations/home/members/alice",
        200,
        member_with_user_data(),
        |c| c.get_member("home", "alice")
    );
    call!(
        "POST /api/v2/organizations/home/members/alice",
        200,
        member(),
        |c| c.add_member("home", "alice")
    );
    call!(
        "DELETE /api/v2/organizations/home/members/alice",
        204,
        json!(null),
        |c| c.remove_member("home", "alice")
    );
    let body = call!(
        "PUT /api/v2/organizations/home/members/alice/roles",
        200,
        member(),
        |c| c.set_member_roles("home", "alice", &[])
    );
    assert_eq!(body, r#"{"roles":[]}"#);
}
