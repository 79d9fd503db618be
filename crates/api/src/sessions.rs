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
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt as _};

use crate::{
    AppState,
    routes::{Declare as _, Routes, routes},
};

/// The delay before the response to a failed sign-in.
const FAILURE_DELAY: Duration = Duration::from_millis(25);

/// Delays the response to a failed sign-in. The audit row for an existing account is written
/// during the delay, so the response time does not reveal whether the account exists.
async fn delay_failure() {
    sleep(FAILURE_DELAY).await;
}

pub(crate) fn routes() -> Routes {
    let sign_in = |route: UtoipaMethodRouter<AppState>| route.public().sign_in_limited();
    // A callback consumes the code and creates a session, which `HEAD` must not do: it is sent by
    // mail filters and the like, not by a browser that returns from the provider.
    let callback =
        |route: UtoipaMethodRouter<AppState>| sign_in(route.layer(from_fn(providers::refuse_head)));
    Routes::new()
        .route(sign_in(routes!(login::login)).shadows_user())
        .route(sign_in(routes!(passcode::request)).shadows_user())
        .route(sign_in(routes!(passcode::change_password)).shadows_user())
        .route(sign_in(routes!(validate_password::validate)).shadows_user())
        .route(sign_in(routes!(providers::device::authorize)))
        .route(callback(routes!(providers::github::callback)))
        .route(callback(routes!(providers::oidc::callback)))
        .route(callback(routes!(providers::oidc::numbered_callback)))
        .route(routes!(methods::methods).public().shadows_user())
        .route(routes!(logout::logout).without_renewal().shadows_user())
}
