//! The entries of the audit log: an action, its target, and what changed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{OrganizationId, UserId, time::to_wire};

mod changes;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AuditAction {
    Create,
    Write,
    Delete,
    Start,
    Stop,
    Login,
    Logout,
    Register,
    RequestPasswordReset,
    Connect,
    Disconnect,
    Open,
    Close,
}

/// The kind of target. The users service writes only some of the kinds that the log may
/// hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AuditResource {
    Organization,
    Template,
    TemplateVersion,
    User,
    Workspace,
    GitSshKey,
    ApiKey,
    Group,
    WorkspaceBuild,
    License,
    WorkspaceProxy,
    ConvertLogin,
    HealthSettings,
    OAuth2ProviderApp,
    OAuth2ProviderAppSecret,
    CustomRole,
    OrganizationMember,
    NotificationsSettings,
    NotificationTemplate,
    IdpSyncSettingsOrganization,
    IdpSyncSettingsGroup,
    IdpSyncSettingsRole,
    WorkspaceAgent,
    WorkspaceApp,
    PrebuildsSettings,
    Task,
}

const ACTIONS: [(AuditAction, &str); 13] = [
    (AuditAction::Create, "create"),
    (AuditAction::Write, "write"),
    (AuditAction::Delete, "delete"),
    (AuditAction::Start, "start"),
    (AuditAction::Stop, "stop"),
    (AuditAction::Login, "login"),
    (AuditAction::Logout, "logout"),
    (AuditAction::Register, "register"),
    (AuditAction::RequestPasswordReset, "request_password_reset"),
    (AuditAction::Connect, "connect"),
    (AuditAction::Disconnect, "disconnect"),
    (AuditAction::Open, "open"),
    (AuditAction::Close, "close"),
];

const RESOURCES: [(AuditResource, &str); 26] = [
    (AuditResource::Organization, "organization"),
    (AuditResource::Template, "template"),
    (AuditResource::TemplateVersion, "template_version"),
    (AuditResource::User, "user"),
    (AuditResource::Workspace, "workspace"),
    (AuditResource::GitSshKey, "git_ssh_key"),
    (AuditResource::ApiKey, "api_key"),
    (AuditResource::Group, "group"),
    (AuditResource::WorkspaceBuild, "workspace_build"),
    (AuditResource::License, "license"),
    (AuditResource::WorkspaceProxy, "workspace_proxy"),
    (AuditResource::ConvertLogin, "convert_login"),
    (AuditResource::HealthSettings, "health_settings"),
    (AuditResource::OAuth2ProviderApp, "oauth2_provider_app"),
    (
        AuditResource::OAuth2ProviderAppSecret,
        "oauth2_provider_app_secret",
    ),
    (AuditResource::CustomRole, "custom_role"),
    (AuditResource::OrganizationMember, "organization_member"),
    (
        AuditResource::NotificationsSettings,
        "notifications_settings",
    ),
    (AuditResource::NotificationTemplate, "notification_template"),
    (
        AuditResource::IdpSyncSettingsOrganization,
        "idp_sync_settings_organization",
    ),
    (
        AuditResource::IdpSyncSettingsGroup,
        "idp_sync_settings_group",
    ),
    (AuditResource::IdpSyncSettingsRole, "idp_sync_settings_role"),
    (AuditResource::WorkspaceAgent, "workspace_agent"),
    (AuditResource::WorkspaceApp, "workspace_app"),
    (AuditResource::PrebuildsSettings, "prebuilds_settings"),
    (AuditResource::Task, "task"),
];

impl AuditAction {
    /// The name on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        word(&ACTIONS, self)
    }

    /// Parses the name.
    pub fn parse(text: &str) -> Option<Self> {
        value(&ACTIONS, text)
    }
}

impl AuditResource {
    /// The name in descriptions.
    pub fn friendly(self) -> String {
        match self {
            Self::ApiKey => "token".to_owned(),
            Self::ConvertLogin => "login type conversion".to_owned(),
            other => other.as_str().replace('_', " "),
        }
    }

    /// The name on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        word(&RESOURCES, self)
    }

    /// Parses the name.
    pub fn parse(text: &str) -> Option<Self> {
        value(&RESOURCES, text)
    }
}

