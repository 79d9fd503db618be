//! Sign-in, sign-out, and passwords of users who are not signed in.

pub mod login;
pub mod logout;
pub mod methods;
pub mod passcode;
pub mod providers;
pub mod validate_password;

use std::time::Duration;

use axum::middleware::from_fn;
use tokio::time::sleep;

use crate::routes::{Routes, routes};

/// The delay before the response to a failed sign-in.
const FAILURE_DELAY: Duration = Duration::from_millis(25);

/// Delays the response to a failed sign-in. The audit row for an existing account is written
/// during the delay, so the response time does not reveal whether the account exists.
async fn delay_failure() {
    sleep(FAILURE_DELAY).await;
}

/// The routes that need no credential.
pub(crate) fn public_routes() -> Routes {
    Routes::new()
        .routes(routes!(login::login))
        .routes(routes!(methods::methods))
        .routes(routes!(passcode::request))
        .routes(routes!(passcode::change_password))
        .routes(routes!(validate_password::validate))
        .routes(routes!(providers::device::authorize))
        .merge(callbacks())
}

fn callbacks() -> Routes {
    Routes::new()
        .routes(routes!(providers::github::callback))
        .routes(routes!(providers::oidc::callback))
        .routes(routes!(providers::oidc::numbered_callback))
        .with(|router| router.route_layer(from_fn(providers::refuse_head)))
}

/// The routes that need a credential, but no renewed access at a provider.
pub(crate) fn leaving_routes() -> Routes {
    Routes::new().routes(routes!(logout::logout))
}
