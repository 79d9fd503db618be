//! What is checked before the handler of a route runs: CSRF, the credential, the rate limit.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{
    ApiError, AppState,
    authentication::{self, Renewal},
    csrf,
    limits::LimitKind,
};

/// What a route checks.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    pub(crate) authentication: Authentication,
    pub(crate) rate_limit: Option<LimitKind>,
    pub(crate) is_csrf_exempt: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            authentication: Authentication::Required,
            rate_limit: Some(LimitKind::General),
            is_csrf_exempt: false,
        }
    }
}

/// Whether, and how, a request is authenticated.
#[derive(Clone, Copy)]
pub(crate) enum Authentication {
    NotRequired,
    Required,
    /// Required, but expired access at a provider is not renewed.
    WithoutRenewal,
    /// Required, with a 401 response that has neither a reason nor a challenge.
    WithoutChallenge,
}

/// The state of [`check_access`].
#[derive(Clone)]
pub(crate) struct Guard {
    app: AppState,
    access: Access,
}

impl Guard {
    pub(crate) fn new(app: &AppState, access: Access) -> Self {
        Self {
            app: app.clone(),
            access,
        }
    }
}

/// The middleware of every route: one for all checks, since each middleware has a cost. The
/// limit comes last, so that it counts users rather than network addresses.
pub(crate) async fn check_access(
    State(Guard { app, access }): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    if !access.is_csrf_exempt
        && let Err(error) = csrf::check(&request)
    {
        return error.into_response();
    }
    let authenticated = match access.authentication {
        Authentication::NotRequired => Ok(()),
        Authentication::Required => authenticate(&app, &mut request, Renewal::IfExpired).await,
        Authentication::WithoutRenewal => authenticate(&app, &mut request, Renewal::Never).await,
        Authentication::WithoutChallenge => authenticate(&app, &mut request, Renewal::IfExpired)
            .await
            .map_err(without_challenge),
    };
    if let Err(error) = authenticated {
        return error.into_response();
    }
    let quota = access.rate_limit.and_then(|kind| {
        let now = app.clock.now();
        app.limits.count_request(&request, kind, now)
    });
    let Some(quota) = quota else {
        return next.run(request).await;
    };
    let mut response = if quota.is_exceeded {
        quota.error().into_response()
    } else {
        next.run(request).await
    };
    quota.write_unless_written(response.headers_mut());
    response
}

/// Requires a valid credential, so that handlers can extract a [`Caller`](crate::Caller). Use it
/// as middleware for your own routes: `middleware::from_fn_with_state(state, require_caller)`.
pub async fn require_caller(
    State(app): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    match authenticate(&app, &mut request, Renewal::IfExpired).await {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Adds the caller to the request. Rejected credentials count against the limit of the network
/// address, since each costs a query; failures of the store do not.
pub(crate) async fn authenticate(
    app: &AppState,
    request: &mut Request,
    renewal: Renewal,
) -> Result<(), ApiError> {
    let added = authentication::add_caller(app, request, renewal).await;
    if matches!(added, Err(ApiError::Unauthenticated { .. })) {
        let now = app.clock.now();
        let quota = app.limits.count_request(request, LimitKind::General, now);
        if let Some(quota) = quota.filter(|quota| quota.is_exceeded) {
            return Err(quota.error());
        }
    }
    added
}

fn without_challenge(error: ApiError) -> ApiError {
    match error {
        ApiError::Unauthenticated { .. } => {
            ApiError::rule(StatusCode::UNAUTHORIZED, "Authentication required.")
        }
        other => other,
    }
}
