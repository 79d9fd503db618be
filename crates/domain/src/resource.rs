//! Resource types, actions, and sets of both.

/// A resource type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "RESOURCES has the names on the wire")]
#[repr(u8)]
pub enum Resource {
    AibridgeInterception,
    ApiKey,
    AssignOrgRole,
    AssignRole,
    AuditLog,
    ConnectionLog,
    CryptoKey,
    DebugInfo,
    DeploymentConfig,
    DeploymentStats,
    File,
    Group,
    GroupMember,
    IdpsyncSettings,
    InboxNotification,
    License,
    NotificationMessage,
    NotificationPreference,
    NotificationTemplate,
    OAuth2App,
    OAuth2AppCodeToken,
    OAuth2AppSecret,
    Organization,
    OrganizationMember,
    PrebuiltWorkspace,
    ProvisionerDaemon,
    ProvisionerJobs,
    Replicas,
    System,
    TailnetCoordinator,
    Task,
    Template,
    UsageEvent,
    User,
    UserSecret,
    WebpushSubscription,
    Workspace,
    WorkspaceAgentDevcontainers,
    WorkspaceAgentResourceMonitor,
    WorkspaceDormant,
    WorkspaceProxy,
}

/// An action on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "ACTIONS has the names on the wire")]
#[repr(u8)]
pub enum Action {
    ApplicationConnect,
    Assign,
    Create,
    CreateAgent,
    Delete,
    DeleteAgent,
    Read,
    ReadPersonal,
    Share,
    Ssh,
    Start,
    Stop,
    Unassign,
    Update,
    UpdatePersonal,
    Use,
    ViewInsights,
}

/// The names of the actions, in the order of [`Action`].
const ACTIONS: [(Action, &str); 17] = [
    (Action::ApplicationConnect, "application_connect"),
    (Action::Assign, "assign"),
    (Action::Create, "create"),
    (Action::CreateAgent, "create_agent"),
    (Action::Delete, "delete"),
    (Action::DeleteAgent, "delete_agent"),
    (Action::Read, "read"),
    (Action::ReadPersonal, "read_personal"),
    (Action::Share, "share"),
    (Action::Ssh, "ssh"),
    (Action::Start, "start"),
    (Action::Stop, "stop"),
    (Action::Unassign, "unassign"),
    (Action::Update, "update"),
    (Action::UpdatePersonal, "update_personal"),
    (Action::Use, "use"),
    (Action::ViewInsights, "view_insights"),
];

const CRUD: Actions = Actions::of(&[Action::Create, Action::Read, Action::Update, Action::Delete]);
const CREATE_READ: Actions = Actions::of(&[Action::Create, Action::Read]);
const CREATE_READ_UPDATE: Actions = Actions::of(&[Action::Create, Action::Read, Action::Update]);
const CREATE_READ_DELETE: Actions = Actions::of(&[Action::Create, Action::Read, Action::Delete]);
const READ_UPDATE: Actions = Actions::of(&[Action::Read, Action::Update]);
const READ: Actions = Actions::of(&[Action::Read]);
const WORKSPACE: Actions = Actions::of(&[
    Action::Create,
    Action::Read,
    Action::Update,
    Action::Delete,
    Action::ApplicationConnect,
    Action::CreateAgent,
    Action::DeleteAgent,
    Action::Share,
    Action::Ssh,
    Action::Start,
    Action::Stop,
]);

/// The names and actions of the resource types, in the order of [`Resource`].
const RESOURCES: [(Resource, &str, Actions); Resource::COUNT] = [
    (
        Resource::AibridgeInterception,
        "aibridge_interception",
        CREATE_READ_UPDATE,
    ),
    (Resource::ApiKey, "api_key", CRUD),
    (
        Resource::AssignOrgRole,
        "assign_org_role",
        CRUD.with(&[Action::Assign, Action::Unassign]),
    ),
    (
        Resource::AssignRole,
        "assign_role",
        READ.with(&[Action::Assign, Action::Unassign]),
    ),
    (Resource::AuditLog, "audit_log", CREATE_READ),
    (Resource::ConnectionLog, "connection_log", READ_UPDATE),
    (Resource::CryptoKey, "crypto_key", CRUD),
    (Resource::DebugInfo, "debug_info", READ),
    (Resource::DeploymentConfig, "deployment_config", READ_UPDATE),
    (Resource::DeploymentStats, "deployment_stats", READ),
    (Resource::File, "file", CREATE_READ),
    (Resource::Group, "group", CRUD),
    (Resource::GroupMember, "group_member", READ),
    (Resource::IdpsyncSettings, "idpsync_settings", READ_UPDATE),
    (
        Resource::InboxNotification,
        "inbox_notification",
        CREATE_READ_UPDATE,
    ),
    (Resource::License, "license", CREATE_READ_DELETE),
    (Resource::NotificationMessage, "notification_message", CRUD),
    (
        Resource::NotificationPreference,
        "notification_preference",
        READ_UPDATE,
    ),
    (
        Resource::NotificationTemplate,
        "notification_template",
        READ_UPDATE,
    ),
    (Resource::OAuth2App, "oauth2_app", CRUD),
    (
        Resource::OAuth2AppCodeToken,
        "oauth2_app_code_token",
        CREATE_READ_DELETE,
    ),
    (Resource::OAuth2AppSecret, "oauth2_app_secret", CRUD),
    (Resource::Organization, "organization", CRUD),
    (Resource::OrganizationMember, "organization_member", CRUD),
    (
        Resource::PrebuiltWorkspace,
        "prebuilt_workspace",
        Actions::of(&[Action::Update, Action::Delete]),
    ),
    (Resource::ProvisionerDaemon, "provisioner_daemon", CRUD),
    (
        Resource::ProvisionerJobs,
        "provisioner_jobs",
        CREATE_READ_UPDATE,
    ),
    (Resource::Replicas, "replicas", READ),
    (Resource::System, "system", CRUD),
    (Resource::TailnetCoordinator, "tailnet_coordinator", CRUD),
    (Resource::Task, "task", CRUD),
    (
        Resource::Template,
        "template",
        CRUD.with(&[Action::Use, Action::ViewInsights]),
    ),
    (Resource::UsageEvent, "usage_event", CREATE_READ_UPDATE),
    (
        Resource::User,
        "user",
        CRUD.with(&[Action::ReadPersonal, Action::UpdatePersonal]),
    ),
    (Resource::UserSecret, "user_secret", CRUD),
    (
        Resource::WebpushSubscription,
        "webpush_subscription",
        CREATE_READ_DELETE,
    ),
    (Resource::Workspace, "workspace", WORKSPACE),
    (
        Resource::WorkspaceAgentDevcontainers,
        "workspace_agent_devcontainers",
        Actions::of(&[Action::Create]),
    ),
    (
        Resource::WorkspaceAgentResourceMonitor,
        "workspace_agent_resource_monitor",
        CREATE_READ_UPDATE,
    ),
    (Resource::WorkspaceDormant, "workspace_dormant", WORKSPACE),
    (Resource::WorkspaceProxy, "workspace_proxy", CRUD),
];

