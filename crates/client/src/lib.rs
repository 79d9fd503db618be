//! A typed client of the users API.
//!
//! [`Client`] has one method per call of the API, in one file per resource. Bodies are the
//! types of `usher-api-types`, re-exported as [`types`]. A method returns the documented body
//! of a successful response, or an [`Error`].
//!
//! ```no_run
//! use usher_client::{Client, ListUsers, UserRef, types::user::UpdateUserProfileRequest};
//!
//! # async fn example() -> Result<(), usher_client::Error> {
//! let client = Client::new("https://users.example.com")?
//!     .logged_in("owner@example.com", "correct horse battery staple")
//!     .await?;
//!
//! let me = client.get_user(UserRef::Me).await?;
//! println!("signed in as {}", me.username);
//!
//! // All active users, a page at a time.
//! let mut pages = client.users_pages(ListUsers::new().q("status:active").limit(100));
//! while let Some(users) = pages.next_page().await? {
//!     for user in users {
//!         println!("{} <{}>", user.username, user.email);
//!     }
//! }
//!
//! let profile = UpdateUserProfileRequest {
//!     username: "bob".to_owned(),
//!     name: "Bob".to_owned(),
//! };
//! match client.set_user_profile("robert", &profile).await {
//!     Ok(user) => println!("renamed {}", user.id),
//!     Err(error) if error.is_not_found() => println!("robert does not exist"),
//!     Err(error) => match error.field("username") {
//!         Some(detail) => println!("{detail}"),
//!         None => return Err(error),
//!     },
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it deliberately does not do
//!
//! It stores no cookies, does not retry, and does not follow redirects, which could send the
//! token to another host. Use the final address of the server.
//!
//! # TLS
//!
//! The system's certificates are trusted; on Linux, `SSL_CERT_FILE` and `SSL_CERT_DIR` select
//! others. If the process has a default crypto provider it is used; none is installed.
//!
//! To add a call, write a method in the file of its resource with the documented status, and
//! add a line to `tests/client/calls.rs`.

mod client;
mod deployment;
mod error;
mod keys;
mod members;
mod organizations;
mod reference;
mod sessions;
mod tls;
mod users;

pub use http::StatusCode;
pub use usher_api_types as types;

pub use client::{Client, DEFAULT_TIMEOUT};
pub use error::Error;
pub use reference::{OrganizationRef, UserRef};
pub use users::{ListUsers, UserPages};
