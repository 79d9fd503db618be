//! `/organizations/{organization}/members`: the members of an organization.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{
    Response,
    organization::{OrganizationMember, OrganizationMemberWithUserData, PaginatedMembersResponse},
    role::SlimRole,
};
use usher_domain::{
    Action, Object, Organization, Page, Resource, UserId, Violations, id::parse_uuid,
    search::SearchTerms,
};
use usher_store::{Member, MemberFilter, OrganizationStore};

use crate::{
    ApiError, Audit, Caller, Json,
    query::QueryParameters,
    target::{TargetMember, TargetOrganization, TargetUser},
};

/// Lists the members that the caller may read.
#[utoipa::path(
    get, path = "/organizations/{organization}/members", tag = "Members",
    params(TargetOrganization,
           ("q" = Option<String>, Query, description = "`user_id:`, `github_user_id:` or `include_system:` with a value.")),
    responses((status = 200, body = Vec<OrganizationMemberWithUserData>, description = "The members."),
              (status = 400, body = Response, description = "The search is invalid."),
              (status = 404, body = Response, description = "The organization does not exist, or the caller may not read it.")),
)]
pub async fn list(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    query: QueryParameters,
) -> Result<Json<Vec<OrganizationMemberWithUserData>>, ApiError> {
    let mut filter = parse_filter(query.search()?).map_err(ApiError::InvalidQuery)?;
    if !may_read_members(&caller, &organization) {
        let own = Object::member(caller.id(), organization.id);
        let asks_for_others = filter.user_id.is_some_and(|id| id != caller.id());
        if asks_for_others || !caller.may(Action::Read, own) {
            return Ok(Json(Vec::new()));
        }
        filter.user_id = Some(caller.id());
    }
    let listing = organizations
        .list_members(organization.id, filter, Page::default())
        .await?;
    Ok(Json(
        listing.items.into_iter().map(with_user_data).collect(),
    ))
}

/// Lists a page of the members, ordered by lower-cased username.
#[utoipa::path(
    get, path = "/organizations/{organization}/paginated-members", tag = "Members",
    params(TargetOrganization,
           ("limit" = Option<u32>, Query, description = "The maximum number of members; 0 means all."),
           ("offset" = Option<u32>, Query, description = "The number of members to skip.")),
    responses((status = 200, body = PaginatedMembersResponse, description = "The page."),
              (status = 400, body = Response, description = "A parameter is invalid."),
              (status = 404, body = Response, description = "The caller may not read the members.")),
)]
pub async fn list_page(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    query: QueryParameters,
) -> Result<Json<PaginatedMembersResponse>, ApiError> {
    let page = query.page()?;
    if !may_read_members(&caller, &organization) {
        return Err(ApiError::NotFound);
    }
    let listing = organizations
        .list_members(organization.id, MemberFilter::default(), page)
        .await?;
    Ok(Json(PaginatedMembersResponse {
        members: listing.items.into_iter().map(with_user_data).collect(),
        count: listing.count,
    }))
}

/// Returns a member.
#[utoipa::path(
    get, path = "/organizations/{organization}/members/{user}", tag = "Members",
    params(TargetOrganization, TargetMember),
    responses((status = 200, body = OrganizationMemberWithUserData, description = "The member."),
              (status = 404, body = Response, description = "The member does not exist, or the caller may not read them.")),
)]
pub async fn read(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
    TargetMember(user): TargetMember,
    State(organizations): State<Arc<dyn OrganizationStore>>,
) -> Result<Json<OrganizationMemberWithUserData>, ApiError> {
    if !caller.may(Action::Read, Object::member(user.id, organization.id)) {
        return Err(ApiError::NotFound);
    }
    let filter = MemberFilter {
        user_id: Some(user.id),
        include_system: true,
        ..MemberFilter::default()
    };
    let listing = organizations
        .list_members(organization.id, filter, Page::default())
        .await?;
    let member = listing.items.into_iter().next();
    member
        .map(|member| Json(with_user_data(member)))
        .ok_or(ApiError::NotFound)
}

