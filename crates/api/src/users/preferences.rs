//! `/users/{user}/preferences`: the preferences of a user.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{Response, settings::UserPreferenceSettings};
use usher_domain::{Action, Object, settings::Preferences};
use usher_store::SettingsStore;

use crate::{ApiError, Caller, Json, RequestBody, target::TargetUser};

/// Returns the user's preferences.
#[utoipa::path(
    get, path = "/users/{user}/preferences", tag = "Settings",
    params(TargetUser),
    responses((status = 200, body = UserPreferenceSettings, description = "The preferences."),
              (status = 403, body = Response, description = "The caller may not read them.")),
)]
pub async fn read(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(settings): State<Arc<dyn SettingsStore>>,
) -> Result<Json<UserPreferenceSettings>, ApiError> {
    caller.require(Action::ReadPersonal, Object::user(user.id))?;
    Ok(Json(settings.find_preferences(user.id).await?.into()))
}

/// Replaces the user's preferences. Absent ones are set to their defaults.
#[utoipa::path(
    put, path = "/users/{user}/preferences", tag = "Settings",
    params(TargetUser),
    request_body = UserPreferenceSettings,
    responses((status = 200, body = UserPreferenceSettings, description = "The updated preferences."),
              (status = 400, body = Response, description = "The body is not valid JSON or has the wrong types."),
              (status = 403, body = Response, description = "The caller lacks the permission.")),
)]
pub async fn update(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(settings): State<Arc<dyn SettingsStore>>,
    body: RequestBody,
) -> Result<Json<UserPreferenceSettings>, ApiError> {
    let request: UserPreferenceSettings = body.parse()?;
    caller.require(Action::UpdatePersonal, Object::user(user.id))?;
    let preferences = Preferences {
        task_notification_alert_dismissed: request.task_notification_alert_dismissed,
    };
    let stored = settings.set_preferences(user.id, preferences).await?;
    Ok(Json(stored.into()))
}
