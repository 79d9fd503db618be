//! `GET /audit`: the audit log.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{
    Response,
    audit::{AuditLog, AuditLogResponse, MinimalOrganization},
    user::User,
};
use usher_domain::{
    Action, FieldError, Object, OrganizationId, Page, Resource,
    audit::{AuditAction, AuditResource},
    audit_filter::AuditFilter,
    organization::OrganizationReference,
};
use usher_store::{AuditLogStore, AuditQuery, AuditRecord, OrganizationStore};

use crate::{
    ApiError, Caller, Json,
    query::QueryParameters,
    routes::{Routes, routes},
    target::find_readable_organization,
};

/// The number of rows of a page without `limit`.
const DEFAULT_LIMIT: u32 = 100;

pub(crate) fn routes() -> Routes {
    Routes::new().route(routes!(list))
}

/// Lists the matching rows of the audit log that the caller may read, newest first.
#[utoipa::path(
    get, path = "/audit", tag = "Audit",
    params(("q" = Option<String>, Query, description = "Filters such as `resource_type:user action:create`."),
           ("limit" = Option<u32>, Query, description = "The maximum number of rows; 0 is 100."),
           ("offset" = Option<u32>, Query, description = "The number of rows to skip.")),
    responses((status = 200, body = AuditLogResponse, description = "The page."),
              (status = 400, body = Response, description = "A parameter is invalid."),
              (status = 403, body = Response, description = "The caller may not read the audit log.")),
)]
pub async fn list(
    caller: Caller,
    State(log): State<Arc<dyn AuditLogStore>>,
    State(organizations): State<Arc<dyn OrganizationStore>>,
    query: QueryParameters,
) -> Result<Json<AuditLogResponse>, ApiError> {
    let visible = visible_organizations(&caller)?;
    let page = query.page()?;
    let filter = AuditFilter::parse(query.search()?).map_err(ApiError::InvalidQuery)?;
    let organization = find_organization(&*organizations, &caller, &filter).await?;
    let listing = log
        .list_audit(AuditQuery {
            filter,
            caller: caller.id(),
            organization,
            visible,
            page: Page {
                limit: page.limit.or(Some(DEFAULT_LIMIT)),
                ..page
            },
        })
        .await?;
    Ok(Json(AuditLogResponse {
        audit_logs: listing.items.into_iter().map(on_wire).collect(),
        count: listing.count,
    }))
}

/// Returns the organizations whose rows the caller may read, `None` for all rows.
fn visible_organizations(caller: &Caller) -> Result<Option<Vec<OrganizationId>>, ApiError> {
    let rows = Object::any(Resource::AuditLog);
    if caller.may(Action::Read, rows) {
        return Ok(None);
    }
    let readable: Vec<OrganizationId> = caller
        .memberships
        .iter()
        .map(|membership| membership.organization_id)
        .filter(|organization| caller.may(Action::Read, rows.of_organization(*organization)))
        .collect();
    if readable.is_empty() {
        return Err(ApiError::Forbidden);
    }
    Ok(Some(readable))
}

async fn find_organization(
    organizations: &dyn OrganizationStore,
    caller: &Caller,
    filter: &AuditFilter,
) -> Result<Option<OrganizationId>, ApiError> {
    let Some(name) = &filter.organization else {
        return Ok(None);
    };
    let reference = OrganizationReference::parse(name);
    let found = find_readable_organization(organizations, caller, reference).await?;
    let Some(organization) = found else {
        let error = FieldError::new("organization", "There is no such organization.");
        return Err(ApiError::InvalidQuery(error.into()));
    };
    Ok(Some(organization.id))
}

fn on_wire(record: AuditRecord) -> AuditLog {
    let description = describe(&record);
    let resource_link = link(&record);
    AuditLog {
        id: record.id,
        request_id: record.request_id,
        time: record.time.into(),
        ip: record.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        user_agent: record.user_agent,
        resource_type: record.resource.as_str().to_owned(),
        resource_id: record.resource_id,
        resource_target: record.target,
        resource_icon: record.icon,
        action: record.action.as_str().to_owned(),
        diff: record.diff,
        status_code: record.status_code,
        additional_fields: record.additional_fields,
        description,
        resource_link,
        is_deleted: record.is_deleted,
        organization_id: record
            .organization
            .as_ref()
            .map(|organization| organization.id.0)
            .unwrap_or_default(),
        organization: record.organization.map(|organization| MinimalOrganization {
            id: organization.id.0,
            name: organization.name,
            display_name: organization.display_name,
            icon: organization.icon,
        }),
        user: record.user.map(|user| User {
            organization_ids: Some(Vec::new()),
            ..user.into()
        }),
    }
}

fn link(record: &AuditRecord) -> String {
    if record.resource == AuditResource::User && !record.is_deleted {
        let name: String = url::form_urlencoded::byte_serialize(record.target.as_bytes()).collect();
        return format!("/users?filter={name}");
    }
    String::new()
}

/// Returns a sentence with placeholders that clients fill in.
fn describe(record: &AuditRecord) -> String {
    let (base, past) = verbs(record.action);
    let failed = record.status_code >= 400;
    let verb = if failed {
        format!("unsuccessfully attempted to {base}")
    } else {
        past.to_owned()
    };
    let is_session = matches!(
        record.action,
        AuditAction::Login | AuditAction::Logout | AuditAction::Register
    );
    if is_session && record.resource == AuditResource::ApiKey {
        return format!("{{user}} {verb}");
    }
    let what = record.resource.friendly();
    match (record.action, record.resource) {
        (AuditAction::RequestPasswordReset, _) => format!("{verb} for {what} {{target}}"),
        (_, AuditResource::GitSshKey) => format!("{{user}} {verb} {what}"),
        _ => format!("{{user}} {verb} {what} {{target}}"),
    }
}

fn verbs(action: AuditAction) -> (&'static str, &'static str) {
    match action {
        AuditAction::Create => ("create", "created"),
        AuditAction::Write => ("write", "updated"),
        AuditAction::Delete => ("delete", "deleted"),
        AuditAction::Start => ("start", "started"),
        AuditAction::Stop => ("stop", "stopped"),
        AuditAction::Login => ("login", "logged in"),
        AuditAction::Logout => ("logout", "logged out"),
        AuditAction::Register => ("register", "registered"),
        AuditAction::RequestPasswordReset => {
            ("request a password reset", "password reset requested")
        }
        AuditAction::Connect => ("connect", "connected to"),
        AuditAction::Disconnect => ("disconnect", "disconnected from"),
        AuditAction::Open => ("open", "opened"),
        AuditAction::Close => ("close", "closed"),
    }
}
