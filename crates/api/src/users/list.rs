//! `GET /users`: people found and listed.

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

/// How many users an answer may have that is put together before it is sent. A longer one is
/// sent as it is read.
const AT_ONCE: u32 = 1000;

/// Lists the users that match, in the order of their lower-cased usernames. A caller sees
/// only those that they may read.
#[utoipa::path(
    get, path = "/users", tag = "Users",
    params(("q" = Option<String>, Query, description = "Filters such as `status:active role:owner`, and text to look for in usernames and addresses."),
           ("after_id" = Option<uuid::Uuid>, Query, description = "Only users after this one."),
           ("limit" = Option<u32>, Query, description = "The greatest number of users; 0 is all."),
           ("offset" = Option<u32>, Query, description = "How many users to leave out first.")),
    responses((status = 200, body = GetUsersResponse, description = "The page."),
              (status = 400, body = usher_api_types::Response, description = "A parameter breaks its rule.")),
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
    let mut beginning = query.clone();
    beginning.page.limit = Some(page.limit.unwrap_or(AT_ONCE).min(AT_ONCE));
    let listing = users.list_users(beginning).await?;
    let may_go_on = page.limit.is_none_or(|limit| limit > AT_ONCE);
    if may_go_on && listing.items.len() >= AT_ONCE as usize {
        return Ok(as_it_is_read(users.stream_users(query).await?));
    }
    let page = GetUsersResponse {
        users: listing.items.into_iter().map(User::in_list).collect(),
        count: listing.count,
    };
    Ok(Json(page).into_response())
}

/// An answer that is not held at once. If the store fails in the middle, the connection is
/// cut off, so that what came cannot be taken for the whole list.
fn as_it_is_read(parts: UserListStream) -> Response {
    let text = stream::try_unfold((parts, Progress::Nothing), write_next);
    let text = text.inspect_err(|error| {
        tracing::warn!(%error, "the list of users broke off in the middle of the answer");
    });
    (
        [(CONTENT_TYPE, json::content_type())],
        Body::from_stream(text),
    )
        .into_response()
}

/// How far a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Nothing,
    Head,
    Users,
    All,
}

type Written = Option<(Bytes, (UserListStream, Progress))>;

/// Writes the next part of a [`GetUsersResponse`].
async fn write_next(
    (mut parts, mut progress): (UserListStream, Progress),
) -> Result<Written, Box<dyn Error + Send + Sync>> {
    if progress == Progress::All {
        return Ok(None);
    }
    let part = parts.next().await.ok_or("the store did not finish it")??;
    let mut text = Vec::new();
    if progress == Progress::Nothing {
        text.extend_from_slice(b"{\"users\":[");
        progress = Progress::Head;
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
            progress = Progress::All;
        }
    }
    Ok(Some((text.into(), (parts, progress))))
}

/// Whom the caller may read, as far as it can be told without looking at them.
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
