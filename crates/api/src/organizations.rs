//! `/organizations`: organizations, their members and their roles.

pub mod create;
pub mod delete;
pub mod list;
pub mod member_roles;
pub mod members;
pub mod update;

use crate::routes::{Routes, routes};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route(routes!(list::list, create::create))
        .route(routes!(list::read, update::update, delete::delete))
        .route(routes!(members::list))
        .route(routes!(members::list_page))
        .route(routes!(members::read, members::add, members::remove))
        .route(routes!(member_roles::list_assignable))
        .route(routes!(member_roles::update))
}
