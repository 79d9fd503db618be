//! The built-in roles: what each allows, and which roles may assign it.

use crate::resource::{Action, Permissions, Resource};

/// A role of the whole deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SiteRole {
    /// May do everything except read other users' secrets.
    Owner,
    /// Reads everything and the audit log.
    Auditor,
    /// Implied for every user; not stored.
    Member,
    /// Manages templates.
    TemplateAdmin,
    /// Manages users.
    UserAdmin,
}

/// A role within one organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrganizationRole {
    /// May do everything within the organization.
    Admin,
    /// Reads the organization and its audit log.
    Auditor,
    /// Implied for every member of the organization; not stored.
    Member,
    /// Manages the organization's templates.
    TemplateAdmin,
    /// Manages the organization's members.
    UserAdmin,
    /// May not create or delete workspaces, whatever other roles allow.
    WorkspaceCreationBan,
}

/// What a role allows.
#[derive(Clone, Copy, Debug)]
pub struct Grants {
    /// On all objects.
    pub site: Permissions,
    /// On objects that the user owns.
    pub own: Permissions,
    /// On objects of the role's organization.
    pub organization: Permissions,
    /// On objects of the role's organization that the user owns.
    pub own_in_organization: Permissions,
    /// Denied within that organization, whatever else is granted.
    pub denied_in_organization: Permissions,
}

const NOTHING: Grants = Grants {
    site: Permissions::NONE,
    own: Permissions::NONE,
    organization: Permissions::NONE,
    own_in_organization: Permissions::NONE,
    denied_in_organization: Permissions::NONE,
};

use Action::{
    Assign, Create, CreateAgent, Delete, DeleteAgent, Read, ReadPersonal, Ssh, Start, Unassign,
    Update, UpdatePersonal, Use, ViewInsights,
};

static OWNER: Grants = Grants {
    site: Permissions::ALL
        .without_any_of(&[Resource::UserSecret, Resource::UsageEvent])
        .without(&[(
            Resource::WorkspaceDormant,
            &[Action::ApplicationConnect, Action::Share, Ssh, Start],
        )]),
    ..NOTHING
};

static MEMBER: Grants = Grants {
    site: Permissions::of(&[
        (Resource::AssignRole, &[Read]),
        (Resource::OAuth2App, &[Read]),
        (Resource::WorkspaceProxy, &[Read]),
    ]),
    own: Permissions::of(&[
        (Resource::User, &[Read, ReadPersonal, UpdatePersonal]),
        (Resource::OAuth2AppCodeToken, &[Create, Read, Delete]),
        (Resource::OrganizationMember, &[Read]),
    ])
    .with_all_of(&[
        Resource::ApiKey,
        Resource::InboxNotification,
        Resource::NotificationMessage,
        Resource::NotificationPreference,
        Resource::UserSecret,
        Resource::WebpushSubscription,
    ]),
    ..NOTHING
};

static AUDITOR: Grants = Grants {
    site: Permissions::of(&[
        (Resource::AibridgeInterception, &[Read]),
        (Resource::AssignOrgRole, &[Read]),
        (Resource::AuditLog, &[Read]),
        (Resource::ConnectionLog, &[Read]),
        (Resource::DeploymentConfig, &[Read]),
        (Resource::DeploymentStats, &[Read]),
        (Resource::Group, &[Read]),
        (Resource::GroupMember, &[Read]),
        (Resource::Organization, &[Read]),
        (Resource::OrganizationMember, &[Read]),
        (Resource::Template, &[Read, ViewInsights]),
        (Resource::User, &[Read]),
    ]),
    ..NOTHING
};

static TEMPLATE_ADMIN: Grants = Grants {
    site: Permissions::of(&[
        (Resource::AssignOrgRole, &[Read]),
        (Resource::File, &[Create, Read]),
        (Resource::Group, &[Read]),
        (Resource::GroupMember, &[Read]),
        (Resource::Organization, &[Read]),
        (Resource::OrganizationMember, &[Read]),
        (Resource::PrebuiltWorkspace, &[Update, Delete]),
        (Resource::ProvisionerDaemon, &[Create, Read, Update, Delete]),
        (
            Resource::Template,
            &[Create, Read, Update, Delete, Use, ViewInsights],
        ),
        (Resource::User, &[Read]),
        (Resource::Workspace, &[Read]),
    ]),
    ..NOTHING
};

