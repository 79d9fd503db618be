//! What the audit log keeps: who did what to which thing, and what changed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{OrganizationId, time::to_wire};

/// What was done.
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

/// The kind of thing that it was done to. The users service writes only some of the
/// kinds that the log may hold.
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
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        word(&ACTIONS, self)
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        value(&ACTIONS, text)
    }
}

impl AuditResource {
    /// What people call it.
    pub fn friendly(self) -> String {
        match self {
            Self::ApiKey => "token".to_owned(),
            Self::ConvertLogin => "login type conversion".to_owned(),
            other => other.as_str().replace('_', " "),
        }
    }

    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        word(&RESOURCES, self)
    }

    /// Reads the word.
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

/// What an action was done to, and what it changed. The rest of an audit row is the
/// [`Initiator`](crate::Initiator).
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// What was done.
    pub action: AuditAction,
    /// To which kind of thing.
    pub resource: AuditResource,
    /// To which one; nil if none. For keys it is the user's.
    pub resource_id: Uuid,
    /// Its name at the time.
    pub target: String,
    /// The organization that it is of.
    pub organization_id: Option<OrganizationId>,
    /// What changed. Empty where nothing did, and for every refused or failed call.
    pub diff: Diff,
    /// Facts besides, as a JSON object.
    pub additional_fields: Map<String, Value>,
}

impl AuditEntry {
    /// An entry without organization, diff and further facts.
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

    /// The same, with what changed.
    pub fn with_diff(mut self, diff: Diff) -> Self {
        self.diff = diff;
        self
    }

    /// The same, of an organization.
    pub fn of_organization(mut self, organization_id: OrganizationId) -> Self {
        self.organization_id = Some(organization_id);
        self
    }
}

/// The facts that mark the waking of a dormant account, which the system does by itself.
pub fn dormancy_fields() -> Map<String, Value> {
    Map::from_iter([
        ("automatic_actor".to_owned(), json!("coder")),
        ("automatic_subsystem".to_owned(), json!("dormancy")),
    ])
}

/// The fields that differ, by name. Secrets are named and never shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff(BTreeMap<&'static str, Value>);

impl Diff {
    /// Nothing changed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes the field if its two values differ.
    pub fn field(self, name: &'static str, old: impl Into<Value>, new: impl Into<Value>) -> Self {
        let (old, new) = (old.into(), new.into());
        if old == new {
            self
        } else {
            self.always(name, old, new)
        }
    }

    /// Notes the field whether its values differ or not.
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

    /// Notes that a secret kept as bytes changed, without its values.
    pub fn secret_bytes(mut self, name: &'static str) -> Self {
        self.0.insert(name, json!({ "secret": true }));
        self
    }

    /// Notes that a secret kept as text changed, without its values.
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

/// A time as diffs show it.
pub fn diff_time(time: DateTime<Utc>) -> String {
    to_wire(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_what_differs_and_no_secret() {
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
