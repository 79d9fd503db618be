//! The requests and the decoding of Go clients: the command line, the SDK and the Terraform
//! provider.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::DateTime;
use serde_json::{Map, Value};
use usher_tests::{
    exchange::{Request, Response},
    server::Server,
};
use uuid::Uuid;

/// The types of the SDK, decoded strictly: every required field must be present, no other
/// field may be, and each has its type. `?` marks optional fields and `|null` nullable ones;
/// `[]` is a list and `{}` a map.
const TYPES: &str = "
Response: message string, detail? string, validations? []ValidationError
ValidationError: field string, detail string
BuildInfo: external_url string, version string, dashboard_url string, telemetry bool, workspace_proxy bool, agent_api_version string, provisioner_api_version string, upgrade_message string, deployment_id uuid, webpush_public_key? string
UpdateCheck: current bool, version string, url string
Entitlements: features {}Feature, warnings []string, errors []string, has_license bool, trial bool, require_telemetry bool, refreshed_at time
Feature: entitlement string, enabled bool, limit? int, actual? int, soft_limit? int, usage_period? any
Appearance: application_name string, logo_url string, docs_url string, service_banner Banner, announcement_banners []Banner, support_links []Link
Banner: enabled bool, message? string, background_color? string
Link: name string, target string, icon string
Regions: regions []Region
Region: id uuid, name string, display_name string, icon_url string, healthy bool, path_app_url string, wildcard_hostname string
SSHConfig: hostname_prefix string, hostname_suffix string, ssh_config_options {}string
AuthMethods: terms_of_service_url? string, password AuthMethod, github GithubAuthMethod, oidc OIDCAuthMethod
AuthMethod: enabled bool
GithubAuthMethod: enabled bool, default_provider_configured bool
OIDCAuthMethod: enabled bool, signInText string, iconUrl string
CreateFirstUserResponse: user_id uuid, organization_id uuid
LoginWithPasswordResponse: session_token token
ValidateUserPasswordResponse: valid bool, details string
User: id uuid, username string, name? string, avatar_url? string, email string, created_at time, updated_at time, last_seen_at time, status string, login_type string, theme_preference? string, organization_ids []uuid, roles []SlimRole
ListedUser: id uuid, username string, name? string, avatar_url? string, email string, created_at time, updated_at time, last_seen_at time, status string, login_type string, theme_preference? string, organization_ids []uuid|null, roles []SlimRole
GetUsersResponse: users []ListedUser, count int
SlimRole: name string, display_name string, organization_id? uuid
UserRoles: roles []string, organization_roles {}[]string
AssignableRole: name string, organization_id? uuid, display_name string, site_permissions []Permission, user_permissions []Permission, organization_permissions []Permission, organization_member_permissions []Permission, assignable bool, built_in bool
Permission: negate bool, resource_type string, action string
UserLoginType: login_type string
OAuthConversionResponse: state_string string, expires_at time, to_type string, user_id uuid
UserAppearanceSettings: theme_preference string, terminal_font string
UserPreferenceSettings: task_notification_alert_dismissed bool
UserParameter: name string, value string
GitSSHKey: user_id uuid, created_at time, updated_at time, public_key string
GenerateAPIKeyResponse: key token
APIKey: id key, user_id uuid, last_used time, expires_at time, created_at time, updated_at time, login_type string, scope string, scopes []string, token_name string, lifetime_seconds int, allow_list []entry
APIKeyWithOwner: id key, user_id uuid, last_used time, expires_at time, created_at time, updated_at time, login_type string, scope string, scopes []string, token_name string, lifetime_seconds int, allow_list []entry, username string
TokenConfig: max_token_lifetime int
Organization: id uuid, name string, display_name string, icon string, description string, created_at time, updated_at time, is_default bool
OrganizationMember: user_id uuid, organization_id uuid, created_at time, updated_at time, roles []SlimRole
OrganizationMemberWithUserData: username string, name? string, avatar_url? string, email string, global_roles []SlimRole, user_id uuid, organization_id uuid, created_at time, updated_at time, roles []SlimRole
PaginatedMembersResponse: members []OrganizationMemberWithUserData, count int
NotificationsSettings: notifier_paused bool
NotificationTemplate: id uuid, name string, title_template string, body_template string, actions string, group string, method string, kind string, enabled_by_default bool
NotificationPreference: id uuid, disabled bool, updated_at time
NotificationMethodsResponse: available []string, default string
ListInboxNotificationsResponse: notifications []InboxNotification, unread_count int
UpdateInboxNotificationReadStatusResponse: notification InboxNotification, unread_count int
InboxNotification: id uuid, user_id uuid, template_id uuid, targets []uuid|null, title string, content string, icon string, actions []InboxNotificationAction|null, read_at time|null, created_at time
InboxNotificationAction: label string, url string
AuditLogResponse: audit_logs []AuditLog, count int
AuditLog: id uuid, request_id uuid, time time, ip string, user_agent string, resource_type string, resource_id uuid, resource_target string, resource_icon string, action string, diff {}AuditDiffField, status_code int, additional_fields any, description string, resource_link string, is_deleted bool, organization_id uuid, organization? MinimalOrganization, user User|null
AuditDiffField: old? any, new? any, secret bool
MinimalOrganization: id uuid, name string, display_name string, icon string
AvailableExperiments: safe []string
ExternalAPIKeyScopes: external []string
";