fn word<T: Copy + PartialEq>(table: &[(T, &'static str)], value: T) -> &'static str {
    table
        .iter()
        .find(|(known, _)| *known == value)
        .map(|(_, word)| *word)
        .expect("the table has every value")
}

fn value<T: Copy>(table: &[(T, &'static str)], text: &str) -> Option<T> {
    table
        .iter()
        .find(|(_, word)| *word == text)
        .map(|(value, _)| *value)
}

/// What happened to which target. The rest of an audit row is the
/// [`AuditContext`](crate::AuditContext).
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// What happened.
    pub action: AuditAction,
    /// The kind of target.
    pub resource: AuditResource,
    /// The identifier of the target; nil if it has none. For keys, that of their user.
    pub resource_id: Uuid,
    /// The name of the target at the time.
    pub target: String,
    /// The organization that the target belongs to.
    pub organization_id: Option<OrganizationId>,
    /// What changed. Empty if nothing did, as for each rejected or failed call.
    pub diff: Diff,
    /// Additional facts, as a JSON object.
    pub additional_fields: Map<String, Value>,
}

impl AuditEntry {
    /// An entry without organization, diff and additional facts.
    pub fn new(
        action: AuditAction,
        resource: AuditResource,
        resource_id: impl Into<Uuid>,
        target: impl Into<String>,
    ) -> Self {
        Self {
            action,
            resource,
            resource_id: resource_id.into(),
            target: target.into(),
            organization_id: None,
            diff: Diff::default(),
            additional_fields: Map::new(),
        }
    }

    /// Sets the diff.
    pub fn with_diff(mut self, diff: Diff) -> Self {
        self.diff = diff;
        self
    }

    /// Sets the organization.
    pub fn of_organization(mut self, organization_id: OrganizationId) -> Self {
        self.organization_id = Some(organization_id);
        self
    }
}

/// The owner and the times of an API key, which the log shows when it is created or deleted.
#[derive(Clone, Copy, Debug)]
pub struct AuditedKey {
    /// The user that the key belongs to.
    pub user_id: UserId,
    /// When the key was created.
    pub created_at: DateTime<Utc>,
    /// When the key expires.
    pub expires_at: DateTime<Utc>,
    /// When the key was last used; [`never`](crate::time::never) if it was not.
    pub last_used: DateTime<Utc>,
}

/// The changed fields by name. Secrets are listed without their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff(BTreeMap<&'static str, Value>);

impl Diff {
    /// An empty diff.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the field if its values differ.
    pub fn field(self, name: &'static str, old: impl Into<Value>, new: impl Into<Value>) -> Self {
        let (old, new) = (old.into(), new.into());
        if old == new {
            self
        } else {
            self.always(name, old, new)
        }
    }

    /// Adds the field even if its values are equal.
    pub fn always(
        mut self,
        name: &'static str,
        old: impl Into<Value>,
        new: impl Into<Value>,
    ) -> Self {
        let mut entry = Map::new();
        for (side, value) in [("old", old.into()), ("new", new.into())] {
            if !value.is_null() {
                entry.insert(side.to_owned(), value);
            }
        }
        entry.insert("secret".to_owned(), Value::Bool(false));
        self.0.insert(name, Value::Object(entry));
        self
    }

    /// Adds a secret that is stored as bytes, without its values.
    pub fn secret_bytes(mut self, name: &'static str) -> Self {
        self.0.insert(name, json!({ "secret": true }));
        self
    }

    /// Adds a secret that is stored as text, without its values.
    pub fn secret_text(mut self, name: &'static str) -> Self {
        self.0
            .insert(name, json!({ "old": "", "new": "", "secret": true }));
        self
    }

    /// The diff as JSON.
    pub fn to_json(&self) -> Value {
        self.0
            .iter()
            .map(|(name, entry)| ((*name).to_owned(), entry.clone()))
            .collect()
    }
}

/// Formats a time for a diff.
pub fn diff_time(time: DateTime<Utc>) -> String {
    to_wire(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_changed_fields_and_no_secrets() {
        let diff = Diff::new()
            .field("name", "a", "a")
            .field("username", "a", "b")
            .always("rbac_roles", Value::Null, json!([]))
            .secret_bytes("hashed_password");
        assert_eq!(
            diff.to_json(),
            json!({
                "username": {"old": "a", "new": "b", "secret": false},
                "rbac_roles": {"new": [], "secret": false},
                "hashed_password": {"secret": true},
            })
        );
    }
}
