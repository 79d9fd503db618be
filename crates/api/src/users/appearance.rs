//! `/users/{user}/appearance`: how pages look.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{Response, settings::UserAppearanceSettings};
use usher_domain::{Action, Object, Violations, settings::TerminalFont};
use usher_store::SettingsStore;

use crate::{ApiError, Caller, Json, RequestBody, target::TargetUser};

/// Returns how pages look to the user.
#[utoipa::path(
    get, path = "/users/{user}/appearance", tag = "Settings",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    responses((status = 200, body = UserAppearanceSettings, description = "The settings."),
              (status = 403, body = Response, description = "The caller may not know them.")),
)]
pub async fn read(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(settings): State<Arc<dyn SettingsStore>>,
) -> Result<Json<UserAppearanceSettings>, ApiError> {
    if !caller.may(Action::ReadPersonal, Object::user(user.id)) {
        return Err(ApiError::Forbidden);
    }
    Ok(Json(settings.find_appearance(user.id).await?.into()))
}

/// Sets how pages look to the user, theme and font together.
#[utoipa::path(
    put, path = "/users/{user}/appearance", tag = "Settings",
    params(("user" = String, Path, description = "A UUID, a username, or `me`.")),
    request_body = UserAppearanceSettings,
    responses((status = 200, body = UserAppearanceSettings, description = "The settings as changed."),
              (status = 400, body = Response, description = "A field breaks its rule."),
              (status = 403, body = Response, description = "The caller may not.")),
)]
pub async fn update(
    caller: Caller,
    TargetUser(user): TargetUser,
    State(settings): State<Arc<dyn SettingsStore>>,
    body: RequestBody,
) -> Result<Json<UserAppearanceSettings>, ApiError> {
    let request: UserAppearanceSettings = body.parse()?;
    let font = check(&request)?;
    if !caller.may(Action::UpdatePersonal, Object::user(user.id)) {
        return Err(ApiError::Forbidden);
    }
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
