//! `GET /users/{user}/autofill-parameters`: earlier values of build parameters.

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

/// Lists the values that the user last used for the parameters of a template.
#[utoipa::path(
    get, path = "/users/{user}/autofill-parameters", tag = "Settings",
    params(TargetUser,
           ("template_id" = Uuid, Query, description = "The template's ID.", example = "39b1e189-c857-4b0c-877a-511144c18516")),
    responses((status = 200, body = Vec<UserParameter>, description = "The values."),
              (status = 400, body = Response, description = "A parameter is invalid."),
              (status = 403, body = Response, description = "The caller may not read them.")),
)]
pub async fn list(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(parameters): State<Arc<dyn BuildParameterStore>>,
    query: QueryParameters,
) -> Result<Json<Vec<UserParameter>>, ApiError> {
    let template = parse(&query)?;
    caller.require(Action::ReadPersonal, Object::user(user.id))?;
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
            faults.push(TEMPLATE, "The parameter `template_id` is required.");
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
    // The query may also carry the credential.
    query.reject_unknown(&[TEMPLATE, SESSION_COOKIE, "access_token"], &mut faults);
    faults.finish(template).map_err(ApiError::InvalidQuery)
}
