//! `GET /users/authmethods`: the available login types.

use std::sync::Arc;

use axum::extract::State;
use usher_api_types::session::{
    AuthMethod, AuthMethods, FurtherOidcAuthMethod, GithubAuthMethod, OidcAuthMethod,
};

use super::providers::{Providers, oidc::callback_path};
use crate::{Json, Settings};

/// Returns the available login types.
#[utoipa::path(
    get, path = "/users/authmethods", tag = "Sessions",
    responses((status = 200, body = AuthMethods, description = "The login types.")),
)]
pub async fn methods(
    State(settings): State<Arc<Settings>>,
    State(providers): State<Arc<Providers>>,
) -> Json<AuthMethods> {
    let first = providers.oidc.first();
    let further = providers.oidc.iter().enumerate().skip(1);
    Json(AuthMethods {
        terms_of_service_url: settings.terms_of_service_url.clone(),
        password: AuthMethod {
            enabled: settings.password_auth,
        },
        github: GithubAuthMethod {
            enabled: providers.github.is_some(),
            default_provider_configured: false,
        },
        oidc: OidcAuthMethod {
            enabled: first.is_some(),
            sign_in_text: first.map_or_else(String::new, |oidc| oidc.sign_in_text.clone()),
            icon_url: first.map_or_else(String::new, |oidc| oidc.icon_url.clone()),
        },
        further_oidc: further
            .map(|(index, oidc)| FurtherOidcAuthMethod {
                path: callback_path(index),
                sign_in_text: oidc.sign_in_text.clone(),
                icon_url: oidc.icon_url.clone(),
            })
            .collect(),
    })
}
