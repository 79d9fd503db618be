//! Authorization: a few bit operations on constant tables, without I/O.
//!
//! [`Actor::may`] allows an action if the user's roles, the key's scopes and the key's
//! allow-list all allow it.

use uuid::Uuid;

use crate::{
    Action, ApiKey, Membership, Organization, OrganizationId, OrganizationRole, Resource, SiteRole,
    User, UserId, resource::Permissions, scope,
};

/// The object of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its resource type.
    pub kind: Resource,
    /// Its ID; `None` for a new object, for all objects of the type, or if the ID is not
    /// a UUID.
    pub id: Option<Uuid>,
    /// The user that owns it.
    pub owner: Option<UserId>,
    /// The organization it belongs to.
    pub organization: Option<OrganizationId>,
}

impl Object {
    /// All objects of a type, or a new one.
    pub const fn any(kind: Resource) -> Self {
        Self {
            kind,
            id: None,
            owner: None,
            organization: None,
        }
    }

    /// A user. Users own themselves.
    pub const fn user(id: UserId) -> Self {
        Self {
            kind: Resource::User,
            id: Some(id.0),
            owner: Some(id),
            organization: None,
        }
    }

    /// An API key of a user. Its ID is not a UUID, so allow-lists can only name all keys.
    pub const fn api_key_of(owner: UserId) -> Self {
        Self::any(Resource::ApiKey).owned_by(owner)
    }

    /// An organization.
    pub const fn organization(id: OrganizationId) -> Self {
        Self {
            kind: Resource::Organization,
            id: Some(id.0),
            owner: None,
            organization: Some(id),
        }
    }

    /// A user's membership of an organization.
    pub const fn member(user: UserId, organization: OrganizationId) -> Self {
        Self {
            kind: Resource::OrganizationMember,
            id: Some(user.0),
            owner: Some(user),
            organization: Some(organization),
        }
    }

    /// Sets the owner.
    pub const fn owned_by(mut self, owner: UserId) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Sets the organization.
    pub const fn of_organization(mut self, organization: OrganizationId) -> Self {
        self.organization = Some(organization);
        self
    }
}

/// The caller of a request: a user with their roles, and the API key they use.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The user.
    pub user: User,
    /// Their memberships, with the stored organization roles.
    pub memberships: Vec<Membership>,
    /// The key.
    pub key: ApiKey,
    /// What the key's scopes allow, computed once.
    scope: Permissions,
}

impl Actor {
    /// The caller that uses `key`.
    pub fn new(user: User, memberships: Vec<Membership>, key: ApiKey) -> Self {
        let scope = scope::union(&key.scopes);
        Self {
            user,
            memberships,
            key,
            scope,
        }
    }

    /// The user's ID.
    pub fn id(&self) -> UserId {
        self.user.id
    }

    /// Whether roles, scopes and allow-list all allow the action.
    pub fn may(&self, action: Action, object: Object) -> bool {
        self.scope.allow(action, object.kind)
            && self.key.allow_list.allows(object.kind, object.id)
            && self.roles_allow(action, object)
    }

    /// Whether the action is allowed site-wide or in at least one of the caller's
    /// organizations.
    pub fn may_in_some_organization(&self, action: Action, object: Object) -> bool {
        self.may(action, object)
            || self.memberships.iter().any(|membership| {
                self.may(action, object.of_organization(membership.organization_id))
            })
    }

    /// Whether the caller may read the user.
    pub fn may_read_user(&self, id: UserId) -> bool {
        self.may(Action::Read, Object::user(id))
    }

    /// Whether the caller may read the organization.
    pub fn may_read_organization(&self, organization: &Organization) -> bool {
        self.may(Action::Read, Object::organization(organization.id))
    }

    /// Whether the caller may assign or unassign the site role.
    pub fn may_assign(&self, role: SiteRole) -> bool {
        self.may(Action::Assign, Object::any(Resource::AssignRole))
            && self.site_roles().any(|mine| mine.assigns(role))
    }

    /// Whether the caller may assign or unassign the role in `organization`.
    pub fn may_assign_in(&self, organization: OrganizationId, role: OrganizationRole) -> bool {
        let roles = Object::any(Resource::AssignOrgRole).of_organization(organization);
        self.may(Action::Assign, roles)
            && (self
                .site_roles()
                .any(|mine| mine.assigns_in_organizations(role))
                || self.roles_in(organization).any(|mine| mine.assigns(role)))
    }

    /// The caller's site roles, including the implied `member`. Unknown stored names are
    /// ignored.
    fn site_roles(&self) -> impl Iterator<Item = SiteRole> {
        self.user
            .roles
            .iter()
            .filter_map(|name| SiteRole::parse(name))
            .chain([SiteRole::Member])
    }

    /// The caller's roles in an organization, including the implied one if they are a
    /// member.
    fn roles_in(&self, organization: OrganizationId) -> impl Iterator<Item = OrganizationRole> {
        self.memberships
            .iter()
            .filter(move |membership| membership.organization_id == organization)
            .flat_map(|membership| {
                membership
                    .roles
                    .iter()
                    .filter_map(|name| OrganizationRole::parse(name))
                    .chain([OrganizationRole::Member])
            })
    }

    fn roles_allow(&self, action: Action, object: Object) -> bool {
        let owns = object.owner == Some(self.user.id);
        if let Some(organization) = object.organization
            && self.roles_in(organization).any(|role| {
                role.grants()
                    .denied_in_organization
                    .allow(action, object.kind)
            })
        {
            return false;
        }
        let by_site_role = self.site_roles().any(|role| {
            let grants = role.grants();
            grants.site.allow(action, object.kind)
                || (owns && grants.own.allow(action, object.kind))
        });
        by_site_role
            || self.organization_roles_allow_site_wide(action, object.kind)
            || object.organization.is_some_and(|organization| {
                self.allowed_in(organization, action, object.kind, owns)
            })
    }

    /// Some organization roles allow actions on the whole site, such as reading users.
    fn organization_roles_allow_site_wide(&self, action: Action, kind: Resource) -> bool {
        self.memberships.iter().any(|membership| {
            self.roles_in(membership.organization_id)
                .any(|role| role.grants().site.allow(action, kind))
        })
    }

    fn allowed_in(
        &self,
        organization: OrganizationId,
        action: Action,
        kind: Resource,
        owns: bool,
    ) -> bool {
        self.roles_in(organization).any(|role| {
            let grants = role.grants();
            grants.organization.allow(action, kind)
                || (owns && grants.own_in_organization.allow(action, kind))
        })
    }

    /// Whether a key with these scopes and this allow-list can do no more than the
    /// caller's key.
    pub fn key_covers(&self, scopes: &[crate::Scope], allow_list: &crate::AllowList) -> bool {
        self.scope.contains_all(&scope::union(scopes)) && self.key.allow_list.covers(allow_list)
    }
}

#[cfg(test)]
mod tests;