/// Adds the user to the organization.
#[utoipa::path(
    post, path = "/organizations/{organization}/members/{user}", tag = "Members",
    params(TargetOrganization, TargetUser),
    responses((status = 200, body = OrganizationMember, description = "The user was added."),
              (status = 400, body = Response, description = "The user does not exist or is already a member."),
              (status = 404, body = Response, description = "The organization does not exist, or the caller may not add members.")),
)]
pub async fn add(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
    TargetUser(user): TargetUser,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    audit: Audit,
) -> Result<Json<OrganizationMember>, ApiError> {
    let roles = Object::any(Resource::AssignOrgRole).of_organization(organization.id);
    let membership = Object::member(user.id, organization.id);
    if !caller.may(Action::Create, membership) || !caller.may(Action::Assign, roles) {
        return Err(ApiError::NotFound);
    }
    let added = organizations
        .create_membership(organization.id, user.id, &audit.context(StatusCode::OK))
        .await?;
    Ok(Json(added.into()))
}

/// Removes the user and their roles from the organization.
#[utoipa::path(
    delete, path = "/organizations/{organization}/members/{user}", tag = "Members",
    params(TargetOrganization, TargetUser),
    responses((status = 204, description = "The user was removed."),
              (status = 400, body = Response, description = "The user is the caller."),
              (status = 404, body = Response, description = "The member does not exist, or the caller may not remove them.")),
)]
pub async fn remove(
    caller: Caller,
    TargetOrganization(organization): TargetOrganization,
    TargetMember(user): TargetMember,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    audit: Audit,
) -> Result<StatusCode, ApiError> {
    if user.id == caller.id() {
        return Err(ApiError::bad_request(
            "cannot remove self from an organization",
        ));
    }
    if !caller.may(Action::Delete, Object::member(user.id, organization.id)) || user.is_deleted {
        return Err(ApiError::NotFound);
    }
    organizations
        .delete_membership(
            organization.id,
            user.id,
            &audit.context(StatusCode::NO_CONTENT),
        )
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the caller may read all members of the organization.
fn may_read_members(caller: &Caller, organization: &Organization) -> bool {
    let members = Object::any(Resource::OrganizationMember).of_organization(organization.id);
    caller.may(Action::Read, members)
}

fn with_user_data(member: Member) -> OrganizationMemberWithUserData {
    OrganizationMemberWithUserData {
        username: member.username,
        name: member.name,
        avatar_url: member.avatar_url,
        email: member.email,
        global_roles: member
            .site_roles
            .into_iter()
            .map(SlimRole::of_site)
            .collect(),
        member: member.membership.into(),
    }
}

fn parse_filter(q: &str) -> Result<MemberFilter, Violations> {
    let mut terms = SearchTerms::parse(q, None)?;
    let mut faults = Violations::new();
    let user_id = terms.take_one("user_id", &mut faults);
    let user_id = parse_value("user_id", user_id, "a UUID", parse_uuid, &mut faults);
    let github = terms.take_one("github_user_id", &mut faults);
    let github = parse_value(
        "github_user_id",
        github,
        "a whole number",
        |text| text.parse().ok(),
        &mut faults,
    );
    let system = terms.take_one("include_system", &mut faults);
    let system = parse_value(
        "include_system",
        system,
        "`true` or `false`",
        parse_bool,
        &mut faults,
    );
    terms.finish(&mut faults);
    faults.finish(Some(MemberFilter {
        user_id: user_id.map(UserId),
        github_user_id: github.filter(|id| *id != 0),
        include_system: system.unwrap_or_default(),
    }))
}

fn parse_value<T>(
    key: &'static str,
    text: Option<String>,
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
    faults: &mut Violations,
) -> Option<T> {
    let text = text?;
    let value = parse(&text);
    if value.is_none() {
        faults.push(key, format!("The filter `{key}` must be {what}."));
    }
    value
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}
