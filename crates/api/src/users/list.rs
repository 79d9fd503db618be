//! `GET /users`: listing and searching users.

use std::{error::Error, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::header::CONTENT_TYPE;
use usher_api_types::user::{GetUsersResponse, User};
use usher_domain::{Action, AllowList, Object, Resource, UserFilter, UserId};
use usher_store::{UserListPart, UserListQuery, UserListStream, UserStore, Visibility};

use crate::{ApiError, Caller, Json, json, query::QueryParameters};

/// The largest number of users in a response that is built before it is sent. Longer lists are
/// streamed.
const MAX_BUFFERED: u32 = 1000;

/// Lists the matching users that the caller may read, ordered by lower-cased username.
#[utoipa::path(
    get, path = "/users", tag = "Users",
    params(("q" = Option<String>, Query, description = "Filters such as `status:active role:owner`, and text to find in usernames and e-mail addresses."),
           ("after_id" = Option<uuid::Uuid>, Query, description = "Only users after this one."),
           ("limit" = Option<u32>, Query, description = "The maximum number of users; 0 means all."),
           ("offset" = Option<u32>, Query, description = "The number of users to skip.")),
    responses((status = 200, body = GetUsersResponse, description = "The page."),
              (status = 400, body = usher_api_types::Response, description = "A parameter is invalid.")),
)]
pub async fn list(
    caller: Caller,
    State(users): State<Arc<dyn UserStore>>,
    query: QueryParameters,
) -> Result<Response, ApiError> {
    let filter = UserFilter::parse(query.search()?).map_err(ApiError::InvalidQuery)?;
    let (page, after) = query.page_after()?;
    let query = UserListQuery {
        filter,
        visible: visibility(&caller),
        after,
        page,
    };
    if page.limit.is_none_or(|limit| limit > MAX_BUFFERED) {
        return buffer_or_stream(users.stream_users(query).await?).await;
    }
    let listing = users.list_users(query).await?;
    Ok(whole(listing.items, listing.count))
}

fn whole(users: Vec<usher_domain::User>, count: u64) -> Response {
    let users = users.into_iter().map(User::in_list).collect();
    Json(GetUsersResponse { users, count }).into_response()
}

/// Responds with the whole list if it is short, and streams it otherwise.
async fn buffer_or_stream(mut parts: UserListStream) -> Result<Response, ApiError> {
    let mut beginning = Vec::new();
    while beginning.len() <= MAX_BUFFERED as usize {
        match parts.try_next().await? {
            Some(UserListPart::Users(users)) => beginning.extend(users),
            Some(UserListPart::Count(count)) => return Ok(whole(beginning, count)),
            None => break,
        }
    }
    let beginning = stream::iter([Ok(UserListPart::Users(beginning))]);
    Ok(streamed(beginning.chain(parts).boxed()))
}

/// A response that is sent as it is read. If the store fails midway, the connection is closed,
/// so that clients see an incomplete response and not a shorter list.
fn streamed(parts: UserListStream) -> Response {
    let text = stream::try_unfold((parts, Progress::Start), write_next);
    let text = text.inspect_err(|error| {
        tracing::warn!(%error, "failed to read a list of users; the response is incomplete");
    });
    (
        [(CONTENT_TYPE, json::content_type())],
        Body::from_stream(text),
    )
        .into_response()
}

/// How much of the response is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Start,
    Opened,
    Users,
    Done,
}

type Written = Option<(Bytes, (UserListStream, Progress))>;

/// Writes the next part of a [`GetUsersResponse`].
async fn write_next(
    (mut parts, mut progress): (UserListStream, Progress),
) -> Result<Written, Box<dyn Error + Send + Sync>> {
    if progress == Progress::Done {
        return Ok(None);
    }
    let part = parts
        .next()
        .await
        .ok_or("the store ended the list without a count")??;
    let mut text = Vec::new();
    if progress == Progress::Start {
        text.extend_from_slice(b"{\"users\":[");
        progress = Progress::Opened;
    }
    match part {
        UserListPart::Users(users) => {
            for user in users {
                if progress == Progress::Users {
                    text.push(b',');
                }
                json::write(&User::in_list(user), &mut text)?;
                progress = Progress::Users;
            }
        }
        UserListPart::Count(count) => {
            text.extend_from_slice(format!("],\"count\":{count}}}\n").as_bytes());
            progress = Progress::Done;
        }
    }
    Ok(Some((text.into(), (parts, progress))))
}

/// Returns which users the caller may read. Needs no query, since only the role and the
/// allow-list decide.
fn visibility(caller: &Caller) -> Visibility {
    if caller.may(Action::Read, Object::any(Resource::User)) {
        return Visibility::All;
    }
    let listed = listed_users(&caller.key.allow_list);
    let readable = listed
        .chain([caller.id()])
        .filter(|id| caller.may_read_user(*id))
        .collect();
    Visibility::Only(readable)
}

fn listed_users(allow_list: &AllowList) -> impl Iterator<Item = UserId> {
    allow_list
        .entries()
        .iter()
        .filter(|entry| entry.kind.is_none_or(|kind| kind == Resource::User))
        .filter_map(|entry| entry.id.map(UserId))
}
