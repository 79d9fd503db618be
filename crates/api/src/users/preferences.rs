//! `/users/{user}/preferences`: what somebody prefers.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{Response, settings::UserPreferenceSettings};
use usher_domain::{Action, Object, settings::Preferences};
use usher_store::SettingsStore;

use crate::{ApiError, Caller, Json, RequestBody, target::TargetUser};

/// Returns what the user prefers.
#[utoipa::path(
    get, path = "/users/{user}/preferences", tag = "Settings",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    responses((status = 200, body = UserPreferenceSettings, description = "The preferences."),
              (status = 403, body = Response, description = "The caller may not know them.")),
)]
pub async fn read(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(settings): State<Arc<dyn SettingsStore>>,
) -> Result<Json<UserPreferenceSettings>, ApiError> {
    if !caller.may(Action::ReadPersonal, Object::user(user.id)) {
        return Err(ApiError::Forbidden);
    }
    Ok(Json(settings.find_preferences(user.id).await?.into()))
}

/// Sets what the user prefers. What is absent is set to its default.
#[utoipa::path(
    put, path = "/users/{user}/preferences", tag = "Settings",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    request_body = UserPreferenceSettings,
    responses((status = 200, body = UserPreferenceSettings, description = "The preferences as changed."),
              (status = 400, body = Response, description = "The body is not JSON of the right types."),
              (status = 403, body = Response, description = "The caller may not.")),
)]
pub async fn update(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(settings): State<Arc<dyn SettingsStore>>,
    body: RequestBody,
) -> Result<Json<UserPreferenceSettings>, ApiError> {
    let request: UserPreferenceSettings = body.parse()?;
    if !caller.may(Action::UpdatePersonal, Object::user(user.id)) {
        return Err(ApiError::Forbidden);
    }
    let preferences = Preferences {
        task_notification_alert_dismissed: request.task_notification_alert_dismissed,
    };
    let stored = settings.set_preferences(user.id, preferences).await?;
    Ok(Json(stored.into()))
}
