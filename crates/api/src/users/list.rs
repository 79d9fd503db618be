//! `GET /users`: people found and listed.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::{
    Response,
    user::{GetUsersResponse, User},
};
use usher_domain::{Action, AllowList, Object, Resource, UserFilter, UserId};
use usher_store::{UserListQuery, UserStore, Visibility};

use crate::{ApiError, Caller, Json, query::QueryParameters};

/// Lists the users that match, in the order of their lower-cased usernames. A caller sees
/// only those that they may read.
#[utoipa::path(
    get, path = "/users", tag = "Users",
    params(("q" = Option<String>, Query, description = "Filters such as `status:active role:owner`, and text to look for in usernames and addresses."),
           ("after_id" = Option<uuid::Uuid>, Query, description = "Only users after this one."),
           ("limit" = Option<u32>, Query, description = "The greatest number of users; 0 is all."),
           ("offset" = Option<u32>, Query, description = "How many users to leave out first.")),
    responses((status = 200, body = GetUsersResponse, description = "The page."),
              (status = 400, body = Response, description = "A parameter breaks its rule.")),
)]
pub async fn list(
    caller: Caller,
    State(users): State<Arc<dyn UserStore>>,
    query: QueryParameters,
) -> Result<Json<GetUsersResponse>, ApiError> {
    let filter = UserFilter::parse(query.search()?).map_err(ApiError::InvalidQuery)?;
    let (page, after) = query.page_after()?;
    let listing = users
        .list_users(UserListQuery {
            filter,
            visible: visibility(&caller),
            after,
            page,
        })
        .await?;
    Ok(Json(GetUsersResponse {
        users: listing.items.into_iter().map(User::in_list).collect(),
        count: listing.count,
    }))
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
