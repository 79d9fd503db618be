//! Routes: their handlers, their part of the OpenAPI document, and what applies to a request
//! before its handler runs.
//!
//! A route needs a valid credential and has the general rate limit, unless it says otherwise:
//!
//! ```ignore
//! Routes::new()
//!     .route(routes!(list::list, create::create))
//!     .route(routes!(login::login).public().sign_in_limited())
//! ```

use std::mem;

use axum::{Router, middleware::from_fn_with_state};
use http::Method;
use utoipa::openapi::{
    OpenApi, SecurityRequirement,
    path::{Operation, PathItem},
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _};

pub(crate) use utoipa_axum::routes;

use crate::{
    AppState,
    access::{Access, Authentication, Guard, check_access},
    limits::LimitKind,
    paths::ShadowedUsers,
};

/// The handlers of one path.
pub(crate) struct Route {
    handlers: UtoipaMethodRouter<AppState>,
    access: Access,
    shadows_user: bool,
}

impl From<UtoipaMethodRouter<AppState>> for Route {
    fn from(handlers: UtoipaMethodRouter<AppState>) -> Self {
        Self {
            handlers,
            access: Access::default(),
            shadows_user: false,
        }
    }
}

/// What can be declared of a [`Route`], and so of what [`routes!`] returns.
pub(crate) trait Declare: Into<Route> {
    /// The route needs no credential.
    fn public(self) -> Route {
        let mut route = self.with(|access| access.authentication = Authentication::NotRequired);
        for item in route.handlers.1.paths.values_mut() {
            for (_, operation) in operations(item) {
                operation.security = Some(vec![SecurityRequirement::default()]);
            }
        }
        route
    }

    /// The route works while the provider that the user signed in through is unavailable.
    fn without_renewal(self) -> Route {
        self.with(|access| access.authentication = Authentication::WithoutRenewal)
    }

    /// The 401 response gives no reason and has no challenge. Clients expect that of what their
    /// pages request before sign-in.
    fn without_challenge(self) -> Route {
        self.with(|access| access.authentication = Authentication::WithoutChallenge)
    }

    /// The route could be used to guess credentials and has the rate limit of sign-ins.
    fn sign_in_limited(self) -> Route {
        self.with(|access| access.rate_limit = Some(LimitKind::SignIn))
    }

    /// The route has no rate limit.
    fn unlimited(self) -> Route {
        self.with(|access| access.rate_limit = None)
    }

    /// The route does not use the session cookie, so another site gains nothing by a request.
    fn csrf_exempt(self) -> Route {
        self.with(|access| access.is_csrf_exempt = true)
    }

    /// With a method that the route does not have, the segment after `/users/` is a username:
    /// `DELETE /users/first` deletes the user `first`.
    fn shadows_user(self) -> Route {
        Route {
            shadows_user: true,
            ..self.into()
        }
    }

    #[doc(hidden)]
    fn with(self, change: impl FnOnce(&mut Access)) -> Route {
        let mut route = self.into();
        change(&mut route.access);
        route
    }
}

impl<T: Into<Route>> Declare for T {}

/// Routes that are mounted together.
#[derive(Default)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn route(mut self, route: impl Into<Route>) -> Self {
        self.0.push(route.into());
        self
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Puts `prefix` before all paths. In place of [`Router::nest`], which would cut it off
    /// again for each request.
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        for route in &mut self.0 {
            let paths = &mut route.handlers.1.paths;
            *paths = mem::take(paths)
                .into_iter()
                .map(|(path, item)| (format!("{prefix}{}", path.trim_end_matches('/')), item))
                .collect();
        }
        self
    }

    pub(crate) fn shadowed_users(&mut self) -> ShadowedUsers {
        let shadowing = self.0.iter_mut().filter(|route| route.shadows_user);
        shadowing
            .flat_map(|route| &mut route.handlers.1.paths)
            .map(|(path, item)| {
                let methods = operations(item).map(|(method, _)| method);
                (path.clone(), methods.collect())
            })
            .collect()
    }

    pub(crate) fn into_router(self, state: &AppState) -> Router<AppState> {
        let all = self.0.into_iter();
        all.fold(OpenApiRouter::default(), |router, route| {
            let guard = Guard::new(state, route.access);
            router.routes(
                route
                    .handlers
                    .layer(from_fn_with_state(guard, check_access)),
            )
        })
        .into()
    }

    /// Adds the routes to the document.
    pub(crate) fn document(self, document: OpenApi) -> OpenApi {
        let all = self.0.into_iter();
        all.fold(OpenApiRouter::with_openapi(document), |router, route| {
            router.routes(route.handlers)
        })
        .into_openapi()
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
