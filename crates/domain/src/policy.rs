//! Who may do what. A decision is a few bit operations on constant tables: no I/O.
//!
//! A request is allowed if the roles of the user allow it, and the scopes of the key,
//! and the object passes the key's allow-list. [`Actor::may`] is the only door.

use uuid::Uuid;

use crate::{
    Action, ApiKey, Membership, Organization, OrganizationId, OrganizationRole, Resource, SiteRole,
    User, UserId, resource::Permissions, scope,
};

/// A thing that somebody wants to do something with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its kind.
    pub kind: Resource,
    /// Its identifier; `None` for one yet to be made, for all of a kind, or where the
    /// identifier is no UUID.
    pub id: Option<Uuid>,
    /// The user that owns it.
    pub owner: Option<UserId>,
    /// The organization that it is of.
    pub organization: Option<OrganizationId>,
}

impl Object {
    /// All things of a kind, or one yet to be made.
    pub const fn any(kind: Resource) -> Self {
        Self {
            kind,
            id: None,
            owner: None,
            organization: None,
        }
    }

    /// A user, who owns themself.
    pub const fn user(id: UserId) -> Self {
        Self {
            kind: Resource::User,
            id: Some(id.0),
            owner: Some(id),
            organization: None,
        }
    }

    /// A key of a user. Its identifier is no UUID, so only its whole kind can be listed.
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

    /// The same, owned by `owner`.
    pub const fn owned_by(mut self, owner: UserId) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The same, of `organization`.
    pub const fn of_organization(mut self, organization: OrganizationId) -> Self {
        self.organization = Some(organization);
        self
    }
}

/// Who makes a request: a user with their roles, through a key with its limits.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The user.
    pub user: User,
    /// Their memberships, with the stored organization roles.
    pub memberships: Vec<Membership>,
    /// The key.
    pub key: ApiKey,
    /// What the scopes of the key let through, computed once.
    scope: Permissions,
}

impl Actor {
    /// The caller that a key stands for.
    pub fn new(user: User, memberships: Vec<Membership>, key: ApiKey) -> Self {
        let scope = scope::union(&key.scopes);
        Self {
            user,
            memberships,
            key,
            scope,
        }
    }

    /// The user's identifier.
    pub fn id(&self) -> UserId {
        self.user.id
    }

    /// Whether the caller may do this: by roles, scopes and allow-list together.
    pub fn may(&self, action: Action, object: Object) -> bool {
        self.scope.allow(action, object.kind)
            && self.key.allow_list.allows(object.kind, object.id)
            && self.roles_allow(action, object)
    }

    /// Whether the caller may do this anywhere, or in some organization of theirs.
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

    /// Whether the caller may give the role to somebody, or take it away.
    pub fn may_assign(&self, role: SiteRole) -> bool {
        self.may(Action::Assign, Object::any(Resource::AssignRole))
            && self.site_roles().any(|mine| mine.assigns(role))
    }

    /// Whether the caller may give the organization role to somebody in `organization`,
    /// or take it away.
    pub fn may_assign_in(&self, organization: OrganizationId, role: OrganizationRole) -> bool {
        let roles = Object::any(Resource::AssignOrgRole).of_organization(organization);
        self.may(Action::Assign, roles)
            && (self
                .site_roles()
                .any(|mine| mine.assigns_in_organizations(role))
                || self.roles_in(organization).any(|mine| mine.assigns(role)))
    }

    /// The site roles, the implied one included. Stored names that no role has are
    /// passed over.
    fn site_roles(&self) -> impl Iterator<Item = SiteRole> {
        self.user
            .roles
            .iter()
            .filter_map(|name| SiteRole::parse(name))
            .chain([SiteRole::Member])
    }

    /// The roles in one organization, the implied one included; none if not a member.
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
            || self.allowed_everywhere_by_membership(action, object.kind)
            || object.organization.is_some_and(|organization| {
                self.allowed_in(organization, action, object.kind, owns)
            })
    }

    /// Some organization roles allow reading users of the whole site.
    fn allowed_everywhere_by_membership(&self, action: Action, kind: Resource) -> bool {
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

    /// Whether a key with these scopes and this list could do no more than this one.
    pub fn key_covers(&self, scopes: &[crate::Scope], allow_list: &crate::AllowList) -> bool {
        self.scope.contains_all(&scope::union(scopes)) && self.key.allow_list.covers(allow_list)
    }
}

#[cfg(test)]
mod tests;
