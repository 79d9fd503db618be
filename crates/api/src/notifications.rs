//! `/notifications`: messages to users, and their preferences.

pub mod custom;
pub mod inbox;
pub mod preferences;
pub mod settings;
pub mod templates;

use crate::routes::{Routes, routes};

/// The routes, which all need a credential.
pub(crate) fn private_routes() -> Routes {
    Routes::new()
        .routes(routes!(templates::list_system))
        .routes(routes!(templates::list_custom))
        .routes(routes!(templates::methods))
        .routes(routes!(templates::set_method))
        .routes(routes!(preferences::list, preferences::update))
        .routes(routes!(settings::read, settings::update))
        .routes(routes!(custom::send_test))
        .routes(routes!(custom::send))
        .routes(routes!(inbox::list))
        .routes(routes!(inbox::set_read))
        .routes(routes!(inbox::set_all_read))
}
