//! Lists of roles: the built-in roles with their permissions, and the roles in requests.

use usher_api_types::role::{AssignableRole, Permission};
use usher_domain::{
    OrganizationId, OrganizationRole, SiteRole, resource::Permissions, role::Grants,
};

use crate::{ApiError, Caller};

/// The maximum number of roles that one call takes.
const MAX_ROLES: usize = 128;

/// Checks the number of roles in a request.
pub(crate) fn check_length(roles: &[String]) -> Result<(), ApiError> {
    if roles.len() > MAX_ROLES {
        let detail = format!("At most {MAX_ROLES} roles are allowed.");
        return Err(ApiError::field("roles", detail));
    }
    Ok(())
}

/// The site roles, with whether the caller may assign each.
pub(crate) fn site(caller: &Caller) -> Vec<AssignableRole> {
    SiteRole::OFFERED
        .into_iter()
        .map(|role| AssignableRole {
            name: role.name().to_owned(),
            organization_id: None,
            display_name: role.display_name().to_owned(),
            assignable: caller.may_assign(role),
            ..granted(role.grants())
        })
        .collect()
}

/// The roles of an organization, with whether the caller may assign each.
pub(crate) fn organization(caller: &Caller, organization: OrganizationId) -> Vec<AssignableRole> {
    OrganizationRole::OFFERED
        .into_iter()
        .map(|role| AssignableRole {
            name: role.name().to_owned(),
            organization_id: Some(organization.0),
            display_name: role.display_name().to_owned(),
            assignable: caller.may_assign_in(organization, role),
            ..granted(role.grants())
        })
        .collect()
}

/// A role with its permissions; the other fields are left empty.
fn granted(grants: &Grants) -> AssignableRole {
    let mut organization_permissions = permissions(&grants.organization, false);
    organization_permissions.extend(permissions(&grants.denied_in_organization, true));
    AssignableRole {
        name: String::new(),
        organization_id: None,
        display_name: String::new(),
        site_permissions: permissions(&grants.site, false),
        user_permissions: permissions(&grants.own, false),
        organization_permissions,
        organization_member_permissions: permissions(&grants.own_in_organization, false),
        assignable: false,
        built_in: true,
    }
}

fn permissions(permissions: &Permissions, negate: bool) -> Vec<Permission> {
    let mut list = Vec::new();
    for (kind, actions) in permissions.iter() {
        let mut push = |action: &str| {
            list.push(Permission {
                negate,
                resource_type: kind.as_str().to_owned(),
                action: action.to_owned(),
            });
        };
        if actions == kind.actions() {
            push("*");
        } else {
            actions.iter().for_each(|action| push(action.as_str()));
        }
    }
    list
}
