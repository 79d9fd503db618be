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

use crate::routes::{Routes, routes};

/// The routes that need no credential.
pub(crate) fn public_routes() -> Routes {
    Routes::new()
        .routes(routes!(first::exists, first::create))
        .routes(routes!(quiet_hours::read, quiet_hours::update))
}

/// The routes that need a credential.
pub(crate) fn private_routes() -> Routes {
    Routes::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(read::read, delete::delete))
        .routes(routes!(profile::update))
        .routes(routes!(password::update))
        .routes(routes!(roles::list_assignable))
        .routes(routes!(roles::read, roles::update))
        .routes(routes!(status::suspend))
        .routes(routes!(status::activate))
        .routes(routes!(organizations::list))
        .routes(routes!(organizations::read))
        .routes(routes!(login_type::read))
        .routes(routes!(appearance::read, appearance::update))
        .routes(routes!(preferences::read, preferences::update))
        .routes(routes!(autofill::list))
        .routes(routes!(convert_login::create))
        .routes(routes!(ssh_key::read, ssh_key::regenerate))
        .routes(routes!(keys::create))
        .routes(routes!(keys::read, keys::delete))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::config))
        .routes(routes!(tokens::read))
}
