//! `/notifications`: messages to users, and their preferences.

pub mod custom;
pub mod inbox;
pub mod preferences;
pub mod settings;
pub mod templates;

use crate::routes::{Routes, routes};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route(routes!(templates::list_system))
        .route(routes!(templates::list_custom))
        .route(routes!(templates::methods))
        .route(routes!(templates::set_method))
        .route(routes!(preferences::list, preferences::update))
        .route(routes!(settings::read, settings::update))
        .route(routes!(custom::send_test))
        .route(routes!(custom::send))
        .route(routes!(inbox::list))
        .route(routes!(inbox::set_read))
        .route(routes!(inbox::set_all_read))
}
