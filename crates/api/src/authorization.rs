//! `POST /authcheck`: permission checks in advance. `GET /auth/scopes`: the scopes of tokens.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use usher_api_types::{
    Response,
    api_key::ExternalApiKeyScopes,
    authorization::{AuthorizationCheck, AuthorizationObject, AuthorizationRequest},
};
use usher_domain::{Action, Object, OrganizationId, Resource, Scope, UserId, id::parse_uuid};
use usher_store::{UserLookup, UserStore};

use crate::{
    ApiError, Caller, Json, RequestBody,
    routes::{Declare as _, Routes, routes},
};

/// The maximum number of checks that need a query.
const MAX_LOOKUPS: usize = 10;
/// The maximum number of checks in a request.
const MAX_CHECKS: usize = 1000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route(routes!(list_scopes).public())
        .route(routes!(check))
}

/// Lists the scopes that a token can be created with.
#[utoipa::path(
    get, path = "/auth/scopes", tag = "Keys",
    responses((status = 200, body = ExternalApiKeyScopes, description = "The scopes, sorted.")),
)]
pub async fn list_scopes() -> Json<ExternalApiKeyScopes> {
    Json(ExternalApiKeyScopes {
        external: Scope::requestable().into_iter().map(Scope::name).collect(),
    })
}

/// Returns for each check whether the caller is allowed to perform the action. Actions on
/// objects that do not exist, that the caller may not read, or of unknown types are not allowed.
#[utoipa::path(
    post, path = "/authcheck", tag = "Authorization",
    request_body = AuthorizationRequest,
    responses((status = 200, body = BTreeMap<String, bool>, description = "The results, by the names of the checks."),
              (status = 400, body = Response, description = "A check is invalid.")),
)]
pub async fn check(
    caller: Caller,
    State(users): State<Arc<dyn UserStore>>,
    body: RequestBody,
) -> Result<Json<BTreeMap<String, bool>>, ApiError> {
    let request: AuthorizationRequest = body.parse()?;
    let needs_query = |check: &&AuthorizationCheck| !resource_id(&check.object).is_empty();
    if request.checks.values().filter(needs_query).count() > MAX_LOOKUPS {
        return Err(ApiError::bad_request(format!(
            "At most {MAX_LOOKUPS} checks may have a `resource_id`."
        )));
    }
    if request.checks.len() > MAX_CHECKS {
        return Err(ApiError::bad_request(format!(
            "A request may have at most {MAX_CHECKS} checks."
        )));
    }
    let mut results = BTreeMap::new();
    for (name, check) in request.checks {
        let is_allowed = is_allowed(&caller, &*users, &check).await?;
        results.insert(name, is_allowed);
    }
    Ok(Json(results))
}

async fn is_allowed(
    caller: &Caller,
    users: &dyn UserStore,
    check: &AuthorizationCheck,
) -> Result<bool, ApiError> {
    let resource_type = check.object.resource_type.as_deref().unwrap_or_default();
    if resource_type.is_empty() {
        return Err(ApiError::bad_request(
            "Every check must have a `resource_type`.",
        ));
    }
    let kind = Resource::parse(resource_type);
    let id = resource_id(&check.object);
    if !id.is_empty() && !kind.is_some_and(takes_id) {
        return Err(ApiError::field(
            "resource_type",
            "Only users, workspaces, templates and groups can have a `resource_id`.",
        ));
    }
    let id = match id {
        "" => None,
        text => Some(
            parse_uuid(text)
                .ok_or_else(|| ApiError::field("resource_id", "The value must be a UUID."))?,
        ),
    };
    let action = Action::parse(check.action.as_deref().unwrap_or_default());
    let (Some(action), Some(kind)) = (action, kind) else {
        return Ok(false);
    };
    if let Some(id) = id {
        return is_allowed_on(caller, users, action, kind, UserId(id)).await;
    }
    Ok(is_allowed_on_any(caller, action, kind, &check.object))
}

fn resource_id(object: &AuthorizationObject) -> &str {
    object.resource_id.as_deref().unwrap_or_default()
}

fn takes_id(kind: Resource) -> bool {
    matches!(
        kind,
        Resource::User | Resource::Workspace | Resource::Template | Resource::Group
    )
}

/// Of the resources with IDs only users exist here.
async fn is_allowed_on(
    caller: &Caller,
    users: &dyn UserStore,
    action: Action,
    kind: Resource,
    id: UserId,
) -> Result<bool, ApiError> {
    if kind != Resource::User || !caller.may_read_user(id) {
        return Ok(false);
    }
    let exists = id == caller.id() || users.find_user(UserLookup::Id(id)).await?.is_some();
    Ok(exists && caller.may(action, Object::user(id)))
}

fn is_allowed_on_any(
    caller: &Caller,
    action: Action,
    kind: Resource,
    described: &AuthorizationObject,
) -> bool {
    let mut object = Object::any(kind);
    object.owner = match described.owner_id.as_deref().unwrap_or_default() {
        "" => None,
        "me" => Some(caller.id()),
        text => match parse_uuid(text) {
            Some(id) => Some(UserId(id)),
            None => return false,
        },
    };
    match described.organization_id.as_deref().unwrap_or_default() {
        "" if described.any_org.unwrap_or_default() => {
            return caller.may_in_some_organization(action, object);
        }
        "" => {}
        text => match parse_uuid(text) {
            Some(id) => object = object.of_organization(OrganizationId(id)),
            None => return false,
        },
    }
    caller.may(action, object)
}