static USER_ADMIN: Grants = Grants {
    site: Permissions::of(&[
        (Resource::AssignOrgRole, &[Assign, Read, Unassign]),
        (Resource::AssignRole, &[Assign, Read, Unassign]),
        (Resource::Group, &[Create, Read, Update, Delete]),
        (Resource::GroupMember, &[Read]),
        (Resource::IdpsyncSettings, &[Read, Update]),
        (Resource::Organization, &[Read]),
        (
            Resource::OrganizationMember,
            &[Create, Read, Update, Delete],
        ),
        (
            Resource::User,
            &[Create, Read, Update, Delete, ReadPersonal, UpdatePersonal],
        ),
    ]),
    ..NOTHING
};

static ORGANIZATION_ADMIN: Grants = Grants {
    site: Permissions::of(&[(Resource::User, &[Read])]),
    organization: Permissions::ALL
        .without_any_of(&[Resource::AssignRole, Resource::UserSecret])
        // Organizations are created by site roles only.
        .without(&[
            (Resource::Organization, &[Create]),
            (Resource::Workspace, &[Action::ApplicationConnect, Ssh]),
            (
                Resource::WorkspaceDormant,
                &[Action::ApplicationConnect, Action::Share, Ssh, Start],
            ),
        ]),
    ..NOTHING
};

static ORGANIZATION_AUDITOR: Grants = Grants {
    organization: Permissions::of(&[
        (Resource::AuditLog, &[Read]),
        (Resource::ConnectionLog, &[Read]),
        (Resource::Group, &[Read]),
        (Resource::GroupMember, &[Read]),
        (Resource::Organization, &[Read]),
        (Resource::OrganizationMember, &[Read]),
        (Resource::Template, &[Read, ViewInsights]),
    ]),
    ..NOTHING
};

static ORGANIZATION_MEMBER: Grants = Grants {
    organization: Permissions::of(&[
        (Resource::AssignOrgRole, &[Read]),
        (Resource::Organization, &[Read]),
    ]),
    own_in_organization: Permissions::of(&[(Resource::OrganizationMember, &[Read])]),
    ..NOTHING
};

static ORGANIZATION_TEMPLATE_ADMIN: Grants = Grants {
    organization: Permissions::of(&[
        (Resource::File, &[Create, Read]),
        (Resource::Group, &[Read]),
        (Resource::GroupMember, &[Read]),
        (Resource::Organization, &[Read]),
        (Resource::OrganizationMember, &[Read]),
        (Resource::PrebuiltWorkspace, &[Update, Delete]),
        (Resource::ProvisionerDaemon, &[Create, Read, Update, Delete]),
        (Resource::ProvisionerJobs, &[Create, Read, Update]),
        (
            Resource::Template,
            &[Create, Read, Update, Delete, Use, ViewInsights],
        ),
        (Resource::Workspace, &[Read]),
    ]),
    ..NOTHING
};

static ORGANIZATION_USER_ADMIN: Grants = Grants {
    site: Permissions::of(&[(Resource::User, &[Read])]),
    organization: Permissions::of(&[
        (Resource::AssignOrgRole, &[Assign, Read, Unassign]),
        (Resource::Group, &[Create, Read, Update, Delete]),
        (Resource::GroupMember, &[Read]),
        (Resource::IdpsyncSettings, &[Read, Update]),
        (Resource::Organization, &[Read]),
        (
            Resource::OrganizationMember,
            &[Create, Read, Update, Delete],
        ),
    ]),
    ..NOTHING
};

static ORGANIZATION_WORKSPACE_CREATION_BAN: Grants = Grants {
    denied_in_organization: Permissions::of(&[(
        Resource::Workspace,
        &[Create, CreateAgent, Delete, DeleteAgent],
    )]),
    ..NOTHING
};

