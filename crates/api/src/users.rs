//! `/users`: users and their data.

pub mod appearance;
pub mod autofill;
pub mod convert_login;
pub mod create;
pub mod delete;
pub mod first;
pub mod keys;
pub mod list;
pub mod login_type;
pub mod organizations;
pub mod password;
pub mod preferences;
pub mod profile;
pub mod quiet_hours;
pub mod read;
pub mod roles;
pub mod ssh_key;
pub mod status;
pub mod tokens;

use crate::routes::{Declare as _, Routes, routes};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route(routes!(list::list, create::create))
        .route(
            routes!(first::exists, first::create)
                .public()
                .csrf_exempt()
                .shadows_user(),
        )
        .route(routes!(roles::list_assignable).shadows_user())
        .route(routes!(read::read, delete::delete))
        .route(routes!(profile::update))
        .route(routes!(password::update))
        .route(routes!(roles::read, roles::update))
        .route(routes!(status::suspend))
        .route(routes!(status::activate))
        .route(routes!(organizations::list))
        .route(routes!(organizations::read))
        .route(routes!(login_type::read))
        .route(routes!(appearance::read, appearance::update))
        .route(routes!(preferences::read, preferences::update))
        .route(routes!(quiet_hours::read, quiet_hours::update).public())
        .route(routes!(autofill::list))
        .route(routes!(convert_login::create))
        .route(routes!(ssh_key::read, ssh_key::regenerate))
        .route(routes!(keys::create))
        .route(routes!(keys::read, keys::delete))
        .route(routes!(tokens::list, tokens::create))
        .route(routes!(tokens::config))
        .route(routes!(tokens::read))
}
