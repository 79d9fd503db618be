//! The users API over HTTP, as an axum router over the storage traits of `usher-store`.
//!
//! There is one file for each resource, named after it. A handler reads in five steps:
//! extract, validate, authorise, one store call, respond; where the specification gives a
//! route another order of checks, that order. Handlers know traits only: no SQL, no
//! database, so that their tests run on mocks.
//!
//! ```no_run
//! # async fn serve(store: std::sync::Arc<usher_store_impl::Store>) {}
//! # mod usher_store_impl { pub struct Store; }
//! # fn state() -> usher_api::AppState { unimplemented!() }
//! // All of the API beside routes of one's own.
//! let app: axum::Router = usher_api::router(state());
//! ```
//!
//! To add an endpoint: write its handler with `#[utoipa::path]` in the file of its
//! resource, and name it in that resource's `private_routes` or, if it needs no
//! credential, `public_routes`. What is not in the OpenAPI document cannot be mounted.

pub mod audit;
mod audit_context;
mod authentication;
pub mod authorization;
mod background;
mod caller;
mod cookies;
mod credential;
mod csrf;
pub mod deployment;
mod envelope;
mod error;
pub mod hashing;
mod issuing;
mod json;
pub mod limits;
pub mod notifications;
mod openapi;
pub mod organizations;
mod password;
mod query;
pub mod renewal;
mod request;
mod role_lists;
mod routes;
pub mod sessions;
mod ssh_keys;
mod state;
mod target;
pub mod users;

use std::sync::LazyLock;

use axum::{
    Router,
    extract::{Request, State},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderValue, header::CONTENT_TYPE};
use tower::{Layer as _, ServiceExt as _};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use routes::Routes;

pub use audit_context::Audit;
pub use authentication::require as require_caller;
pub use background::Background;
pub use caller::Caller;
pub use csrf::CsrfToken;
pub use error::ApiError;
pub use json::{Json, RequestBody};
pub use query::QueryParameters;
pub use request::RequestFacts;
pub use sessions::providers::{Provider, Providers};
pub use state::{AppParts, AppState, SameSite, Settings};
pub use target::{TargetOrganization, TargetUser};

/// The whole API, to be served or to stand beside routes of one's own: it takes every
/// request that no other route does.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, or the addresses
/// of clients are not known.
pub fn router(state: AppState) -> Router {
    let inner = all_routes(&state).fallback(no_such_route);
    surround(state, inner)
}

/// The whole API, and pages for the paths outside of `/api` and `/.well-known` that it has
/// nothing for.
///
/// The pages find a [`CsrfToken`] among the extensions of a request, and their answers carry
/// the headers of every other answer, the cookie of that token included.
pub fn router_with_pages(state: AppState, pages: Router) -> Router {
    let others = async move |state: State<AppState>, request: Request| {
        if is_for_programs(request.uri().path()) {
            return no_such_route(state, request).await;
        }
        match pages.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    let inner = all_routes(&state).fallback(others);
    surround(state, inner)
}

fn is_for_programs(path: &str) -> bool {
    let word = path.trim_start_matches('/').split('/').next();
    matches!(word, Some("api" | ".well-known"))
}

fn all_routes(state: &AppState) -> Router<AppState> {
    let limit = from_fn_with_state(state.clone(), limits::limit);
    let require = from_fn_with_state(state.clone(), authentication::require_and_limit);
    let require_to_leave = from_fn_with_state(state.clone(), authentication::require_to_leave);
    let require_plainly =
        from_fn_with_state(state.clone(), authentication::require_plainly_and_limit);
    let below_prefix = public_routes()
        .with(|router| router.layer(limit.clone()))
        .merge(private_routes().with(|router| router.layer(require)))
        .merge(sessions::leaving_routes().with(|router| router.layer(require_to_leave)))
        .merge(deployment::plain_routes().with(|router| router.layer(require_plainly)));
    deployment::root_routes()
        .into_router()
        .nest(PREFIX, below_prefix.into_router())
        .route("/api/v2/openapi.json", get(document).layer(limit))
}

fn surround(state: AppState, inner: Router<AppState>) -> Router {
    let inner = inner.with_state(state.clone());
    let surrounded = from_fn_with_state(state, envelope::envelope).layer(inner);
    Router::new().fallback_service(surrounded)
}

/// The OpenAPI document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let below_prefix = public_routes()
        .merge(private_routes())
        .merge(sessions::leaving_routes())
        .merge(deployment::plain_routes());
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .merge(deployment::root_routes().document())
        .nest(PREFIX, below_prefix.document())
        .into_openapi()
}

/// What the paths begin with, but for those that ask for the state of the server.
const PREFIX: &str = "/api/v2";

fn public_routes() -> Routes {
    authorization::public_routes()
        .merge(deployment::public_routes())
        .merge(sessions::public_routes())
        .merge(users::public_routes())
}

fn private_routes() -> Routes {
    audit::private_routes()
        .merge(authorization::private_routes())
        .merge(deployment::private_routes())
        .merge(notifications::private_routes())
        .merge(organizations::private_routes())
        .merge(users::private_routes())
}

/// The document does not change while the server runs, and takes a while to make.
async fn document() -> impl IntoResponse {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        let text = openapi().to_json().expect("the document is JSON");
        Bytes::from(text)
    });
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    ([(CONTENT_TYPE, content_type)], DOCUMENT.clone())
}

/// Answers a path that no route has. Below users and organizations the credential is
/// asked for first, so that nothing can be learnt there without one.
async fn no_such_route(State(state): State<AppState>, request: Request) -> Response {
    let path = request.uri().path();
    let is_guarded = ["/api/v2/users/", "/api/v2/organizations/"]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    if is_guarded {
        let facts = request.extensions().get::<RequestFacts>();
        let found =
            authentication::authenticate(&state, request.headers(), request.uri(), facts).await;
        if let Err(error) = found {
            return limits::count_stranger(&state, &request, error).into_response();
        }
    }
    ApiError::NoSuchRoute.into_response()
}
