//! `POST /notifications/test` and `/notifications/custom`: messages to the caller.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{Response, notification::CustomNotificationRequest};
use usher_domain::{
    Action, Object, Resource,
    notification::{
        CUSTOM, MAX_CUSTOM_MESSAGE_BYTES, MAX_CUSTOM_TITLE_BYTES, NewNotification, Recipients,
        TROUBLESHOOTING,
    },
    time::Clock,
};
use usher_store::NotificationStore;

use crate::{ApiError, Caller, RequestBody};

/// Sends the caller a test message.
#[utoipa::path(
    post, path = "/notifications/test", tag = "Notifications",
    responses((status = 204, description = "The message is queued."),
              (status = 403, body = Response, description = "The caller lacks the permission.")),
)]
pub async fn send_test(
    caller: Caller,
    State(notifications): State<Arc<dyn NotificationStore>>,
    State(clock): State<Arc<dyn Clock>>,
) -> Result<StatusCode, ApiError> {
    caller.require(Action::Update, Object::any(Resource::DeploymentConfig))?;
    let message = NewNotification {
        template_id: TROUBLESHOOTING,
        recipients: Recipients::User(caller.id()),
        labels: Vec::new(),
        targets: Vec::new(),
        created_by: "send-test-notification",
    };
    notifications
        .enqueue_notifications(vec![message], clock.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends the caller a message with the given title and text.
#[utoipa::path(
    post, path = "/notifications/custom", tag = "Notifications",
    request_body = CustomNotificationRequest,
    responses((status = 204, description = "The message is queued."),
              (status = 400, body = Response, description = "Title or text is missing or too long."),
              (status = 403, body = Response, description = "The scopes of the key do not allow it.")),
)]
pub async fn send(
    caller: Caller,
    State(notifications): State<Arc<dyn NotificationStore>>,
    State(clock): State<Arc<dyn Clock>>,
    body: RequestBody,
) -> Result<StatusCode, ApiError> {
    let (title, message) = parse(body.parse()?)?;
    let own = Object::any(Resource::NotificationMessage).owned_by(caller.id());
    caller.require(Action::Create, own)?;
    let message = NewNotification {
        template_id: CUSTOM,
        recipients: Recipients::User(caller.id()),
        labels: vec![("custom_title", title), ("custom_message", message)],
        targets: Vec::new(),
        created_by: "send-custom-notification",
    };
    notifications
        .enqueue_notifications(vec![message], clock.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(request: CustomNotificationRequest) -> Result<(String, String), ApiError> {
    let refuse = |detail: String| ApiError::bad_request("Invalid request body").with_detail(detail);
    let Some(content) = request.content else {
        return Err(refuse("`content` is required.".to_owned()));
    };
    let title = content.title.unwrap_or_default();
    let message = content.message.unwrap_or_default();
    if title.trim().is_empty() || message.trim().is_empty() {
        return Err(refuse(
            "`title` and `message` must not be empty.".to_owned(),
        ));
    }
    for (name, text, max) in [
        ("title", &title, MAX_CUSTOM_TITLE_BYTES),
        ("message", &message, MAX_CUSTOM_MESSAGE_BYTES),
    ] {
        if text.len() > max {
            return Err(refuse(format!(
                "`{name}` must be at most {max} bytes long."
            )));
        }
    }
    Ok((title, message))
}