impl SiteRole {
    /// The roles that are offered for assignment.
    pub const OFFERED: [Self; 4] = [
        Self::Owner,
        Self::Auditor,
        Self::TemplateAdmin,
        Self::UserAdmin,
    ];
    const ALL: [Self; 5] = [
        Self::Owner,
        Self::Auditor,
        Self::Member,
        Self::TemplateAdmin,
        Self::UserAdmin,
    ];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Auditor => "auditor",
            Self::Member => "member",
            Self::TemplateAdmin => "template-admin",
            Self::UserAdmin => "user-admin",
        }
    }

    /// The display name.
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Auditor => "Auditor",
            Self::Member => "Member",
            Self::TemplateAdmin => "Template Admin",
            Self::UserAdmin => "User Admin",
        }
    }

    /// Parses the exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether stored role names include this role.
    pub fn is_among(self, names: &[String]) -> bool {
        names.iter().any(|name| name == self.name())
    }

    /// What the role allows.
    pub fn grants(self) -> &'static Grants {
        match self {
            Self::Owner => &OWNER,
            Self::Auditor => &AUDITOR,
            Self::Member => &MEMBER,
            Self::TemplateAdmin => &TEMPLATE_ADMIN,
            Self::UserAdmin => &USER_ADMIN,
        }
    }

    /// Whether a user with this role may assign and unassign `other`.
    pub fn assigns(self, other: Self) -> bool {
        match self {
            Self::Owner => true,
            Self::UserAdmin => other == Self::Member,
            Self::Auditor | Self::Member | Self::TemplateAdmin => false,
        }
    }

    /// Whether a user with this role may assign and unassign the organization role `other` in
    /// any organization.
    pub fn assigns_in_organizations(self, other: OrganizationRole) -> bool {
        match self {
            Self::Owner => true,
            Self::UserAdmin => other == OrganizationRole::Member,
            Self::Auditor | Self::Member | Self::TemplateAdmin => false,
        }
    }
}

/// Role names sorted and without duplicates, as they are stored, compared and logged.
pub fn sorted_names(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

impl OrganizationRole {
    /// The roles that are offered for assignment.
    pub const OFFERED: [Self; 5] = [
        Self::Admin,
        Self::Auditor,
        Self::TemplateAdmin,
        Self::UserAdmin,
        Self::WorkspaceCreationBan,
    ];
    const ALL: [Self; 6] = [
        Self::Admin,
        Self::Auditor,
        Self::Member,
        Self::TemplateAdmin,
        Self::UserAdmin,
        Self::WorkspaceCreationBan,
    ];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "organization-admin",
            Self::Auditor => "organization-auditor",
            Self::Member => "organization-member",
            Self::TemplateAdmin => "organization-template-admin",
            Self::UserAdmin => "organization-user-admin",
            Self::WorkspaceCreationBan => "organization-workspace-creation-ban",
        }
    }

    /// The display name; empty for the implied role.
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::Admin => "Organization Admin",
            Self::Auditor => "Organization Auditor",
            Self::Member => "",
            Self::TemplateAdmin => "Organization Template Admin",
            Self::UserAdmin => "Organization User Admin",
            Self::WorkspaceCreationBan => "Organization Workspace Creation Ban",
        }
    }

    /// Parses the exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What the role allows.
    pub fn grants(self) -> &'static Grants {
        match self {
            Self::Admin => &ORGANIZATION_ADMIN,
            Self::Auditor => &ORGANIZATION_AUDITOR,
            Self::Member => &ORGANIZATION_MEMBER,
            Self::TemplateAdmin => &ORGANIZATION_TEMPLATE_ADMIN,
            Self::UserAdmin => &ORGANIZATION_USER_ADMIN,
            Self::WorkspaceCreationBan => &ORGANIZATION_WORKSPACE_CREATION_BAN,
        }
    }

    /// Whether a user with this role may assign and unassign `other` in the same
    /// organization.
    pub fn assigns(self, other: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::UserAdmin => other == Self::Member,
            Self::Auditor | Self::Member | Self::TemplateAdmin | Self::WorkspaceCreationBan => {
                false
            }
        }
    }
}
