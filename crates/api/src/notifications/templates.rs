//! `/notifications/templates` and `/notifications/dispatch-methods`: message templates and their
//! delivery methods.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response as AxumResponse},
};
use http::StatusCode;
use usher_api_types::{
    Response,
    notification::{
        NotificationMethodsResponse, NotificationTemplate, UpdateNotificationTemplateMethod,
    },
};
use usher_domain::{
    Action, Object, Resource,
    id::parse_uuid,
    notification::{NotificationMethod, TemplateKind},
};
use usher_store::NotificationStore;

use crate::{ApiError, Audit, Caller, Json, RequestBody, Settings, target::LastSegment};

/// Lists the templates of system messages.
#[utoipa::path(
    get, path = "/notifications/templates/system", tag = "Notifications",
    responses((status = 200, body = Vec<NotificationTemplate>, description = "The templates.")),
)]
pub async fn list_system(
    _: Caller,
    State(notifications): State<Arc<dyn NotificationStore>>,
) -> Result<Json<Vec<NotificationTemplate>>, ApiError> {
    list(&*notifications, TemplateKind::System).await
}

/// Lists the templates of custom messages, whose text the sender writes.
#[utoipa::path(
    get, path = "/notifications/templates/custom", tag = "Notifications",
    responses((status = 200, body = Vec<NotificationTemplate>, description = "The templates.")),
)]
pub async fn list_custom(
    _: Caller,
    State(notifications): State<Arc<dyn NotificationStore>>,
) -> Result<Json<Vec<NotificationTemplate>>, ApiError> {
    list(&*notifications, TemplateKind::Custom).await
}

async fn list(
    notifications: &dyn NotificationStore,
    kind: TemplateKind,
) -> Result<Json<Vec<NotificationTemplate>>, ApiError> {
    let templates = notifications.list_templates(kind).await?;
    Ok(Json(templates.into_iter().map(Into::into).collect()))
}

/// Returns the delivery methods.
#[utoipa::path(
    get, path = "/notifications/dispatch-methods", tag = "Notifications",
    responses((status = 200, body = NotificationMethodsResponse, description = "The methods.")),
)]
pub async fn methods(
    _: Caller,
    State(settings): State<Arc<Settings>>,
) -> Json<NotificationMethodsResponse> {
    let available = [NotificationMethod::Smtp, NotificationMethod::Webhook];
    Json(NotificationMethodsResponse {
        available: available.map(|method| method.as_str().to_owned()).to_vec(),
        default: settings.notification_method.as_str().to_owned(),
    })
}

/// Sets the delivery method of a template.
#[utoipa::path(
    put, path = "/notifications/templates/{template}/method", tag = "Notifications",
    params(("template" = uuid::Uuid, Path, description = "The template's ID.", example = "c425f63e-716a-4bf4-ae24-78348f706c3f")),
    request_body = UpdateNotificationTemplateMethod,
    responses((status = 200, body = Response, description = "The method was set."),
              (status = 304, description = "The method is unchanged."),
              (status = 400, body = Response, description = "The method does not exist."),
              (status = 404, body = Response, description = "The template does not exist, or the caller lacks the permission.")),
)]
pub async fn set_method(
    caller: Caller,
    LastSegment(id): LastSegment,
    State(notifications): State<Arc<dyn NotificationStore>>,
    audit: Audit,
    body: RequestBody,
) -> Result<AxumResponse, ApiError> {
    if !caller.may(Action::Update, Object::any(Resource::NotificationTemplate)) {
        return Err(ApiError::NotFound);
    }
    let id = parse_uuid(&id)
        .ok_or_else(|| ApiError::bad_request("The template ID must be a UUID.").with_detail(id))?;
    let template = notifications
        .find_template(id)
        .await?
        .ok_or(ApiError::NotFound)?;
    let request: UpdateNotificationTemplateMethod = body.parse()?;
    let method = NotificationMethod::parse(&request.method).ok_or_else(|| {
        ApiError::field("method", "The value must be `smtp`, `webhook` or `inbox`.")
    })?;
    if template.method == Some(method) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    notifications
        .set_template_method(id, method, &audit.context(StatusCode::OK))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(Json(Response::message(
        "Successfully updated notification template method.",
    ))
    .into_response())
}
