//! Signing in and out, and what is asked on the way there.

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

/// How long every refusal to sign in waits before it is told.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(25);

/// Waits a little, whoever was refused and why. The audit row of a known account is written
/// meanwhile, so that the time of the answer does not tell that there is one.
async fn pause_after_refusal() {
    sleep(PAUSE_AFTER_REFUSAL).await;
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
        .routes(routes!(providers::oidc::further_callback))
        .with(|router| router.route_layer(from_fn(providers::refuse_head)))
}

/// The routes that need one, whether what it rests on elsewhere still holds or not.
pub(crate) fn leaving_routes() -> Routes {
    Routes::new().routes(routes!(logout::logout))
}
