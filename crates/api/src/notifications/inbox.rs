//! `/notifications/inbox`: the caller's inbox.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use usher_api_types::{
    Response,
    notification::{
        ListInboxNotificationsResponse, UpdateInboxNotificationReadStatusRequest,
        UpdateInboxNotificationReadStatusResponse,
    },
};
use usher_domain::{
    Action, Object, Resource, UserId, Violations,
    id::parse_uuid,
    notification::{InboxFilter, ReadStatus},
    time::Clock,
};
use usher_store::NotificationStore;
use uuid::Uuid;

use crate::{
    ApiError, Caller, Json, RequestBody, credential::SESSION_COOKIE, query::QueryParameters,
    target::LastSegment,
};

/// Lists the caller's newest messages.
#[utoipa::path(
    get, path = "/notifications/inbox", tag = "Notifications",
    params(("targets" = Option<String>, Query, description = "Comma-separated UUIDs of the objects that the messages are about."),
           ("templates" = Option<String>, Query, description = "Comma-separated UUIDs of templates."),
           ("read_status" = Option<String>, Query, description = "`all`, `read` or `unread`."),
           ("starting_before" = Option<Uuid>, Query, description = "Only messages older than this one.")),
    responses((status = 200, body = ListInboxNotificationsResponse, description = "The messages."),
              (status = 400, body = Response, description = "A parameter is invalid."),
              (status = 403, body = Response, description = "The scopes of the key do not allow it.")),
)]
pub async fn list(
    caller: Caller,
    State(notifications): State<Arc<dyn NotificationStore>>,
    query: QueryParameters,
) -> Result<Json<ListInboxNotificationsResponse>, ApiError> {
    let filter = parse(&query)?;
    caller.require(Action::Read, message_of(caller.id()))?;
    let (messages, unread_count) = notifications.list_inbox(caller.id(), filter).await?;
    Ok(Json(ListInboxNotificationsResponse {
        notifications: messages.into_iter().map(Into::into).collect(),
        unread_count,
    }))
}

/// Marks a message as read or unread.
#[utoipa::path(
    put, path = "/notifications/inbox/{id}/read-status", tag = "Notifications",
    params(("id" = Uuid, Path, description = "The message's ID.", example = "11111111-2222-4333-8444-555555555555")),
    request_body = UpdateInboxNotificationReadStatusRequest,
    responses((status = 200, body = UpdateInboxNotificationReadStatusResponse, description = "The updated message."),
              (status = 400, body = Response, description = "The ID is not a UUID."),
              (status = 404, body = Response, description = "The message does not exist, or the caller may not change it.")),
)]
pub async fn set_read(
    caller: Caller,
    LastSegment(id): LastSegment,
    State(notifications): State<Arc<dyn NotificationStore>>,
    State(clock): State<Arc<dyn Clock>>,
    body: RequestBody,
) -> Result<Json<UpdateInboxNotificationReadStatusResponse>, ApiError> {
    let id = parse_uuid(&id)
        .ok_or_else(|| ApiError::bad_request("The message ID must be a UUID.").with_detail(id))?;
    let request: UpdateInboxNotificationReadStatusRequest = body.parse()?;
    notifications
        .find_inbox_notification(id)
        .await?
        .filter(|message| caller.may(Action::Update, message_of(message.user_id)))
        .ok_or(ApiError::NotFound)?;
    let read_at = request.is_read.then(|| clock.now());
    let message = notifications
        .set_inbox_read(id, read_at)
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(Json(UpdateInboxNotificationReadStatusResponse {
        notification: message.into(),
        unread_count: notifications.count_unread(caller.id()).await?,
    }))
}

/// Marks all of the caller's messages as read.
#[utoipa::path(
    put, path = "/notifications/inbox/mark-all-as-read", tag = "Notifications",
    responses((status = 204, description = "The messages are marked as read."),
              (status = 403, body = Response, description = "The scopes of the key do not allow it.")),
)]
pub async fn set_all_read(
    caller: Caller,
    State(notifications): State<Arc<dyn NotificationStore>>,
    State(clock): State<Arc<dyn Clock>>,
) -> Result<StatusCode, ApiError> {
    caller.require(Action::Update, message_of(caller.id()))?;
    notifications
        .set_all_inbox_read(caller.id(), clock.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn message_of(user: UserId) -> Object {
    Object::any(Resource::InboxNotification).owned_by(user)
}

fn parse(query: &QueryParameters) -> Result<InboxFilter, ApiError> {
    let mut faults = Violations::new();
    let targets = parse_list(query, "targets", &mut faults);
    let templates = parse_list(query, "templates", &mut faults);
    let starting_before = parse_list(query, "starting_before", &mut faults);
    let known = [
        "targets",
        "templates",
        "read_status",
        "starting_before",
        SESSION_COOKIE,
        "access_token",
    ];
    query.reject_unknown(&known, &mut faults);
    faults.finish(Some(())).map_err(ApiError::InvalidQuery)?;
    let read_status = ReadStatus::parse(query.first("read_status").unwrap_or_default())
        .ok_or_else(|| ApiError::bad_request("`read_status` must be `all`, `read` or `unread`."))?;
    Ok(InboxFilter {
        targets,
        templates,
        read_status,
        starting_before: starting_before.first().copied(),
    })
}

fn parse_list(query: &QueryParameters, name: &'static str, faults: &mut Violations) -> Vec<Uuid> {
    let text = query.first(name).unwrap_or_default();
    let words: Vec<&str> = text.split(',').filter(|word| !word.is_empty()).collect();
    let ids: Vec<Uuid> = words
        .iter()
        .filter_map(|word| parse_uuid(word.trim()))
        .collect();
    if ids.len() < words.len() {
        faults.push(
            name,
            format!("The parameter `{name}` must be a comma-separated list of UUIDs."),
        );
    }
    ids
}