/// A field: its name, whether it is optional, and its type.
type Field = (&'static str, bool, &'static str);

static FIELDS: LazyLock<BTreeMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let types = TYPES.lines().filter_map(|line| line.split_once(": "));
    types
        .map(|(name, fields)| (name, fields.split(", ").map(field).collect()))
        .collect()
});

fn field(text: &'static str) -> Field {
    let (name, wanted) = text.split_once(' ').expect("a name and a type");
    match name.strip_suffix('?') {
        Some(name) => (name, true, wanted),
        None => (name, false, wanted),
    }
}

/// Fails unless the SDK would decode the value into this type without losing a field.
pub(crate) fn decode(value: &Value, wanted: &str) -> Result<()> {
    if let Some(wanted) = wanted.strip_suffix("|null") {
        return if value.is_null() {
            Ok(())
        } else {
            decode(value, wanted)
        };
    }
    if let Some(item) = wanted.strip_prefix("[]") {
        let items = value
            .as_array()
            .with_context(|| format!("no list: {value}"))?;
        return items.iter().try_for_each(|value| decode(value, item));
    }
    if let Some(item) = wanted.strip_prefix("{}") {
        return object(value)?
            .values()
            .try_for_each(|value| decode(value, item));
    }
    if let Some(fields) = FIELDS.get(wanted) {
        return decode_fields(object(value)?, fields).with_context(|| format!("{wanted} {value}"));
    }
    let text = value.as_str();
    let matches = match wanted {
        "any" => true,
        "bool" => value.is_boolean(),
        "int" => value.is_i64(),
        "string" => text.is_some(),
        "uuid" => text.is_some_and(|text| Uuid::parse_str(text).is_ok()),
        "time" => text.is_some_and(|text| DateTime::parse_from_rfc3339(text).is_ok()),
        "key" => text.is_some_and(|text| text.len() == 10),
        "token" => text
            .and_then(|text| text.split_once('-'))
            .is_some_and(|(id, secret)| id.len() == 10 && secret.len() == 22),
        "entry" => text.is_some_and(|text| text.contains(':')),
        other => bail!("unknown type {other}"),
    };
    ensure!(matches, "not {wanted}: {value}");
    Ok(())
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value
        .as_object()
        .with_context(|| format!("no object: {value}"))
}

