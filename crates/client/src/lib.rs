//! A typed client of the users API.
//!
//! [`Client`] has one method for each call of the API, in one file for each resource, over
//! the bodies of `usher-api-types`, which is here as [`types`]. A method gives what the
//! API documents for success, or an [`Error`] that says what the server answered.
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
//!     Err(error) if error.is_not_found() => println!("there is no robert"),
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
//! It keeps no cookies, tries nothing twice, and follows no redirect: that would hand the
//! token to whoever the redirect names. Give it the address that the server has in the end.
//!
//! # TLS
//!
//! Servers are trusted that the machine trusts; on Linux, `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name other certificates. The process-wide provider of cryptography is
//! used if there is one, and none is installed.
//!
//! To add a call: write its method in the file of its resource, with the status that the
//! API documents, and a line in `tests/client/calls.rs`.

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
