//! Lists of users, a page at a time.

use futures_util::stream::{self, Stream, TryStreamExt as _};
use http::{Method, StatusCode};
use usher_api_types::user::{GetUsersResponse, User};
use uuid::Uuid;

use crate::{Client, Error};

/// How many users a page has if nobody says it.
const PAGE_USERS: u32 = 100;

/// Which users a list shows: all, in the order of their lower-cased usernames, unless told
/// otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListUsers {
    q: String,
    limit: u32,
    offset: u32,
    after_id: Option<Uuid>,
}

impl ListUsers {
    /// All users.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only users that match: filters such as `status:active role:owner`, and text to look
    /// for in usernames and addresses.
    pub fn q(mut self, q: impl Into<String>) -> Self {
        self.q = q.into();
        self
    }

    /// At most this many; 0 is no limit.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Without the first ones.
    pub fn offset(mut self, offset: u32) -> Self {
        self.offset = offset;
        self
    }

    /// Only users that come after this one.
    pub fn after_id(mut self, user: Uuid) -> Self {
        self.after_id = Some(user);
        self
    }
}

impl Client {
    /// Returns the users that the query asks for, and how many match it.
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

    /// All users that the query asks for, in pages of its limit or of 100. Each page begins
    /// after the last user of the one before, so that users who come and go meanwhile make
    /// no other appear twice or be left out.
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
    /// The query for the next page, if there is one.
    next: Option<ListUsers>,
}

impl UserPages {
    /// The next page, or `None` after the last. After an error it can be asked for again.
    pub async fn next_page(&mut self) -> Result<Option<Vec<User>>, Error> {
        let Some(query) = &self.next else {
            return Ok(None);
        };
        let GetUsersResponse { users, count } = self.client.list_users(query).await?;
        let seen = u64::from(query.offset) + users.len() as u64;
        self.next = match users.last() {
            // The count is of the users after the cursor.
            Some(last) if seen < count => Some(query.clone().offset(0).after_id(last.id)),
            _ => None,
        };
        Ok(Some(users).filter(|users| !users.is_empty()))
    }

    /// The users one by one. After an error the stream has ended.
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
