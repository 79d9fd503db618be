//! Lists of users, page by page.

use futures_util::stream::{self, Stream, TryStreamExt as _};
use http::{Method, StatusCode};
use usher_api_types::user::{GetUsersResponse, User};
use uuid::Uuid;

use crate::{Client, Error};

/// The default page size.
const PAGE_USERS: u32 = 100;

/// A query for users, sorted by lower-case username. All users by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListUsers {
    q: String,
    limit: u32,
    offset: u32,
    after_id: Option<Uuid>,
}

impl ListUsers {
    /// Matches all users.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets filters such as `status:active role:owner`, and text to search in usernames and
    /// e-mail addresses.
    pub fn q(mut self, q: impl Into<String>) -> Self {
        self.q = q.into();
        self
    }

    /// Sets the page size; 0 means no limit.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Skips that many users.
    pub fn offset(mut self, offset: u32) -> Self {
        self.offset = offset;
        self
    }

    /// Continues after this user.
    pub fn after_id(mut self, user: Uuid) -> Self {
        self.after_id = Some(user);
        self
    }
}

impl Client {
    /// Returns a page of matching users, and the number of all matches.
    pub async fn list_users(&self, query: &ListUsers) -> Result<GetUsersResponse, Error> {
        let ListUsers {
            q,
            limit,
            offset,
            after_id,
        } = query;
        let mut call = self.call(Method::GET, &["users"])?;
        if !q.is_empty() {
            call = call.query("q", q);
        }
        if *limit > 0 {
            call = call.query("limit", &limit.to_string());
        }
        if *offset > 0 {
            call = call.query("offset", &offset.to_string());
        }
        if let Some(user) = after_id {
            call = call.query("after_id", &user.to_string());
        }
        call.fetch(StatusCode::OK).await
    }

    /// Returns all matching users in pages of the query's limit, or of 100. Each page continues
    /// after the last user of the previous one, so users that are created or deleted meanwhile
    /// cause no duplicates or gaps.
    pub fn users_pages(&self, mut query: ListUsers) -> UserPages {
        if query.limit == 0 {
            query.limit = PAGE_USERS;
        }
        UserPages {
            client: self.clone(),
            next: Some(query),
        }
    }
}

/// Pages of users: see [`Client::users_pages`].
#[derive(Clone, Debug)]
pub struct UserPages {
    client: Client,
    /// The query for the next page; `None` after the last.
    next: Option<ListUsers>,
}

impl UserPages {
    /// Returns the next page, or `None` after the last. Can be called again after an error.
    pub async fn next_page(&mut self) -> Result<Option<Vec<User>>, Error> {
        let Some(query) = &self.next else {
            return Ok(None);
        };
        let GetUsersResponse { users, count } = self.client.list_users(query).await?;
        let seen = u64::from(query.offset) + users.len() as u64;
        self.next = match users.last() {
            // The count includes only users after the cursor.
            Some(last) if seen < count => Some(query.clone().offset(0).after_id(last.id)),
            _ => None,
        };
        Ok(Some(users).filter(|users| !users.is_empty()))
    }

    /// Returns the users one by one. The stream ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<User, Error>> + Send {
        let pages = stream::try_unfold(self, |mut pages: Self| async move {
            let page = pages.next_page().await?;
            Ok::<_, Error>(page.map(|users| (users, pages)))
        });
        pages
            .map_ok(|users| stream::iter(users.into_iter().map(Ok)))
            .try_flatten()
    }
}