impl Resource {
    /// The number of resource types.
    pub const COUNT: usize = Self::WorkspaceProxy as usize + 1;

    /// All resource types, sorted by name.
    pub fn all() -> impl Iterator<Item = Self> {
        RESOURCES.iter().map(|(kind, ..)| *kind)
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        RESOURCES[self as usize].1
    }

    /// Parses the name on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|kind| kind.as_str() == text)
    }

    /// The actions on resources of the type.
    pub const fn actions(self) -> Actions {
        RESOURCES[self as usize].2
    }
}

impl Action {
    /// All actions, sorted by name.
    pub fn all() -> impl Iterator<Item = Self> {
        ACTIONS.iter().map(|(action, _)| *action)
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        ACTIONS[self as usize].1
    }

    /// Parses the name on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|action| action.as_str() == text)
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions(u32);

impl Actions {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// A set of the given actions.
    pub const fn of(actions: &[Action]) -> Self {
        Self::NONE.with(actions)
    }

    /// Adds the given actions.
    pub const fn with(self, actions: &[Action]) -> Self {
        let mut bits = self.0;
        let mut i = 0;
        while i < actions.len() {
            bits |= 1 << actions[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// The union of both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Removes the actions in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set contains the action.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u32) != 0
    }

    /// Whether the set contains all of `other`.
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The actions, sorted by name.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::all().filter(move |action| self.contains(*action))
    }
}

/// A set of actions for each resource type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions([Actions; Resource::COUNT]);

impl Permissions {
    /// No permissions.
    pub const NONE: Self = Self([Actions::NONE; Resource::COUNT]);

    /// Every action on every resource type.
    pub const ALL: Self = {
        let mut all = Self::NONE;
        let mut i = 0;
        while i < Resource::COUNT {
            all.0[i] = RESOURCES[i].2;
            i += 1;
        }
        all
    };

    /// The given permissions.
    pub const fn of(entries: &[(Resource, &[Action])]) -> Self {
        let mut permissions = Self::NONE;
        let mut i = 0;
        while i < entries.len() {
            let kind = entries[i].0 as usize;
            permissions.0[kind] = permissions.0[kind].with(entries[i].1);
            i += 1;
        }
        permissions
    }

    /// Adds every action on the given types.
    pub const fn with_all_of(mut self, kinds: &[Resource]) -> Self {
        let mut i = 0;
        while i < kinds.len() {
            self.0[kinds[i] as usize] = kinds[i].actions();
            i += 1;
        }
        self
    }

    /// Removes every action on the given types.
    pub const fn without_any_of(mut self, kinds: &[Resource]) -> Self {
        let mut i = 0;
        while i < kinds.len() {
            self.0[kinds[i] as usize] = Actions::NONE;
            i += 1;
        }
        self
    }

    /// Removes the given permissions.
    pub const fn without(mut self, entries: &[(Resource, &[Action])]) -> Self {
        let mut i = 0;
        while i < entries.len() {
            let kind = entries[i].0 as usize;
            self.0[kind] = self.0[kind].without(Actions::of(entries[i].1));
            i += 1;
        }
        self
    }

    /// The union of both sets.
    pub const fn union(mut self, other: &Self) -> Self {
        let mut i = 0;
        while i < Resource::COUNT {
            self.0[i] = self.0[i].union(other.0[i]);
            i += 1;
        }
        self
    }

    /// Whether the action is allowed on the type.
    pub const fn allow(&self, action: Action, kind: Resource) -> bool {
        self.0[kind as usize].contains(action)
    }

    /// Whether the set contains all of `other`.
    pub fn contains_all(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(mine, theirs)| mine.contains_all(theirs))
    }

    /// The types with at least one allowed action.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, Actions)> {
        Resource::all()
            .map(|kind| (kind, self.0[kind as usize]))
            .filter(|(_, actions)| !actions.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_follow_the_order_of_their_enums_and_are_sorted_by_name() {
        for (i, (kind, ..)) in RESOURCES.iter().enumerate() {
            assert_eq!(*kind as usize, i, "{kind:?}");
        }
        for (i, (action, _)) in ACTIONS.iter().enumerate() {
            assert_eq!(*action as usize, i, "{action:?}");
        }
        assert!(RESOURCES.is_sorted_by_key(|(_, word, _)| *word));
        assert!(ACTIONS.is_sorted_by_key(|(_, word)| *word));
    }
}
