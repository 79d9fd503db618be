//! `/users/{user}/appearance`: theme and terminal font.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{Response, settings::UserAppearanceSettings};
use usher_domain::{Action, Object, Violations, settings::TerminalFont};
use usher_store::SettingsStore;

use crate::{ApiError, Caller, Json, RequestBody, target::TargetUser};

/// Returns the user's appearance settings.
#[utoipa::path(
    get, path = "/users/{user}/appearance", tag = "Settings",
    params(TargetUser),
    responses((status = 200, body = UserAppearanceSettings, description = "The settings."),
              (status = 403, body = Response, description = "The caller may not read them.")),
)]
pub async fn read(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(settings): State<Arc<dyn SettingsStore>>,
) -> Result<Json<UserAppearanceSettings>, ApiError> {
    caller.require(Action::ReadPersonal, Object::user(user.id))?;
    Ok(Json(settings.find_appearance(user.id).await?.into()))
}

/// Replaces the user's appearance settings.
#[utoipa::path(
    put, path = "/users/{user}/appearance", tag = "Settings",
    params(TargetUser),
    request_body = UserAppearanceSettings,
    responses((status = 200, body = UserAppearanceSettings, description = "The updated settings."),
              (status = 400, body = Response, description = "A field is invalid."),
              (status = 403, body = Response, description = "The caller lacks the permission.")),
)]
pub async fn update(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(settings): State<Arc<dyn SettingsStore>>,
    body: RequestBody,
) -> Result<Json<UserAppearanceSettings>, ApiError> {
    let request: UserAppearanceSettings = body.parse()?;
    let font = check(&request)?;
    caller.require(Action::UpdatePersonal, Object::user(user.id))?;
    let stored = settings
        .set_appearance(user.id, &request.theme_preference, font)
        .await?;
    Ok(Json(stored.into()))
}

fn check(request: &UserAppearanceSettings) -> Result<TerminalFont, ApiError> {
    let mut faults = Violations::new();
    for (field, value) in [
        ("theme_preference", &request.theme_preference),
        ("terminal_font", &request.terminal_font),
    ] {
        if value.is_empty() {
            faults.push(field, "The value must not be empty.");
        }
    }
    faults.finish(Some(()))?;
    TerminalFont::parse(&request.terminal_font)
        .ok_or_else(|| ApiError::bad_request("Unsupported font family."))
}
