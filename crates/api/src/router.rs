//! The router of the API: all routes, the fallback and the envelope.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    extract::{Request, State},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use tower::{Layer as _, ServiceExt as _};
use utoipa::OpenApi as _;

use crate::{
    ApiError, AppState,
    access::{self, Access, Authentication, Guard, check_access},
    audit,
    authentication::Renewal,
    authorization, csrf, deployment, envelope, json, notifications,
    openapi::Document,
    organizations,
    routes::Routes,
    sessions, users,
};

/// Returns a router for the whole API. It responds to every path, so it can be merged with
/// other routes but not with another fallback.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, or the network addresses
/// of clients are unknown.
pub fn router(state: AppState) -> Router {
    assemble(state, |routes| routes.fallback(no_such_route))
}

/// Returns a router for the whole API, and for pages at the other paths outside of `/api` and
/// `/.well-known`.
///
/// Requests for pages have the extension [`CsrfToken`](crate::CsrfToken). The responses get the
/// same headers as those of the API, and the cookie of the token.
pub fn router_with_pages(state: AppState, pages: Router) -> Router {
    let fallback = async move |state: State<AppState>, request: Request| {
        if is_api(request.uri().path()) {
            return no_such_route(state, request).await;
        }
        match pages.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    assemble(state, |routes| routes.fallback(fallback))
}

fn is_api(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    matches!(first, Some("api" | ".well-known"))
}

/// Returns the OpenAPI document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    all_routes().document(Document::openapi())
}

fn all_routes() -> Routes {
    audit::routes()
        .merge(authorization::routes())
        .merge(deployment::routes())
        .merge(notifications::routes())
        .merge(organizations::routes())
        .merge(sessions::routes())
        .merge(users::routes())
        .below("/api/v2")
        .merge(deployment::health_routes())
}

fn assemble(
    state: AppState,
    add_fallback: impl FnOnce(Router<AppState>) -> Router<AppState>,
) -> Router {
    let mut routes = all_routes();
    let shadowed = Arc::new(routes.shadowed_users());
    let public = Access {
        authentication: Authentication::NotRequired,
        ..Access::default()
    };
    let check = from_fn_with_state(Guard::new(&state, public), check_access);
    let routes = routes
        .into_router(&state)
        .route("/api/v2/openapi.json", get(document).layer(check));
    let routes = add_fallback(routes).with_state(state.clone());
    let enveloped = from_fn_with_state((state, shadowed), envelope::envelope).layer(routes);
    Router::new().fallback_service(enveloped)
}

/// Responds with the OpenAPI document, which is built by the first request.
async fn document() -> impl IntoResponse {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        let text = openapi().to_json().expect("the document is JSON");
        Bytes::from(text)
    });
    ([(CONTENT_TYPE, json::content_type())], DOCUMENT.clone())
}

/// Responds to a path without a route. Below users and organizations a credential is required
/// first, so that clients without one cannot learn which paths exist.
async fn no_such_route(State(state): State<AppState>, mut request: Request) -> Response {
    let path = request.uri().path();
    let requires_credential = ["/api/v2/users/", "/api/v2/organizations/"]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    if path.starts_with("/api")
        && let Err(error) = csrf::check(&request)
    {
        return error.into_response();
    }
    if requires_credential
        && let Err(error) = access::authenticate(&state, &mut request, Renewal::IfExpired).await
    {
        return error.into_response();
    }
    ApiError::NoSuchRoute.into_response()
}
