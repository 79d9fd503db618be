//! What permissions are about: kinds of things, and what can be done with them.

/// A kind of thing that permissions name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    missing_docs,
    reason = "the names say it, and KINDS has them as the wire does"
)]
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

/// Something that can be done with a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
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

/// The words for actions, in the order of [`Action`].
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

/// The words for kinds and what can be done with each, in the order of [`Resource`].
const KINDS: [(Resource, &str, Actions); Resource::COUNT] = [
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
    /// How many kinds there are.
    pub const COUNT: usize = Self::WorkspaceProxy as usize + 1;

    /// Every kind, in the order of their words.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    /// The word for the kind.
    pub const fn as_str(self) -> &'static str {
        KINDS[self as usize].1
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|kind| kind.as_str() == text)
    }

    /// What can be done with things of the kind.
    pub const fn actions(self) -> Actions {
        KINDS[self as usize].2
    }
}

impl Action {
    /// Every action, in the order of their words.
    pub fn all() -> impl Iterator<Item = Self> {
        ACTIONS.iter().map(|(action, _)| *action)
    }

    /// The word for the action.
    pub const fn as_str(self) -> &'static str {
        ACTIONS[self as usize].1
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|action| action.as_str() == text)
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions(u32);

impl Actions {
    /// No action.
    pub const NONE: Self = Self(0);

    /// The given actions.
    pub const fn of(actions: &[Action]) -> Self {
        Self::NONE.with(actions)
    }

    /// These and the given ones.
    pub const fn with(self, actions: &[Action]) -> Self {
        let mut bits = self.0;
        let mut i = 0;
        while i < actions.len() {
            bits |= 1 << actions[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// The actions of both.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The actions of `self` that `other` has not.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the action is among them.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u32) != 0
    }

    /// Whether all of `other` are among them.
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order of their words.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::all().filter(move |action| self.contains(*action))
    }
}

/// For each kind of thing, a set of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions([Actions; Resource::COUNT]);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self([Actions::NONE; Resource::COUNT]);

    /// Every action of every kind.
    pub const ALL: Self = {
        let mut all = Self::NONE;
        let mut i = 0;
        while i < Resource::COUNT {
            all.0[i] = KINDS[i].2;
            i += 1;
        }
        all
    };

    /// Just the given ones.
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

    /// These, with every action of the given kinds.
    pub const fn with_all_of(mut self, kinds: &[Resource]) -> Self {
        let mut i = 0;
        while i < kinds.len() {
            self.0[kinds[i] as usize] = kinds[i].actions();
            i += 1;
        }
        self
    }

    /// These, with nothing of the given kinds.
    pub const fn without_any_of(mut self, kinds: &[Resource]) -> Self {
        let mut i = 0;
        while i < kinds.len() {
            self.0[kinds[i] as usize] = Actions::NONE;
            i += 1;
        }
        self
    }

    /// These, without the given actions of the given kinds.
    pub const fn without(mut self, entries: &[(Resource, &[Action])]) -> Self {
        let mut i = 0;
        while i < entries.len() {
            let kind = entries[i].0 as usize;
            self.0[kind] = self.0[kind].without(Actions::of(entries[i].1));
            i += 1;
        }
        self
    }

    /// The permissions of both.
    pub const fn union(mut self, other: &Self) -> Self {
        let mut i = 0;
        while i < Resource::COUNT {
            self.0[i] = self.0[i].union(other.0[i]);
            i += 1;
        }
        self
    }

    /// Whether the action on the kind is among them.
    pub const fn allow(&self, action: Action, kind: Resource) -> bool {
        self.0[kind as usize].contains(action)
    }

    /// Whether all of `other` are among them.
    pub fn contains_all(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(mine, theirs)| mine.contains_all(theirs))
    }

    /// Each kind of which something is allowed, with what is.
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
    fn the_tables_are_in_the_order_of_their_enums_and_words() {
        for (i, (kind, ..)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, i, "{kind:?}");
        }
        for (i, (action, _)) in ACTIONS.iter().enumerate() {
            assert_eq!(*action as usize, i, "{action:?}");
        }
        assert!(KINDS.is_sorted_by_key(|(_, word, _)| *word));
        assert!(ACTIONS.is_sorted_by_key(|(_, word)| *word));
    }
}
