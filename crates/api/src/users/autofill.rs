//! `GET /users/{user}/autofill-parameters`: values given before, offered again.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{Response, settings::UserParameter};
use usher_domain::{Action, Object, Violations, id::parse_uuid};
use usher_store::BuildParameterStore;
use uuid::Uuid;

use crate::{
    ApiError, Caller, Json, credential::SESSION_COOKIE, query::QueryParameters, target::TargetUser,
};

const TEMPLATE: &str = "template_id";

/// Lists the values that the user last gave to parameters of a template.
#[utoipa::path(
    get, path = "/users/{user}/autofill-parameters", tag = "Settings",
    params(("user" = String, Path, description = "A UUID, a username, or `me`."),
           ("template_id" = Uuid, Query, description = "The template.")),
    responses((status = 200, body = Vec<UserParameter>, description = "The values."),
              (status = 400, body = Response, description = "A parameter breaks its rule."),
              (status = 403, body = Response, description = "The caller may not know them.")),
)]
pub async fn list(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(parameters): State<Arc<dyn BuildParameterStore>>,
    query: QueryParameters,
) -> Result<Json<Vec<UserParameter>>, ApiError> {
    let template = parse(&query)?;
    if !caller.may(Action::ReadPersonal, Object::user(user.id)) {
        return Err(ApiError::Forbidden);
    }
    let found = parameters.list_build_parameters(user.id, template).await?;
    let listed = found
        .into_iter()
        .map(|parameter| UserParameter {
            name: parameter.name,
            value: parameter.value,
        })
        .collect();
    Ok(Json(listed))
}

fn parse(query: &QueryParameters) -> Result<Uuid, ApiError> {
    let mut faults = Violations::new();
    let text = query.only(TEMPLATE, &mut faults);
    let template = match text {
        None => None,
        Some("") => {
            faults.push(TEMPLATE, "The parameter `template_id` must be given.");
            None
        }
        Some(text) => {
            let id = parse_uuid(text);
            if id.is_none() {
                faults.push(TEMPLATE, "The parameter `template_id` must be a UUID.");
            }
            id
        }
    };
    // The credential may come in the query too; it is no part of the question.
    query.refuse_others(&[TEMPLATE, SESSION_COOKIE, "access_token"], &mut faults);
    faults.finish(template).map_err(ApiError::InvalidQuery)
}
