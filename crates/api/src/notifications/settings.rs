//! `/notifications/settings`: whether notifications are delivered.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response as AxumResponse},
};
use http::StatusCode;
use usher_api_types::{Response, notification::NotificationsSettings};
use usher_domain::{
    Action, Object, Resource,
    audit::{AuditAction, AuditEntry, AuditResource},
    notification::NotifierSettings,
};
use usher_store::NotificationStore;
use uuid::Uuid;

use crate::{ApiError, Audit, Caller, Json, RequestBody};

/// Returns whether the notifier is paused.
#[utoipa::path(
    get, path = "/notifications/settings", tag = "Notifications",
    responses((status = 200, body = NotificationsSettings, description = "The settings.")),
)]
pub async fn read(
    _: Caller,
    State(notifications): State<Arc<dyn NotificationStore>>,
) -> Result<Json<NotificationsSettings>, ApiError> {
    let stored = notifications.find_notifier_settings().await?;
    Ok(Json(NotificationsSettings {
        notifier_paused: stored.unwrap_or_default().is_paused,
    }))
}

/// Pauses or resumes the notifier.
#[utoipa::path(
    put, path = "/notifications/settings", tag = "Notifications",
    request_body = NotificationsSettings,
    responses((status = 200, body = NotificationsSettings, description = "The updated settings."),
              (status = 304, description = "The settings are unchanged."),
              (status = 403, body = Response, description = "The caller lacks the permission.")),
)]
pub async fn update(
    caller: Caller,
    State(notifications): State<Arc<dyn NotificationStore>>,
    audit: Audit,
    body: RequestBody,
) -> Result<AxumResponse, ApiError> {
    let settings: NotificationsSettings = body.parse()?;
    let new = NotifierSettings {
        is_paused: settings.notifier_paused,
    };
    if notifications.find_notifier_settings().await? == Some(new) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let entry = AuditEntry::new(
        AuditAction::Write,
        AuditResource::NotificationsSettings,
        Uuid::new_v4(),
        "",
    );
    audit
        .record_failure(entry, async {
            caller.require(Action::Update, Object::any(Resource::DeploymentConfig))?;
            let by = audit.context(StatusCode::OK);
            Ok(notifications.set_notifier_settings(new, &by).await?)
        })
        .await?;
    Ok(Json(settings).into_response())
}
