//! The deployment as a whole: health, versions, features.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use http::{HeaderName, HeaderValue, header::CONTENT_TYPE};
use usher_api_types::{
    Response, Timestamp,
    deployment::{
        AppearanceConfig, AvailableExperiments, Banner, BuildInfoResponse, Entitlements, Feature,
        NoTasks, NoWorkspaces, Region, RegionsResponse, SshConfigResponse, UpdateCheckResponse,
    },
};
use usher_domain::time::Clock;
use usher_store::SiteStore;
use utoipa_axum::router::UtoipaMethodRouter;

use crate::{
    ApiError, AppState, Caller, Json, Settings,
    routes::{Declare as _, Routes, routes},
};

/// The URL of the source and of the documentation.
const HOME: &str = env!("CARGO_PKG_REPOSITORY");

/// The features that need a license in Coder.
const FEATURES: [&str; 23] = [
    "access_control",
    "advanced_template_scheduling",
    "aibridge",
    "appearance",
    "audit_log",
    "browser_only",
    "connection_log",
    "control_shared_ports",
    "custom_roles",
    "external_provisioner_daemons",
    "external_token_encryption",
    "high_availability",
    "managed_agent_limit",
    "multiple_external_auth",
    "multiple_organizations",
    "scim",
    "template_rbac",
    "user_limit",
    "user_role_management",
    "workspace_batch_actions",
    "workspace_external_agent",
    "workspace_prebuilds",
    "workspace_proxy",
];

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route(routes!(greet).public())
        .route(routes!(build_info).public())
        .route(routes!(update_check).public())
        .route(routes!(entitlements).public())
        .route(routes!(appearance).without_challenge())
        .route(routes!(experiments))
        .route(routes!(available_experiments))
        .route(routes!(regions))
        .route(routes!(ssh_config))
        .route(routes!(workspaces))
        .route(routes!(templates))
        .route(routes!(tasks))
}

/// The routes outside of `/api/v2`.
pub(crate) fn health_routes() -> Routes {
    let open = |route: UtoipaMethodRouter<AppState>| route.public().unlimited().csrf_exempt();
    Routes::new()
        .route(open(routes!(health)))
        .route(open(routes!(latency_check)))
}

const PLAIN_TEXT: (HeaderName, HeaderValue) = (
    CONTENT_TYPE,
    HeaderValue::from_static("text/plain; charset=utf-8"),
);

/// Checks that the service and its database are available.
#[utoipa::path(
    get, path = "/healthz", tag = "Deployment",
    responses((status = 200, body = String, description = "`OK`."),
              (status = 503, body = Response, description = "The database is unavailable.")),
)]
async fn health(
    State(site): State<Arc<dyn SiteStore>>,
) -> Result<([(HeaderName, HeaderValue); 1], &'static str), ApiError> {
    site.ping().await?;
    Ok(([PLAIN_TEXT], "OK"))
}

/// Responds immediately, so that pages can measure the latency.
#[utoipa::path(
    get, path = "/latency-check", tag = "Deployment",
    responses((status = 200, body = String, description = "`OK`.")),
)]
async fn latency_check() -> ([(HeaderName, HeaderValue); 6], &'static str) {
    let any = HeaderValue::from_static("*");
    let headers = [
        PLAIN_TEXT,
        (HeaderName::from_static("timing-allow-origin"), any.clone()),
        (
            HeaderName::from_static("access-control-allow-origin"),
            any.clone(),
        ),
        (
            HeaderName::from_static("access-control-allow-headers"),
            any.clone(),
        ),
        (HeaderName::from_static("access-control-allow-methods"), any),
        (
            HeaderName::from_static("access-control-allow-credentials"),
            HeaderValue::from_static("false"),
        ),
    ];
    (headers, "OK")
}

/// Returns a greeting.
#[utoipa::path(
    get, path = "/", tag = "Deployment",
    responses((status = 200, body = Response, description = "A greeting.")),
)]
async fn greet() -> Json<Response> {
    Json(Response::message("👋"))
}

/// Returns the version of the server.
#[utoipa::path(
    get, path = "/buildinfo", tag = "Deployment",
    responses((status = 200, body = BuildInfoResponse, description = "The version.")),
)]
async fn build_info(State(settings): State<Arc<Settings>>) -> Json<BuildInfoResponse> {
    Json(BuildInfoResponse {
        external_url: HOME.to_owned(),
        version: settings.build_version.clone(),
        dashboard_url: settings
            .access_url
            .as_str()
            .trim_end_matches('/')
            .to_owned(),
        telemetry: false,
        workspace_proxy: false,
        agent_api_version: "1.0".to_owned(),
        provisioner_api_version: "1.12".to_owned(),
        upgrade_message: String::new(),
        deployment_id: settings.deployment_id,
    })
}

