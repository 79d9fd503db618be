//! `GET /users/authmethods`: the ways to sign in.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::session::{AuthMethod, AuthMethods, GithubAuthMethod, OidcAuthMethod};

use crate::{Json, Settings};

/// Tells the ways to sign in.
#[utoipa::path(
    get, path = "/users/authmethods", tag = "Sessions", security(()),
    responses((status = 200, body = AuthMethods, description = "The ways to sign in.")),
)]
pub async fn methods(State(settings): State<Arc<Settings>>) -> Json<AuthMethods> {
    Json(AuthMethods {
        terms_of_service_url: settings.terms_of_service_url.clone(),
        password: AuthMethod {
            enabled: settings.password_auth,
        },
        github: GithubAuthMethod {
            enabled: false,
            default_provider_configured: false,
        },
        oidc: OidcAuthMethod {
            enabled: false,
            sign_in_text: String::new(),
            icon_url: String::new(),
        },
    })
}
