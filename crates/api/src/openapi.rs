//! The OpenAPI document, apart from the routes.

use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};

use crate::credential::SESSION_COOKIE;

/// The document without the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Usher",
        description = "Users, organizations, roles, sessions and tokens, over the v2 users API of Coder."
    ),
    modifiers(&Credentials),
    security(("header" = []), ("bearer" = []), ("cookie" = [])),
)]
pub(crate) struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let header = ApiKey::Header(ApiKeyValue::new("Coder-Session-Token"));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE));
        let bearer = Http::new(HttpAuthScheme::Bearer);
        components.add_security_scheme("header", SecurityScheme::ApiKey(header));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}