/// Always reports the running version as current, without a request to another server.
#[utoipa::path(
    get, path = "/updatecheck", tag = "Deployment",
    responses((status = 200, body = UpdateCheckResponse, description = "The current version.")),
)]
async fn update_check(State(settings): State<Arc<Settings>>) -> Json<UpdateCheckResponse> {
    Json(UpdateCheckResponse {
        current: true,
        version: settings.build_version.clone(),
        url: HOME.to_owned(),
    })
}

/// Lists Coder's licensed features, all of them not entitled. Nothing here needs a license.
#[utoipa::path(
    get, path = "/entitlements", tag = "Deployment",
    responses((status = 200, body = Entitlements, description = "The features.")),
)]
async fn entitlements(State(clock): State<Arc<dyn Clock>>) -> Json<Entitlements> {
    let features = FEATURES
        .into_iter()
        .map(|name| {
            let feature = Feature {
                entitlement: "not_entitled".to_owned(),
                enabled: false,
                actual: (name == "user_limit").then_some(1),
            };
            (name.to_owned(), feature)
        })
        .collect();
    Json(Entitlements {
        features,
        warnings: Vec::new(),
        errors: Vec::new(),
        has_license: false,
        trial: false,
        require_telemetry: false,
        refreshed_at: Timestamp(clock.now()),
    })
}

/// Returns the appearance of the pages.
#[utoipa::path(
    get, path = "/appearance", tag = "Deployment",
    responses((status = 200, body = AppearanceConfig, description = "The appearance.")),
)]
async fn appearance(_: Caller) -> Json<AppearanceConfig> {
    Json(AppearanceConfig {
        application_name: String::new(),
        logo_url: String::new(),
        docs_url: HOME.to_owned(),
        service_banner: Banner::default(),
        announcement_banners: Vec::new(),
        support_links: Vec::new(),
    })
}

/// Lists the enabled experiments: always empty.
#[utoipa::path(
    get, path = "/experiments", tag = "Deployment",
    responses((status = 200, body = Vec<String>, description = "An empty list.")),
)]
async fn experiments(_: Caller) -> Json<Vec<String>> {
    Json(Vec::new())
}

/// Lists the experiments that are safe to enable: always empty.
#[utoipa::path(
    get, path = "/experiments/available", tag = "Deployment",
    responses((status = 200, body = AvailableExperiments, description = "An empty list.")),
)]
async fn available_experiments(_: Caller) -> Json<AvailableExperiments> {
    Json(AvailableExperiments { safe: Vec::new() })
}

/// Lists the regions: always this server only.
#[utoipa::path(
    get, path = "/regions", tag = "Deployment",
    responses((status = 200, body = RegionsResponse, description = "The regions.")),
)]
async fn regions(_: Caller, State(settings): State<Arc<Settings>>) -> Json<RegionsResponse> {
    Json(RegionsResponse {
        regions: vec![Region {
            id: settings.deployment_id,
            name: "primary".to_owned(),
            display_name: "Default".to_owned(),
            icon_url: "/emojis/1f3e1.png".to_owned(),
            healthy: true,
            path_app_url: settings
                .access_url
                .as_str()
                .trim_end_matches('/')
                .to_owned(),
            wildcard_hostname: String::new(),
        }],
    })
}

/// Returns the host names of workspaces for SSH clients.
#[utoipa::path(
    get, path = "/deployment/ssh", tag = "Deployment",
    responses((status = 200, body = SshConfigResponse, description = "The names.")),
)]
async fn ssh_config(_: Caller) -> Json<SshConfigResponse> {
    Json(SshConfigResponse {
        hostname_prefix: "coder.".to_owned(),
        hostname_suffix: "coder".to_owned(),
        ssh_config_options: BTreeMap::new(),
    })
}

/// Lists workspaces: always empty.
#[utoipa::path(
    get, path = "/workspaces", tag = "Deployment",
    responses((status = 200, body = NoWorkspaces, description = "An empty list.")),
)]
async fn workspaces(_: Caller) -> Json<NoWorkspaces> {
    Json(NoWorkspaces::default())
}

/// Lists templates: always empty.
#[utoipa::path(
    get, path = "/templates", tag = "Deployment",
    responses((status = 200, body = Vec<String>, description = "An empty list.")),
)]
async fn templates(_: Caller) -> Json<Vec<String>> {
    Json(Vec::new())
}

/// Lists tasks: always empty.
#[utoipa::path(
    get, path = "/tasks", tag = "Deployment",
    responses((status = 200, body = NoTasks, description = "An empty list.")),
)]
async fn tasks(_: Caller) -> Json<NoTasks> {
    Json(NoTasks::default())
}
