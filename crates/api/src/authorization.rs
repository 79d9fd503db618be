//! `POST /authcheck`: what the caller may do, asked beforehand. `GET /auth/scopes`: what
//! keys may be asked for with.

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
    routes::{Routes, routes},
};

/// The greatest number of questions about things that must be looked up.
const MAX_LOOKUPS: usize = 10;
/// The greatest number of questions of one call.
const MAX_CHECKS: usize = 1000;

/// The routes that need no credential.
pub(crate) fn public_routes() -> Routes {
    Routes::new().routes(routes!(list_scopes))
}

/// The routes that need one.
pub(crate) fn private_routes() -> Routes {
    Routes::new().routes(routes!(check))
}

/// Lists the scopes that a token may be asked for with.
#[utoipa::path(
    get, path = "/auth/scopes", tag = "Keys", security(()),
    responses((status = 200, body = ExternalApiKeyScopes, description = "The scopes, sorted.")),
)]
pub async fn list_scopes() -> Json<ExternalApiKeyScopes> {
    Json(ExternalApiKeyScopes {
        external: Scope::requestable().into_iter().map(Scope::name).collect(),
    })
}

/// Answers for each question whether the caller may do that. What does not exist, may not
/// be known of, or is no kind of thing is not allowed.
#[utoipa::path(
    post, path = "/authcheck", tag = "Authorization",
    request_body = AuthorizationRequest,
    responses((status = 200, body = BTreeMap<String, bool>, description = "The answers, by the names of the questions."),
              (status = 400, body = Response, description = "A question breaks its rule.")),
)]
pub async fn check(
    caller: Caller,
    State(users): State<Arc<dyn UserStore>>,
    body: RequestBody,
) -> Result<Json<BTreeMap<String, bool>>, ApiError> {
    let request: AuthorizationRequest = body.parse()?;
    let asks_of = |check: &&AuthorizationCheck| !resource_id(&check.object).is_empty();
    if request.checks.values().filter(asks_of).count() > MAX_LOOKUPS {
        return Err(ApiError::bad_request(format!(
            "At most {MAX_LOOKUPS} questions may name a `resource_id`."
        )));
    }
    if request.checks.len() > MAX_CHECKS {
        return Err(ApiError::bad_request(format!(
            "At most {MAX_CHECKS} questions are answered."
        )));
    }
    let mut answers = BTreeMap::new();
    for (name, check) in request.checks {
        let answer = answer(&caller, &*users, &check).await?;
        answers.insert(name, answer);
    }
    Ok(Json(answers))
}

async fn answer(
    caller: &Caller,
    users: &dyn UserStore,
    check: &AuthorizationCheck,
) -> Result<bool, ApiError> {
    let word = check.object.resource_type.as_deref().unwrap_or_default();
    if word.is_empty() {
        return Err(ApiError::bad_request(
            "Every question must name a `resource_type`.",
        ));
    }
    let kind = Resource::parse(word);
    let id = resource_id(&check.object);
    if !id.is_empty() && !kind.is_some_and(is_looked_up) {
        return Err(ApiError::field(
            "resource_type",
            "Only users, workspaces, templates and groups can be named by a `resource_id`.",
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
        return answer_for(caller, users, action, kind, UserId(id)).await;
    }
    Ok(answer_for_any(caller, action, kind, &check.object))
}

fn resource_id(object: &AuthorizationObject) -> &str {
    object.resource_id.as_deref().unwrap_or_default()
}

fn is_looked_up(kind: Resource) -> bool {
    matches!(
        kind,
        Resource::User | Resource::Workspace | Resource::Template | Resource::Group
    )
}

/// Of the things that are looked up only users exist here.
async fn answer_for(
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

fn answer_for_any(
    caller: &Caller,
    action: Action,
    kind: Resource,
    about: &AuthorizationObject,
) -> bool {
    let mut object = Object::any(kind);
    object.owner = match about.owner_id.as_deref().unwrap_or_default() {
        "" => None,
        "me" => Some(caller.id()),
        text => match parse_uuid(text) {
            Some(id) => Some(UserId(id)),
            None => return false,
        },
    };
    match about.organization_id.as_deref().unwrap_or_default() {
        "" if about.any_org.unwrap_or_default() => {
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
