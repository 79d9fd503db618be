//! `/organizations`: organizations, their members and their roles.

pub mod create;
pub mod delete;
pub mod list;
pub mod member_roles;
pub mod members;
pub mod update;

use crate::routes::{Routes, routes};

/// The routes, which all need a credential.
pub(crate) fn private_routes() -> Routes {
    Routes::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(list::read, update::update, delete::delete))
        .routes(routes!(members::list))
        .routes(routes!(members::list_page))
        .routes(routes!(members::add, members::remove))
        .routes(routes!(member_roles::list_assignable))
        .routes(routes!(member_roles::update))
}