fn decode_fields(object: &Map<String, Value>, fields: &[Field]) -> Result<()> {
    for (name, may_be_absent, wanted) in fields {
        match object.get(*name) {
            Some(value) => decode(value, wanted).with_context(|| (*name).to_owned())?,
            None => ensure!(*may_be_absent, "`{name}` is missing"),
        }
    }
    for name in object.keys() {
        let is_known = fields.iter().any(|(known, ..)| known == name);
        ensure!(is_known, "`{name}` is unknown");
    }
    Ok(())
}

/// A client written in Go.
pub(crate) struct Go<'a> {
    server: &'a Server,
    /// Empty before signing in, when the header is sent too.
    pub(crate) token: String,
    has_telemetry: bool,
}

impl<'a> Go<'a> {
    pub(crate) fn new(server: &'a Server) -> Self {
        Self {
            server,
            token: String::new(),
            has_telemetry: false,
        }
    }

    /// The command line, which sends its command in a header.
    pub(crate) fn command_line(server: &'a Server) -> Self {
        Self {
            has_telemetry: true,
            ..Self::new(server)
        }
    }

    pub(crate) fn with_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// Sends a request as Go's HTTP client does.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response> {
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
        .header("User-Agent", "Go-http-client/1.1");
        if self.has_telemetry {
            request = request.header("Coder-CLI-Telemetry", "eyJjb21tYW5kIjoid2hvYW1pIn0=");
        }
        request = request.token(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self
            .server
            .send(&request.header("Accept-Encoding", "gzip"))
            .await?;
        check(&response).with_context(|| format!("{method} {path}"))?;
        Ok(response)
    }

    /// Sends a request and requires this status.
    pub(crate) async fn call(
        &self,
        status: u16,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let response = self.send(method, path, body).await?;
        ensure!(response.status == status, "{method} {path}: {response:?}");
        Ok(response.json().unwrap_or_default())
    }

    /// Sends a request and requires this status and type of the response.
    pub(crate) async fn decoded(
        &self,
        status: u16,
        wanted: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let value = self.call(status, method, path, body).await?;
        decode(&value, wanted).with_context(|| format!("{method} {path}"))?;
        Ok(value)
    }

    pub(crate) async fn get(&self, wanted: &str, path: &str) -> Result<Value> {
        self.decoded(200, wanted, "GET", path, None).await
    }
}

/// Checks what every response must have.
fn check(response: &Response) -> Result<()> {
    let version = response.header("x-coder-build-version");
    ensure!(
        version.starts_with("v2.29."),
        "a warning is printed: {response:?}"
    );
    ensure!(
        response.header("content-encoding").is_empty(),
        "{response:?}"
    );
    if matches!(response.status, 204 | 304) {
        ensure!(response.body.is_empty(), "{response:?}");
        return Ok(());
    }
    let content_type = response.header("content-type");
    ensure!(
        content_type == "application/json; charset=utf-8",
        "{response:?}"
    );
    let body = response.json().context("no body")?;
    if response.status >= 400 {
        decode(&body, "Response")?;
        ensure!(body["message"] != "", "{response:?}");
    }
    Ok(())
}

/// Returns a string field.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    let text = value[field].as_str();
    text.with_context(|| format!("no text `{field}`: {value}"))
}

#[test]
fn decoding_is_strict() {
    use serde_json::json;

    let valid = json!({"user_id": Uuid::nil(), "organization_id": Uuid::nil()});
    decode(&valid, "CreateFirstUserResponse").unwrap();
    for (field, value) in [
        ("user_id", json!(null)),
        ("user_id", json!("")),
        ("user_id", json!(1)),
        ("other", json!(1)),
    ] {
        let mut invalid = valid.clone();
        invalid[field] = value;
        assert!(
            decode(&invalid, "CreateFirstUserResponse").is_err(),
            "{invalid}"
        );
    }
    assert!(decode(&json!({}), "CreateFirstUserResponse").is_err());
    assert!(decode(&json!(null), "[]string").is_err());
    assert!(decode(&json!(null), "[]string|null").is_ok());
    assert!(decode(&json!(""), "time").is_err());
    assert!(decode(&json!(1.5), "int").is_err());
}
