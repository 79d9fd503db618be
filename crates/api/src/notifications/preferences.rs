//! `/users/{user}/notifications/preferences`: which notifications a user has disabled.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{
    Response,
    notification::{NotificationPreference, UpdateUserNotificationPreferences},
};
use usher_domain::{
    Action, Object, Resource, id::parse_uuid,
    notification::NotificationPreference as DomainPreference, time::Clock,
};
use usher_store::NotificationStore;
use uuid::Uuid;

use crate::{ApiError, Caller, Json, RequestBody, target::TargetUser};

/// The maximum number of templates that one call takes.
const MAX_TEMPLATES: usize = 128;

type Preferences = Option<Vec<NotificationPreference>>;

/// Lists the templates that the user has disabled or enabled, `null` if there are none.
#[utoipa::path(
    get, path = "/users/{user}/notifications/preferences", tag = "Notifications",
    params(TargetUser),
    responses((status = 200, body = Option<Vec<NotificationPreference>>, description = "The preferences."),
              (status = 403, body = Response, description = "The caller may not read them.")),
)]
pub async fn list(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(notifications): State<Arc<dyn NotificationStore>>,
) -> Result<Json<Preferences>, ApiError> {
    let object = Object::any(Resource::NotificationPreference).owned_by(user.id);
    caller.require(Action::Read, object)?;
    let stored = notifications.list_notification_preferences(user.id).await?;
    Ok(Json(on_wire(stored)))
}

/// Disables or enables some templates for the user. The others are unchanged.
#[utoipa::path(
    put, path = "/users/{user}/notifications/preferences", tag = "Notifications",
    params(TargetUser),
    request_body = UpdateUserNotificationPreferences,
    responses((status = 200, body = Option<Vec<NotificationPreference>>, description = "All preferences."),
              (status = 400, body = Response, description = "A template does not exist."),
              (status = 403, body = Response, description = "The caller lacks the permission.")),
)]
pub async fn update(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(notifications): State<Arc<dyn NotificationStore>>,
    State(clock): State<Arc<dyn Clock>>,
    body: RequestBody,
) -> Result<Json<Preferences>, ApiError> {
    let disabled = parse(body.parse()?)?;
    let object = Object::any(Resource::NotificationPreference).owned_by(user.id);
    caller.require(Action::Update, object)?;
    let stored = notifications
        .set_notification_preferences(user.id, disabled, clock.now())
        .await?;
    Ok(Json(on_wire(stored)))
}

fn parse(request: UpdateUserNotificationPreferences) -> Result<Vec<(Uuid, bool)>, ApiError> {
    if request.template_disabled_map.len() > MAX_TEMPLATES {
        let detail = format!("At most {MAX_TEMPLATES} templates are allowed.");
        return Err(ApiError::field("template_disabled_map", detail));
    }
    request
        .template_disabled_map
        .into_iter()
        .map(|(id, is_disabled)| {
            let id = parse_uuid(&id).ok_or_else(|| {
                ApiError::bad_request("Unable to parse notification template UUID.")
                    .with_detail(format!("{id:?} is not a UUID."))
            })?;
            Ok((id, is_disabled.unwrap_or_default()))
        })
        .collect()
}

fn on_wire(stored: Vec<DomainPreference>) -> Preferences {
    Some(stored)
        .filter(|stored| !stored.is_empty())
        .map(|stored| stored.into_iter().map(Into::into).collect())
}
